/**
 * Flushes: a write that asks for PREFLUSH or FUA becomes a sequence of steps, and waiting sequences share one flush request.
 *
 *   steps of a request      PREFLUSH -> DATA -> POSTFLUSH -> done; a step that is not needed is done from the start
 *   lists of a hctx         flush_queue[pending] gathers; flush_queue[running] is served by the flush that is with the driver
 *
 * One flush at a time. It waits while data of some sequence is on its way, so that it can serve that one too, but not longer than 5 s.
 * The driver sees REQ_OP_FLUSH without data, and data without PREFLUSH; with FUA only if it said that it can.
 */
import { BUG_ON } from "xenolith/linux/kernel";
import { HZ, jiffies } from "xenolith/linux/jiffies";
import { local_clock } from "xenolith/linux/ktime";
import { list_add_tail, list_del, list_empty, list_head, list_splice_init } from "xenolith/linux/list";
import { REQ_FAILFAST_MASK, REQ_FUA, REQ_OP_FLUSH, REQ_PREFLUSH, REQ_SYNC } from "xenolith/linux/blk_types";
import { BLK_FEAT_FUA, blk_queue_write_cache_enabled } from "xenolith/linux/blkdev";
import { BLK_MQ_NO_TAG, MQ_RQ_IDLE, RQF_FLUSH_SEQ, RQ_END_IO_NONE } from "xenolith/linux/blk-mq";
import type { blk_status_t } from "xenolith/linux/blk_types";
import type { blk_flush_queue, request, rq_end_io_ret } from "xenolith/linux/blk-mq";
import type { request_queue } from "xenolith/linux/blkdev";
import { blk_mq_end_request } from "./blk-mq";
import { blk_mq_request_bypass_insert, blk_mq_run_hw_queue } from "./blk-mq-dispatch";
import { blk_account_io_flush } from "./blk-stat";

const REQ_FSEQ_PREFLUSH = 1;
const REQ_FSEQ_DATA = 2;
const REQ_FSEQ_POSTFLUSH = 4;
const REQ_FSEQ_ACTIONS = REQ_FSEQ_PREFLUSH | REQ_FSEQ_DATA | REQ_FSEQ_POSTFLUSH;
const REQ_FSEQ_DONE = 8;

/** A pending flush waits this long at most for data on its way, jiffies. */
const FLUSH_PENDING_TIMEOUT = 5 * HZ;

/** The steps that a request needs on this queue. Linux: blk_flush_policy. */
export function blk_flush_policy(q: request_queue, rq: request): number {
  let policy = rq.__data_len > 0 ? REQ_FSEQ_DATA : 0;
  if (!blk_queue_write_cache_enabled(q)) return policy;
  if ((rq.cmd_flags & REQ_PREFLUSH) !== 0) policy |= REQ_FSEQ_PREFLUSH;
  const fua = (q.limits.features & BLK_FEAT_FUA) !== 0;
  // Without data one flush does for both.
  if (!fua && (rq.cmd_flags & REQ_FUA) !== 0 && policy !== REQ_FSEQ_PREFLUSH) policy |= REQ_FSEQ_POSTFLUSH;
  return policy;
}

/**
 * Takes a request with PREFLUSH or FUA. True: it is ended or on its way through the steps. False: it is to be sent like any other; its
 * end_io leads to the later steps, if there are any. Linux: blk_insert_flush.
 */
export function blk_insert_flush(rq: request): boolean {
  const q = rq.q;
  const policy = blk_flush_policy(q, rq);
  const fua = (q.limits.features & BLK_FEAT_FUA) !== 0 && blk_queue_write_cache_enabled(q);
  rq.cmd_flags &= fua ? ~REQ_PREFLUSH : ~(REQ_PREFLUSH | REQ_FUA);
  // Without PREFLUSH and FUA it must still count as synchronous.
  rq.cmd_flags |= REQ_SYNC;
  if (policy === 0) {
    blk_mq_end_request(rq, 0);
    return true;
  }
  if (policy === REQ_FSEQ_DATA) return false;
  const fq = flush_queue(rq);
  begin_sequence(rq);
  if (policy === (REQ_FSEQ_DATA | REQ_FSEQ_POSTFLUSH)) {
    rq.flush_seq |= REQ_FSEQ_PREFLUSH;
    fq.flush_data_in_flight++;
    return false;
  }
  blk_flush_complete_seq(rq, fq, REQ_FSEQ_ACTIONS & ~policy, 0);
  return true;
}

function flush_queue(rq: request): blk_flush_queue {
  return rq.mq_hctx.fq as blk_flush_queue;
}

function begin_sequence(rq: request): void {
  rq.flush_seq = 0;
  rq.rq_flags |= RQF_FLUSH_SEQ;
  rq.flush_end_io = rq.end_io;
  rq.end_io = mq_flush_data_end_io;
}

