/**
 * Wait queues. A waiter links itself, sets its state, looks at its condition and only then sleeps: a wake-up between the look and the sleep
 * finds the state set and undoes the sleep, so none is lost.
 */
import { ERESTARTSYS } from "xenolith/linux/errno";
import { EXPORT_SYMBOL } from "xenolith/linux/export";
import { freezing, try_to_freeze } from "xenolith/linux/freezer";
import { NSEC_PER_JIFFY } from "xenolith/linux/jiffies";
import { might_sleep } from "xenolith/linux/kernel";
import { ktime_get_ns } from "xenolith/linux/ktime";
import { list_add, list_add_tail, list_del } from "xenolith/linux/list";
import {
  fatal_signal_pending,
  MAX_SCHEDULE_TIMEOUT,
  signal_pending,
  schedule_hrtimeout,
  TASK_IDLE,
  TASK_INTERRUPTIBLE,
  TASK_KILLABLE,
  TASK_NORMAL,
  TASK_RUNNING,
  TASK_UNINTERRUPTIBLE,
  wake_up_state,
  type Sleeps,
} from "xenolith/linux/sched";
import type { wait_queue_entry, wait_queue_head } from "xenolith/linux/wait";
import { this_cpu } from "./cpu";

/** Wakes waiters whose state is in `mode`: all that share, and `nr_exclusive` exclusive ones (0: all). */
function wake_up_common(wq: wait_queue_head, mode: number, nr_exclusive: number): void {
  const head = wq.head;
  let left = nr_exclusive;
  let link = head.next;
  while (link !== head) {
    const entry = link.container as wait_queue_entry;
    link = link.next;
    if (wake_entry(entry, mode) && entry.exclusive && --left === 0) return;
  }
}

function wake_entry(entry: wait_queue_entry, mode: number): boolean {
  if (entry.func !== null) return entry.func(entry);
  if (entry.task === null || wake_up_state(entry.task, mode) === 0) return false;
  if (entry.autoremove) list_del(entry.entry);
  return true;
}

export function wake_up(wq: wait_queue_head): void {
  if (wq.head.next !== wq.head) wake_up_common(wq, TASK_NORMAL, 1);
}
EXPORT_SYMBOL(wake_up);

export function wake_up_interruptible(wq: wait_queue_head): void {
  if (wq.head.next !== wq.head) wake_up_common(wq, TASK_INTERRUPTIBLE, 1);
}
EXPORT_SYMBOL(wake_up_interruptible);

export function wake_up_nr(wq: wait_queue_head, nr: number): void {
  wake_up_common(wq, TASK_NORMAL, nr);
}
EXPORT_SYMBOL(wake_up_nr);

export function wake_up_all(wq: wait_queue_head): void {
  wake_up_common(wq, TASK_NORMAL, 0);
}
EXPORT_SYMBOL(wake_up_all);

export function wake_up_interruptible_all(wq: wait_queue_head): void {
  wake_up_common(wq, TASK_INTERRUPTIBLE, 0);
}
EXPORT_SYMBOL(wake_up_interruptible_all);

export function add_wait_queue(wq: wait_queue_head, entry: wait_queue_entry): void {
  entry.exclusive = false;
  list_add(entry.entry, wq.head);
}
EXPORT_SYMBOL(add_wait_queue);

export function add_wait_queue_exclusive(wq: wait_queue_head, entry: wait_queue_entry): void {
  entry.exclusive = true;
  list_add_tail(entry.entry, wq.head);
}
EXPORT_SYMBOL(add_wait_queue_exclusive);

export function remove_wait_queue(_wq: wait_queue_head, entry: wait_queue_entry): void {
  list_del(entry.entry);
}
EXPORT_SYMBOL(remove_wait_queue);

export function init_wait(entry: wait_queue_entry): void {
  entry.task = this_cpu.curr;
  entry.func = null;
  entry.autoremove = true;
}
EXPORT_SYMBOL(init_wait);

export function prepare_to_wait(wq: wait_queue_head, entry: wait_queue_entry, state: number): void {
  if (entry.entry.next === entry.entry) add_wait_queue(wq, entry);
  this_cpu.curr.state = state;
}
EXPORT_SYMBOL(prepare_to_wait);

export function prepare_to_wait_exclusive(wq: wait_queue_head, entry: wait_queue_entry, state: number): void {
  if (entry.entry.next === entry.entry) add_wait_queue_exclusive(wq, entry);
  this_cpu.curr.state = state;
}
EXPORT_SYMBOL(prepare_to_wait_exclusive);

