/** `<linux/reboot.h>`: the ways a domain ends, and what runs before. */
import type { Sleeps } from "./sched";
import type { notifier_block } from "./notifier";

/** Told the kernel is going down: device shutdown comes after it. */
export declare function register_reboot_notifier(nb: notifier_block): number;
export declare function unregister_reboot_notifier(nb: notifier_block): number;
/** Shuts devices down and powers off (SCHEDOP_shutdown, SHUTDOWN_poweroff). Sleeps, and does not come back. */
export declare function kernel_power_off(): Sleeps<void>;
/** Shuts devices down and reboots (SHUTDOWN_reboot). Sleeps, and does not come back. */
export declare function kernel_restart(): Sleeps<void>;
export declare function kernel_halt(): Sleeps<void>;
/** Without shutting anything down. Does not return to the caller's slice. */
export declare function machine_shutdown(reason: number): void;
/** What the init task runs after initcalls and modules, in the order of registration. May sleep; may run for ever. */
export declare function register_init_process(name: string, fn: () => Sleeps<number>): void;
