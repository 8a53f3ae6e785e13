/**
 * Submission: the checks that every bio passes, and the loop that turns recursion into a list.
 *
 *   submit_bio -> checks (once) -> [inside another submission: append to its list] -> driver's submit_bio or blk-mq -> the list, to its end
 *
 * Submission is plain code from beginning to end, so one list serves the whole domain: whoever nests inside a running submission (a driver, an
 * end_io, another CPU at a preemption point) leaves the bio to the outermost one. What would have to wait there goes to a worker.
 */
import { COST_BIO_SUBMIT } from "../../hal/abi/control";
import { EXPORT_SYMBOL } from "xenolith/linux/export";
import { pr_info_ratelimited, pr_warn, pr_warn_once } from "xenolith/linux/printk";
import { charge } from "xenolith/linux/ktime";
import { wait_event } from "xenolith/linux/wait";
import { complete, completion, wait_for_completion_io } from "xenolith/linux/completion";
import { INIT_WORK, queue_work, system_highpri_wq, work_struct } from "xenolith/linux/workqueue";
import { bio_endio, bio_io_error, bio_list, bio_list_add, bio_list_pop } from "xenolith/linux/bio";
import {
  BD_RO_WARNED,
  BIO_CHECKED,
  BIO_REMAPPED,
  BLK_STS_AGAIN,
  BLK_STS_IOERR,
  BLK_STS_NOTSUPP,
  BLK_STS_OK,
  REQ_FUA,
  REQ_NOWAIT,
  REQ_OP_DISCARD,
  REQ_OP_MASK,
  REQ_OP_SECURE_ERASE,
  REQ_OP_WRITE,
  REQ_OP_WRITE_ZEROES,
  REQ_OP_ZONE_APPEND,
  REQ_PREFLUSH,
  REQ_SYNC,
  SECTOR_SHIFT,
  SECTOR_SIZE,
  op_is_flush,
} from "xenolith/linux/blk_types";
import { BLK_FEAT_NOWAIT, GD_DEAD, bdev_name, bdev_read_only, bdev_write_cache } from "xenolith/linux/blkdev";
import type { bio, blk_status_t } from "xenolith/linux/blk_types";
import type { request_queue } from "xenolith/linux/blkdev";
import type { Sleeps } from "xenolith/linux/sched";
import { blk_mq_submit_bio } from "./blk-mq";
import { submit_bio_nowait } from "./blk-mq-plain";
import { blk_freeze_drained } from "./blk-mq-freeze";
import { blk_mq_pass_on_tag, blk_mq_wait_for_tag } from "./blk-mq-tag";
import { blk_status_to_errno } from "./blk-status";

/** A driver's submission is running, and these bios came meanwhile. */
export let submitting = false;
const nested = new bio_list();

/** Bios that have to wait, and cannot where they were submitted. */
const deferred = new bio_list();
const deferred_work = new work_struct();

/** What makes an operation special, so that it goes the long way: more than a direction, and the flags that are looked at. */
const NOT_A_TRANSFER = (REQ_OP_MASK & ~REQ_OP_WRITE) | REQ_NOWAIT | REQ_PREFLUSH | REQ_FUA;

/** submit_bio_nowait for any bio. Linux: submit_bio and submit_bio_noacct. */
export function submit_bio_any(bio: bio): boolean {
  const submit = bio.bi_bdev.bd_queue.plain_submit;
  if (submit !== null && !submitting && submit_plain(bio, submit)) return true;
  if ((bio.bi_flags & BIO_CHECKED) === 0) {
    charge(COST_BIO_SUBMIT);
    if (!check_bio(bio)) return true;
  }
  if (submitting) {
    bio_list_add(nested, bio);
    return true;
  }
  submitting = true;
  const taken = submit_one(bio);
  if (nested.head !== null) submit_nested();
  submitting = false;
  return taken;
}

/**
 * Hands a plain read or write of a whole disk to the driver of a queue without requests, `submit`: all that the long way does for such a bio.
 * False: it is special, and nothing was done.
 */
function submit_plain(bio: bio, submit: (bio: bio) => void): boolean {
  const bdev = bio.bi_bdev;
  const opf = bio.bi_opf;
  if (bio.bi_flags !== 0 || (opf & NOT_A_TRANSFER) !== 0 || bdev.bd_partno !== 0) return false;
  const iter = bio.bi_iter;
  const size = iter.bi_size;
  const sector = iter.bi_sector;
  if (size === 0 || (size & (SECTOR_SIZE - 1)) !== 0) return false;
  if (sector < 0 || sector + (size >>> SECTOR_SHIFT) > bdev.bd_nr_sectors) return false;
  if ((opf & REQ_OP_WRITE) !== 0 && bdev_read_only(bdev)) return false;
  const q = bdev.bd_queue;
  bio.bi_flags = BIO_CHECKED;
  charge(COST_BIO_SUBMIT);
  submitting = true;
  q.q_usage++;
  submit(bio);
  blk_queue_exit(q);
  if (nested.head !== null) submit_nested();
  submitting = false;
  return true;
}

