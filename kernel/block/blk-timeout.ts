/**
 * Timeouts: each request that the driver has carries a deadline; one timer per queue looks for those that passed.
 *
 * A queue whose driver has no `timeout` operation keeps no deadlines: the timer would only start itself again.
 */
import { BUG_ON } from "xenolith/linux/kernel";
import { EXPORT_SYMBOL } from "xenolith/linux/export";
import { jiffies } from "xenolith/linux/jiffies";
import { del_timer_sync, mod_timer, timer_pending, timer_setup } from "xenolith/linux/timer";
import { INIT_WORK, cancel_work_sync, queue_work, system_highpri_wq } from "xenolith/linux/workqueue";
import { BLK_EH_DONE, BLK_EH_RESET_TIMER, MQ_RQ_IN_FLIGHT, RQF_TIMED_OUT } from "xenolith/linux/blk-mq";
import type { request } from "xenolith/linux/blk-mq";
import type { request_queue } from "xenolith/linux/blkdev";
import type { Sleeps } from "xenolith/linux/sched";
import type { timer_list } from "xenolith/linux/timer";
import type { work_struct } from "xenolith/linux/workqueue";
import { blk_mq_queue_tag_busy_iter } from "./blk-mq-tag";

/** Prepares a queue's timer and work. */
export function init_timeout(q: request_queue): void {
  timer_setup(q.timeout, blk_rq_timed_out_timer, 0);
  INIT_WORK(q.timeout_work, blk_mq_timeout_work);
}

export function blk_queue_rq_timeout(q: request_queue, timeout: number): void {
  q.rq_timeout = timeout;
}
EXPORT_SYMBOL(blk_queue_rq_timeout);

export function blk_add_timer(rq: request): void {
  const q = rq.q;
  if (rq.timeout === 0) rq.timeout = q.rq_timeout;
  rq.rq_flags &= ~RQF_TIMED_OUT;
  rq.deadline = jiffies() + rq.timeout;
  if (!timer_pending(q.timeout) || q.timeout.expires > rq.deadline) mod_timer(q.timeout, rq.deadline);
}
EXPORT_SYMBOL(blk_add_timer);

/** A request that is back has no deadline. The timer is left to find out. */
export function blk_del_timer(rq: request): void {
  rq.deadline = 0;
}

/** Ends timeouts for good: before the queue goes. */
export function* exit_timeout(q: request_queue): Sleeps<void> {
  del_timer_sync(q.timeout);
  yield* cancel_work_sync(q.timeout_work);
}

function blk_rq_timed_out_timer(timer: timer_list): void {
  queue_work(system_highpri_wq, (timer.container as request_queue).timeout_work);
}

/** What one pass over the requests finds. */
class expiry {
  readonly now = jiffies();
  next = 0;
}

/** Tells the driver of every request whose time is over, and starts the timer for the next one. Linux: blk_mq_timeout_work. */
function blk_mq_timeout_work(work: work_struct): void {
  const q = work.container as request_queue;
  const found = new expiry();
  blk_mq_queue_tag_busy_iter(q, check_expired, found);
  if (found.next !== 0) mod_timer(q.timeout, found.next);
}

function check_expired(rq: request, data: unknown): boolean {
  const found = data as expiry;
  if (rq.state !== MQ_RQ_IN_FLIGHT || (rq.rq_flags & RQF_TIMED_OUT) !== 0) return true;
  if (found.now >= rq.deadline) timed_out(rq);
  if (rq.state === MQ_RQ_IN_FLIGHT && (rq.rq_flags & RQF_TIMED_OUT) === 0) {
    if (found.next === 0 || rq.deadline < found.next) found.next = rq.deadline;
  }
  return true;
}

/** Linux: blk_mq_rq_timed_out. */
function timed_out(rq: request): void {
  rq.rq_flags |= RQF_TIMED_OUT;
  const timeout = rq.q.mq_ops?.timeout;
  const answer = timeout === undefined ? BLK_EH_RESET_TIMER : timeout(rq);
  if (answer === BLK_EH_DONE) return;
  BUG_ON(answer !== BLK_EH_RESET_TIMER);
  blk_add_timer(rq);
}
