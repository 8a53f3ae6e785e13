/**
 * Hypercalls, domain ids, virtual interrupts, start_info and shared_info (Linux `include/xen/interface/xen.h`): the machine's ABI under its guest name.
 */
export * from "../../../../hal/abi/xen";
