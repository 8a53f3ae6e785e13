/**
 * Wait queues. A waiter links itself, sets its state, looks at its condition and only then sleeps: a wake-up between the look and the sleep
 * finds the state set and undoes the sleep, so none is lost.
 */
import { ERESTARTSYS } from "xenolith/linux/errno";
import { EXPORT_SYMBOL } from "xenolith/linux/export";
import { freezing, try_to_freeze } from "xenolith/linux/freezer";
import { NSEC_PER_JIFFY } from "xenolith/linux/jiffies";
import { might_sleep } from "xenolith/linux/kernel";
import { ktime_get_ns, local_clock } from "xenolith/linux/ktime";
import { list_add, list_add_tail, list_del } from "xenolith/linux/list";
import {
  fatal_signal_pending,
  MAX_SCHEDULE_TIMEOUT,
  TASK_IDLE,
  TASK_INTERRUPTIBLE,
  TASK_KILLABLE,
  TASK_NORMAL,
  TASK_RUNNING,
  TASK_UNINTERRUPTIBLE,
  TASK_WAKEKILL,
  wake_up_state,
  type Sleeps,
  type task_struct,
} from "xenolith/linux/sched";
import type { wait_queue_entry, wait_queue_head } from "xenolith/linux/wait";
import { arm_sleep_timer } from "../time/sleep";
import { timer_disarm } from "../time/timer";
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

/** Whether a signal ends a sleep in `state`. */
function signal_pending_state(state: number, task: task_struct): boolean {
  if (task.pending_signals === 0) return false;
  return (state & TASK_INTERRUPTIBLE) !== 0 || ((state & TASK_WAKEKILL) !== 0 && fatal_signal_pending(task));
}

/**
 * The wait without a time limit. Returns 0 or -ERESTARTSYS. All forms below hand this very generator to their caller, since each further one in
 * between would have to be gone through at every wake-up.
 */
function* wait_in_state(
  wq: wait_queue_head,
  condition: () => boolean,
  state: number,
  exclusive: boolean,
): Sleeps<number> {
  if (condition()) return 0;
  if (__DEBUG__) might_sleep();
  const task = this_cpu.curr;
  const entry = task.wait;
  let error = 0;
  for (;;) {
    if (exclusive) prepare_to_wait_exclusive(wq, entry, state);
    else prepare_to_wait(wq, entry, state);
    if (condition()) break;
    if (signal_pending_state(state, task)) {
      error = -ERESTARTSYS;
      break;
    }
    yield;
  }
  finish_wait(wq, entry);
  return error;
}

/** `wait_in_state` for states that no signal ends. */
function* wait_uninterrupted(
  wq: wait_queue_head,
  condition: () => boolean,
  state: number,
  exclusive: boolean,
): Sleeps<void> {
  if (condition()) return;
  if (__DEBUG__) might_sleep();
  const entry = this_cpu.curr.wait;
  for (;;) {
    if (exclusive) prepare_to_wait_exclusive(wq, entry, state);
    else prepare_to_wait(wq, entry, state);
    if (condition()) break;
    yield;
  }
  finish_wait(wq, entry);
}

export function wait_event(wq: wait_queue_head, condition: () => boolean): Sleeps<void> {
  return wait_uninterrupted(wq, condition, TASK_UNINTERRUPTIBLE, false);
}
EXPORT_SYMBOL(wait_event);

export function wait_event_idle(wq: wait_queue_head, condition: () => boolean): Sleeps<void> {
  return wait_uninterrupted(wq, condition, TASK_IDLE, false);
}
EXPORT_SYMBOL(wait_event_idle);

export function wait_event_exclusive(wq: wait_queue_head, condition: () => boolean): Sleeps<void> {
  return wait_uninterrupted(wq, condition, TASK_UNINTERRUPTIBLE, true);
}
EXPORT_SYMBOL(wait_event_exclusive);

export function wait_event_interruptible(wq: wait_queue_head, condition: () => boolean): Sleeps<number> {
  return wait_in_state(wq, condition, TASK_INTERRUPTIBLE, false);
}
EXPORT_SYMBOL(wait_event_interruptible);

export function wait_event_killable(wq: wait_queue_head, condition: () => boolean): Sleeps<number> {
  return wait_in_state(wq, condition, TASK_KILLABLE, false);
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

/** What a wait with a time limit returns when its condition holds: the whole jiffies left, at least 1. */
function jiffies_left(deadline_ns: number): number {
  const left = Math.floor((deadline_ns - local_clock()) / NSEC_PER_JIFFY);
  return left > 0 ? left : 1;
}

/**
 * The wait with a time limit. One timer serves all wake-ups: that it is no longer armed says that the time is over, without a look at the clock.
 */
function* wait_with_limit(
  wq: wait_queue_head,
  condition: () => boolean,
  state: number,
  timeout: number,
): Sleeps<number> {
  if (condition()) return timeout > 0 ? timeout : 1;
  if (timeout <= 0) return 0;
  if (__DEBUG__) might_sleep();
  const task = this_cpu.curr;
  const deadline_ns = ktime_get_ns() + timeout * NSEC_PER_JIFFY;
  const is_limited = timeout < MAX_SCHEDULE_TIMEOUT;
  let result = -1;
  if (is_limited) arm_sleep_timer(task, deadline_ns);
  while (result < 0 && result !== -ERESTARTSYS) {
    prepare_to_wait(wq, task.wait, state);
    if (condition()) result = is_limited ? jiffies_left(deadline_ns) : timeout;
    else if (is_limited && task.sleep_timer.index < 0) result = 0;
    else if (signal_pending_state(state, task)) result = -ERESTARTSYS;
    else yield;
  }
  if (is_limited) timer_disarm(task.sleep_timer);
  finish_wait(wq, task.wait);
  return result;
}

export function wait_event_timeout(wq: wait_queue_head, condition: () => boolean, timeout: number): Sleeps<number> {
  return wait_with_limit(wq, condition, TASK_UNINTERRUPTIBLE, timeout);
}
EXPORT_SYMBOL(wait_event_timeout);

export function wait_event_interruptible_timeout(
  wq: wait_queue_head,
  condition: () => boolean,
  timeout: number,
): Sleeps<number> {
  return wait_with_limit(wq, condition, TASK_INTERRUPTIBLE, timeout);
}
EXPORT_SYMBOL(wait_event_interruptible_timeout);
