/**
 * The hypervisor's version and features (Linux `include/xen/interface/version.h`): the machine's ABI under its guest name.
 */
export * from "../../../../hal/abi/version";
