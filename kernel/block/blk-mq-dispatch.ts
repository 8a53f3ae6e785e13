/**
 * Dispatch: what waits goes to the driver, in order: refused requests first, then the software queues.
 *
 *   queue_rq says  OK            the driver has it
 *                  RESOURCE      back to the front of hctx->dispatch; tried again by the next completion, or after 3 ms
 *                  DEV_RESOURCE  the same, but it is the driver that has to start the queue again
 *                  other         the request ends with that status
 *
 * queue_rq is plain code. It may be entered for one hardware queue while another call for it is running only if somebody nests at a
 * preemption point; a run that nests into a run of the same hardware queue just asks that one to look once more.
 */
import { EXPORT_SYMBOL } from "xenolith/linux/export";
import { list_add, list_add_tail, list_del, list_empty, list_head, list_splice_init } from "xenolith/linux/list";
import {
  INIT_DELAYED_WORK,
  cancel_delayed_work,
  mod_delayed_work,
  system_highpri_wq,
  to_delayed_work,
} from "xenolith/linux/workqueue";
import { wake_up_all } from "xenolith/linux/wait";
import { BLK_STS_DEV_RESOURCE, BLK_STS_OK, BLK_STS_RESOURCE } from "xenolith/linux/blk_types";
import { QUEUE_FLAG_QUIESCED } from "xenolith/linux/blkdev";
import { BLK_MQ_S_SCHED_RESTART, BLK_MQ_S_STOPPED, MQ_RQ_IDLE, blk_mq_queue_data } from "xenolith/linux/blk-mq";
import type { blk_status_t } from "xenolith/linux/blk_types";
import type { blk_mq_hw_ctx, request } from "xenolith/linux/blk-mq";
import type { blk_plug, request_queue, rq_list } from "xenolith/linux/blkdev";
import type { work_struct } from "xenolith/linux/workqueue";
import { blk_mq_end_request } from "./blk-mq";
import { blk_del_timer } from "./blk-timeout";
import { ctx_insert, ctxs_pending, flush_busy_ctxs } from "./blk-mq-ctx";

/** How long a queue rests after the driver was out of something that no completion brings back, milliseconds. */
const BLK_MQ_RESOURCE_DELAY = 3;

/** Arguments of queue_rq: one per level of nesting, since calls nest last in, first out. */
const queue_data: blk_mq_queue_data[] = [];
let depth = 0;

/** Calls the driver. */
function queue_rq(hctx: blk_mq_hw_ctx, rq: request, last: boolean): blk_status_t {
  const q = hctx.queue;
  if (depth === queue_data.length) queue_data.push(new blk_mq_queue_data());
  const bd = queue_data[depth++];
  bd.rq = rq;
  bd.last = last;
  q.dispatching++;
  const status = hctx.ops.queue_rq(hctx, bd);
  q.dispatching--;
  depth--;
  if (q.quiesce_depth > 0 && q.dispatching === 0) wake_up_all(q.quiesce_wq);
  return status;
}

/** Offers the driver a list of requests of one hardware queue; what it does not take stays in it. Linux: blk_mq_dispatch_queue_requests. */
function queue_rqs(hctx: blk_mq_hw_ctx, rqs: rq_list): void {
  const q = hctx.queue;
  if (hctx.ops.queue_rqs === undefined || held(hctx) || !list_empty(hctx.dispatch)) return;
  q.dispatching++;
  hctx.ops.queue_rqs(rqs);
  q.dispatching--;
  if (q.quiesce_depth > 0 && q.dispatching === 0) wake_up_all(q.quiesce_wq);
}

/** Whether nothing may be sent to the driver now. */
function held(hctx: blk_mq_hw_ctx): boolean {
  return (hctx.state & BLK_MQ_S_STOPPED) !== 0 || (hctx.queue.queue_flags & QUEUE_FLAG_QUIESCED) !== 0;
}

/** The driver gave it back. Linux: __blk_mq_requeue_request. */
function back_to_idle(rq: request): void {
  rq.state = MQ_RQ_IDLE;
  blk_del_timer(rq);
}

// Straight to the driver.

/**
 * Sends one request past the software queue. What was refused earlier goes first; a stopped or quiesced queue keeps it.
 * Linux: blk_mq_try_issue_directly.
 */
