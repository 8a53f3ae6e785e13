/** Completions: Linux's kernel/sched/completion.c. A waiter takes one of `done`, unless it stands for all. */
import { COMPLETION_ALL, type completion } from "xenolith/linux/completion";
import { EXPORT_SYMBOL } from "xenolith/linux/export";
import { might_sleep } from "xenolith/linux/kernel";
import { TASK_UNINTERRUPTIBLE, type Sleeps } from "xenolith/linux/sched";
import {
  finish_wait,
  prepare_to_wait_exclusive,
  wait_event_interruptible,
  wait_event_killable,
  wait_event_timeout,
  wake_up,
  wake_up_all,
} from "xenolith/linux/wait";
import { this_cpu } from "./cpu";

export function complete(x: completion): void {
  if (x.done !== COMPLETION_ALL) x.done++;
  wake_up(x.wait);
}
EXPORT_SYMBOL(complete);

export function complete_all(x: completion): void {
  x.done = COMPLETION_ALL;
  wake_up_all(x.wait);
}
EXPORT_SYMBOL(complete_all);

export function try_wait_for_completion(x: completion): boolean {
  if (x.done === 0) return false;
  if (x.done !== COMPLETION_ALL) x.done--;
  return true;
}
EXPORT_SYMBOL(try_wait_for_completion);

/** The wait is written out, not built on `wait_event`: it is the end of every synchronous I/O. */
export function* wait_for_completion(x: completion): Sleeps<void> {
  if (try_wait_for_completion(x)) return;
  if (__DEBUG__) might_sleep();
  const entry = this_cpu.curr.wait;
  do {
    prepare_to_wait_exclusive(x.wait, entry, TASK_UNINTERRUPTIBLE);
    if (x.done === 0) yield;
  } while (!try_wait_for_completion(x));
  finish_wait(x.wait, entry);
}
EXPORT_SYMBOL(wait_for_completion);

export function wait_for_completion_io(x: completion): Sleeps<void> {
  return wait_for_completion(x);
}
EXPORT_SYMBOL(wait_for_completion_io);

export function wait_for_completion_timeout(x: completion, timeout: number): Sleeps<number> {
  return wait_event_timeout(x.wait, () => try_wait_for_completion(x), timeout);
}
EXPORT_SYMBOL(wait_for_completion_timeout);

export function wait_for_completion_interruptible(x: completion): Sleeps<number> {
  return wait_event_interruptible(x.wait, () => try_wait_for_completion(x));
}
EXPORT_SYMBOL(wait_for_completion_interruptible);

export function wait_for_completion_killable(x: completion): Sleeps<number> {
  return wait_event_killable(x.wait, () => try_wait_for_completion(x));
}
EXPORT_SYMBOL(wait_for_completion_killable);
