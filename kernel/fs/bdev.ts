/**
 * Block devices as files: direct I/O straight between the caller's pages and the device, buffered I/O through the page cache
 * (Linux block/fops.c).
 *
 * A direct write with O_DSYNC asks for FUA and is followed by a flush of the file, which is what Linux does.
 */
import { EINVAL, ENOSPC, ENOTTY, ENXIO, EPERM } from "xenolith/linux/errno";
import { BIO_MAX_VECS, bio_add_page, bio_alloc, bio_put, blk_status_to_errno, submit_bio } from "xenolith/linux/bio";
import {
  BLK_OPEN_READ,
  BLK_OPEN_WRITE,
  REQ_FUA,
  REQ_IDLE,
  REQ_OP_READ,
  REQ_OP_WRITE,
  REQ_SYNC,
  type bio,
  type block_device,
} from "xenolith/linux/blk_types";
import {
  bdev_logical_block_size,
  bdev_nr_bytes,
  bdev_open,
  bdev_read_only,
  bdev_release,
  blk_finish_plug,
  blk_plug,
  blk_start_plug,
  blkdev_get_no_open,
  blkdev_ioctl,
  blkdev_issue_discard,
  blkdev_issue_flush,
  blkdev_issue_secure_erase,
} from "xenolith/linux/blkdev";
import { complete, completion, wait_for_completion } from "xenolith/linux/completion";
import {
  BLKDISCARD,
  BLKFLSBUF,
  BLKGETSIZE64,
  BLKROGET,
  BLKSECDISCARD,
  BLKSSZGET,
  FMODE_WRITE,
  O_DIRECT,
  O_DSYNC,
  type file,
  type file_operations,
} from "xenolith/linux/fs";
import { GFP_KERNEL } from "xenolith/linux/gfp";
import type { Sleeps } from "xenolith/linux/sched";
import type { Ptr, loff_t } from "xenolith/linux/types";
import { iov_iter_advance, iov_iter_page, iov_iter_single_seg_count, type iov_iter } from "xenolith/linux/uio";
import { filemap_read, filemap_write, filemap_write_and_wait, invalidate_range } from "./filemap";

/** One direct read or write: several bios, one waiter. */
class blkdev_dio {
  pending = 1;
  error = 0;
  readonly done = new completion();
}

function blkdev_bio_end_io(ended: bio): void {
  const dio = ended.bi_private as blkdev_dio;
  if (ended.bi_status !== 0 && dio.error === 0) dio.error = blk_status_to_errno(ended.bi_status);
  bio_put(ended);
  if (--dio.pending === 0) complete(dio.done);
}

/** Moves all of `iter` between its pages and the device. Returns 0 or a negative errno. Linux: __blkdev_direct_IO. */
function* direct_io(bdev: block_device, iter: iov_iter, pos: loff_t, opf: number): Sleeps<number> {
  const dio = new blkdev_dio();
  const plug = new blk_plug();
  let sector = pos / 512;
  blk_start_plug(plug);
  while (iter.count > 0) {
    const vecs = Math.min(BIO_MAX_VECS, Math.ceil(((iter.iov_offset & 4095) + iter.count) / 4096));
    const part = bio_alloc(bdev, vecs, opf, GFP_KERNEL);
    part.bi_iter.bi_sector = sector;
    part.bi_end_io = blkdev_bio_end_io;
    part.bi_private = dio;
    for (let i = 0; i < vecs && iter.count > 0; i++) {
      const length = iov_iter_single_seg_count(iter);
      if (bio_add_page(part, iov_iter_page(iter), length, iter.iov_offset & 4095) === 0) break;
      iov_iter_advance(iter, length);
      sector += length / 512;
    }
    dio.pending++;
    yield* submit_bio(part);
  }
  blk_finish_plug(plug);
  if (--dio.pending !== 0) yield* wait_for_completion(dio.done);
  return dio.error;
}

function bdev_of(opened: file): block_device {
  return opened.private_data as block_device;
}

/** Whether a direct transfer is aligned to the device's blocks. */
function is_aligned(bdev: block_device, iter: iov_iter, pos: loff_t): boolean {
  const mask = bdev_logical_block_size(bdev) - 1;
  return (pos & mask) === 0 && (iter.count & mask) === 0 && (iter.iov_offset & 511) === 0;
}

/** Cuts the transfer to what the device holds. Returns false if nothing is left. */
function clamp_to_device(bdev: block_device, iter: iov_iter, pos: loff_t): boolean {
  const left = bdev_nr_bytes(bdev) - pos;
  if (iter.count > left) iter.count = left < 0 ? 0 : left;
  return iter.count > 0;
}

function* blkdev_read_iter(opened: file, iter: iov_iter, pos: Ptr<loff_t>): Sleeps<number> {
  const bdev = bdev_of(opened);
  if (iter.count === 0 || !clamp_to_device(bdev, iter, pos.value)) return 0;
  if ((opened.f_flags & O_DIRECT) === 0) return yield* filemap_read(bdev, iter, pos);
  if (!is_aligned(bdev, iter, pos.value)) return -EINVAL;
  const count = iter.count;
  let error = yield* filemap_write_and_wait(bdev);
  if (error === 0) error = yield* direct_io(bdev, iter, pos.value, REQ_OP_READ);
  if (error !== 0) return error;
  pos.value += count;
  return count;
}