export function blk_mq_try_issue_directly(hctx: blk_mq_hw_ctx, rq: request, last: boolean): void {
  const idle = (hctx.state & BLK_MQ_S_STOPPED) === 0 && (hctx.queue.queue_flags & QUEUE_FLAG_QUIESCED) === 0;
  if (!idle || hctx.dispatch.next !== hctx.dispatch) {
    blk_mq_insert_request(rq);
    blk_mq_run_hw_queue(hctx, false);
    return;
  }
  const status = queue_rq(hctx, rq, last);
  if (status === BLK_STS_OK) return;
  if (status !== BLK_STS_RESOURCE && status !== BLK_STS_DEV_RESOURCE) {
    blk_mq_end_request(rq, status);
    return;
  }
  back_to_idle(rq);
  list_add_tail(rq.queuelist, hctx.dispatch);
  blk_mq_run_hw_queue(hctx, false);
}

/** Sends what a plug gathered, in the order of gathering. Linux: blk_mq_flush_plug_list. */
export function blk_mq_flush_plug_list(plug: blk_plug, from_schedule: boolean): void {
  const rqs = plug.mq_list;
  const several = plug.multiple_queues;
  plug.rq_count = 0;
  plug.multiple_queues = false;
  if (rqs.head !== null && !several && !from_schedule) queue_rqs(rqs.head.mq_hctx, rqs);
  let rq = rqs.head;
  rqs.head = null;
  rqs.tail = null;
  while (rq !== null) {
    const next = rq.rq_next;
    const hctx = rq.mq_hctx;
    const last = next === null || (several && next.mq_hctx !== hctx);
    rq.rq_next = null;
    // A task on its way to sleep leaves the driver's work to kblockd.
    if (from_schedule) {
      blk_mq_insert_request(rq);
      if (last) blk_mq_run_hw_queue(hctx, true);
    } else blk_mq_try_issue_directly(hctx, rq, last);
    rq = next;
  }
}

// Insertion.

/** Appends to the software queue; flush requests go past it. Linux: blk_mq_insert_request. */
export function blk_mq_insert_request(rq: request): void {
  ctx_insert(rq);
}

/** To the very front of the dispatch list. */
export function blk_mq_insert_head(rq: request): void {
  list_add(rq.queuelist, rq.mq_hctx.dispatch);
}

/** To the end of the dispatch list, ahead of all software queues. Linux: blk_mq_request_bypass_insert. */
export function blk_mq_request_bypass_insert(rq: request): void {
  list_add_tail(rq.queuelist, rq.mq_hctx.dispatch);
}

// Running a hardware queue.

export function blk_mq_run_hw_queue(hctx: blk_mq_hw_ctx, async: boolean): void {
  if (held(hctx) || (list_empty(hctx.dispatch) && !ctxs_pending(hctx))) return;
  if (async) mod_delayed_work(system_highpri_wq, hctx.run_work, 0);
  else run(hctx);
}
EXPORT_SYMBOL(blk_mq_run_hw_queue);

export function blk_mq_run_hw_queues(q: request_queue, async: boolean): void {
  for (const hctx of q.queue_hw_ctx) blk_mq_run_hw_queue(hctx, async);
}
EXPORT_SYMBOL(blk_mq_run_hw_queues);

export function blk_mq_delay_run_hw_queue(hctx: blk_mq_hw_ctx, msecs: number): void {
  if ((hctx.state & BLK_MQ_S_STOPPED) === 0) mod_delayed_work(system_highpri_wq, hctx.run_work, msecs);
}
EXPORT_SYMBOL(blk_mq_delay_run_hw_queue);

export function blk_mq_delay_run_hw_queues(q: request_queue, msecs: number): void {
  for (const hctx of q.queue_hw_ctx) blk_mq_delay_run_hw_queue(hctx, msecs);
}
EXPORT_SYMBOL(blk_mq_delay_run_hw_queues);

function blk_mq_run_work_fn(work: work_struct): void {
  const hctx = to_delayed_work(work).container as blk_mq_hw_ctx;
  if (!held(hctx)) run(hctx);
}

/** Prepares a hardware queue's work. */
export function init_run_work(hctx: blk_mq_hw_ctx): void {
  INIT_DELAYED_WORK(hctx.run_work, blk_mq_run_work_fn);
}

