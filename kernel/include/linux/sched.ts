/**
 * `<linux/sched.h>`: tasks and sleeping.
 *
 * A task is a generator. A function that may sleep is a generator too (`Sleeps<T>`) and is called with `yield*`; each `yield` that reaches the
 * scheduler is one `schedule()`. Everything that is not a generator runs to its end without another task running on this CPU.
 */
import type { wait_queue_entry } from "./wait";
import type { completion } from "./completion";
import type { list_head } from "./list";
import type { timer_node } from "./timer";

/** The return type of a function that may sleep. Call it with `yield*`. */
export type Sleeps<T> = Generator<void, T, void>;

export const TASK_RUNNING = 0;
export const TASK_INTERRUPTIBLE = 1;
export const TASK_UNINTERRUPTIBLE = 2;
export const TASK_PARKED = 4;
export const TASK_DEAD = 8;
export const TASK_WAKEKILL = 16;
/** A fresh kthread that was not woken yet. */
export const TASK_NEW = 32;
/** Uninterruptible, but not counted as hung. */
export const TASK_IDLE = 64;
export const TASK_KILLABLE = TASK_UNINTERRUPTIBLE | TASK_WAKEKILL;
/** What `wake_up` wakes. */
export const TASK_NORMAL = TASK_INTERRUPTIBLE | TASK_UNINTERRUPTIBLE | TASK_IDLE;
export const TASK_ANY = TASK_NORMAL | TASK_PARKED | TASK_NEW;

export const PF_WQ_WORKER = 1;
export const PF_KTHREAD = 2;
export const PF_NOFREEZE = 4;
export const PF_EXITING = 8;
/** Stays in the list as a zombie until `release_task`. */
export const PF_WAITED_FOR = 16;
/** Takes part in freezing. */
export const PF_FREEZABLE = 32;

/** Sleep without a time limit. */
export const MAX_SCHEDULE_TIMEOUT = Number.MAX_SAFE_INTEGER;

/** What the scheduler needs of a plug: to send what it holds when its task goes to sleep. */
export interface task_plug {
  flush_for_sleep(): void;
}

export interface task_struct {
  readonly pid: number;
  comm: string;
  /** TASK_*. */
  state: number;
  /** PF_*. */
  flags: number;
  /** The CPU that it runs on, or ran on last. */
  cpu: number;
  /** Set by `kthread_bind`: never moved. */
  bound: boolean;
  /** In a run queue, or running. */
  on_rq: boolean;
  /** The next task in the run queue. */
  rq_next: task_struct | null;
  /** The body. */
  thread: Sleeps<number>;
  /** Result of the body once it is TASK_DEAD. */
  exit_code: number;
  /** Signals that were sent and not taken, one bit each. */
  pending_signals: number;
  /** The process group: the pid of the first task of a pipeline; 0 for kernel threads. */
  pgrp: number;
  /** The directory that its relative paths begin in. Linux: `task->fs->pwd`. */
  pwd: string;
  /** Completed when it is dead. */
  readonly exited: completion;
  /** Lent to the innermost wait, so that waiting does not allocate. */
  readonly wait: wait_queue_entry;
  /** Lent to the innermost sleep with a time limit. */
  readonly sleep_timer: timer_node;
  /** In the list of all tasks. */
  readonly tasks: list_head;
  /** When it last stopped running, nanoseconds; for the hung task check. */
  sleeping_since: number;
  /** Nanoseconds of CPU time. */
  utime: number;
  /** How often it was switched to. */
  nr_switches: number;
  /** Block requests that the task gathers (`struct blk_plug`). */
  plug: task_plug | null;
  /** A kthread's or worker's own struct. */
  private_data: unknown;
  /** freezer: asked to freeze, and frozen. */
  freezing: boolean;
  frozen: boolean;
  /** kthread flags, see kthread.ts. */
  kthread_flags: number;
  readonly parked: completion;
  /** Debug builds: mutexes held, for lock order and for the exit check. */
  held_locks: unknown[];
}

/** The task that runs on this CPU; in an interrupt, the one that was interrupted; the CPU's idle task when none is. */
export declare function current(): task_struct;
/** Sets the state of the running task; takes effect at the next `schedule()`. */
export declare function set_current_state(state: number): void;
/** `set_current_state`; there is no weaker form here. */
export declare function __set_current_state(state: number): void;
/** Gives up the CPU. Comes back when the state is TASK_RUNNING and it is this task's turn. Sleeps. */
export declare function schedule(): Sleeps<void>;
/** Sleeps in the state that was set, at most `timeout` jiffies. Returns the jiffies left, 0 when it ran out. */
export declare function schedule_timeout(timeout: number): Sleeps<number>;
export declare function schedule_timeout_interruptible(timeout: number): Sleeps<number>;
export declare function schedule_timeout_uninterruptible(timeout: number): Sleeps<number>;
/** As `schedule_timeout`, for an absolute virtual time in nanoseconds. Returns true when the time was reached. Sleeps. */
export declare function schedule_hrtimeout(deadline_ns: number): Sleeps<boolean>;
/** `schedule()`, counted as waiting for I/O. Sleeps. */
export declare function io_schedule(): Sleeps<void>;
/** Lets others run if the slice is over. Returns 1 if it did. Sleeps. */
export declare function cond_resched(): Sleeps<number>;
/** Whether `cond_resched` would give way: `if (need_resched()) yield* cond_resched()` costs nothing otherwise. */
export declare function need_resched(): boolean;
/** Lets every other runnable task run first. Sleeps. */
export declare function yield_task(): Sleeps<void>;
/** Makes a sleeping task runnable. Returns 1 if it was sleeping, 0 if it already ran. */
export declare function wake_up_process(task: task_struct): number;
/** `wake_up_process`, only if its state is one of `state`. */
export declare function wake_up_state(task: task_struct, state: number): number;
/** Ends the running task with `code`. Sleeps, and never comes back. */
export declare function do_exit(code: number): Sleeps<never>;
/** Waits for a PF_WAITED_FOR task to end, takes it off the list and returns its exit code. Sleeps. */
export declare function wait_task(task: task_struct): Sleeps<number>;
/** All tasks in order of their pid. */
export declare function for_each_process(): Generator<task_struct, void, void>;
/** The task, or null. */
export declare function find_task_by_pid(pid: number): task_struct | null;
/** "R", "S", "D", "P", "X", "I", "N": the state as ps shows it. */
export declare function task_state_to_char(task: task_struct): string;
/** Whether a signal waits for the task. */
export declare function signal_pending(task: task_struct): boolean;
/** Whether a SIGKILL waits for the task. */
export declare function fatal_signal_pending(task: task_struct): boolean;
/** Sends signal `sig` (1..31); an interruptible sleep ends with -ERESTARTSYS. Returns 0 or -EINVAL. */
export declare function send_sig(sig: number, task: task_struct, priv: number): number;
/** Sends a signal to every task of a process group. Returns 0, or -ESRCH if there is none. */
export declare function kill_pgrp(pgrp: number, sig: number, priv: number): number;
/** Takes all pending signals of the running task. */
export declare function flush_signals(task: task_struct): void;

export declare function preempt_disable(): void;
export declare function preempt_enable(): void;
/** Not 0: this CPU must not sleep. */
export declare function preempt_count(): number;
/** Whether sleeping is forbidden here: in an interrupt, under a spinlock, or with interrupts off. */
export declare function in_atomic(): boolean;
/** Whether an interrupt handler or a softirq is running on this CPU. */
export declare function in_interrupt(): boolean;
/** Whether a hard interrupt handler is running on this CPU. */
export declare function in_hardirq(): boolean;
