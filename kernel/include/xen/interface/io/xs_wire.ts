/**
 * The xenstore wire protocol (Linux `include/xen/interface/io/xs_wire.h`): the machine's ABI under its guest name.
 */
export * from "../../../../../hal/abi/xs_wire";
