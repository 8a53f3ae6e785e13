/**
 * Memory operations (Linux `include/xen/interface/memory.h`): the machine's ABI under its guest name.
 */
export * from "../../../../hal/abi/memory";
