/** Queueing works, delayed or at once, and waiting for them. What runs them is `pool.ts`. */
import { EXPORT_SYMBOL } from "xenolith/linux/export";
import { jiffies } from "xenolith/linux/jiffies";
import { might_sleep } from "xenolith/linux/kernel";
import { list_empty } from "xenolith/linux/list";
import { mutex_lock, mutex_unlock } from "xenolith/linux/mutex";
import { vsnprintf } from "xenolith/linux/printk";
import type { Sleeps } from "xenolith/linux/sched";
import { del_timer, mod_timer, type timer_list } from "xenolith/linux/timer";
import { wait_event, wake_up_all } from "xenolith/linux/wait";
import {
  WORK_CPU_UNBOUND,
  WQ_FREEZABLE,
  WQ_HIGHPRI,
  WQ_ORDERED,
  WQ_UNBOUND,
  type delayed_work,
  type work_struct,
  type workqueue_struct,
} from "xenolith/linux/workqueue";
import { insert_work, remove_work, work_done } from "./pool";
import { workqueue } from "./pwq";

/** Works of one queue that run at a time per CPU, unless its maker said otherwise. */
const WQ_DFL_ACTIVE = 256;

export const system_wq: workqueue_struct = new workqueue("events", 0, WQ_DFL_ACTIVE);
export const system_highpri_wq: workqueue_struct = new workqueue("events_highpri", WQ_HIGHPRI, WQ_DFL_ACTIVE);
export const system_long_wq: workqueue_struct = new workqueue("events_long", 0, WQ_DFL_ACTIVE);
export const system_unbound_wq: workqueue_struct = new workqueue("events_unbound", WQ_UNBOUND, WQ_DFL_ACTIVE);
export const system_freezable_wq: workqueue_struct = new workqueue("events_freezable", WQ_FREEZABLE, WQ_DFL_ACTIVE);
EXPORT_SYMBOL(system_wq);
EXPORT_SYMBOL(system_highpri_wq);
EXPORT_SYMBOL(system_long_wq);
EXPORT_SYMBOL(system_unbound_wq);
EXPORT_SYMBOL(system_freezable_wq);

export function alloc_workqueue(
  fmt: string,
  flags: number,
  max_active: number,
  ...args: unknown[]
): workqueue_struct | null {
  return new workqueue(vsnprintf(fmt, args), flags, max_active > 0 ? max_active : WQ_DFL_ACTIVE);
}
EXPORT_SYMBOL(alloc_workqueue);

export function alloc_ordered_workqueue(fmt: string, flags: number, ...args: unknown[]): workqueue_struct | null {
  return new workqueue(vsnprintf(fmt, args), flags | WQ_UNBOUND | WQ_ORDERED, 1);
}
EXPORT_SYMBOL(alloc_ordered_workqueue);

export function* destroy_workqueue(wq: workqueue_struct): Sleeps<void> {
  yield* drain_workqueue(wq);
}
EXPORT_SYMBOL(destroy_workqueue);

/** Marks a work pending. False if it is already, or is being cancelled. */
function claim(work: work_struct): boolean {
  if (work.pending || work.canceling > 0) return false;
  work.pending = true;
  work.queued_count++;
  return true;
}

export function queue_work_on(cpu: number, wq: workqueue_struct, work: work_struct): boolean {
  if (!claim(work)) return false;
  insert_work(wq as workqueue, cpu, work);
  return true;
}
EXPORT_SYMBOL(queue_work_on);

export function queue_work(wq: workqueue_struct, work: work_struct): boolean {
  return queue_work_on(WORK_CPU_UNBOUND, wq, work);
}
EXPORT_SYMBOL(queue_work);

export function schedule_work(work: work_struct): boolean {
  return queue_work_on(WORK_CPU_UNBOUND, system_wq, work);
}
EXPORT_SYMBOL(schedule_work);

export function schedule_work_on(cpu: number, work: work_struct): boolean {
  return queue_work_on(cpu, system_wq, work);
}
EXPORT_SYMBOL(schedule_work_on);

function delayed_work_timer(timer: timer_list): void {
  const dwork = timer.container as delayed_work;
  insert_work(dwork.wq as workqueue, dwork.cpu, dwork.work);
}

/** Starts the delay of a work that is marked pending. */
function start_delay(cpu: number, wq: workqueue_struct, dwork: delayed_work, delay: number): void {
  dwork.wq = wq;
  dwork.cpu = cpu;
  if (delay <= 0) {
    insert_work(wq as workqueue, cpu, dwork.work);
    return;
  }
  dwork.timer.function = delayed_work_timer;
  mod_timer(dwork.timer, jiffies() + delay);
}

