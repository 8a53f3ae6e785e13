/**
 * Names of ring ABIs (Linux `include/xen/interface/io/protocols.h`): the machine's ABI under its guest name.
 */
export * from "../../../../../hal/abi/io/protocols";
