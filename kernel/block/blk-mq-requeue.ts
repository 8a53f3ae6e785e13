/** Requests that a driver had started and gives back: they wait on the queue's own list until it is kicked. */
import { EXPORT_SYMBOL } from "xenolith/linux/export";
import { pr_emerg } from "xenolith/linux/printk";
import { BUG } from "xenolith/linux/kernel";
import { list_add, list_add_tail, list_del } from "xenolith/linux/list";
import { INIT_DELAYED_WORK, mod_delayed_work, system_highpri_wq, to_delayed_work } from "xenolith/linux/workqueue";
import { BLK_MQ_NO_TAG, MQ_RQ_IDLE } from "xenolith/linux/blk-mq";
import type { request } from "xenolith/linux/blk-mq";
import type { request_queue } from "xenolith/linux/blkdev";
import type { work_struct } from "xenolith/linux/workqueue";
import { blk_mq_run_hw_queues } from "./blk-mq-dispatch";
import { blk_del_timer } from "./blk-timeout";

export function blk_mq_requeue_request(rq: request, kick_requeue_list: boolean): void {
  if (rq.tag === BLK_MQ_NO_TAG) {
    pr_emerg("block: request %d requeued after it ended\n", rq.internal_tag);
    BUG();
  }
  rq.state = MQ_RQ_IDLE;
  blk_del_timer(rq);
  list_add_tail(rq.queuelist, rq.q.requeue_list);
  if (kick_requeue_list) blk_mq_kick_requeue_list(rq.q);
}
EXPORT_SYMBOL(blk_mq_requeue_request);

export function blk_mq_kick_requeue_list(q: request_queue): void {
  mod_delayed_work(system_highpri_wq, q.requeue_work, 0);
}
EXPORT_SYMBOL(blk_mq_kick_requeue_list);

export function blk_mq_delay_kick_requeue_list(q: request_queue, msecs: number): void {
  mod_delayed_work(system_highpri_wq, q.requeue_work, msecs);
}
EXPORT_SYMBOL(blk_mq_delay_kick_requeue_list);

/** Moves everything to the head of the dispatch lists, in its order, and runs the queues. */
function blk_mq_requeue_work(work: work_struct): void {
  const q = to_delayed_work(work).container as request_queue;
  const list = q.requeue_list;
  while (list.prev !== list) {
    const rq = list.prev.container as request;
    list_del(rq.queuelist);
    list_add(rq.queuelist, rq.mq_hctx.dispatch);
  }
  blk_mq_run_hw_queues(q, false);
}

/** Prepares a queue's work. */
export function init_requeue_work(q: request_queue): void {
  INIT_DELAYED_WORK(q.requeue_work, blk_mq_requeue_work);
}
