/**
 * Kernel threads: created asleep, woken to run, asked to park or to stop.
 *
 *   kthread_create ─► wake_up_process ─► body ─► kthread_should_stop() ─► returns ─► kthread_stop gets the result
 */
import { EINTR, ENOSYS } from "xenolith/linux/errno";
import type { err_ptr } from "xenolith/linux/err";
import { complete, completion_done, reinit_completion, wait_for_completion } from "xenolith/linux/completion";
import { EXPORT_SYMBOL } from "xenolith/linux/export";
import { WARN_ON } from "xenolith/linux/kernel";
import type { threadfn } from "xenolith/linux/kthread";
import { vsnprintf } from "xenolith/linux/printk";
import {
  PF_KTHREAD,
  TASK_ANY,
  TASK_DEAD,
  TASK_NEW,
  TASK_PARKED,
  TASK_RUNNING,
  wake_up_process,
  wake_up_state,
  type Sleeps,
  type task_struct,
} from "xenolith/linux/sched";
import { select_task_cpu } from "./core";
import { cpus, this_cpu } from "./cpu";
import { create_task, finish_task } from "./task";

const KTHREAD_SHOULD_STOP = 1;
const KTHREAD_SHOULD_PARK = 2;

export function kthread_create<T>(
  threadfn: threadfn<T>,
  data: T,
  fmt: string,
  ...args: unknown[]
): task_struct | err_ptr {
  const task = create_task(vsnprintf(fmt, args), threadfn(data), PF_KTHREAD, select_task_cpu());
  task.private_data = data;
  return task;
}
EXPORT_SYMBOL(kthread_create);

export function kthread_create_on_cpu<T>(
  threadfn: threadfn<T>,
  data: T,
  cpu: number,
  fmt: string,
): task_struct | err_ptr {
  const task = create_task(vsnprintf(fmt, [cpu]), threadfn(data), PF_KTHREAD, cpu);
  task.private_data = data;
  task.bound = true;
  return task;
}
EXPORT_SYMBOL(kthread_create_on_cpu);

export function kthread_run<T>(threadfn: threadfn<T>, data: T, fmt: string, ...args: unknown[]): task_struct | err_ptr {
  const task = kthread_create(threadfn, data, fmt, ...args);
  if (typeof task !== "number") wake_up_process(task);
  return task;
}
EXPORT_SYMBOL(kthread_run);

export function kthread_bind(task: task_struct, cpu: number): void {
  if (WARN_ON(task.state !== TASK_NEW)) return;
  cpus[task.cpu].nr_tasks--;
  cpus[cpu].nr_tasks++;
  task.cpu = cpu;
  task.bound = true;
}
EXPORT_SYMBOL(kthread_bind);

export function* kthread_stop(task: task_struct): Sleeps<number> {
  if (task.state === TASK_NEW) {
    finish_task(task, -EINTR);
    return -EINTR;
  }
  task.kthread_flags |= KTHREAD_SHOULD_STOP;
  kthread_unpark(task);
  wake_up_state(task, TASK_ANY);
  yield* wait_for_completion(task.exited);
  return task.exit_code;
}
EXPORT_SYMBOL(kthread_stop);

export function kthread_should_stop(): boolean {
  return (this_cpu.curr.kthread_flags & KTHREAD_SHOULD_STOP) !== 0;
}
EXPORT_SYMBOL(kthread_should_stop);

export function* kthread_park(task: task_struct): Sleeps<number> {
  if ((task.state & TASK_DEAD) !== 0) return -ENOSYS;
  reinit_completion(task.parked);
  task.kthread_flags |= KTHREAD_SHOULD_PARK;
  if (task === this_cpu.curr) return 0;
  wake_up_process(task);
  yield* wait_for_completion(task.parked);
  return (task.state & TASK_DEAD) !== 0 ? -ENOSYS : 0;
}
EXPORT_SYMBOL(kthread_park);

export function kthread_unpark(task: task_struct): void {
  task.kthread_flags &= ~KTHREAD_SHOULD_PARK;
  wake_up_state(task, TASK_PARKED);
}
EXPORT_SYMBOL(kthread_unpark);

export function kthread_should_park(): boolean {
  return (this_cpu.curr.kthread_flags & KTHREAD_SHOULD_PARK) !== 0;
}
EXPORT_SYMBOL(kthread_should_park);

export function* kthread_parkme(): Sleeps<void> {
  const task = this_cpu.curr;
  while ((task.kthread_flags & KTHREAD_SHOULD_PARK) !== 0) {
    task.state = TASK_PARKED;
    if (!completion_done(task.parked)) complete(task.parked);
    yield;
  }
  task.state = TASK_RUNNING;
}
EXPORT_SYMBOL(kthread_parkme);

export function kthread_data(task: task_struct): unknown {
  return task.private_data;
}
EXPORT_SYMBOL(kthread_data);
