/**
 * Requests that end together: a driver that finds several of them done hands them over in one list, and what can be done once is done once:
 * the clock, the counters of the disk, the queue's count of entries.
 */
import { COST_REQUEST_COMPLETE } from "../../hal/abi/control";
import { BUG_ON } from "xenolith/linux/kernel";
import { EXPORT_SYMBOL } from "xenolith/linux/export";
import { charge_times, local_clock } from "xenolith/linux/ktime";
import { bio_endio } from "xenolith/linux/bio";
import type { bio } from "xenolith/linux/blk_types";
import { BLK_MQ_NO_TAG, MQ_RQ_IDLE, MQ_RQ_IN_FLIGHT } from "xenolith/linux/blk-mq";
import type { io_comp_batch } from "xenolith/linux/blkdev";
import type { request } from "xenolith/linux/blk-mq";
import { bad_request } from "./blk-mq";
import { blk_freeze_drained } from "./blk-mq-freeze";
import { blk_mq_tags_freed, put_free } from "./blk-mq-tag";
import { blk_account_io_batch } from "./blk-stat";

/** See the header. Linux: blk_mq_end_request_batch. */
export function blk_mq_end_request_batch(iob: io_comp_batch): void {
  let rq = iob.req_list.head;
  iob.req_list.head = null;
  iob.req_list.tail = null;
  const now = local_clock();
  while (rq !== null) rq = end_alike(rq, now);
}
EXPORT_SYMBOL(blk_mq_end_request_batch);

/** Ends requests as long as they are of one device and one operation. Returns the first that is not, or null. */
function end_alike(first: request, now: number): request | null {
  const { q, mq_hctx: hctx, part } = first;
  const flags = first.cmd_flags;
  const tags = hctx.tags;
  const has_deadline = hctx.ops.timeout !== undefined;
  let bytes = 0;
  let started = 0;
  let count = 0;
  let rq: request | null = first;
  do {
    if (__DEBUG__) BUG_ON(rq.mq_hctx !== hctx);
    if (rq.state !== MQ_RQ_IN_FLIGHT) bad_request(rq, "completed twice, or without having been started");
    const bio = rq.bio;
    const next: request | null = rq.rq_next;
    count++;
    bytes += rq.__data_len;
    started += rq.start_time_ns;
    rq.bio = null;
    rq.state = MQ_RQ_IDLE;
    if (has_deadline) rq.timeout = 0;
    if (bio !== null) {
      const end_io = bio.bi_end_io;
      // bio_endio without its loop, for one bio that has no children.
      if (bio.bi_next !== null || bio.__bi_remaining !== 1 || bio.__bi_cnt <= 0 || end_io === null) end_bios(bio);
      else {
        bio.__bi_remaining = 0;
        end_io(bio);
      }
    }
    rq.tag = BLK_MQ_NO_TAG;
    put_free(tags, rq);
    rq = next;
  } while (rq !== null && rq.cmd_flags === flags && rq.part === part);
  charge_times(COST_REQUEST_COMPLETE, count);
  if (part !== null) blk_account_io_batch(part, flags, count, bytes, started, first.start_time_ns, now);
  blk_mq_tags_freed(hctx, count);
  q.q_usage -= count;
  if (q.q_usage === 0 && q.mq_freeze_depth > 0) blk_freeze_drained(q);
  return rq;
}

/** All bios of a request are done. */
function end_bios(first: bio): void {
  let bio: bio | null = first;
  do {
    const next: bio | null = bio.bi_next;
    bio.bi_next = null;
    bio_endio(bio);
    bio = next;
  } while (bio !== null);
}
