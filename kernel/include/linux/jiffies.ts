/** `<linux/jiffies.h>`: one jiffy is one millisecond of virtual time; jiffies never wrap. */

export const HZ = 1000;
export const NSEC_PER_JIFFY = 1_000_000;

/** Milliseconds since the machine was made. Reading it charges the clock, as `ktime_get` does, so that no loop stands still. */
export declare function jiffies(): number;

export function msecs_to_jiffies(ms: number): number {
  return Math.ceil(ms);
}

export function usecs_to_jiffies(us: number): number {
  return Math.ceil(us / 1000);
}

export function nsecs_to_jiffies(ns: number): number {
  return Math.floor(ns / NSEC_PER_JIFFY);
}

export function jiffies_to_msecs(j: number): number {
  return j;
}

export function jiffies_to_usecs(j: number): number {
  return j * 1000;
}

export function time_after(a: number, b: number): boolean {
  return a > b;
}

export function time_before(a: number, b: number): boolean {
  return a < b;
}

export function time_after_eq(a: number, b: number): boolean {
  return a >= b;
}

export function time_before_eq(a: number, b: number): boolean {
  return a <= b;
}

/** `j` jiffies rounded up to a whole second. */
export function round_jiffies_up(j: number): number {
  return Math.ceil(j / HZ) * HZ;
}
