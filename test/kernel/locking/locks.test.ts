import { expect, test } from "vitest";
import { msleep } from "xenolith/linux/delay";
import { EINTR, ETIME } from "xenolith/linux/errno";
import {
  mutex,
  mutex_is_locked,
  mutex_lock,
  mutex_lock_interruptible,
  mutex_trylock,
  mutex_unlock,
} from "xenolith/linux/mutex";
import { down_read, down_write, rw_semaphore, up_read, up_write } from "xenolith/linux/rwsem";
import { down, down_timeout, semaphore, up } from "xenolith/linux/semaphore";
import { send_sig, type Sleeps } from "xenolith/linux/sched";
import { spin_lock, spin_lock_irqsave, spin_unlock, spin_unlock_irqrestore, spinlock_t } from "xenolith/linux/spinlock";
import { CONTROL_SPINLOCKS } from "../../../hal/abi/control";
import { lockdep_reports } from "../../../kernel/locking/lockdep";
import { bootBareKernel } from "../../kit/bare-kernel";

const kernel = bootBareKernel({ cmdline: "nostack" });

test("mutex: waiters get it in the order of their arrival, and nobody overtakes", () => {
  const lock = new mutex(null, "order");
  const order: string[] = [];
  const body = (name: string, hold: number) =>
    function* (): Sleeps<number> {
      yield* mutex_lock(lock);
      order.push(name);
      yield* msleep(hold);
      mutex_unlock(lock);
      return 0;
    };
  for (const name of ["a", "b", "c"]) kernel.spawn(body(name, 2), name);
  kernel.runRunnable();
  expect(mutex_trylock(lock)).toBe(false);
  kernel.runUntilIdle();
  expect(order).toEqual(["a", "b", "c"]);
  expect(mutex_is_locked(lock)).toBe(false);
});

test("mutex_lock_interruptible: a signal takes the waiter out of the queue", () => {
  const lock = new mutex();
  let result = 0;
  kernel.spawn(function* () {
    yield* mutex_lock(lock);
    yield* msleep(5);
    mutex_unlock(lock);
    return 0;
  });
  const waiter = kernel.spawn(function* () {
    result = yield* mutex_lock_interruptible(lock);
    return 0;
  });
  kernel.runRunnable();
  send_sig(2, waiter, 0);
  kernel.runUntilIdle();
  expect(result).toBe(-EINTR);
  expect(mutex_is_locked(lock)).toBe(false);
});

test("semaphore: counts, and down_timeout gives up with -ETIME", () => {
  const sem = new semaphore(1);
  const log: number[] = [];
  kernel.spawn(function* () {
    yield* down(sem);
    yield* msleep(10);
    up(sem);
    return 0;
  });
  kernel.spawn(function* () {
    log.push(yield* down_timeout(sem, 5));
    log.push(yield* down_timeout(sem, 50));
    up(sem);
    return 0;
  });
  kernel.runUntilIdle();
  expect(log).toEqual([-ETIME, 0]);
  expect(sem.count).toBe(1);
});

test("rw_semaphore: readers share, a writer is alone and holds new readers off", () => {
  const sem = new rw_semaphore();
  const log: string[] = [];
  const reader = (name: string) =>
    function* (): Sleeps<number> {
      yield* down_read(sem);
      log.push(`+${name}`);
      yield* msleep(2);
      log.push(`-${name}`);
      up_read(sem);
      return 0;
    };
  kernel.spawn(reader("r1"));
  kernel.spawn(reader("r2"));
  kernel.spawn(function* () {
    yield* down_write(sem);
    log.push("w");
    up_write(sem);
    return 0;
  });
  kernel.spawn(reader("r3"));
  kernel.runUntilIdle();
  expect(log).toEqual(["+r1", "+r2", "-r1", "-r2", "w", "+r3", "-r3"]);
});

test("spinlock: tells the hypervisor how many are held, and interrupts wait until irqrestore", () => {
  const lock = new spinlock_t(null, "irq_safe");
  const log: string[] = [];
  kernel.run(function* () {
    const flags = spin_lock_irqsave(lock);
    kernel.interrupt(() => log.push("irq"));
    log.push(`held ${kernel.hal.control[CONTROL_SPINLOCKS]}`);
    spin_unlock_irqrestore(lock, flags);
    log.push("released");
    return 0;
  });
  expect(log).toEqual(["held 1", "irq", "released"]);
  expect(kernel.hal.control[CONTROL_SPINLOCKS]).toBe(0);
});

test("lock order: two locks taken in both orders are reported when the circle closes", () => {
  const a = new spinlock_t(null, "lock_a");
  const b = new spinlock_t(null, "lock_b");
  const take = (first: spinlock_t, second: spinlock_t): void => {
    spin_lock(first);
    spin_lock(second);
    spin_unlock(second);
    spin_unlock(first);
  };
  const before = lockdep_reports();
  take(a, b);
  take(a, b);
  expect(lockdep_reports()).toBe(before);
  take(b, a);
  expect(lockdep_reports()).toBe(before + 1);
  expect(kernel.log.join("\n")).toMatch(/WARNING: possible circular locking dependency detected/);
});

test("lock state: a lock of an interrupt handler that is also taken with interrupts on is reported", () => {
  const lock = new spinlock_t(null, "mixed");
  const before = lockdep_reports();
  kernel.interrupt(() => {
    spin_lock(lock);
    spin_unlock(lock);
  });
  kernel.runRunnable();
  spin_lock(lock);
  spin_unlock(lock);
  expect(lockdep_reports()).toBe(before + 1);
  expect(kernel.log.join("\n")).toMatch(/inconsistent lock state/);
});

test("spinlock: taking it twice, or releasing a free one, kills the domain", () => {
  const lock = new spinlock_t(null, "twice");
  expect(() => spin_unlock(lock)).toThrow(/spinlock already unlocked.*twice/);
  spin_lock(lock);
  expect(() => spin_lock(lock)).toThrow(/spinlock recursion on CPU#0.*twice/);
  spin_unlock(lock);
});
