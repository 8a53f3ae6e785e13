/** `<linux/sysrq.h>`: keys for whoever has lost hope of asking politely. */

/** Does what a key asks for: b reboots, c crashes, o powers off, t lists the tasks, anything else prints what there is. Does not sleep. */
export declare function handle_sysrq(key: string): void;
