/** `<linux/workqueue.h>`: functions that run later in a worker thread, where they may sleep. One work runs on one worker at a time. */
import type { embedded } from "./kernel";
import { list_head } from "./list";
import type { Sleeps } from "./sched";
import { timer_list } from "./timer";

/** Runs in a worker: a plain function, or a generator if it sleeps. */
export type work_func_t = (work: work_struct) => void | Sleeps<void>;

export class work_struct implements embedded {
  readonly container: unknown;
  /** In a queue's list while pending. */
  readonly entry = new list_head(this);
  func: work_func_t | null = null;
  /** Queued, and not started yet. */
  pending = false;
  /** Refuses to be queued: somebody is in `cancel_work_sync`. */
  canceling = 0;
  /** How often it was queued, and how many of these runs are over: for `flush_work`. */
  queued_count = 0;
  done_count = 0;
  /** The queue that it was last put on. */
  wq: workqueue_struct | null = null;
  /** Started, and not over yet. */
  running = false;
  /** The workqueue's own: its share, whether it may run already, and its flush generation. */
  pwq: unknown = null;
  active = false;
  color = 0;

  constructor(container: unknown = null) {
    this.container = container;
  }
}

export class delayed_work implements embedded {
  readonly container: unknown;
  /** Its own container is this delayed_work: see `to_delayed_work`. */
  readonly work: work_struct;
  readonly timer: timer_list;
  wq: workqueue_struct | null = null;
  cpu = -1;

  constructor(container: unknown = null) {
    this.container = container;
    this.work = new work_struct(this);
    this.timer = new timer_list(this);
  }
}

export const WQ_UNBOUND = 1 << 1;
export const WQ_FREEZABLE = 1 << 2;
export const WQ_MEM_RECLAIM = 1 << 3;
export const WQ_HIGHPRI = 1 << 4;
export const WQ_CPU_INTENSIVE = 1 << 5;
/** One work at a time, in order. */
export const WQ_ORDERED = 1 << 19;
/** Any CPU. */
export const WORK_CPU_UNBOUND = -1;

/** Opaque: made by `alloc_workqueue`. */
export interface workqueue_struct {
  readonly name: string;
  readonly flags: number;
}

export function INIT_WORK(work: work_struct, func: work_func_t): void {
  work.func = func;
}

export function INIT_DELAYED_WORK(dwork: delayed_work, func: work_func_t): void {
  dwork.work.func = func;
}

/** The delayed work of the work that a work function was given. */
export function to_delayed_work(work: work_struct): delayed_work {
  return work.container as delayed_work;
}

/** Whether it is queued and not started yet. */
export function work_pending(work: work_struct): boolean {
  return work.pending;
}

export function delayed_work_pending(dwork: delayed_work): boolean {
  return dwork.work.pending;
}

/** Runs works on the CPU that queued them. */
export declare const system_wq: workqueue_struct;
export declare const system_highpri_wq: workqueue_struct;
/** For works that take long. */
export declare const system_long_wq: workqueue_struct;
/** Runs works on any CPU. */
export declare const system_unbound_wq: workqueue_struct;
/** Stopped while the system is suspended. */
export declare const system_freezable_wq: workqueue_struct;

/** Makes a queue; `max_active` works of it run at a time per CPU, 0 means 256. Returns null only on exhaustion. */
export declare function alloc_workqueue(
  fmt: string,
  flags: number,
  max_active: number,
  ...args: unknown[]
): workqueue_struct | null;
/** A queue that runs one work at a time in the order of queueing. */
export declare function alloc_ordered_workqueue(
  fmt: string,
  flags: number,
  ...args: unknown[]
): workqueue_struct | null;
/** Waits for all works, then frees the queue. Sleeps. */
export declare function destroy_workqueue(wq: workqueue_struct): Sleeps<void>;
/** Returns false if it was already pending. */
export declare function queue_work(wq: workqueue_struct, work: work_struct): boolean;
export declare function queue_work_on(cpu: number, wq: workqueue_struct, work: work_struct): boolean;
/** Queues it after `delay` jiffies. Returns false if it was already pending. */
export declare function queue_delayed_work(wq: workqueue_struct, dwork: delayed_work, delay: number): boolean;
export declare function queue_delayed_work_on(
  cpu: number,
  wq: workqueue_struct,
  dwork: delayed_work,
  delay: number,
): boolean;
/** Sets a new delay, pending or not. Returns true if it was pending. */
export declare function mod_delayed_work(wq: workqueue_struct, dwork: delayed_work, delay: number): boolean;
export declare function mod_delayed_work_on(
  cpu: number,
  wq: workqueue_struct,
  dwork: delayed_work,
  delay: number,
): boolean;
/** `queue_work` on `system_wq`. */
export declare function schedule_work(work: work_struct): boolean;
export declare function schedule_work_on(cpu: number, work: work_struct): boolean;
export declare function schedule_delayed_work(dwork: delayed_work, delay: number): boolean;
/** Waits until the run that was last queued is over. Returns false if there was nothing to wait for. Sleeps. */
export declare function flush_work(work: work_struct): Sleeps<boolean>;
export declare function flush_delayed_work(dwork: delayed_work): Sleeps<boolean>;
/** Waits until everything that is queued now is over. Sleeps. */
export declare function flush_workqueue(wq: workqueue_struct): Sleeps<void>;
/** Waits until the queue is empty, works that queue themselves again included. Sleeps. */
export declare function drain_workqueue(wq: workqueue_struct): Sleeps<void>;
/** Takes it off its queue. Returns whether it was pending. Does not wait. */
export declare function cancel_work(work: work_struct): boolean;
/** Takes it off its queue and waits until it runs nowhere. Returns whether it was pending. Sleeps. */
export declare function cancel_work_sync(work: work_struct): Sleeps<boolean>;
export declare function cancel_delayed_work(dwork: delayed_work): boolean;
export declare function cancel_delayed_work_sync(dwork: delayed_work): Sleeps<boolean>;
