/** `<linux/ktime.h>` and `<linux/timekeeping.h>`: virtual time in nanoseconds, held exactly in a number. */
import type { ktime_t } from "./types";

export const NSEC_PER_USEC = 1000;
export const NSEC_PER_MSEC = 1_000_000;
export const NSEC_PER_SEC = 1_000_000_000;
export const USEC_PER_MSEC = 1000;
export const USEC_PER_SEC = 1_000_000;
export const MSEC_PER_SEC = 1000;

/** Virtual time of this domain, never going back. Charges the cost of a clock read, at least 1 ns. */
export declare function ktime_get_ns(): number;
export declare function ktime_get(): ktime_t;
export declare function ktime_get_coarse_ns(): number;
/** Nanoseconds since 1970 that the machine file says it is, advancing with virtual time. */
export declare function ktime_get_real_ns(): number;
/** Seconds of `ktime_get_real_ns`. */
export declare function ktime_get_real_seconds(): number;
/** Adds COST_* `cost` (hal/abi/control.ts) to this CPU's clock: the kernel's own fixed costs. Drivers do not call it. */
export declare function charge(cost: number): void;
/** Adds what submitting a bio and making a request of it cost; returns what `local_clock` says then. */
export declare function charge_plain_bio(): number;
/** Adds it `times` times. */
export declare function charge_times(cost: number, times: number): void;
/** Adds `ns` nanoseconds to this CPU's clock. */
export declare function charge_ns(ns: number): void;
/** A pause in a busy loop; charges at least 1 ns. */
export declare function cpu_relax(): void;
/** This CPU's clock without charging for it. For stamps that no decision depends on. */
export declare function local_clock(): number;

export function ktime_to_ns(time: ktime_t): number {
  return time;
}

export function ktime_to_us(time: ktime_t): number {
  return Math.floor(time / 1000);
}

export function ktime_to_ms(time: ktime_t): number {
  return Math.floor(time / 1_000_000);
}

export function ktime_add_ns(time: ktime_t, ns: number): ktime_t {
  return time + ns;
}

export function ktime_sub(later: ktime_t, earlier: ktime_t): ktime_t {
  return later - earlier;
}

export function ms_to_ktime(ms: number): ktime_t {
  return ms * 1_000_000;
}
