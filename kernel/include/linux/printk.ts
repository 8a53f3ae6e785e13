/**
 * `<linux/printk.h>`: the kernel log. Formats are C's: `%d %i %u %x %X %o %c %s %%`, length modifiers `hh h l ll z`, width, precision and the flags
 * `# 0 - + space`. There is no `%p`: an address would not be reproducible.
 */

export const KERN_SOH = "\x01";
export const KERN_EMERG = "\x010";
export const KERN_ALERT = "\x011";
export const KERN_CRIT = "\x012";
export const KERN_ERR = "\x013";
export const KERN_WARNING = "\x014";
export const KERN_NOTICE = "\x015";
export const KERN_INFO = "\x016";
export const KERN_DEBUG = "\x017";
/** Continues the line that the last printk left without a newline. */
export const KERN_CONT = "\x01c";
export const KERN_DEFAULT = "";

/** One message of the log. */
export interface printk_record {
  /** Number of the message since boot. */
  seq: number;
  /** Virtual time, nanoseconds since boot. */
  ts_nsec: number;
  /** 0 (KERN_EMERG) to 7 (KERN_DEBUG). */
  level: number;
  /** Without level prefix and without the newline. */
  text: string;
}

/** Logs a message; the level is a KERN_* prefix of the format. Returns its length. */
export declare function printk(fmt: string, ...args: unknown[]): number;
export declare function pr_emerg(fmt: string, ...args: unknown[]): void;
export declare function pr_alert(fmt: string, ...args: unknown[]): void;
export declare function pr_crit(fmt: string, ...args: unknown[]): void;
export declare function pr_err(fmt: string, ...args: unknown[]): void;
export declare function pr_warn(fmt: string, ...args: unknown[]): void;
export declare function pr_notice(fmt: string, ...args: unknown[]): void;
export declare function pr_info(fmt: string, ...args: unknown[]): void;
export declare function pr_cont(fmt: string, ...args: unknown[]): void;
/** Logged only with `debug` on the command line. */
export declare function pr_debug(fmt: string, ...args: unknown[]): void;
/** Whether `pr_debug` logs: for callers whose arguments cost something. */
export declare function pr_debug_enabled(): boolean;
/** `pr_err` and friends, each format at most 10 times in 5 s of virtual time. */
export declare function pr_err_ratelimited(fmt: string, ...args: unknown[]): void;
export declare function pr_warn_ratelimited(fmt: string, ...args: unknown[]): void;
export declare function pr_alert_ratelimited(fmt: string, ...args: unknown[]): void;
export declare function pr_info_ratelimited(fmt: string, ...args: unknown[]): void;
/** Each format only once. */
export declare function pr_warn_once(fmt: string, ...args: unknown[]): void;
export declare function pr_info_once(fmt: string, ...args: unknown[]): void;

/** The first message at or after sequence number `seq` that is still in the ring, or null. For dmesg: start at 0, go on at `seq + 1`. */
export declare function printk_read(seq: number): printk_record | null;
/** A record as dmesg shows it: `[    0.000000] text`. */
export declare function printk_format(record: printk_record): string;

/** `snprintf` into a fresh string. */
export declare function kasprintf(fmt: string, ...args: unknown[]): string;
/** A prepared format: use in wrappers that take `fmt, ...args`. */
export declare function vsnprintf(fmt: string, args: readonly unknown[]): string;
