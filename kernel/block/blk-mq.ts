/**
 * Requests: from bio to tag, and from the driver's completion back to the bios.
 *
 *   blk_mq_submit_bio:  fit to the limits -> join a waiting request -> tag -> flush machinery / plug / straight to the driver
 *   blk_mq_end_request: status to every bio, accounting, tag free, whoever waits goes on
 *
 * The driver is trusted as the rest of the kernel is: completing a request twice, or one that it was not given, is our own bug and kills the
 * domain. A request object belongs to its tag and is used again at once, so both are checked always.
 */
import { COST_REQUEST_COMPLETE, COST_REQUEST_DISPATCH } from "../../hal/abi/control";
import { BUG } from "xenolith/linux/kernel";
import { ENODEV, EWOULDBLOCK } from "xenolith/linux/errno";
import { EXPORT_SYMBOL } from "xenolith/linux/export";
import { charge, local_clock } from "xenolith/linux/ktime";
import { smp_processor_id } from "xenolith/linux/smp";
import { current } from "xenolith/linux/sched";
import { pr_emerg, pr_err_ratelimited } from "xenolith/linux/printk";
import { wait_event } from "xenolith/linux/wait";
import { complete, completion, wait_for_completion_io } from "xenolith/linux/completion";
import { bio_advance, bio_endio, bio_io_error } from "xenolith/linux/bio";
import {
  BLK_STS_OK,
  REQ_FUA,
  REQ_NOMERGE_FLAGS,
  REQ_OP_DRV_IN,
  REQ_OP_DRV_OUT,
  REQ_OP_MASK,
  REQ_PREFLUSH,
} from "xenolith/linux/blk_types";
import {
  BLK_MQ_NO_TAG,
  BLK_MQ_REQ_NOWAIT,
  BLK_MQ_REQ_RESERVED,
  BLK_MQ_S_SCHED_RESTART,
  MQ_RQ_COMPLETE,
  MQ_RQ_IDLE,
  MQ_RQ_IN_FLIGHT,
  RQF_FLUSH_SEQ,
  RQF_QUIET,
  RQ_END_IO_FREE,
  RQ_END_IO_NONE,
} from "xenolith/linux/blk-mq";
import type { bio, blk_opf_t, blk_status_t } from "xenolith/linux/blk_types";
import type { blk_mq_ctx, blk_mq_hw_ctx, request, rq_end_io_ret } from "xenolith/linux/blk-mq";
import type { blk_plug, request_queue } from "xenolith/linux/blkdev";
import type { err_ptr } from "xenolith/linux/err";
import type { Sleeps } from "xenolith/linux/sched";
import { wait_or_fail } from "./blk-core";
import { blk_freeze_drained } from "./blk-mq-freeze";
import { blk_insert_flush } from "./blk-flush";
import { bio_fit, bio_split_front, fit_segments } from "./blk-merge";
import {
  blk_mq_insert_head,
  blk_mq_insert_request,
  blk_mq_run_hw_queue,
  blk_mq_try_issue_directly,
} from "./blk-mq-dispatch";
import { blk_attempt_plug_merge, blk_plug_add } from "./blk-plug";
import { blk_mq_sched_bio_merge } from "./blk-mq-ctx";
import {
  current_hctx,
  blk_mq_get_reserved_tag,
  blk_mq_get_tag,
  blk_mq_put_tag,
  blk_mq_wait_for_tag,
} from "./blk-mq-tag";
import { blk_account_io_completion, blk_account_io_done, blk_account_io_whole } from "./blk-stat";
import { blk_status_to_str } from "./blk-status";

// Down: bio to driver.

/**
 * Makes requests of a checked bio and sends or gathers them. False: it would have to wait for a tag or a frozen queue; what is left of the
 * bio (its parts in front may be on their way) is the caller's to submit again. Linux: blk_mq_submit_bio.
 */
