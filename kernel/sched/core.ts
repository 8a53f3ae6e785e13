/**
 * The scheduler: which task runs next on a CPU, and how tasks get into and out of the run queues.
 *
 *   enter ─► take_interrupts ─► next task: generator.next() ─► runnable again? tail of the queue : asleep ─► slice over? return : again
 *
 * Round robin, one queue per CPU, no migration of tasks that have run. All links are intrusive: waking, switching and sleeping allocate
 * nothing of ours. A task that returns here with a spinlock or with interrupts off is our own bug.
 */
import { EXPORT_SYMBOL } from "xenolith/linux/export";
import { EINVAL } from "xenolith/linux/errno";
import { panic } from "xenolith/linux/kernel";
import { charge } from "xenolith/linux/ktime";
import {
  PF_WQ_WORKER,
  TASK_DEAD,
  TASK_INTERRUPTIBLE,
  TASK_NEW,
  TASK_NORMAL,
  TASK_RUNNING,
  TASK_UNINTERRUPTIBLE,
  TASK_WAKEKILL,
  type Sleeps,
  type task_struct,
} from "xenolith/linux/sched";
import {
  CONTROL_RAN,
  CONTROL_RAN_BLOCKED,
  CONTROL_RAN_YIELDED,
  CONTROL_VCPU_COUNT,
  COST_CONTEXT_SWITCH,
} from "../../hal/abi/control";
import { clock, control } from "../../hal/guest/hal";
import { take_interrupts } from "../irq/softirq";
import { read_costs } from "../time/clock";
import { next_deadline, timer_set_hardware } from "../time/timer";
import { wq_worker_sleeping } from "../workqueue/pool";
import { cpu_info, cpus, HARDIRQ_MASK, set_this_cpu, SOFTIRQ_MASK, this_cpu } from "./cpu";
import { create_idle_task, finish_task } from "./task";
import {
  check_soft_lockup,
  hung_task_idle,
  uninterruptible_sleep_begins,
  uninterruptible_sleep_ends,
} from "./watchdog";

const SIGKILL = 9;

/** Makes the run queues, one per vCPU; boot continues on CPU 0. */
export function sched_init(): void {
  read_costs();
  cpus.length = 0;
  const count = control[CONTROL_VCPU_COUNT] || 1;
  for (let id = 0; id < count; id++) cpus.push(new cpu_info(id, create_idle_task(id)));
  set_this_cpu(cpus[0]);
}

/** Tells another vCPU that it has something to run; null while all tasks live on CPU 0. */
let send_reschedule: ((cpu: number) => void) | null = null;

export function set_smp_send_reschedule(send: (cpu: number) => void): void {
  send_reschedule = send;
}
EXPORT_SYMBOL(set_smp_send_reschedule);

/** The CPU for a new task: the one with the fewest, the lowest number among equals. */
export function select_task_cpu(): number {
  if (send_reschedule === null) return 0;
  let best = cpus[0];
  for (const cpu of cpus) if (cpu.nr_tasks < best.nr_tasks) best = cpu;
  return best.id;
}

function enqueue_task(cpu: cpu_info, task: task_struct): void {
  task.on_rq = true;
  task.rq_next = null;
  if (cpu.rq_tail === null) cpu.rq_head = task;
  else cpu.rq_tail.rq_next = task;
  cpu.rq_tail = task;
}

function dequeue_first(cpu: cpu_info, task: task_struct): void {
  cpu.rq_head = task.rq_next;
  if (cpu.rq_head === null) cpu.rq_tail = null;
  task.rq_next = null;
}

/**
 * Runs a CPU until it has nothing to do or its slice is over, and says which in the control page. At least one interrupt or task runs. The slice is
 * looked at only here: a task is never taken off the CPU in the middle.
 */
export function schedule_loop(cpu: cpu_info): void {
  cpu.blocked = false;
  take_interrupts(cpu);
  do {
    for (let task = cpu.rq_head; task !== null; task = cpu.rq_head) {
      run_task(cpu, task);
      take_interrupts(cpu);
      if (clock[cpu.clock_index] >= clock[cpu.slice_index] && cpu.rq_head !== null) {
        control[cpu.words_index + CONTROL_RAN] = CONTROL_RAN_YIELDED;
        return;
      }
    }
  } while (!go_idle(cpu));
}

/** Prepares to block. Returns false if something became runnable meanwhile: setting the timer is a preemption point. */
function go_idle(cpu: cpu_info): boolean {
  hung_task_idle(cpu);
  timer_set_hardware(cpu, next_deadline(cpu));
  if (cpu.rq_head !== null) return false;
  cpu.blocked = true;
  control[cpu.words_index + CONTROL_RAN] = CONTROL_RAN_BLOCKED;
  return true;
}

/** Resumes the first task of the queue until it yields or ends. */
function run_task(cpu: cpu_info, task: task_struct): void {
  dequeue_first(cpu, task);
  if (cpu.last !== task) {
    charge(COST_CONTEXT_SWITCH);
    cpu.last = task;
    task.nr_switches++;
  }
  const started = clock[cpu.clock_index];
  cpu.curr = task;
  const step = task.thread.next();
  // What a task gathered must not wait for it to wake up.
  if (task.plug !== null && task.state !== TASK_RUNNING) task.plug.flush_for_sleep();
  cpu.curr = cpu.idle;
  if (cpu.preempt_count !== 0 || cpu.irqs_off !== 0) schedule_bug(cpu, task);
  const now = clock[cpu.clock_index];
  task.utime += now - started;
  check_soft_lockup(cpu, task, now - started);
  if (step.done) finish_task(task, step.value);
  else if (task.state === TASK_RUNNING) enqueue_task(cpu, task);
  else deactivate_task(cpu, task, now);
}

