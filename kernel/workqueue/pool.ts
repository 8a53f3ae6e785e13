/**
 * Worker pools: threads that run works.
 *
 *   insert_work ─► room in the queue's share? pool's list : share's inactive list ─► worker ─► func ─► the share's next
 *
 * A pool keeps one worker busy. When that one goes to sleep inside a work and more is to do, the scheduler tells us (`wq_worker_sleeping`) and
 * another one is woken or made. A work that is queued again while it runs waits in the list for its own worker: it never runs twice at a time.
 */
import { BUG_ON } from "xenolith/linux/kernel";
import { list_add_tail, list_del, list_empty } from "xenolith/linux/list";
import {
  PF_KTHREAD,
  PF_WQ_WORKER,
  TASK_IDLE,
  wake_up_process,
  type Sleeps,
  type task_struct,
} from "xenolith/linux/sched";
import { waitqueue_active, wait_queue_head, wake_up_all } from "xenolith/linux/wait";
import { WQ_UNBOUND, type work_func_t, type work_struct } from "xenolith/linux/workqueue";
import { cpus, this_cpu } from "../sched/cpu";
import { create_task } from "../sched/task";
import { pool_workqueue, worker, worker_pool, type workqueue } from "./pwq";

/** Idle workers that a pool keeps. */
const IDLE_WORKERS_MAX = 2;

const cpu_pools: worker_pool[] = [];
const unbound_pool = new worker_pool("u", -1);
/** Everybody who waits for a work or a queue. */
export const work_done = new wait_queue_head();

function pool_of(wq: workqueue, cpu: number): worker_pool {
  if ((wq.flags & WQ_UNBOUND) !== 0) return unbound_pool;
  while (cpu_pools.length < cpus.length) cpu_pools.push(new worker_pool(String(cpu_pools.length), cpu_pools.length));
  return cpu_pools[cpu];
}

function pwq_of(wq: workqueue, cpu: number): pool_workqueue {
  const pool = pool_of(wq, cpu);
  for (const pwq of wq.pwqs) if (pwq.pool === pool) return pwq;
  const pwq = new pool_workqueue(wq, pool);
  wq.pwqs.push(pwq);
  return pwq;
}

/** Queues a work that is marked pending, on `cpu`, or on this one if that is negative. */
export function insert_work(wq: workqueue, cpu: number, work: work_struct): void {
  const pwq = pwq_of(wq, cpu < 0 ? this_cpu.id : cpu);
  work.wq = wq;
  work.pwq = pwq;
  work.color = wq.color;
  wq.in_flight[work.color]++;
  if (pwq.nr_active < wq.max_active) activate(pwq, work);
  else list_add_tail(work.entry, pwq.inactive);
}

function activate(pwq: pool_workqueue, work: work_struct): void {
  pwq.nr_active++;
  work.active = true;
  list_add_tail(work.entry, pwq.pool.worklist);
  wake_worker(pwq.pool);
}

/** Takes a queued work off its list. */
export function remove_work(work: work_struct): void {
  list_del(work.entry);
  work.pending = false;
  work_is_over(work.pwq as pool_workqueue, work.color, work.active);
}

/** Books the end of a work, run or removed, and lets the next inactive one of its queue in. */
function work_is_over(pwq: pool_workqueue, color: number, was_active: boolean): void {
  pwq.wq.in_flight[color]--;
  if (was_active) {
    pwq.nr_active--;
    const next = pwq.inactive.next;
    if (next !== pwq.inactive) {
      list_del(next);
      activate(pwq, next.container as work_struct);
    }
  }
  if (waitqueue_active(work_done)) wake_up_all(work_done);
}

/** Sees to it that somebody works on the pool's list. */
function wake_worker(pool: worker_pool): void {
  if (pool.nr_running > 0 || list_empty(pool.worklist)) return;
  const idle = pool.idle.pop() ?? create_worker(pool);
  pool.nr_running++;
  wake_up_process(idle.task as task_struct);
}

function create_worker(pool: worker_pool): worker {
  const made = new worker(pool);
  const name = `kworker/${pool.id}:${pool.workers_made++}`;
  const cpu = pool.cpu < 0 ? this_cpu.id : pool.cpu;
  made.task = create_task(name, worker_thread(made), PF_KTHREAD | PF_WQ_WORKER, cpu);
  made.task.private_data = made;
  return made;
}

/** The scheduler says that a worker went to sleep: inside a work, somebody else takes over the list. */
export function wq_worker_sleeping(task: task_struct): void {
  const self = task.private_data as worker;
  if (self.current === null || self.sleeping) return;
  self.sleeping = true;
  self.pool.nr_running--;
  wake_worker(self.pool);
}

/** The first work of the list that is not running on another worker. */
function next_work(pool: worker_pool): work_struct | null {
  for (let link = pool.worklist.next; link !== pool.worklist; link = link.next) {
    const work = link.container as work_struct;
    if (!work.running) return work;
  }
  return null;
}

function* worker_thread(self: worker): Sleeps<number> {
  const pool = self.pool;
  const task = self.task as task_struct;
  for (;;) {
    for (let work = next_work(pool); work !== null && pool.nr_running <= 1; work = next_work(pool)) {
      yield* process_one_work(self, work);
    }
    pool.nr_running--;
    if (pool.idle.length >= IDLE_WORKERS_MAX) return 0;
    pool.idle.push(self);
    task.state = TASK_IDLE;
    yield;
  }
}

function* process_one_work(self: worker, work: work_struct): Sleeps<void> {
  const pwq = work.pwq as pool_workqueue;
  const color = work.color;
  const run = work.queued_count;
  BUG_ON(work.func === null);
  list_del(work.entry);
  work.pending = false;
  work.running = true;
  self.current = work;
  const result = (work.func as work_func_t)(work);
  if (typeof result === "object") yield* result;
  self.current = null;
  work.running = false;
  work.done_count = run;
  if (self.sleeping) {
    self.sleeping = false;
    self.pool.nr_running++;
  }
  work_is_over(pwq, color, true);
}
