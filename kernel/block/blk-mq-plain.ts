/**
 * The short way in: a read or write of one page or less, while its task gathers requests. Almost all bios are such.
 *
 *   submit_bio -> plain? -> tag -> plug        instead of: all checks -> fit to the limits -> look for a merge -> tag -> flush machinery -> plug
 *
 * It does what the long way does for these bios, nothing else: whatever is special about a bio, its queue or the plug makes it say no, before
 * it has changed anything. `queue->plain` sums up what only seldom changes.
 */
import { EXPORT_SYMBOL } from "xenolith/linux/export";
import { charge_plain_bio } from "xenolith/linux/ktime";
import { current } from "xenolith/linux/sched";
import { smp_processor_id } from "xenolith/linux/smp";
import { REQ_FUA, REQ_NOWAIT, REQ_OP_MASK, REQ_OP_WRITE, REQ_PREFLUSH, SECTOR_SIZE } from "xenolith/linux/blk_types";
import { BLK_MAX_REQUEST_COUNT, GD_DEAD, bdev_read_only } from "xenolith/linux/blkdev";
import { BLK_MQ_F_SHOULD_MERGE } from "xenolith/linux/blk-mq";
import type { bio } from "xenolith/linux/blk_types";
import type { blk_plug, request_queue } from "xenolith/linux/blkdev";
import { submit_bio_any, submitting } from "./blk-core";

/** What makes an operation special: more than a direction, and the flags that the long way looks at. */
const NOT_PLAIN = (REQ_OP_MASK & ~REQ_OP_WRITE) | REQ_NOWAIT | REQ_PREFLUSH | REQ_FUA;
/** No request of a page can have neighbours farther away than this, in sectors. */
const PAGE_SECTORS = 8;

/** Sums up whether a queue takes plain bios the short way. Called after each change of what it is made of. */
export function blk_queue_update_plain(q: request_queue): void {
  const lim = q.limits;
  const alive = !q.dying && (q.disk === null || (q.disk.state & (1 << GD_DEAD)) === 0);
  const simple = lim.logical_block_size === SECTOR_SIZE && lim.chunk_sectors === 0;
  const open = alive && simple && q.mq_freeze_depth === 0;
  q.plain = q.mq_ops !== null && open;
  q.plain_submit = q.mq_ops === null && open ? q.disk?.fops.submit_bio ?? null : null;
  const may_merge = q.tag_set !== null && (q.tag_set.flags & BLK_MQ_F_SHOULD_MERGE) !== 0;
  q.plain_hctx = q.plain && !may_merge && q.nr_hw_queues === 1 ? q.queue_hw_ctx[0] : null;
}

/** See the header. Each `submit_bio_any` is the long way, before anything was done. */
export function submit_bio_nowait(bio: bio): boolean {
  const plug = current().plug as blk_plug | null;
  const opf = bio.bi_opf;
  if (plug === null || submitting || bio.bi_flags !== 0 || bio.bi_vcnt !== 1) return submit_bio_any(bio);
  if ((opf & NOT_PLAIN) !== 0) return submit_bio_any(bio);
  const bdev = bio.bi_bdev;
  const q = bdev.bd_queue;
  if (bdev.bd_partno !== 0) return submit_bio_any(bio);
  let hctx = q.plain_hctx;
  if (hctx === null) {
    if (!q.plain) return submit_bio_any(bio);
    const ctx = q.queue_ctx[smp_processor_id()];
    // Requests that wait there may take it in.
    if (ctx.rq_list.next !== ctx.rq_list) return submit_bio_any(bio);
    hctx = ctx.hctx;
  }
  if ((opf & REQ_OP_WRITE) !== 0 && bdev_read_only(bdev)) return submit_bio_any(bio);
  const iter = bio.bi_iter;
  const size = iter.bi_size;
  const sector = iter.bi_sector;
  const vec = bio.bi_io_vec[0];
  if (size === 0 || vec.bv_len !== size || vec.bv_offset + size > 4096) return submit_bio_any(bio);
  if ((size & (SECTOR_SIZE - 1)) !== 0) return submit_bio_any(bio);
  if (sector < 0 || sector + (size >>> 9) > bdev.bd_nr_sectors) return submit_bio_any(bio);
  const list = plug.mq_list;
  const tail = list.tail;
  if (tail !== null) {
    // Neighbours might merge, a full plug has to be sent, and the requests of several queues need to be told apart.
    const distance = sector - tail.__sector;
    if (tail.__data_len > 4096 || (distance <= PAGE_SECTORS && distance >= -PAGE_SECTORS)) return submit_bio_any(bio);
    if (tail.mq_hctx !== hctx || plug.rq_count >= BLK_MAX_REQUEST_COUNT) return submit_bio_any(bio);
  }
  const tags = hctx.tags;
  const rq = tags.free;
  if (rq === null) return submit_bio_any(bio);
  tags.free = rq.rq_next;
  rq.start_time_ns = charge_plain_bio();
  q.q_usage++;
  if (rq.mq_hctx !== hctx) {
    rq.q = q;
    rq.mq_hctx = hctx;
  }
  rq.tag = rq.internal_tag;
  rq.cmd_flags = opf;
  rq.__sector = sector;
  rq.__data_len = size;
  rq.nr_phys_segments = 1;
  rq.single_vec = vec;
  rq.bio = bio;
  rq.biotail = bio;
  rq.part = bdev;
  rq.rq_next = null;
  if (tail === null) list.head = rq;
  else tail.rq_next = rq;
  list.tail = rq;
  plug.rq_count++;
  return true;
}
EXPORT_SYMBOL(submit_bio_nowait);
