/** `<linux/mutex.h>`. Hot callers: `if (!mutex_trylock(m)) yield* mutex_lock_slow(m)`. */
import { list_head } from "./list";
import type { Sleeps, task_struct } from "./sched";

export class mutex {
  owner: task_struct | null = null;
  /** Waiters in the order of their arrival. */
  readonly wait_list = new list_head(this);
  readonly container: unknown;
  /** Its class for the lock order check; "" is left out of it. */
  readonly name: string;

  constructor(container: unknown = null, name = "") {
    this.container = container;
    this.name = name;
  }
}

export function mutex_init(lock: mutex): void {
  lock.owner = null;
}

export function mutex_is_locked(lock: mutex): boolean {
  return lock.owner !== null;
}

/** Sleeps until the lock is ours. */
export declare function mutex_lock(lock: mutex): Sleeps<void>;
/** The part of `mutex_lock` after a failed `mutex_trylock`. */
export declare function mutex_lock_slow(lock: mutex): Sleeps<void>;
/** Returns 0, or -EINTR if a signal came first. Sleeps. */
export declare function mutex_lock_interruptible(lock: mutex): Sleeps<number>;
/** Returns 0, or -EINTR if a fatal signal came first. Sleeps. */
export declare function mutex_lock_killable(lock: mutex): Sleeps<number>;
/** Takes the lock if it is free. Returns whether it did. */
export declare function mutex_trylock(lock: mutex): boolean;
/** Releases it; only the owner may. */
export declare function mutex_unlock(lock: mutex): void;
