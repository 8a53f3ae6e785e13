/** Making and changing multi-queue queues: hardware contexts, software contexts and the map between them. */
import { ENOMEM } from "xenolith/linux/errno";
import { EXPORT_SYMBOL } from "xenolith/linux/export";
import { nr_cpu_ids } from "xenolith/linux/smp";
import { pr_warn } from "xenolith/linux/printk";
import { INIT_LIST_HEAD, list_add_tail, list_del } from "xenolith/linux/list";
import { cancel_delayed_work_sync } from "xenolith/linux/workqueue";
import {
  BLK_MQ_DEFAULT_TIMEOUT,
  BLK_MQ_NO_TAG,
  blk_flush_queue,
  blk_mq_ctx,
  blk_mq_hw_ctx,
} from "xenolith/linux/blk-mq";
import { BLK_FEAT_IO_STAT, BLK_FEAT_NOWAIT, type queue_limits, request_queue } from "xenolith/linux/blkdev";
import type { blk_mq_tag_set } from "xenolith/linux/blk-mq";
import type { gendisk } from "xenolith/linux/blkdev";
import type { err_ptr } from "xenolith/linux/err";
import type { Sleeps } from "xenolith/linux/sched";
import { init_run_work } from "./blk-mq-dispatch";
import { blk_freeze_queue_start, blk_mq_freeze_queue_wait, blk_mq_unfreeze_queue } from "./blk-mq-freeze";
import { alloc_set_tags, free_set_tags, make_request, map_queues } from "./blk-mq-tag";
import { blk_queue_update_plain } from "./blk-mq-plain";
import { init_requeue_work } from "./blk-mq-requeue";
import { blk_validate_limits } from "./blk-settings";
import { exit_timeout, init_timeout } from "./blk-timeout";
import { alloc_disk_of } from "./genhd";

export function blk_mq_alloc_disk(
  set: blk_mq_tag_set,
  lim: queue_limits | null,
  queuedata: unknown,
): gendisk | err_ptr {
  const q = new request_queue();
  Object.assign(q.limits, lim ?? {});
  q.limits.features |= BLK_FEAT_IO_STAT | BLK_FEAT_NOWAIT;
  const error = blk_validate_limits(q.limits);
  if (error !== 0) return error;
  q.queuedata = queuedata;
  const failed = init_queue(q, set);
  if (failed !== 0) return failed;
  return alloc_disk_of(q);
}
EXPORT_SYMBOL(blk_mq_alloc_disk);

/** Linux: blk_mq_init_allocated_queue. */
function init_queue(q: request_queue, set: blk_mq_tag_set): number {
  q.tag_set = set;
  q.mq_ops = set.ops;
  q.nr_requests = set.queue_depth;
  q.rq_timeout = set.timeout === 0 ? BLK_MQ_DEFAULT_TIMEOUT : set.timeout;
  init_requeue_work(q);
  init_timeout(q);
  for (let cpu = 0; cpu < nr_cpu_ids(); cpu++) q.queue_ctx.push(new blk_mq_ctx(cpu, q));
  const error = realloc_hw_ctxs(q, set);
  if (error !== 0) return error;
  map_swqueue(q, set);
  blk_queue_update_plain(q);
  list_add_tail(q.tag_set_list, set.tag_list);
  return 0;
}

/** Brings the number of hardware contexts to the set's. Linux: blk_mq_realloc_hw_ctxs. */
function realloc_hw_ctxs(q: request_queue, set: blk_mq_tag_set): number {
  while (q.queue_hw_ctx.length > set.nr_hw_queues) exit_hctx(q, set);
  while (q.queue_hw_ctx.length < set.nr_hw_queues) {
    const error = add_hctx(q, set);
    if (error !== 0) return error;
  }
  q.nr_hw_queues = q.queue_hw_ctx.length;
  return 0;
}

