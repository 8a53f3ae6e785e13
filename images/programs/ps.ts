/** ps: lists the tasks: number, state, processor, time that it ran (virtual, seconds), name. */
import type { stdio } from "xenolith/linux/binfmts";
import { kasprintf } from "xenolith/linux/printk";
import { type Sleeps, type task_struct, for_each_process, task_state_to_char } from "xenolith/linux/sched";

function line(task: task_struct): string {
  const us = Math.floor(task.utime / 1000);
  const time = kasprintf("%d.%06d", Math.floor(us / 1_000_000), us % 1_000_000);
  return kasprintf("%7d %s %3d %12s %s\n", task.pid, task_state_to_char(task), task.cpu, time, task.comm);
}

/** Exit status 0. */
export function* main(_argv: readonly string[], io: stdio): Sleeps<number> {
  yield* io.write("    PID S CPU         TIME COMMAND\n");
  // Writing may sleep, and tasks come and go meanwhile.
  for (const task of [...for_each_process()]) yield* io.write(line(task));
  return 0;
}
