/** `<linux/delay.h>`. */
import type { Sleeps } from "./sched";

/** Sleeps at least `msecs` milliseconds, whatever signals come. */
export declare function msleep(msecs: number): Sleeps<void>;
/** Returns the milliseconds left if a signal came, else 0. Sleeps. */
export declare function msleep_interruptible(msecs: number): Sleeps<number>;
/** Sleeps `min` to `max` microseconds; here exactly `min`. */
export declare function usleep_range(min: number, max: number): Sleeps<void>;
export declare function fsleep(usecs: number): Sleeps<void>;
export declare function ssleep(seconds: number): Sleeps<void>;
/** Keeps the CPU busy for `usecs` microseconds of virtual time. */
export declare function udelay(usecs: number): void;
export declare function ndelay(nsecs: number): void;
export declare function mdelay(msecs: number): void;
