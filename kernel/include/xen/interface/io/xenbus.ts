/**
 * States of a split device (Linux `include/xen/interface/io/xenbus.h`): the machine's ABI under its guest name.
 */
export * from "../../../../../hal/abi/io/xenbus";
