/**
 * The Xen console's ring (Linux `drivers/tty/hvc/hvc_xen.c`), without a terminal.
 */
import type { Sleeps } from "xenolith/linux/sched";

/** Puts as many of the bytes into the console ring as fit and notifies the reader: the number taken. Never sleeps. */
export declare function hvc_put_chars(bytes: Uint8Array): number;
/** Writes all of the bytes, sleeping while the ring is full: their number, or -ENODEV without a console. */
export declare function hvc_write(bytes: Uint8Array): Sleeps<number>;
/** Takes at most `buffer.length` bytes of input that is already there: their number. Never sleeps. */
export declare function hvc_get_chars(buffer: Uint8Array): number;
/** Who is called, in an interrupt, when there may be input or room in the ring; null for nobody. */
export declare function hvc_set_receiver(fn: (() => void) | null): void;
/** Whether the domain has a console. */
export declare function hvc_exists(): boolean;
