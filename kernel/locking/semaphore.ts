/** Counting semaphores. `up` hands its count to the first waiter. */
import { EINTR, ETIME } from "xenolith/linux/errno";
import { EXPORT_SYMBOL } from "xenolith/linux/export";
import { might_sleep } from "xenolith/linux/kernel";
import { NSEC_PER_JIFFY } from "xenolith/linux/jiffies";
import { ktime_get_ns } from "xenolith/linux/ktime";
import { list_add_tail, list_del, list_empty } from "xenolith/linux/list";
import {
  schedule_hrtimeout,
  signal_pending,
  TASK_INTERRUPTIBLE,
  TASK_NORMAL,
  TASK_RUNNING,
  TASK_UNINTERRUPTIBLE,
  wake_up_state,
  type Sleeps,
  type task_struct,
} from "xenolith/linux/sched";
import type { semaphore } from "xenolith/linux/semaphore";
import type { wait_queue_entry } from "xenolith/linux/wait";
import { this_cpu } from "../sched/cpu";

/** Waits for an `up` until `deadline_ns` (Infinity: for ever). Returns 0, -EINTR or -ETIME. */
function* wait_for_up(sem: semaphore, state: number, deadline_ns: number): Sleeps<number> {
  if (__DEBUG__) might_sleep();
  const task = this_cpu.curr;
  const link = task.wait.entry;
  list_add_tail(link, sem.wait_list);
  let error = 0;
  while (error === 0) {
    task.state = state;
    if (deadline_ns === Infinity) yield;
    else if (yield* schedule_hrtimeout(deadline_ns)) error = -ETIME;
    if (list_empty(link)) return 0; // `up` took us off the list and gave us its count
    if (state === TASK_INTERRUPTIBLE && signal_pending(task)) error = -EINTR;
  }
  task.state = TASK_RUNNING;
  list_del(link);
  return error;
}

export function down_trylock(sem: semaphore): number {
  if (sem.count === 0) return 1;
  sem.count--;
  return 0;
}
EXPORT_SYMBOL(down_trylock);

export function* down(sem: semaphore): Sleeps<void> {
  if (down_trylock(sem) !== 0) yield* wait_for_up(sem, TASK_UNINTERRUPTIBLE, Infinity);
}
EXPORT_SYMBOL(down);

export function* down_interruptible(sem: semaphore): Sleeps<number> {
  return down_trylock(sem) === 0 ? 0 : yield* wait_for_up(sem, TASK_INTERRUPTIBLE, Infinity);
}
EXPORT_SYMBOL(down_interruptible);

export function* down_timeout(sem: semaphore, timeout: number): Sleeps<number> {
  if (down_trylock(sem) === 0) return 0;
  return yield* wait_for_up(sem, TASK_UNINTERRUPTIBLE, ktime_get_ns() + timeout * NSEC_PER_JIFFY);
}
EXPORT_SYMBOL(down_timeout);

export function up(sem: semaphore): void {
  const first = sem.wait_list.next;
  if (first === sem.wait_list) {
    sem.count++;
    return;
  }
  list_del(first);
  wake_up_state((first.container as wait_queue_entry).task as task_struct, TASK_NORMAL);
}
EXPORT_SYMBOL(up);
