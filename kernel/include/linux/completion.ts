/** `<linux/completion.h>`: wait for something that happens once. */
import type { Sleeps } from "./sched";
import { wait_queue_head } from "./wait";

export class completion {
  /** How many waiters may pass; COMPLETION_ALL after `complete_all`. */
  done = 0;
  readonly wait = new wait_queue_head();
  readonly container: unknown;

  constructor(container: unknown = null) {
    this.container = container;
  }
}

/** `done` after `complete_all`: everybody passes until `reinit_completion`. */
export const COMPLETION_ALL = 0x7fffffff;

export function init_completion(x: completion): void {
  x.done = 0;
}

export function reinit_completion(x: completion): void {
  x.done = 0;
}

/** Whether a wait would pass at once. */
export function completion_done(x: completion): boolean {
  return x.done !== 0;
}

/** Lets one waiter pass. */
export declare function complete(x: completion): void;
/** Lets all waiters pass, now and later. */
export declare function complete_all(x: completion): void;
/** Passes without waiting if it can. Returns whether it did. */
export declare function try_wait_for_completion(x: completion): boolean;
export declare function wait_for_completion(x: completion): Sleeps<void>;
/** `wait_for_completion`, counted as waiting for I/O. */
export declare function wait_for_completion_io(x: completion): Sleeps<void>;
/** Returns the jiffies left, at least 1, or 0 if the time ran out. */
export declare function wait_for_completion_timeout(x: completion, timeout: number): Sleeps<number>;
/** Returns 0, or -ERESTARTSYS if a signal came first. */
export declare function wait_for_completion_interruptible(x: completion): Sleeps<number>;
/** Returns 0, or -ERESTARTSYS if a fatal signal came first. */
export declare function wait_for_completion_killable(x: completion): Sleeps<number>;