/** Marks `seq` as done and does the next step. */
function blk_flush_complete_seq(rq: request, fq: blk_flush_queue, seq: number, error: blk_status_t): void {
  rq.flush_seq |= seq;
  const step = error !== 0 ? REQ_FSEQ_DONE : next_step(rq);
  if (step === REQ_FSEQ_DATA) {
    fq.flush_data_in_flight++;
    blk_mq_request_bypass_insert(rq);
    blk_mq_run_hw_queue(fq.hctx, true);
  } else if (step === REQ_FSEQ_DONE) {
    end_sequence(rq);
    blk_mq_end_request(rq, error);
  } else wait_for_flush(rq, fq);
  blk_kick_flush(fq);
}

/** The lowest step that is not done. */
function next_step(rq: request): number {
  let step = REQ_FSEQ_PREFLUSH;
  while ((rq.flush_seq & step) !== 0) step <<= 1;
  return step;
}

function wait_for_flush(rq: request, fq: blk_flush_queue): void {
  const pending = fq.flush_queue[fq.flush_pending_idx];
  if (list_empty(pending)) fq.flush_pending_since = jiffies();
  list_add_tail(rq.queuelist, pending);
}

/** The request is an ordinary one again, with the bio that the data step left in place. Linux: blk_flush_restore_request. */
function end_sequence(rq: request): void {
  rq.bio = rq.biotail;
  rq.rq_flags &= ~RQF_FLUSH_SEQ;
  rq.end_io = rq.flush_end_io;
}

/** The data of a sequence is written, or failed. */
function mq_flush_data_end_io(rq: request, error: blk_status_t): rq_end_io_ret {
  const fq = flush_queue(rq);
  fq.flush_data_in_flight--;
  rq.state = MQ_RQ_IDLE;
  blk_flush_complete_seq(rq, fq, REQ_FSEQ_DATA, error);
  return RQ_END_IO_NONE;
}

/** Starts a flush for everything that is pending, if none runs and it need not wait for data. */
function blk_kick_flush(fq: blk_flush_queue): void {
  const pending = fq.flush_queue[fq.flush_pending_idx];
  if (fq.flush_pending_idx !== fq.flush_running_idx || list_empty(pending)) return;
  if (fq.flush_data_in_flight > 0 && jiffies() < fq.flush_pending_since + FLUSH_PENDING_TIMEOUT) return;
  const first = pending.next.container as request;
  fq.flush_pending_idx ^= 1;
  prepare_flush_rq(fq, first);
  blk_mq_request_bypass_insert(fq.flush_rq);
  blk_mq_run_hw_queue(fq.hctx, true);
}

/** The flush request takes the tag of the first request that it serves: that one is not with the driver. */
function prepare_flush_rq(fq: blk_flush_queue, first: request): void {
  const rq = fq.flush_rq;
  BUG_ON(rq.tag !== BLK_MQ_NO_TAG);
  rq.q = first.q;
  rq.mq_hctx = fq.hctx;
  rq.state = MQ_RQ_IDLE;
  rq.tag = first.tag;
  rq.cmd_flags = REQ_OP_FLUSH | REQ_PREFLUSH | (first.cmd_flags & REQ_FAILFAST_MASK);
  rq.rq_flags = RQF_FLUSH_SEQ;
  rq.__sector = -1;
  rq.__data_len = 0;
  rq.nr_phys_segments = 0;
  rq.timeout = 0;
  rq.end_io = flush_end_io;
  rq.start_time_ns = local_clock();
  fq.hctx.tags.rqs[first.tag] = rq;
}

/** The flush ended: the same step ends for all that it served. */
function flush_end_io(flush_rq: request, error: blk_status_t): rq_end_io_ret {
  const fq = flush_queue(flush_rq);
  const running = fq.flush_queue[fq.flush_running_idx];
  const disk = flush_rq.q.disk;
  if (disk !== null) blk_account_io_flush(disk.part0, local_clock() - flush_rq.start_time_ns);
  BUG_ON(fq.flush_pending_idx === fq.flush_running_idx);
  fq.hctx.tags.rqs[flush_rq.tag] = fq.hctx.tags.static_rqs[flush_rq.tag];
  flush_rq.tag = BLK_MQ_NO_TAG;
  flush_rq.state = MQ_RQ_IDLE;
  fq.flush_running_idx ^= 1;
  // Their next step may start another flush, which then gathers in this very list.
  const served = new list_head();
  list_splice_init(running, served);
  while (!list_empty(served)) {
    const rq = served.next.container as request;
    list_del(rq.queuelist);
    blk_flush_complete_seq(rq, fq, next_step(rq), error);
  }
  return RQ_END_IO_NONE;
}
