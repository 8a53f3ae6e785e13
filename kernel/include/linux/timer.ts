/** `<linux/timer.h>` and `<linux/hrtimer.h>`: functions that run at a virtual time, as a softirq: they must not sleep. */
import type { embedded } from "./kernel";
import type { ktime_t } from "./types";

/** A place in a CPU's queue of deadlines. */
export class timer_node {
  /** Virtual time, nanoseconds. */
  deadline_ns = 0;
  /** Order among equal deadlines. */
  seq = 0;
  /** Position in the heap; -1 when not armed. */
  index = -1;
  /** The CPU whose heap it is in. */
  cpu = 0;
  /** Called when due, after it was taken out of the heap. */
  expire: ((node: timer_node) => void) | null = null;
  readonly container: unknown;

  constructor(container: unknown) {
    this.container = container;
  }
}

export type timer_function = (timer: timer_list) => void;

export class timer_list implements embedded {
  readonly container: unknown;
  /** Due time in jiffies. */
  expires = 0;
  function: timer_function | null = null;
  readonly node: timer_node;

  constructor(container: unknown = null) {
    this.container = container;
    this.node = new timer_node(this);
  }
}

export const TIMER_DEFERRABLE = 1;
export const TIMER_PINNED = 2;

export function timer_setup(timer: timer_list, callback: timer_function, _flags: number): void {
  timer.function = callback;
}

/** The struct that embeds the timer. */
export function from_timer<T>(timer: timer_list): T {
  return timer.container as T;
}

export const timer_container_of = from_timer;

/** Whether it is armed. */
export function timer_pending(timer: timer_list): boolean {
  return timer.node.index >= 0;
}

/** Arms it for `timer.expires`; it must not be armed. */
export declare function add_timer(timer: timer_list): void;
/** Arms it for jiffies `expires`, armed or not. Returns 1 if it was armed. */
export declare function mod_timer(timer: timer_list, expires: number): number;
/** `mod_timer`, only if that makes it earlier or it is not armed. */
export declare function timer_reduce(timer: timer_list, expires: number): number;
/** Disarms it. Returns 1 if it was armed. */
export declare function del_timer(timer: timer_list): number;
/** Disarms it; it does not run on any CPU afterwards. Returns 1 if it was armed. Must not be called from the timer itself. */
export declare function del_timer_sync(timer: timer_list): number;
export declare function timer_delete(timer: timer_list): number;
export declare function timer_delete_sync(timer: timer_list): number;
/** `del_timer_sync` for good: arming it afterwards does nothing. */
export declare function timer_shutdown_sync(timer: timer_list): number;

export const HRTIMER_NORESTART = 0;
export const HRTIMER_RESTART = 1;
export const HRTIMER_MODE_ABS = 0;
export const HRTIMER_MODE_REL = 1;

export class hrtimer implements embedded {
  readonly container: unknown;
  /** Returns HRTIMER_RESTART to go on at the time that it forwarded itself to. */
  function: ((timer: hrtimer) => number) | null = null;
  readonly node: timer_node;

  constructor(container: unknown = null) {
    this.container = container;
    this.node = new timer_node(this);
  }
}

export function hrtimer_setup(timer: hrtimer, callback: (timer: hrtimer) => number): void {
  timer.function = callback;
}

/** Whether it is armed. */
export function hrtimer_active(timer: hrtimer): boolean {
  return timer.node.index >= 0;
}

/** Arms it for `time` nanoseconds, absolute or from now. */
export declare function hrtimer_start(timer: hrtimer, time: ktime_t, mode: number): void;
/** Disarms it. Returns 1 if it was armed. */
export declare function hrtimer_cancel(timer: hrtimer): number;
/** Moves its time past now in steps of `interval`. Returns the number of steps. */
export declare function hrtimer_forward_now(timer: hrtimer, interval: ktime_t): number;