export function finish_wait(_wq: wait_queue_head, entry: wait_queue_entry): void {
  this_cpu.curr.state = TASK_RUNNING;
  list_del(entry.entry);
}
EXPORT_SYMBOL(finish_wait);

/** The wait of all `wait_event`s without a time limit. Returns 0 or -ERESTARTSYS. */
function* wait_in_state(
  wq: wait_queue_head,
  condition: () => boolean,
  state: number,
  exclusive: boolean,
): Sleeps<number> {
  if (__DEBUG__) might_sleep();
  const task = this_cpu.curr;
  const entry = task.wait;
  let error = 0;
  for (;;) {
    if (exclusive) prepare_to_wait_exclusive(wq, entry, state);
    else prepare_to_wait(wq, entry, state);
    if (condition()) break;
    if (state === TASK_INTERRUPTIBLE ? signal_pending(task) : state === TASK_KILLABLE && fatal_signal_pending(task)) {
      error = -ERESTARTSYS;
      break;
    }
    yield;
  }
  finish_wait(wq, entry);
  return error;
}

export function* wait_event(wq: wait_queue_head, condition: () => boolean): Sleeps<void> {
  if (!condition()) yield* wait_in_state(wq, condition, TASK_UNINTERRUPTIBLE, false);
}
EXPORT_SYMBOL(wait_event);

export function* wait_event_idle(wq: wait_queue_head, condition: () => boolean): Sleeps<void> {
  if (!condition()) yield* wait_in_state(wq, condition, TASK_IDLE, false);
}
EXPORT_SYMBOL(wait_event_idle);

export function* wait_event_exclusive(wq: wait_queue_head, condition: () => boolean): Sleeps<void> {
  if (!condition()) yield* wait_in_state(wq, condition, TASK_UNINTERRUPTIBLE, true);
}
EXPORT_SYMBOL(wait_event_exclusive);

export function* wait_event_interruptible(wq: wait_queue_head, condition: () => boolean): Sleeps<number> {
  return condition() ? 0 : yield* wait_in_state(wq, condition, TASK_INTERRUPTIBLE, false);
}
EXPORT_SYMBOL(wait_event_interruptible);

export function* wait_event_killable(wq: wait_queue_head, condition: () => boolean): Sleeps<number> {
  return condition() ? 0 : yield* wait_in_state(wq, condition, TASK_KILLABLE, false);
}
EXPORT_SYMBOL(wait_event_killable);

export function* wait_event_freezable(wq: wait_queue_head, condition: () => boolean): Sleeps<number> {
  for (;;) {
    const error = yield* wait_event_interruptible(wq, () => condition() || freezing());
    if (!freezing()) return error;
    yield* try_to_freeze();
  }
}
EXPORT_SYMBOL(wait_event_freezable);

/** The wait of the `wait_event_*timeout`s. */
function* wait_with_limit(
  wq: wait_queue_head,
  condition: () => boolean,
  state: number,
  timeout: number,
): Sleeps<number> {
  if (timeout >= MAX_SCHEDULE_TIMEOUT) {
    const error = yield* wait_in_state(wq, condition, state, false);
    return error === 0 ? timeout : error;
  }
  const task = this_cpu.curr;
  const deadline = ktime_get_ns() + timeout * NSEC_PER_JIFFY;
  let result: number;
  for (;;) {
    prepare_to_wait(wq, task.wait, state);
    const left = Math.ceil((deadline - ktime_get_ns()) / NSEC_PER_JIFFY);
    result = left > 0 ? left : 0;
    if (condition()) {
      result = result > 0 ? result : 1;
      break;
    }
    if (result === 0) break;
    if (state === TASK_INTERRUPTIBLE && signal_pending(task)) {
      result = -ERESTARTSYS;
      break;
    }
    yield* schedule_hrtimeout(deadline);
  }
  finish_wait(wq, task.wait);
  return result;
}

export function* wait_event_timeout(wq: wait_queue_head, condition: () => boolean, timeout: number): Sleeps<number> {
  if (condition()) return timeout > 0 ? timeout : 1;
  return yield* wait_with_limit(wq, condition, TASK_UNINTERRUPTIBLE, timeout);
}
EXPORT_SYMBOL(wait_event_timeout);

export function* wait_event_interruptible_timeout(
  wq: wait_queue_head,
  condition: () => boolean,
  timeout: number,
): Sleeps<number> {
  if (condition()) return timeout > 0 ? timeout : 1;
  return yield* wait_with_limit(wq, condition, TASK_INTERRUPTIBLE, timeout);
}
EXPORT_SYMBOL(wait_event_interruptible_timeout);