export function blk_mq_submit_bio(q: request_queue, bio: bio): boolean {
  const plug = current().plug as blk_plug | null;
  const ctx = q.queue_ctx.length === 1 ? q.queue_ctx[0] : q.queue_ctx[smp_processor_id()];
  for (;;) {
    const size = bio.bi_iter.bi_size;
    const bytes = bio_fit(bio, q.limits);
    const segments = fit_segments;
    if (bytes === 0 && size > 0) {
      bio_io_error(bio);
      return true;
    }
    if (bytes === size && try_merge(q, ctx, plug, bio, segments)) return true;
    const rq = q.mq_freeze_depth > 0 ? null : blk_mq_get_tag(ctx.hctx.tags);
    if (rq === null) return wait_or_fail(bio);
    init_request(rq, q, ctx.hctx);
    if (bytes === size) {
      send(rq, bio, segments, plug);
      return true;
    }
    send(rq, bio_split_front(bio, bytes), segments, plug);
  }
}

/** Whether a request that waits, in the plug or in the software queue, took the bio in. */
function try_merge(q: request_queue, ctx: blk_mq_ctx, plug: blk_plug | null, bio: bio, segments: number): boolean {
  const queued = ctx.rq_list.next !== ctx.rq_list;
  if (!queued && (plug === null || plug.mq_list.head === null)) return false;
  if (q.nomerges || bio.bi_iter.bi_size === 0 || (bio.bi_opf & REQ_NOMERGE_FLAGS) !== 0) return false;
  if (plug !== null && blk_attempt_plug_merge(plug, q, bio, segments)) return true;
  return queued && blk_mq_sched_bio_merge(q, ctx, bio, segments);
}

/** What is the same for requests of bios and of drivers. */
function init_request(rq: request, q: request_queue, hctx: blk_mq_hw_ctx): void {
  rq.q = q;
  rq.mq_hctx = hctx;
  rq.tag = rq.internal_tag;
  rq.state = MQ_RQ_IDLE;
  rq.single_vec = null;
  q.q_usage++;
}

/** Puts the bio into the request and the request on its way. */
function send(rq: request, bio: bio, segments: number, plug: blk_plug | null): void {
  const opf = bio.bi_opf;
  charge(COST_REQUEST_DISPATCH);
  rq.cmd_flags = opf;
  rq.__sector = bio.bi_iter.bi_sector;
  rq.__data_len = bio.bi_iter.bi_size;
  rq.nr_phys_segments = segments;
  rq.bio = bio;
  rq.biotail = bio;
  rq.part = bio.bi_bdev;
  rq.start_time_ns = local_clock();
  if ((opf & (REQ_FUA | REQ_PREFLUSH)) !== 0 && blk_insert_flush(rq)) return;
  if (plug !== null) blk_plug_add(plug, rq);
  else blk_mq_try_issue_directly(rq.mq_hctx, rq, true);
}

// Requests of a driver's own.

export function* blk_mq_alloc_request(q: request_queue, opf: blk_opf_t, flags: number): Sleeps<request | err_ptr> {
  for (;;) {
    if (q.dying) return -ENODEV;
    if (q.mq_freeze_depth === 0) {
      const hctx = current_hctx(q);
      const reserved = (flags & BLK_MQ_REQ_RESERVED) !== 0;
      const rq = reserved ? blk_mq_get_reserved_tag(hctx.tags) : blk_mq_get_tag(hctx.tags);
      if (rq !== null) return init_passthrough(rq, q, hctx, opf);
    }
    if ((flags & BLK_MQ_REQ_NOWAIT) !== 0) return -EWOULDBLOCK;
    if (q.mq_freeze_depth > 0) yield* wait_event(q.mq_freeze_wq, () => q.mq_freeze_depth === 0 || q.dying);
    else yield* blk_mq_wait_for_tag(q, (flags & BLK_MQ_REQ_RESERVED) !== 0 ? "reserved" : "normal");
  }
}
EXPORT_SYMBOL(blk_mq_alloc_request);

