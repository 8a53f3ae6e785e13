/**
 * Scheduler operations (Linux `include/xen/interface/sched.h`): the machine's ABI under its guest name.
 */
export * from "../../../../hal/abi/sched";
