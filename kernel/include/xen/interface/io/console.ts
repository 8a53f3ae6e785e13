/**
 * The console's ring page (Linux `include/xen/interface/io/console.h`): the machine's ABI under its guest name.
 */
export * from "../../../../../hal/abi/io/console";
