/**
 * vCPU operations (Linux `include/xen/interface/vcpu.h`): the machine's ABI under its guest name.
 */
export * from "../../../../hal/abi/vcpu";
