/**
 * Grant tables and their operations (Linux `include/xen/interface/grant_table.h`): the machine's ABI under its guest name.
 */
export * from "../../../../hal/abi/grant_table";
