/**
 * `<linux/spinlock.h>`. While a spinlock is held nothing else of this domain runs, except interrupts where they are on. It must be released
 * before the function that took it returns to the scheduler. `flags` is a value here: `const flags = spin_lock_irqsave(lock)`.
 */

export class spinlock_t {
  locked = false;
  /** Debug builds: was it ever taken in an interrupt, and ever with interrupts on. */
  used_in_irq = false;
  used_with_irqs_on = false;
  readonly container: unknown;
  /** Its class for the lock order check; "" is left out of it. */
  readonly name: string;

  constructor(container: unknown = null, name = "") {
    this.container = container;
    this.name = name;
  }
}

export function spin_lock_init(lock: spinlock_t): void {
  lock.locked = false;
}

export function spin_is_locked(lock: spinlock_t): boolean {
  return lock.locked;
}

export declare function spin_lock(lock: spinlock_t): void;
export declare function spin_unlock(lock: spinlock_t): void;
/** Returns whether it took the lock. */
export declare function spin_trylock(lock: spinlock_t): boolean;
/** Also turns interrupts off on this CPU. Returns the flags for `spin_unlock_irqrestore`. */
export declare function spin_lock_irqsave(lock: spinlock_t): number;
/** Interrupts that came meanwhile are taken in here. */
export declare function spin_unlock_irqrestore(lock: spinlock_t, flags: number): void;
export declare function spin_lock_irq(lock: spinlock_t): void;
export declare function spin_unlock_irq(lock: spinlock_t): void;
export declare function spin_lock_bh(lock: spinlock_t): void;
export declare function spin_unlock_bh(lock: spinlock_t): void;
/** Complains unless the lock is held. Debug builds. */
export declare function lockdep_assert_held(lock: { locked?: boolean; owner?: unknown }): void;