function* blkdev_write_iter(opened: file, iter: iov_iter, pos: Ptr<loff_t>): Sleeps<number> {
  const bdev = bdev_of(opened);
  if (bdev_read_only(bdev)) return -EPERM;
  if (iter.count === 0) return 0;
  if (!clamp_to_device(bdev, iter, pos.value)) return -ENOSPC;
  const written = yield* write_some(opened, bdev, iter, pos);
  if (written > 0 && (opened.f_flags & O_DSYNC) !== 0) {
    const error = yield* blkdev_fsync(opened);
    if (error !== 0) return error;
  }
  return written;
}

function* write_some(opened: file, bdev: block_device, iter: iov_iter, pos: Ptr<loff_t>): Sleeps<number> {
  if ((opened.f_flags & O_DIRECT) === 0) return yield* filemap_write(bdev, iter, pos);
  if (!is_aligned(bdev, iter, pos.value)) return -EINVAL;
  const count = iter.count;
  const dsync = (opened.f_flags & O_DSYNC) !== 0 ? REQ_FUA : 0;
  let error = yield* filemap_write_and_wait(bdev);
  invalidate_range(bdev, pos.value, pos.value + count);
  if (error === 0) error = yield* direct_io(bdev, iter, pos.value, REQ_OP_WRITE | REQ_SYNC | REQ_IDLE | dsync);
  if (error !== 0) return error;
  pos.value += count;
  return count;
}

/** Writes back what is dirty, then flushes the device's cache. Linux: blkdev_fsync. */
function* blkdev_fsync(opened: file): Sleeps<number> {
  const bdev = bdev_of(opened);
  const error = yield* filemap_write_and_wait(bdev);
  return error !== 0 ? error : yield* blkdev_issue_flush(bdev);
}

function* discard(bdev: block_device, arg: unknown, cmd: number): Sleeps<number> {
  const [start, length] = arg as [number, number];
  if (((start | length) & 511) !== 0 || length === 0 || start + length > bdev_nr_bytes(bdev)) return -EINVAL;
  if (bdev_read_only(bdev)) return -EPERM;
  invalidate_range(bdev, start, start + length);
  if (cmd === BLKDISCARD) return yield* blkdev_issue_discard(bdev, start / 512, length / 512, GFP_KERNEL);
  return yield* blkdev_issue_secure_erase(bdev, start / 512, length / 512, GFP_KERNEL);
}

/** BLKDISCARD and BLKSECDISCARD take `[start, length]` in bytes; BLKGETSIZE64, BLKSSZGET and BLKROGET store into a `Ptr<number>`. */
function* ioctl(opened: file, cmd: number, arg: unknown): Sleeps<number> {
  const bdev = bdev_of(opened);
  switch (cmd) {
    case BLKDISCARD:
    case BLKSECDISCARD:
      return (opened.f_mode & FMODE_WRITE) === 0 ? -EPERM : yield* discard(bdev, arg, cmd);
    case BLKFLSBUF: {
      const error = yield* filemap_write_and_wait(bdev);
      invalidate_range(bdev, 0, Number.MAX_SAFE_INTEGER);
      return error;
    }
    case BLKGETSIZE64:
      (arg as Ptr<number>).value = bdev_nr_bytes(bdev);
      return 0;
    case BLKSSZGET:
      (arg as Ptr<number>).value = bdev_logical_block_size(bdev);
      return 0;
    case BLKROGET:
      (arg as Ptr<number>).value = bdev_read_only(bdev) ? 1 : 0;
      return 0;
    default: {
      const status = yield* blkdev_ioctl(bdev, opened.f_mode & 3, cmd, arg);
      return status === -EINVAL ? -ENOTTY : status;
    }
  }
}

/** The mode of opening that a file's mode asks for. */
function open_mode(opened: file): number {
  const write = (opened.f_mode & FMODE_WRITE) !== 0;
  return ((opened.f_mode & 1) !== 0 ? BLK_OPEN_READ : 0) | (write ? BLK_OPEN_WRITE : 0);
}

/** What can be done to an open block device. */
export const def_blk_fops: file_operations = {
  *open(node, opened) {
    const bdev = blkdev_get_no_open(node.i_rdev);
    if (bdev === null) return -ENXIO;
    opened.private_data = bdev;
    // A read-only device may be opened for writing through its file; the write is what fails.
    return yield* bdev_open(bdev, bdev_read_only(bdev) ? BLK_OPEN_READ : open_mode(opened), null, null);
  },
  read_iter: blkdev_read_iter,
  write_iter: blkdev_write_iter,
  fsync: blkdev_fsync,
  ioctl,
  *release(_node, opened) {
    const bdev = bdev_of(opened);
    yield* filemap_write_and_wait(bdev);
    if (bdev.bd_openers === 1) invalidate_range(bdev, 0, Number.MAX_SAFE_INTEGER);
    yield* bdev_release(bdev, open_mode(opened), null);
  },
};
