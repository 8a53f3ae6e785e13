/**
 * Tasks that do not move: asleep for too long where nothing may interrupt them (hung task), or on the CPU for too long (soft lockup).
 *
 * The hung task check has a timer only while somebody sleeps uninterruptibly; otherwise an idle domain would never be idle.
 */
import { pr_emerg, pr_err } from "xenolith/linux/printk";
import { TASK_UNINTERRUPTIBLE, for_each_process, task_state_to_char, type task_struct } from "xenolith/linux/sched";
import { timer_node } from "xenolith/linux/timer";
import { NSEC_PER_SEC } from "xenolith/linux/ktime";
import { clock } from "../../hal/guest/hal";
import { timer_arm, timer_disarm } from "../time/timer";
import type { cpu_info } from "./cpu";

/** Uninterruptible sleep that is reported, seconds (`hung_task_timeout_secs`). */
export const HUNG_TASK_TIMEOUT_SECS = 120;
/** Time on the CPU without a return to the scheduler that is reported, seconds (twice `watchdog_thresh`). */
export const SOFT_LOCKUP_SECS = 20;

const check_timer = new timer_node(null);
/** Tasks that sleep uninterruptibly now. */
let nr_uninterruptible = 0;
/** Sleeps that were reported: by task, when it began. */
const reported = new WeakMap<task_struct, number>();

function is_stuck(task: task_struct): boolean {
  return (task.state & TASK_UNINTERRUPTIBLE) !== 0 && !task.on_rq;
}

function check_hung_tasks(): void {
  const now = clock[0];
  let pending = false;
  for (const task of for_each_process()) {
    if (!is_stuck(task) || reported.get(task) === task.sleeping_since) continue;
    pending = true;
    if (now - task.sleeping_since < HUNG_TASK_TIMEOUT_SECS * NSEC_PER_SEC) continue;
    reported.set(task, task.sleeping_since);
    pr_err("INFO: task %s:%d blocked for more than %d seconds.\n", task.comm, task.pid, HUNG_TASK_TIMEOUT_SECS);
    pr_err("task:%-15s state:%s pid:%d\n", task.comm, task_state_to_char(task), task.pid);
  }
  if (pending) timer_arm(check_timer, now + HUNG_TASK_TIMEOUT_SECS * NSEC_PER_SEC);
}

/** A task goes to sleep where only a wake-up helps: see to it that somebody looks later. */
export function uninterruptible_sleep_begins(task: task_struct): void {
  nr_uninterruptible++;
  if (check_timer.index >= 0) return;
  check_timer.expire = check_hung_tasks;
  timer_arm(check_timer, task.sleeping_since + HUNG_TASK_TIMEOUT_SECS * NSEC_PER_SEC);
}

/** It was woken. */
export function uninterruptible_sleep_ends(): void {
  nr_uninterruptible--;
}

/** A CPU is about to idle: without such tasks the check needs no timer. */
export function hung_task_idle(cpu: cpu_info): void {
  if (nr_uninterruptible === 0 && check_timer.index >= 0 && check_timer.cpu === cpu.id) timer_disarm(check_timer);
}

/** A task came back after `ran_ns` nanoseconds on the CPU. */
export function check_soft_lockup(cpu: cpu_info, task: task_struct, ran_ns: number): void {
  if (ran_ns < SOFT_LOCKUP_SECS * NSEC_PER_SEC) return;
  const seconds = Math.floor(ran_ns / NSEC_PER_SEC);
  pr_emerg("watchdog: BUG: soft lockup - CPU#%d stuck for %ds! [%s:%d]\n", cpu.id, seconds, task.comm, task.pid);
}
