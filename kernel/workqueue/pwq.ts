/**
 * What workqueues are made of.
 *
 *   workqueue ──1:n── pool_workqueue ──n:1── worker_pool ──1:n── worker
 *
 * A workqueue is a name, flags and a limit. Its share in a pool counts how many of its works may run there. The pool has the workers.
 */
import { list_head } from "xenolith/linux/list";
import { mutex } from "xenolith/linux/mutex";
import type { task_struct } from "xenolith/linux/sched";
import type { work_struct, workqueue_struct } from "xenolith/linux/workqueue";

/** The workers of one CPU, or of the unbound queues. */
export class worker_pool {
  /** Works that may run now. */
  readonly worklist = new list_head();
  readonly idle: worker[] = [];
  /** Workers that are neither idle nor asleep inside a work. */
  nr_running = 0;
  workers_made = 0;

  /** `id` is for names; `cpu` is -1 for the unbound pool. */
  constructor(readonly id: string, readonly cpu: number) {}
}

export class worker {
  current: work_struct | null = null;
  /** Asleep inside a work: not counted in `nr_running`. */
  sleeping = false;
  task: task_struct | null = null;

  constructor(readonly pool: worker_pool) {}
}

/** One queue's share in one pool. */
export class pool_workqueue {
  /** Works of the queue that are in the pool's list or running. */
  nr_active = 0;
  /** Works beyond `max_active`. */
  readonly inactive = new list_head();

  constructor(readonly wq: workqueue, readonly pool: worker_pool) {}
}

export class workqueue implements workqueue_struct {
  readonly pwqs: pool_workqueue[] = [];
  /** The generation of works that are queued now, and how many works of both generations are not over: see `flush_workqueue`. */
  color = 0;
  readonly in_flight = [0, 0];
  readonly flush_mutex = new mutex(this, "");

  constructor(readonly name: string, readonly flags: number, readonly max_active: number) {}
}
