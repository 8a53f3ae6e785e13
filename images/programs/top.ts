/** top [-n COUNT] [-d SECONDS]: tasks by the time that they ran since the last look, with totals; virtual time. One look by default. */
import type { stdio } from "xenolith/linux/binfmts";
import { NSEC_PER_SEC, ktime_get_ns } from "xenolith/linux/ktime";
import { nr_free_pages, totalram_pages } from "xenolith/linux/mm";
import { kasprintf } from "xenolith/linux/printk";
import {
  type Sleeps,
  TASK_INTERRUPTIBLE,
  TASK_RUNNING,
  type task_struct,
  current,
  for_each_process,
  schedule_hrtimeout,
  set_current_state,
  signal_pending,
  task_state_to_char,
} from "xenolith/linux/sched";
import { num_online_cpus } from "xenolith/linux/smp";
import { getopt } from "./lib/getopt";

const DELAY_DEFAULT = 1;

/** What tasks had run at the last look. */
interface look {
  readonly at: number;
  readonly ran: ReadonlyMap<number, number>;
}

function take_look(tasks: readonly task_struct[]): look {
  return { at: ktime_get_ns(), ran: new Map(tasks.map(({ pid, utime }) => [pid, utime])) };
}

/** `12.3` of hundredths of a percent. */
function percent(part: number, whole: number): string {
  const tenths = whole <= 0 ? 0 : Math.floor((part * 1000) / whole);
  return kasprintf("%d.%d", Math.floor(tenths / 10), tenths % 10);
}

function seconds(ns: number): string {
  const us = Math.floor(ns / 1000);
  return kasprintf("%d.%06d", Math.floor(us / 1_000_000), us % 1_000_000);
}

function page(tasks: readonly task_struct[], before: look): string {
  const now = ktime_get_ns();
  const passed = now - before.at;
  const ran = (task: task_struct): number => task.utime - (before.ran.get(task.pid) ?? 0);
  const running = tasks.filter(({ state }) => state === TASK_RUNNING).length;
  const busy = tasks.reduce((sum, task) => sum + ran(task), 0);
  const sorted = [...tasks].sort((a, b) => ran(b) - ran(a) || a.pid - b.pid);
  const line = (task: task_struct): string =>
    kasprintf("%7d %s %3d %6s", task.pid, task_state_to_char(task), task.cpu, percent(ran(task), passed)) +
    kasprintf(" %12s %8d %s\n", seconds(task.utime), task.nr_switches, task.comm);
  return (
    `top - up ${seconds(now)}, ${num_online_cpus()} cpus\n` +
    `Tasks: ${tasks.length} total, ${running} running, ${tasks.length - running} sleeping\n` +
    `%Cpu(s): ${percent(busy, passed * num_online_cpus())} busy\n` +
    `KiB Mem: ${totalram_pages() * 4} total, ${nr_free_pages() * 4} free\n\n` +
    `    PID S CPU   %CPU         TIME SWITCHES COMMAND\n${sorted.map(line).join("")}`
  );
}

function* wait(delay_ns: number): Sleeps<void> {
  const deadline = ktime_get_ns() + delay_ns;
  while (!signal_pending(current()) && ktime_get_ns() < deadline) {
    set_current_state(TASK_INTERRUPTIBLE);
    yield* schedule_hrtimeout(deadline);
  }
}

/** Exit status 0, or 1 for wrong usage. */
export function* main(argv: readonly string[], io: stdio): Sleeps<number> {
  const { options, operands, complaint } = getopt(argv, { short: "n:d:b", long: {} });
  const count = Number(options.get("n") ?? 1);
  const delay = Number(options.get("d") ?? DELAY_DEFAULT);
  if (complaint !== null || operands.length > 0 || !Number.isInteger(count) || !(delay > 0)) {
    yield* io.error(`${complaint === null ? "" : `top: ${complaint}\n`}usage: top [-n COUNT] [-d SECONDS]\n`);
    return 1;
  }
  let before: look = { at: 0, ran: new Map() };
  for (let i = 0; i < count && !signal_pending(current()); i++) {
    if (i > 0) yield* wait(delay * NSEC_PER_SEC);
    const tasks = [...for_each_process()];
    yield* io.write((i > 0 ? "\n" : "") + page(tasks, before));
    before = take_look(tasks);
  }
  return 0;
}