export function* submit_bio(bio: bio): Sleeps<void> {
  const q = bio.bi_bdev.bd_queue;
  if (submit_bio_nowait(bio)) return;
  do {
    yield* wait_for_queue(bio);
  } while (!submit_bio_nowait(bio));
  if (q.mq_ops !== null) blk_mq_pass_on_tag(q);
}
EXPORT_SYMBOL(submit_bio);

export function submit_bio_noacct(bio: bio): void {
  if (!submit_bio_nowait(bio)) defer(bio);
}
EXPORT_SYMBOL(submit_bio_noacct);

/** The rest of a submission: bios that drivers and completions submitted meanwhile, in their order. */
function submit_nested(): void {
  for (let bio = bio_list_pop(nested); bio !== null; bio = bio_list_pop(nested)) {
    if (!submit_one(bio)) defer(bio);
  }
}

function defer(bio: bio): void {
  bio_list_add(deferred, bio);
  if (deferred_work.func === null) INIT_WORK(deferred_work, submit_deferred);
  queue_work(system_highpri_wq, deferred_work);
}

function* submit_deferred(): Sleeps<void> {
  for (let bio = bio_list_pop(deferred); bio !== null; bio = bio_list_pop(deferred)) yield* submit_bio(bio);
}

/** Hands a checked bio to its queue. False: nothing (more) of it was taken, since that would have to wait. */
function submit_one(bio: bio): boolean {
  const bdev = bio.bi_bdev;
  const q = bdev.bd_queue;
  const disk = bdev.bd_disk;
  if (q.dying || (disk.state & (1 << GD_DEAD)) !== 0) {
    bio_io_error(bio);
    return true;
  }
  if (q.mq_ops !== null) {
    if (!is_aligned(q, bio)) bio_io_error(bio);
    else return blk_mq_submit_bio(q, bio);
    return true;
  }
  if (q.mq_freeze_depth > 0) return wait_or_fail(bio);
  const submit = disk.fops.submit_bio;
  if (submit === undefined || !is_aligned(q, bio)) bio_io_error(bio);
  else {
    q.q_usage++;
    submit(bio);
    blk_queue_exit(q);
  }
  return true;
}

/** A bio that must not wait fails at once. Returns whether it did. */
export function wait_or_fail(bio: bio): boolean {
  if ((bio.bi_opf & REQ_NOWAIT) === 0) return false;
  refuse(bio, BLK_STS_AGAIN);
  return true;
}

/** Gives back an entry to the queue; the last one out tells whoever freezes it. Linux: blk_queue_exit. */
export function blk_queue_exit(q: request_queue): void {
  if (--q.q_usage === 0 && q.mq_freeze_depth > 0) blk_freeze_drained(q);
}

/** Sleeps until a submission of `bio` may be tried again. */
function* wait_for_queue(bio: bio): Sleeps<void> {
  const q = bio.bi_bdev.bd_queue;
  if (q.mq_freeze_depth > 0) yield* wait_event(q.mq_freeze_wq, () => q.mq_freeze_depth === 0 || q.dying);
  else if (q.mq_ops !== null) yield* blk_mq_wait_for_tag(q, "normal");
}

/** Ends a bio that fails a check, or that nothing is left to do for. Always false: "do not go on". */
function refuse(bio: bio, status: blk_status_t): false {
  bio.bi_status = status;
  bio_endio(bio);
  return false;
}

/** Whether start and length are multiples of the logical block. */
function is_aligned(q: request_queue, bio: bio): boolean {
  const block = q.limits.logical_block_size;
  const iter = bio.bi_iter;
  if (block === SECTOR_SIZE) return (iter.bi_size & 511) === 0;
  return iter.bi_size % block === 0 && (iter.bi_sector * SECTOR_SIZE) % block === 0;
}

/**
 * The checks that do not depend on the queue's state, in Linux's order (submit_bio_noacct), and the move from the partition to the disk.
 * False: the bio has been ended.
 */
