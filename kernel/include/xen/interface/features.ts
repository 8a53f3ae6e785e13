/**
 * The hypervisor's features (Linux `include/xen/interface/features.h`): the machine's ABI under its guest name.
 */
export * from "../../../../hal/abi/version";
