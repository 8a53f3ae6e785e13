/** `<linux/types.h>`: the integer names, and `Ptr` for what C passes as `int *`. All integers are JS numbers; u64 that is computed with stays below 2^53. */

export type u8 = number;
export type u16 = number;
export type u32 = number;
export type s32 = number;
/** Below 2^53. A u64 that is only echoed is held as two u32 words instead. */
export type u64 = number;
export type s64 = number;
/** A count or index of 512-byte sectors, below 2^53. */
export type sector_t = number;
/** A byte offset in a file or device, below 2^53. */
export type loff_t = number;
export type ssize_t = number;
export type size_t = number;
export type dev_t = number;
export type umode_t = number;
export type pid_t = number;
/** Nanoseconds. */
export type ktime_t = number;

/** An out parameter: where C has `int *port`, the callee stores into `port.value`. */
export interface Ptr<T> {
  value: T;
}

/** Makes an out parameter. */
export function ptr<T>(value: T): Ptr<T> {
  return { value };
}

/** `MKDEV`: 12 bits of major, 20 of minor. */
export function MKDEV(major: number, minor: number): dev_t {
  return major * 0x100000 + minor;
}

export function MAJOR(dev: dev_t): number {
  return Math.floor(dev / 0x100000);
}

export function MINOR(dev: dev_t): number {
  return dev & 0xfffff;
}
