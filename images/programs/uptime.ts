/** uptime: how long the kernel has run, and how many tasks there are; virtual time. */
import type { stdio } from "xenolith/linux/binfmts";
import { NSEC_PER_SEC, ktime_get_ns, ktime_get_real_seconds } from "xenolith/linux/ktime";
import { kasprintf } from "xenolith/linux/printk";
import { type Sleeps, TASK_RUNNING, for_each_process } from "xenolith/linux/sched";

/** ` 12:34:56` of a number of seconds. */
function clock(seconds: number): string {
  return kasprintf("%02d:%02d:%02d", Math.floor(seconds / 3600) % 24, Math.floor(seconds / 60) % 60, seconds % 60);
}

/** Exit status 0. */
export function* main(_argv: readonly string[], io: stdio): Sleeps<number> {
  const seconds = Math.floor(ktime_get_ns() / NSEC_PER_SEC);
  const days = Math.floor(seconds / 86400);
  const tasks = [...for_each_process()];
  const running = tasks.filter((task) => task.state === TASK_RUNNING).length;
  const up = `${days > 0 ? `${days} ${days === 1 ? "day" : "days"}, ` : ""}${clock(seconds)}`;
  yield* io.write(` ${clock(ktime_get_real_seconds())} up ${up}, ${tasks.length} tasks, ${running} running\n`);
  return 0;
}
