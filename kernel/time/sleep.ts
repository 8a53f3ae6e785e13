/** Sleeping for a time: `schedule_timeout` and all that is made of it. */
import { EXPORT_SYMBOL } from "xenolith/linux/export";
import { might_sleep } from "xenolith/linux/kernel";
import { NSEC_PER_JIFFY } from "xenolith/linux/jiffies";
import { ktime_get_ns } from "xenolith/linux/ktime";
import {
  MAX_SCHEDULE_TIMEOUT,
  signal_pending,
  TASK_INTERRUPTIBLE,
  TASK_UNINTERRUPTIBLE,
  wake_up_process,
  type Sleeps,
  type task_struct,
} from "xenolith/linux/sched";
import type { timer_node } from "xenolith/linux/timer";
import { this_cpu } from "../sched/cpu";
import { timer_arm, timer_disarm } from "./timer";

function wake_sleeper(node: timer_node): void {
  wake_up_process(node.container as task_struct);
}

/** Lets the task's own timer wake it at virtual time `deadline_ns`. */
export function arm_sleep_timer(task: task_struct, deadline_ns: number): void {
  task.sleep_timer.expire = wake_sleeper;
  timer_arm(task.sleep_timer, deadline_ns);
}

export function* schedule_hrtimeout(deadline_ns: number): Sleeps<boolean> {
  if (__DEBUG__) might_sleep();
  const task = this_cpu.curr;
  arm_sleep_timer(task, deadline_ns);
  yield;
  return !timer_disarm(task.sleep_timer);
}
EXPORT_SYMBOL(schedule_hrtimeout);

export function* schedule_timeout(timeout: number): Sleeps<number> {
  if (timeout >= MAX_SCHEDULE_TIMEOUT) {
    if (__DEBUG__) might_sleep();
    yield;
    return MAX_SCHEDULE_TIMEOUT;
  }
  const deadline = ktime_get_ns() + timeout * NSEC_PER_JIFFY;
  if (yield* schedule_hrtimeout(deadline)) return 0;
  const left = Math.ceil((deadline - ktime_get_ns()) / NSEC_PER_JIFFY);
  return left > 0 ? left : 0;
}
EXPORT_SYMBOL(schedule_timeout);

export function* schedule_timeout_interruptible(timeout: number): Sleeps<number> {
  this_cpu.curr.state = TASK_INTERRUPTIBLE;
  return yield* schedule_timeout(timeout);
}
EXPORT_SYMBOL(schedule_timeout_interruptible);

export function* schedule_timeout_uninterruptible(timeout: number): Sleeps<number> {
  this_cpu.curr.state = TASK_UNINTERRUPTIBLE;
  return yield* schedule_timeout(timeout);
}
EXPORT_SYMBOL(schedule_timeout_uninterruptible);

function* sleep_until(deadline_ns: number): Sleeps<void> {
  do this_cpu.curr.state = TASK_UNINTERRUPTIBLE;
  while (!(yield* schedule_hrtimeout(deadline_ns)));
}

export function* msleep(msecs: number): Sleeps<void> {
  yield* sleep_until(ktime_get_ns() + msecs * NSEC_PER_JIFFY);
}
EXPORT_SYMBOL(msleep);

export function* msleep_interruptible(msecs: number): Sleeps<number> {
  let left = msecs;
  while (left > 0 && !signal_pending(this_cpu.curr)) left = yield* schedule_timeout_interruptible(left);
  return left;
}
EXPORT_SYMBOL(msleep_interruptible);

export function* usleep_range(min: number, _max: number): Sleeps<void> {
  yield* sleep_until(ktime_get_ns() + min * 1000);
}
EXPORT_SYMBOL(usleep_range);

export function* fsleep(usecs: number): Sleeps<void> {
  yield* usleep_range(usecs, usecs);
}
EXPORT_SYMBOL(fsleep);

export function* ssleep(seconds: number): Sleeps<void> {
  yield* msleep(seconds * 1000);
}
EXPORT_SYMBOL(ssleep);
