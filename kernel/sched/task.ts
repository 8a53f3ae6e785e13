/**
 * Tasks: how they are made, listed and ended.
 *
 *   create_task ─► TASK_NEW ─ wake_up_process ─► TASK_RUNNING ◄─► asleep ─► its generator ends, or do_exit ─► TASK_DEAD
 *
 * A dead task leaves the list at once, unless somebody announced to wait for it (PF_WAITED_FOR): then it is a zombie until `wait_task`.
 */
import { EXPORT_SYMBOL } from "xenolith/linux/export";
import { ESRCH } from "xenolith/linux/errno";
import { completion, complete_all, wait_for_completion } from "xenolith/linux/completion";
import { list_add_tail, list_del, list_for_each_entry, list_head } from "xenolith/linux/list";
import {
  PF_EXITING,
  PF_WAITED_FOR,
  TASK_DEAD,
  TASK_IDLE,
  TASK_INTERRUPTIBLE,
  TASK_NEW,
  TASK_PARKED,
  TASK_RUNNING,
  TASK_UNINTERRUPTIBLE,
  send_sig,
  type Sleeps,
  type task_plug,
  type task_struct,
} from "xenolith/linux/sched";
import { timer_node } from "xenolith/linux/timer";
import { wait_queue_entry } from "xenolith/linux/wait";
import { cpus, this_cpu } from "./cpu";

/** Characters of a task's name; longer ones are cut. */
const TASK_COMM_LEN = 15;

class task implements task_struct {
  state = TASK_NEW;
  flags = 0;
  cpu = 0;
  bound = false;
  on_rq = false;
  rq_next: task_struct | null = null;
  exit_code = 0;
  pending_signals = 0;
  pgrp = 0;
  pwd = "/";
  readonly exited = new completion();
  readonly parked = new completion();
  readonly wait = new wait_queue_entry();
  readonly sleep_timer = new timer_node(this);
  readonly tasks = new list_head(this);
  sleeping_since = 0;
  utime = 0;
  nr_switches = 0;
  plug: task_plug | null = null;
  private_data: unknown = null;
  freezing = false;
  frozen = false;
  kthread_flags = 0;
  readonly held_locks: unknown[] = [];

  constructor(readonly pid: number, public comm: string, public thread: Sleeps<number>) {
    this.wait.task = this;
    this.wait.autoremove = true;
  }
}

const all_tasks = new list_head();
let last_pid = 0;

/** A task that is on no run queue yet, on the CPU with the fewest tasks. */
export function create_task(comm: string, thread: Sleeps<number>, flags: number, cpu: number): task_struct {
  const created = new task(++last_pid, comm.slice(0, TASK_COMM_LEN), thread);
  created.flags = flags;
  created.cpu = cpu;
  cpus[cpu].nr_tasks++;
  list_add_tail(created.tasks, all_tasks);
  return created;
}

function* nothing(): Sleeps<number> {
  return 0;
}

/** The task that stands for "no task" on a CPU: pid 0, in no list. */
export function create_idle_task(cpu: number): task_struct {
  const idle = new task(0, `swapper/${cpu}`, nothing());
  idle.state = TASK_RUNNING;
  idle.cpu = cpu;
  return idle;
}

/** The end of a task: called by the scheduler, which never resumes it again. */
export function finish_task(dead: task_struct, code: number): void {
  dead.exit_code = code;
  dead.state = TASK_DEAD;
  dead.on_rq = false;
  cpus[dead.cpu].nr_tasks--;
  if ((dead.flags & PF_WAITED_FOR) === 0) list_del(dead.tasks);
  complete_all(dead.parked);
  complete_all(dead.exited);
}

export function* do_exit(code: number): Sleeps<never> {
  const task = this_cpu.curr;
  task.flags |= PF_EXITING;
  task.exit_code = code;
  task.state = TASK_DEAD;
  for (;;) yield;
}
EXPORT_SYMBOL(do_exit);

export function* wait_task(task: task_struct): Sleeps<number> {
  yield* wait_for_completion(task.exited);
  list_del(task.tasks);
  return task.exit_code;
}
EXPORT_SYMBOL(wait_task);

export function for_each_process(): Generator<task_struct, void, void> {
  return list_for_each_entry<task_struct>(all_tasks);
}
EXPORT_SYMBOL(for_each_process);

export function find_task_by_pid(pid: number): task_struct | null {
  for (let p = all_tasks.next; p !== all_tasks; p = p.next) {
    const found = p.container as task_struct;
    if (found.pid === pid) return found;
  }
  return null;
}
EXPORT_SYMBOL(find_task_by_pid);

export function kill_pgrp(pgrp: number, sig: number, priv: number): number {
  const members = [...for_each_process()].filter((task) => pgrp > 0 && task.pgrp === pgrp);
  for (const task of members) send_sig(sig, task, priv);
  return members.length === 0 ? -ESRCH : 0;
}
EXPORT_SYMBOL(kill_pgrp);

export function task_state_to_char(task: task_struct): string {
  if (task.state === TASK_RUNNING) return "R";
  if ((task.state & TASK_DEAD) !== 0) return (task.flags & PF_WAITED_FOR) !== 0 ? "Z" : "X";
  if ((task.state & TASK_PARKED) !== 0) return "P";
  if ((task.state & (TASK_IDLE | TASK_NEW)) !== 0) return "I";
  if ((task.state & TASK_UNINTERRUPTIBLE) !== 0) return "D";
  return (task.state & TASK_INTERRUPTIBLE) !== 0 ? "S" : "?";
}
EXPORT_SYMBOL(task_state_to_char);
