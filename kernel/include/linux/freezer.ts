/** `<linux/freezer.h>`: threads that hold still while the system suspends. */
import type { Sleeps } from "./sched";

/** The running thread takes part in freezing (kthreads do not by default). */
export declare function set_freezable(): void;
/** Freezes if asked to. Returns whether it did. Sleeps. */
export declare function try_to_freeze(): Sleeps<boolean>;
/** Whether the running thread is asked to freeze. */
export declare function freezing(): boolean;
/** Asks all freezable threads to freeze and waits until they have. Returns 0, or -EBUSY after 20 s. Sleeps. */
export declare function freeze_processes(): Sleeps<number>;
export declare function thaw_processes(): void;
