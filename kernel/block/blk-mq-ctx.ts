/** Software queues: requests of one CPU that wait for their hardware queue, and bios that join them. */
import { list_add_tail, list_del, list_splice_tail_init } from "xenolith/linux/list";
import { smp_processor_id } from "xenolith/linux/smp";
import { BLK_MQ_F_SHOULD_MERGE } from "xenolith/linux/blk-mq";
import type { bio } from "xenolith/linux/blk_types";
import type { blk_mq_ctx, blk_mq_hw_ctx, request } from "xenolith/linux/blk-mq";
import type { request_queue } from "xenolith/linux/blkdev";
import type { list_head } from "xenolith/linux/list";
import { blk_attempt_bio_merge } from "./blk-merge";
import { blk_account_io_merge } from "./blk-stat";

/** How many of the latest requests a bio is compared with. */
const MERGE_CHECKS_MAX = 8;

/** Appends a request to its CPU's software queue. */
export function ctx_insert(rq: request): void {
  list_add_tail(rq.queuelist, rq.q.queue_ctx[smp_processor_id()].rq_list);
}

/** Whether any software queue of the hardware queue has requests. */
export function ctxs_pending(hctx: blk_mq_hw_ctx): boolean {
  for (const ctx of hctx.ctxs) if (ctx.rq_list.next !== ctx.rq_list) return true;
  return false;
}

/** Moves everything from the software queues to `list`. The next time another CPU comes first. Linux: blk_mq_flush_busy_ctxs. */
export function flush_busy_ctxs(hctx: blk_mq_hw_ctx, list: list_head): void {
  const count = hctx.ctxs.length;
  for (let i = 0; i < count; i++) {
    list_splice_tail_init(hctx.ctxs[(hctx.dispatch_from + i) % count].rq_list, list);
  }
  hctx.dispatch_from = count === 0 ? 0 : (hctx.dispatch_from + 1) % count;
}

/** Takes one request out of wherever it waits. */
export function ctx_remove(rq: request): void {
  list_del(rq.queuelist);
}

/** Whether one of the latest requests of this CPU took the bio in. Linux: blk_mq_sched_bio_merge, blk_bio_list_merge. */
export function blk_mq_sched_bio_merge(q: request_queue, ctx: blk_mq_ctx, bio: bio, segments: number): boolean {
  const head = ctx.rq_list;
  if (q.tag_set === null || (q.tag_set.flags & BLK_MQ_F_SHOULD_MERGE) === 0) return false;
  let checks = MERGE_CHECKS_MAX;
  for (let p = head.prev; p !== head && checks > 0; p = p.prev, checks--) {
    const rq = p.container as request;
    if (!blk_attempt_bio_merge(rq, bio, segments)) continue;
    blk_account_io_merge(rq);
    return true;
  }
  return false;
}
