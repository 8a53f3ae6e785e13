/** Mutexes. `mutex_unlock` hands the lock to the first waiter, so that nobody can overtake him. */
import { EINTR } from "xenolith/linux/errno";
import { EXPORT_SYMBOL } from "xenolith/linux/export";
import { might_sleep, panic } from "xenolith/linux/kernel";
import { list_add_tail, list_del } from "xenolith/linux/list";
import type { mutex } from "xenolith/linux/mutex";
import {
  fatal_signal_pending,
  signal_pending,
  TASK_INTERRUPTIBLE,
  TASK_KILLABLE,
  TASK_NORMAL,
  TASK_RUNNING,
  TASK_UNINTERRUPTIBLE,
  wake_up_state,
  type Sleeps,
  type task_struct,
} from "xenolith/linux/sched";
import type { wait_queue_entry } from "xenolith/linux/wait";
import { this_cpu } from "../sched/cpu";
import { lock_acquire } from "./lockdep";

function take(lock: mutex, task: task_struct): void {
  if (__DEBUG__) {
    lock_acquire(lock, task.held_locks);
    task.held_locks.push(lock);
  }
  lock.owner = task;
}

export function mutex_trylock(lock: mutex): boolean {
  if (lock.owner !== null) return false;
  take(lock, this_cpu.curr);
  return true;
}
EXPORT_SYMBOL(mutex_trylock);

/** Waits for a lock that is taken. Returns 0, or -EINTR if `state` allows signals and one came. */
function* wait_for_lock(lock: mutex, state: number): Sleeps<number> {
  if (__DEBUG__) might_sleep();
  const task = this_cpu.curr;
  if (lock.owner === task) panic("BUG: possible recursive locking detected: %s/%d, %s", task.comm, task.pid, lock.name);
  list_add_tail(task.wait.entry, lock.wait_list);
  for (;;) {
    task.state = state;
    yield;
    if (lock.owner === task) return 0;
    const interrupted = state === TASK_INTERRUPTIBLE ? signal_pending(task) : fatal_signal_pending(task);
    if (state !== TASK_UNINTERRUPTIBLE && interrupted) break;
  }
  task.state = TASK_RUNNING;
  list_del(task.wait.entry);
  return -EINTR;
}

export function* mutex_lock_slow(lock: mutex): Sleeps<void> {
  if (!mutex_trylock(lock)) yield* wait_for_lock(lock, TASK_UNINTERRUPTIBLE);
}
EXPORT_SYMBOL(mutex_lock_slow);

export function* mutex_lock(lock: mutex): Sleeps<void> {
  if (__DEBUG__) might_sleep();
  if (!mutex_trylock(lock)) yield* wait_for_lock(lock, TASK_UNINTERRUPTIBLE);
}
EXPORT_SYMBOL(mutex_lock);

export function* mutex_lock_interruptible(lock: mutex): Sleeps<number> {
  return mutex_trylock(lock) ? 0 : yield* wait_for_lock(lock, TASK_INTERRUPTIBLE);
}
EXPORT_SYMBOL(mutex_lock_interruptible);

export function* mutex_lock_killable(lock: mutex): Sleeps<number> {
  return mutex_trylock(lock) ? 0 : yield* wait_for_lock(lock, TASK_KILLABLE);
}
EXPORT_SYMBOL(mutex_lock_killable);

function forget(lock: mutex, task: task_struct): void {
  const at = task.held_locks.lastIndexOf(lock);
  if (at >= 0) task.held_locks.splice(at, 1);
}

export function mutex_unlock(lock: mutex): void {
  const owner = lock.owner;
  if (owner === null) panic("BUG: bad unlock balance detected: %s is not locked", lock.name || "a mutex");
  if (owner !== this_cpu.curr) {
    panic("BUG: %s/%d releases a mutex that %s/%d took", this_cpu.curr.comm, this_cpu.curr.pid, owner.comm, owner.pid);
  }
  if (__DEBUG__) forget(lock, owner);
  lock.owner = null;
  const first = lock.wait_list.next;
  if (first === lock.wait_list) return;
  list_del(first);
  const next = (first.container as wait_queue_entry).task as task_struct;
  take(lock, next);
  wake_up_state(next, TASK_NORMAL);
}
EXPORT_SYMBOL(mutex_unlock);