function check_bio(bio: bio): boolean {
  const bdev = bio.bi_bdev;
  const iter = bio.bi_iter;
  // Half of the checks are for what a plain read never is: one test for all of them.
  const plain = (bio.bi_opf & NOT_PLAIN) === 0;
  if (!plain && !check_first(bio)) return false;
  const sectors = iter.bi_size / SECTOR_SIZE;
  const sector = iter.bi_sector;
  if ((sector > bdev.bd_nr_sectors - sectors || sector < 0) && sectors !== 0 && beyond_end(bio, sectors)) {
    return refuse(bio, BLK_STS_IOERR);
  }
  if (bdev.bd_partno !== 0 && (bio.bi_flags & BIO_REMAPPED) === 0) {
    iter.bi_sector += bdev.bd_start_sect;
    bio.bi_flags |= BIO_REMAPPED;
  }
  if (!plain && !check_last(bio)) return false;
  bio.bi_flags |= BIO_CHECKED;
  return true;
}

/** What a plain read has none of: any other operation, and the flags that are looked at. */
const NOT_PLAIN = REQ_OP_MASK | REQ_NOWAIT | REQ_PREFLUSH | REQ_FUA;

/** The checks that come before that of the place. False: the bio has been ended. */
function check_first(bio: bio): boolean {
  if ((bio.bi_opf & REQ_NOWAIT) !== 0 && (bio.bi_bdev.bd_queue.limits.features & BLK_FEAT_NOWAIT) === 0) {
    return refuse(bio, BLK_STS_NOTSUPP);
  }
  if ((bio.bi_opf & 1) !== 0) warn_read_only(bio);
  return true;
}

/** The checks that come after that of the place. False: the bio has been ended. */
function check_last(bio: bio): boolean {
  if ((bio.bi_opf & (REQ_PREFLUSH | REQ_FUA)) !== 0 && !check_flush(bio)) return false;
  const op = bio.bi_opf & REQ_OP_MASK;
  return op <= REQ_OP_WRITE || check_op(bio, op);
}

/** A write to a read-only device is told once and goes on: refusing it is the business of whoever opens. Linux: bio_check_ro. */
function warn_read_only(bio: bio): void {
  const bdev = bio.bi_bdev;
  if (!bdev_read_only(bdev) || (op_is_flush(bio.bi_opf) && bio.bi_iter.bi_size === 0)) return;
  if ((bdev.bd_flags & BD_RO_WARNED) !== 0) return;
  bdev.bd_flags |= BD_RO_WARNED;
  pr_warn("Trying to write to read-only block-device %s\n", bdev_name(bdev));
}

/** Linux: bio_check_eod. A remapped bio has been checked against its partition; a device of size 0 has another say. */
function beyond_end(bio: bio, sectors: number): boolean {
  const size = bio.bi_bdev.bd_nr_sectors;
  if (size === 0 || (bio.bi_flags & BIO_REMAPPED) !== 0) return false;
  pr_info_ratelimited(
    "attempt to access beyond end of device\n%s: rw=%d, sector=%llu, nr_sectors = %u limit=%llu\n",
    bdev_name(bio.bi_bdev),
    bio.bi_opf,
    bio.bi_iter.bi_sector,
    sectors,
    size,
  );
  return true;
}

/** PREFLUSH and FUA: only with writes; dropped without a write cache. False: the bio has been ended. */
function check_flush(bio: bio): boolean {
  const op = bio.bi_opf & REQ_OP_MASK;
  if (op !== REQ_OP_WRITE && op !== REQ_OP_ZONE_APPEND) {
    pr_warn_once("block: PREFLUSH or FUA on operation %u\n", op);
    return refuse(bio, BLK_STS_IOERR);
  }
  if (bdev_write_cache(bio.bi_bdev)) return true;
  bio.bi_opf &= ~(REQ_PREFLUSH | REQ_FUA);
  if (bio.bi_iter.bi_size > 0) return true;
  return refuse(bio, BLK_STS_OK);
}

/** Whether the device can do the operation. False: the bio has been ended. */
function check_op(bio: bio, op: number): boolean {
  const lim = bio.bi_bdev.bd_queue.limits;
  let supported = false;
  if (op === REQ_OP_DISCARD) supported = lim.max_discard_sectors > 0;
  else if (op === REQ_OP_SECURE_ERASE) supported = lim.max_secure_erase_sectors > 0;
  else if (op === REQ_OP_WRITE_ZEROES) supported = lim.max_write_zeroes_sectors > 0;
  // REQ_OP_FLUSH belongs to the flush machinery; no device has zones.
  return supported || refuse(bio, BLK_STS_NOTSUPP);
}

function submit_bio_wait_endio(bio: bio): void {
  complete(bio.bi_private as completion);
}

export function* submit_bio_wait(bio: bio): Sleeps<number> {
  const done = new completion();
  bio.bi_private = done;
  bio.bi_end_io = submit_bio_wait_endio;
  bio.bi_opf |= REQ_SYNC;
  if (!submit_bio_nowait(bio)) yield* submit_bio(bio);
  yield* wait_for_completion_io(done);
  return blk_status_to_errno(bio.bi_status);
}
EXPORT_SYMBOL(submit_bio_wait);