export function queue_delayed_work_on(cpu: number, wq: workqueue_struct, dwork: delayed_work, delay: number): boolean {
  if (!claim(dwork.work)) return false;
  start_delay(cpu, wq, dwork, delay);
  return true;
}
EXPORT_SYMBOL(queue_delayed_work_on);

export function queue_delayed_work(wq: workqueue_struct, dwork: delayed_work, delay: number): boolean {
  return queue_delayed_work_on(WORK_CPU_UNBOUND, wq, dwork, delay);
}
EXPORT_SYMBOL(queue_delayed_work);

export function schedule_delayed_work(dwork: delayed_work, delay: number): boolean {
  return queue_delayed_work_on(WORK_CPU_UNBOUND, system_wq, dwork, delay);
}
EXPORT_SYMBOL(schedule_delayed_work);

export function mod_delayed_work_on(cpu: number, wq: workqueue_struct, dwork: delayed_work, delay: number): boolean {
  const was_pending = cancel_delayed_work(dwork);
  if (claim(dwork.work)) start_delay(cpu, wq, dwork, delay);
  return was_pending;
}
EXPORT_SYMBOL(mod_delayed_work_on);

export function mod_delayed_work(wq: workqueue_struct, dwork: delayed_work, delay: number): boolean {
  return mod_delayed_work_on(WORK_CPU_UNBOUND, wq, dwork, delay);
}
EXPORT_SYMBOL(mod_delayed_work);

export function cancel_work(work: work_struct): boolean {
  if (!work.pending || list_empty(work.entry)) return false;
  remove_work(work);
  return true;
}
EXPORT_SYMBOL(cancel_work);

export function cancel_delayed_work(dwork: delayed_work): boolean {
  if (del_timer(dwork.timer) === 0) return cancel_work(dwork.work);
  dwork.work.pending = false;
  wake_up_all(work_done);
  return true;
}
EXPORT_SYMBOL(cancel_delayed_work);

/** Waits for the end of a run, refusing new ones meanwhile. */
function* wait_not_running(work: work_struct): Sleeps<void> {
  work.canceling++;
  yield* wait_event(work_done, () => !work.running);
  work.canceling--;
}

export function* cancel_work_sync(work: work_struct): Sleeps<boolean> {
  if (__DEBUG__) might_sleep();
  const was_pending = cancel_work(work);
  if (work.running) yield* wait_not_running(work);
  return was_pending;
}
EXPORT_SYMBOL(cancel_work_sync);

export function* cancel_delayed_work_sync(dwork: delayed_work): Sleeps<boolean> {
  if (__DEBUG__) might_sleep();
  const was_pending = cancel_delayed_work(dwork);
  if (dwork.work.running) yield* wait_not_running(dwork.work);
  return was_pending;
}
EXPORT_SYMBOL(cancel_delayed_work_sync);

export function* flush_work(work: work_struct): Sleeps<boolean> {
  if (__DEBUG__) might_sleep();
  if (!work.running && list_empty(work.entry)) return false;
  const last = work.queued_count;
  yield* wait_event(work_done, () => work.done_count >= last || (!work.pending && !work.running));
  return true;
}
EXPORT_SYMBOL(flush_work);

export function* flush_delayed_work(dwork: delayed_work): Sleeps<boolean> {
  if (del_timer(dwork.timer) === 1) insert_work(dwork.wq as workqueue, dwork.cpu, dwork.work);
  return yield* flush_work(dwork.work);
}
EXPORT_SYMBOL(flush_delayed_work);

/**
 * Works carry the queue's generation at the time of queueing, one of two. A flush begins the other generation and waits until none of the old one is
 * left; flushes of one queue follow each other, so the new generation was empty.
 */
export function* flush_workqueue(queue: workqueue_struct): Sleeps<void> {
  const wq = queue as workqueue;
  yield* mutex_lock(wq.flush_mutex);
  const old = wq.color;
  wq.color = 1 - old;
  yield* wait_event(work_done, () => wq.in_flight[old] === 0);
  mutex_unlock(wq.flush_mutex);
}
EXPORT_SYMBOL(flush_workqueue);

export function* drain_workqueue(queue: workqueue_struct): Sleeps<void> {
  const wq = queue as workqueue;
  while (wq.in_flight[0] + wq.in_flight[1] > 0) yield* flush_workqueue(wq);
}
EXPORT_SYMBOL(drain_workqueue);
