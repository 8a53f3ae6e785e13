/** The freezer: threads that asked for it hold still between `freeze_processes` and `thaw_processes`, so that devices can be suspended. */
import { EBUSY } from "xenolith/linux/errno";
import { EXPORT_SYMBOL } from "xenolith/linux/export";
import { jiffies, HZ } from "xenolith/linux/jiffies";
import { pr_err } from "xenolith/linux/printk";
import {
  for_each_process,
  PF_FREEZABLE,
  PF_NOFREEZE,
  schedule_timeout_uninterruptible,
  TASK_IDLE,
  TASK_INTERRUPTIBLE,
  wake_up_state,
  type Sleeps,
  type task_struct,
} from "xenolith/linux/sched";
import { this_cpu } from "./cpu";

/** How long freezing may take, seconds. */
const FREEZE_TIMEOUT_SECS = 20;

export function set_freezable(): void {
  this_cpu.curr.flags |= PF_FREEZABLE;
  this_cpu.curr.flags &= ~PF_NOFREEZE;
}
EXPORT_SYMBOL(set_freezable);

export function freezing(): boolean {
  return this_cpu.curr.freezing;
}
EXPORT_SYMBOL(freezing);

export function* try_to_freeze(): Sleeps<boolean> {
  const task = this_cpu.curr;
  if (!task.freezing) return false;
  task.frozen = true;
  while (task.freezing) {
    task.state = TASK_IDLE;
    yield;
  }
  task.frozen = false;
  return true;
}
EXPORT_SYMBOL(try_to_freeze);

function still_warm(): task_struct[] {
  return [...for_each_process()].filter((task) => task.freezing && !task.frozen);
}

export function* freeze_processes(): Sleeps<number> {
  for (const task of for_each_process()) {
    if ((task.flags & PF_FREEZABLE) === 0 || task === this_cpu.curr) continue;
    task.freezing = true;
    wake_up_state(task, TASK_INTERRUPTIBLE);
  }
  const deadline = jiffies() + FREEZE_TIMEOUT_SECS * HZ;
  while (still_warm().length > 0) {
    if (jiffies() >= deadline) {
      pr_err("Freezing of tasks failed after %d seconds (%d tasks refusing to freeze)\n", 20, still_warm().length);
      thaw_processes();
      return -EBUSY;
    }
    yield* schedule_timeout_uninterruptible(1);
  }
  return 0;
}
EXPORT_SYMBOL(freeze_processes);

export function thaw_processes(): void {
  for (const task of for_each_process()) {
    if (!task.freezing) continue;
    task.freezing = false;
    if (task.frozen) wake_up_state(task, TASK_IDLE);
  }
}
EXPORT_SYMBOL(thaw_processes);