function init_passthrough(rq: request, q: request_queue, hctx: blk_mq_hw_ctx, opf: blk_opf_t): request {
  init_request(rq, q, hctx);
  rq.cmd_flags = opf;
  rq.nr_phys_segments = 0;
  rq.part = null;
  rq.bio = null;
  rq.biotail = null;
  rq.__data_len = 0;
  rq.__sector = -1;
  return rq;
}

export function blk_execute_rq_nowait(rq: request, at_head: boolean): void {
  if (at_head) blk_mq_insert_head(rq);
  else blk_mq_insert_request(rq);
  blk_mq_run_hw_queue(rq.mq_hctx, false);
}
EXPORT_SYMBOL(blk_execute_rq_nowait);

/** Where blk_execute_rq waits. */
class blk_rq_wait {
  readonly done = new completion();
  status: blk_status_t = BLK_STS_OK;
}

function blk_end_sync_rq(rq: request, error: blk_status_t): rq_end_io_ret {
  const wait = rq.end_io_data as blk_rq_wait;
  wait.status = error;
  complete(wait.done);
  return RQ_END_IO_NONE;
}

export function* blk_execute_rq(rq: request, at_head: boolean): Sleeps<blk_status_t> {
  const wait = new blk_rq_wait();
  rq.end_io = blk_end_sync_rq;
  rq.end_io_data = wait;
  blk_execute_rq_nowait(rq, at_head);
  yield* wait_for_completion_io(wait.done);
  return wait.status;
}
EXPORT_SYMBOL(blk_execute_rq);

// With the driver.

/** Our own bug: somebody uses a request that is not his. */
export function bad_request(rq: request, what: string): never {
  const disk = rq.q?.disk?.disk_name ?? "(none)";
  pr_emerg("block: %s: request %d %s\n", disk, rq.internal_tag, what);
  return BUG();
}

export function blk_mq_bad_start(rq: request): never {
  return bad_request(rq, rq.tag !== BLK_MQ_NO_TAG ? "started twice" : "started after it ended");
}
EXPORT_SYMBOL(blk_mq_bad_start);

export function blk_mq_complete_request(rq: request): void {
  if (rq.state !== MQ_RQ_IN_FLIGHT) bad_request(rq, "completed twice, or without having been started");
  rq.state = MQ_RQ_COMPLETE;
  const done = rq.mq_hctx.ops.complete;
  if (done !== undefined) done(rq);
  else blk_mq_end_request(rq, BLK_STS_OK);
}
EXPORT_SYMBOL(blk_mq_complete_request);

// Up: driver to bio.

export function blk_mq_end_request(rq: request, error: blk_status_t): void {
  if (rq.tag === BLK_MQ_NO_TAG) bad_request(rq, "ended twice: refcount_t: underflow; use-after-free.");
  const bio = rq.bio;
  // The common case, one bio that is done as a whole, without the walk of blk_update_request.
  if (bio !== null && error === BLK_STS_OK && bio === rq.biotail && (rq.rq_flags & RQF_FLUSH_SEQ) === 0) {
    const bytes = rq.__data_len;
    const iter = bio.bi_iter;
    if (rq.part !== null) blk_account_io_whole(rq, rq.part, bytes / 512);
    rq.bio = null;
    rq.__data_len = 0;
    iter.bi_sector += bytes / 512;
    iter.bi_size = 0;
    bio_endio(bio);
  } else if (blk_update_request(rq, error, rq.__data_len)) BUG();
  __blk_mq_end_request(rq, error);
}
EXPORT_SYMBOL(blk_mq_end_request);

export function __blk_mq_end_request(rq: request, error: blk_status_t): void {
  charge(COST_REQUEST_COMPLETE);
  if (rq.part !== null) blk_account_io_done(rq);
  const end_io = rq.end_io;
  if (end_io === null || end_io(rq, error) === RQ_END_IO_FREE) blk_mq_free_request(rq);
}
EXPORT_SYMBOL(__blk_mq_end_request);