function add_hctx(q: request_queue, set: blk_mq_tag_set): number {
  const index = q.queue_hw_ctx.length;
  const hctx = new blk_mq_hw_ctx(q, index, set.ops);
  hctx.tags = set.tags[index];
  const flush_rq = make_request(set, index, BLK_MQ_NO_TAG);
  if (typeof flush_rq === "number") return flush_rq;
  hctx.fq = new blk_flush_queue(hctx, flush_rq);
  init_run_work(hctx);
  const error = set.ops.init_hctx === undefined ? 0 : set.ops.init_hctx(hctx, set.driver_data, index);
  if (error !== 0) return error === -ENOMEM ? -ENOMEM : error;
  q.queue_hw_ctx.push(hctx);
  return 0;
}

function exit_hctx(q: request_queue, set: blk_mq_tag_set): void {
  const hctx = q.queue_hw_ctx.pop() as blk_mq_hw_ctx;
  set.ops.exit_hctx?.(hctx, hctx.queue_num);
  if (hctx.fq !== null) set.ops.exit_request?.(set, hctx.fq.flush_rq, hctx.queue_num);
}

/** Gives every software queue its hardware queue. Linux: blk_mq_map_swqueue. */
function map_swqueue(q: request_queue, set: blk_mq_tag_set): void {
  for (const hctx of q.queue_hw_ctx) {
    hctx.ctxs.length = 0;
    hctx.dispatch_from = 0;
    hctx.tags = set.tags[hctx.queue_num];
  }
  for (const ctx of q.queue_ctx) {
    ctx.hctx = q.queue_hw_ctx[set.map[ctx.cpu]];
    ctx.hctx.ctxs.push(ctx);
  }
}

/** Stops everything of a queue that has no requests any more. Linux: blk_sync_queue. */
export function* blk_mq_sync_queue(q: request_queue): Sleeps<void> {
  yield* exit_timeout(q);
  yield* cancel_delayed_work_sync(q.requeue_work);
  for (const hctx of q.queue_hw_ctx) yield* cancel_delayed_work_sync(hctx.run_work);
}

/** The queue's last reference is gone. Linux: blk_mq_exit_queue. */
export function blk_mq_exit_queue(q: request_queue): void {
  const set = q.tag_set;
  if (set === null) return;
  while (q.queue_hw_ctx.length > 0) exit_hctx(q, set);
  list_del(q.tag_set_list);
  INIT_LIST_HEAD(q.tag_set_list);
}

/** See the header. Linux: blk_mq_update_nr_hw_queues. */
export function* blk_mq_update_nr_hw_queues(set: blk_mq_tag_set, nr_hw_queues: number): Sleeps<void> {
  const wanted = Math.min(nr_hw_queues, nr_cpu_ids());
  if (wanted < 1 || wanted === set.nr_hw_queues) return;
  const queues: request_queue[] = [];
  for (let p = set.tag_list.next; p !== set.tag_list; p = p.next) queues.push(p.container as request_queue);
  for (const q of queues) blk_freeze_queue_start(q);
  for (const q of queues) yield* blk_mq_freeze_queue_wait(q);
  for (const q of queues) for (const hctx of q.queue_hw_ctx) yield* cancel_delayed_work_sync(hctx.run_work);
  const before = set.nr_hw_queues;
  if (!resize_set(set, queues, wanted)) {
    pr_warn("Increasing nr_hw_queues to %d fails, fallback to %d\n", wanted, before);
    resize_set(set, queues, before);
  }
  for (const q of queues) blk_mq_unfreeze_queue(q, 0);
}
EXPORT_SYMBOL(blk_mq_update_nr_hw_queues);

/** Tags, map and hardware contexts for `count` queues. False if something could not be made. */
function resize_set(set: blk_mq_tag_set, queues: readonly request_queue[], count: number): boolean {
  set.nr_hw_queues = count;
  let error = alloc_set_tags(set);
  for (const q of queues) if (error === 0) error = realloc_hw_ctxs(q, set);
  if (error !== 0) return false;
  free_set_tags(set, count);
  map_queues(set);
  for (const q of queues) map_swqueue(q, set);
  return true;
}