function deactivate_task(cpu: cpu_info, task: task_struct, now: number): void {
  task.on_rq = false;
  if (task.state === TASK_DEAD) {
    finish_task(task, task.exit_code);
    return;
  }
  task.sleeping_since = now;
  if ((task.state & TASK_UNINTERRUPTIBLE) !== 0) uninterruptible_sleep_begins(task);
  if ((task.flags & PF_WQ_WORKER) !== 0) wq_worker_sleeping(task);
}

function schedule_bug(cpu: cpu_info, task: task_struct): never {
  if (cpu.preempt_count === 0) {
    return panic("BUG: %s/%d went to sleep with interrupts off", task.comm, task.pid);
  }
  const locks = cpu.held_locks.map((lock) => lock.name || "a spinlock").join(", ");
  return panic(
    "BUG: scheduling while atomic: %s/%d/0x%08x%s",
    task.comm,
    task.pid,
    cpu.preempt_count,
    locks === "" ? "" : ` holding ${locks}`,
  );
}

export function wake_up_state(task: task_struct, state: number): number {
  if ((task.state & state) === 0) return 0;
  const was = task.state;
  task.state = TASK_RUNNING;
  if (task.on_rq) return 1; // it had not gone to sleep yet
  if ((was & TASK_UNINTERRUPTIBLE) !== 0) uninterruptible_sleep_ends();
  const cpu = cpus[task.cpu];
  enqueue_task(cpu, task);
  if (cpu !== this_cpu && cpu.blocked && send_reschedule !== null) {
    cpu.blocked = false; // one event is enough
    send_reschedule(cpu.id);
  }
  return 1;
}
EXPORT_SYMBOL(wake_up_state);

export function wake_up_process(task: task_struct): number {
  return wake_up_state(task, TASK_NORMAL | TASK_NEW);
}
EXPORT_SYMBOL(wake_up_process);

export function current(): task_struct {
  return this_cpu.curr;
}
EXPORT_SYMBOL(current);

export function set_current_state(state: number): void {
  this_cpu.curr.state = state;
}
EXPORT_SYMBOL(set_current_state);

export function __set_current_state(state: number): void {
  this_cpu.curr.state = state;
}
EXPORT_SYMBOL(__set_current_state);

export function* schedule(): Sleeps<void> {
  yield;
}
EXPORT_SYMBOL(schedule);

export function* io_schedule(): Sleeps<void> {
  yield;
}
EXPORT_SYMBOL(io_schedule);

export function need_resched(): boolean {
  const cpu = this_cpu;
  return clock[cpu.clock_index] >= clock[cpu.slice_index];
}
EXPORT_SYMBOL(need_resched);

export function* cond_resched(): Sleeps<number> {
  if (!need_resched()) return 0;
  yield;
  return 1;
}
EXPORT_SYMBOL(cond_resched);

export function* yield_task(): Sleeps<void> {
  yield;
}
EXPORT_SYMBOL(yield_task);

export function preempt_disable(): void {
  this_cpu.preempt_count++;
}
EXPORT_SYMBOL(preempt_disable);

export function preempt_enable(): void {
  if ((this_cpu.preempt_count & 0xff) === 0) panic("BUG: preempt_enable without preempt_disable");
  this_cpu.preempt_count--;
}
EXPORT_SYMBOL(preempt_enable);

export function preempt_count(): number {
  return this_cpu.preempt_count;
}
EXPORT_SYMBOL(preempt_count);

export function in_atomic(): boolean {
  return this_cpu.preempt_count !== 0 || this_cpu.irqs_off !== 0;
}
EXPORT_SYMBOL(in_atomic);

export function in_interrupt(): boolean {
  return (this_cpu.preempt_count & (HARDIRQ_MASK | SOFTIRQ_MASK)) !== 0;
}
EXPORT_SYMBOL(in_interrupt);

export function in_hardirq(): boolean {
  return (this_cpu.preempt_count & HARDIRQ_MASK) !== 0;
}
EXPORT_SYMBOL(in_hardirq);

export function signal_pending(task: task_struct): boolean {
  return task.pending_signals !== 0;
}
EXPORT_SYMBOL(signal_pending);

export function fatal_signal_pending(task: task_struct): boolean {
  return (task.pending_signals & (1 << SIGKILL)) !== 0;
}
EXPORT_SYMBOL(fatal_signal_pending);

export function send_sig(sig: number, task: task_struct, _priv: number): number {
  if (!Number.isInteger(sig) || sig < 1 || sig > 30) return -EINVAL;
  task.pending_signals |= 1 << sig;
  wake_up_state(task, sig === SIGKILL ? TASK_INTERRUPTIBLE | TASK_WAKEKILL : TASK_INTERRUPTIBLE);
  return 0;
}
EXPORT_SYMBOL(send_sig);

export function flush_signals(task: task_struct): void {
  task.pending_signals = 0;
}
EXPORT_SYMBOL(flush_signals);