export function blk_mq_free_request(rq: request): void {
  const hctx = rq.mq_hctx;
  if (rq.tag === BLK_MQ_NO_TAG) bad_request(rq, "freed twice: refcount_t: underflow; use-after-free.");
  rq.state = MQ_RQ_IDLE;
  rq.tag = BLK_MQ_NO_TAG;
  rq.bio = null;
  rq.biotail = null;
  // As the next user expects it.
  rq.rq_flags = 0;
  rq.timeout = 0;
  rq.end_io = null;
  blk_mq_put_tag(hctx.tags, rq);
  if ((hctx.state & BLK_MQ_S_SCHED_RESTART) !== 0) {
    hctx.state &= ~BLK_MQ_S_SCHED_RESTART;
    blk_mq_run_hw_queue(hctx, true);
  }
  const q = rq.q;
  if (--q.q_usage === 0 && q.mq_freeze_depth > 0) blk_freeze_drained(q);
}
EXPORT_SYMBOL(blk_mq_free_request);

export function blk_update_request(rq: request, error: blk_status_t, nr_bytes: number): boolean {
  if (rq.tag === BLK_MQ_NO_TAG) bad_request(rq, "used after it ended");
  if (rq.bio === null) return false;
  if (error !== BLK_STS_OK && (rq.rq_flags & RQF_QUIET) === 0) print_error(rq, error);
  blk_account_io_completion(rq, nr_bytes);
  let left = nr_bytes;
  while (rq.bio !== null && (left > 0 || rq.bio.bi_iter.bi_size === 0)) {
    const bio: bio = rq.bio;
    const bytes = Math.min(bio.bi_iter.bi_size, left);
    if (bytes === bio.bi_iter.bi_size) rq.bio = bio.bi_next;
    end_bytes(rq, bio, bytes, error);
    left -= bytes;
  }
  return account_rest(rq, nr_bytes - left);
}
EXPORT_SYMBOL(blk_update_request);

/** Ends part or all of a bio. A data request of the flush machinery keeps its bio until the sequence is over. Linux: req_bio_endio. */
function end_bytes(rq: request, bio: bio, bytes: number, error: blk_status_t): void {
  if (error !== BLK_STS_OK) bio.bi_status = error;
  bio_advance(bio, bytes);
  if (bio.bi_iter.bi_size !== 0 || (rq.rq_flags & RQF_FLUSH_SEQ) !== 0) return;
  bio.bi_next = null;
  bio_endio(bio);
}

/** Moves the request past what ended; true if something is left. */
function account_rest(rq: request, total: number): boolean {
  rq.single_vec = null;
  if (rq.bio === null) {
    rq.__data_len = 0;
    return false;
  }
  rq.__data_len -= total;
  if (rq.__sector >= 0) rq.__sector += Math.floor(total / 512);
  return true;
}

const OP_NAMES: Readonly<Record<number, string>> = {
  0: "READ",
  1: "WRITE",
  2: "FLUSH",
  3: "DISCARD",
  5: "SECURE_ERASE",
  7: "ZONE_APPEND",
  9: "WRITE_ZEROES",
};

/** The line that a user looks for. Linux: blk_print_req_error. */
function print_error(rq: request, status: blk_status_t): void {
  const op = rq.cmd_flags & REQ_OP_MASK;
  if (op === REQ_OP_DRV_IN || op === REQ_OP_DRV_OUT) return;
  pr_err_ratelimited(
    "%s error, dev %s, sector %llu op 0x%x:(%s) flags 0x%x phys_seg %u prio class %u\n",
    blk_status_to_str(status),
    rq.q.disk?.disk_name ?? "?",
    rq.__sector,
    op,
    OP_NAMES[op] ?? "UNKNOWN",
    (rq.cmd_flags & ~REQ_OP_MASK) >>> 0,
    rq.nr_phys_segments,
    2,
  );
}