function run(hctx: blk_mq_hw_ctx): void {
  if (hctx.running) {
    hctx.rerun = true;
    return;
  }
  hctx.running = true;
  do {
    hctx.rerun = false;
    dispatch(hctx);
  } while (hctx.rerun && !held(hctx));
  hctx.running = false;
}

/** One pass: refused requests, then the software queues as long as the driver takes them. Linux: __blk_mq_sched_dispatch_requests. */
function dispatch(hctx: blk_mq_hw_ctx): void {
  const list = new list_head();
  if (!list_empty(hctx.dispatch)) {
    list_splice_init(hctx.dispatch, list);
    // The driver was out of something: the next completion tries again.
    hctx.state |= BLK_MQ_S_SCHED_RESTART;
    if (!blk_mq_dispatch_rq_list(hctx, list)) return;
  }
  while (!held(hctx) && ctxs_pending(hctx)) {
    flush_busy_ctxs(hctx, list);
    if (!blk_mq_dispatch_rq_list(hctx, list)) return;
  }
}

/** Sends a list. False: the driver refused one, which with the rest of the list is on hctx->dispatch again. */
function blk_mq_dispatch_rq_list(hctx: blk_mq_hw_ctx, list: list_head): boolean {
  let status: blk_status_t = BLK_STS_OK;
  let sent = 0;
  while (list.next !== list && !held(hctx)) {
    const rq = list.next.container as request;
    list_del(rq.queuelist);
    status = queue_rq(hctx, rq, list.next === list);
    if (status === BLK_STS_OK) sent++;
    else if (status === BLK_STS_RESOURCE || status === BLK_STS_DEV_RESOURCE) {
      back_to_idle(rq);
      list_add(rq.queuelist, list);
      break;
    } else blk_mq_end_request(rq, status);
  }
  if (list.next === list) return true;
  if (sent > 0 && hctx.ops.commit_rqs !== undefined) hctx.ops.commit_rqs(hctx);
  list_splice_init(list, hctx.dispatch);
  retry_later(hctx, status);
  return false;
}

/** Sees to it that refused requests are tried again. */
function retry_later(hctx: blk_mq_hw_ctx, status: blk_status_t): void {
  if ((hctx.state & BLK_MQ_S_SCHED_RESTART) === 0) {
    // Nobody has promised a restart yet: the next run makes that promise before it tries.
    blk_mq_run_hw_queue(hctx, true);
  } else if (status === BLK_STS_RESOURCE) {
    blk_mq_delay_run_hw_queue(hctx, BLK_MQ_RESOURCE_DELAY);
  }
}

// Stopping and starting.

export function blk_mq_stop_hw_queue(hctx: blk_mq_hw_ctx): void {
  cancel_delayed_work(hctx.run_work);
  hctx.state |= BLK_MQ_S_STOPPED;
}
EXPORT_SYMBOL(blk_mq_stop_hw_queue);

export function blk_mq_stop_hw_queues(q: request_queue): void {
  for (const hctx of q.queue_hw_ctx) blk_mq_stop_hw_queue(hctx);
}
EXPORT_SYMBOL(blk_mq_stop_hw_queues);

export function blk_mq_start_hw_queue(hctx: blk_mq_hw_ctx): void {
  hctx.state &= ~BLK_MQ_S_STOPPED;
  blk_mq_run_hw_queue(hctx, false);
}
EXPORT_SYMBOL(blk_mq_start_hw_queue);

export function blk_mq_start_hw_queues(q: request_queue): void {
  for (const hctx of q.queue_hw_ctx) blk_mq_start_hw_queue(hctx);
}
EXPORT_SYMBOL(blk_mq_start_hw_queues);

export function blk_mq_start_stopped_hw_queue(hctx: blk_mq_hw_ctx, async: boolean): void {
  if ((hctx.state & BLK_MQ_S_STOPPED) === 0) return;
  hctx.state &= ~BLK_MQ_S_STOPPED;
  blk_mq_run_hw_queue(hctx, async);
}
EXPORT_SYMBOL(blk_mq_start_stopped_hw_queue);

export function blk_mq_start_stopped_hw_queues(q: request_queue, async: boolean): void {
  for (const hctx of q.queue_hw_ctx) blk_mq_start_stopped_hw_queue(hctx, async);
}
EXPORT_SYMBOL(blk_mq_start_stopped_hw_queues);
