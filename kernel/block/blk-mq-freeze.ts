/**
 * Freezing and quiescing. A frozen queue takes no new requests and has none; a quiesced one keeps them and sends none. Both are counted.
 */
import { EXPORT_SYMBOL } from "xenolith/linux/export";
import { wait_event, wake_up_all } from "xenolith/linux/wait";
import { WARN_ON_ONCE } from "xenolith/linux/kernel";
import { QUEUE_FLAG_QUIESCED } from "xenolith/linux/blkdev";
import type { request_queue } from "xenolith/linux/blkdev";
import type { Sleeps } from "xenolith/linux/sched";
import { blk_mq_run_hw_queues } from "./blk-mq-dispatch";
import { blk_queue_update_plain } from "./blk-mq-plain";

export function blk_freeze_queue_start(q: request_queue): void {
  q.mq_freeze_depth++;
  blk_queue_update_plain(q);
  if (q.mq_freeze_depth === 1 && q.mq_ops !== null) blk_mq_run_hw_queues(q, false);
}
EXPORT_SYMBOL(blk_freeze_queue_start);

export function* blk_mq_freeze_queue_wait(q: request_queue): Sleeps<void> {
  if (q.q_usage > 0) yield* wait_event(q.mq_freeze_wq, () => q.q_usage === 0);
}
EXPORT_SYMBOL(blk_mq_freeze_queue_wait);

export function* blk_mq_freeze_queue(q: request_queue): Sleeps<number> {
  blk_freeze_queue_start(q);
  yield* blk_mq_freeze_queue_wait(q);
  return 0;
}
EXPORT_SYMBOL(blk_mq_freeze_queue);

export function blk_mq_unfreeze_queue(q: request_queue, _memflags: number): void {
  if (WARN_ON_ONCE(q.mq_freeze_depth <= 0, "blk_mq_unfreeze_queue")) return;
  if (--q.mq_freeze_depth > 0) return;
  blk_queue_update_plain(q);
  wake_up_all(q.mq_freeze_wq);
  blk_wake_tag_waiters(q);
}
EXPORT_SYMBOL(blk_mq_unfreeze_queue);

/** The last entry of a frozen queue is gone. */
export function blk_freeze_drained(q: request_queue): void {
  wake_up_all(q.mq_freeze_wq);
}

/** Everybody who waits for a tag of this queue looks again: it was unfrozen, or is going away. */
export function blk_wake_tag_waiters(q: request_queue): void {
  for (const hctx of q.queue_hw_ctx) {
    wake_up_all(hctx.tags.wait);
    wake_up_all(hctx.tags.reserved_wait);
  }
}

export function blk_mq_quiesce_queue_nowait(q: request_queue): void {
  if (q.quiesce_depth++ === 0) q.queue_flags |= QUEUE_FLAG_QUIESCED;
}
EXPORT_SYMBOL(blk_mq_quiesce_queue_nowait);

export function* blk_mq_quiesce_queue(q: request_queue): Sleeps<void> {
  blk_mq_quiesce_queue_nowait(q);
  if (q.dispatching > 0) yield* wait_event(q.quiesce_wq, () => q.dispatching === 0);
}
EXPORT_SYMBOL(blk_mq_quiesce_queue);

export function blk_mq_unquiesce_queue(q: request_queue): void {
  if (WARN_ON_ONCE(q.quiesce_depth <= 0, "blk_mq_unquiesce_queue")) return;
  if (--q.quiesce_depth > 0) return;
  q.queue_flags &= ~QUEUE_FLAG_QUIESCED;
  blk_mq_run_hw_queues(q, true);
}
EXPORT_SYMBOL(blk_mq_unquiesce_queue);
