/**
 * Event channel operations (Linux `include/xen/interface/event_channel.h`): the machine's ABI under its guest name.
 */
export * from "../../../../hal/abi/event_channel";
