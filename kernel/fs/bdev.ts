/**
 * Block devices as files: direct I/O straight between the caller's pages and the device, buffered I/O through the page cache
 * (Linux block/fops.c and block/ioctl.c).
 *
 * A direct write with O_DSYNC asks for FUA and is followed by a flush of the file, which is what Linux does. Direct and buffered I/O on one
 * range see each other: what is dirty there is written first, and a direct write drops what the cache has of it, before and after.
 */
import { EBADF, EINVAL, ENOSPC, ENXIO, EOPNOTSUPP, EPERM } from "xenolith/linux/errno";
import {
  BIO_MAX_VECS,
  bio_add_page,
  bio_alloc,
  bio_put,
  blk_status_to_errno,
  submit_bio,
  submit_bio_nowait,
} from "xenolith/linux/bio";
import {
  BD_READ_ONLY,
  BLK_OPEN_EXCL,
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
  BLKDEV_ZERO_NOUNMAP,
  bdev_is_partition,
  bdev_limits,
  bdev_logical_block_size,
  bdev_max_discard_sectors,
  bdev_max_secure_erase_sectors,
  bdev_nr_bytes,
  bdev_open,
  bdev_physical_block_size,
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
  blkdev_issue_zeroout,
  disk_scan_partitions,
} from "xenolith/linux/blkdev";
import { complete, completion, wait_for_completion_io } from "xenolith/linux/completion";
import {
  BLKDISCARD,
  BLKFLSBUF,
  BLKGETSIZE64,
  BLKPBSZGET,
  BLKROGET,
  BLKROSET,
  BLKRRPART,
  BLKSECDISCARD,
  BLKSSZGET,
  BLKZEROOUT,
  FMODE_READ,
  FMODE_WRITE,
  O_DIRECT,
  O_DSYNC,
  O_EXCL,
  type file,
  type file_operations,
} from "xenolith/linux/fs";
import { GFP_KERNEL } from "xenolith/linux/gfp";
import type { Sleeps } from "xenolith/linux/sched";
import type { Ptr, loff_t } from "xenolith/linux/types";
import { iov_iter_advance, iov_iter_page, iov_iter_single_seg_count, type iov_iter } from "xenolith/linux/uio";
import { filemap_read, filemap_write } from "./filemap";
import { INDEX_MAX, invalidate_pages, mapping_of, truncate_pages } from "./mapping";
import { file_sample_wb_err, file_write_and_wait, filemap_write_and_wait_range } from "./writeback";

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

/** A bio over as much of what is left of `iter` as fits, which is then taken from it. Linux: bio_iov_iter_get_pages. */
function direct_bio(bdev: block_device, iter: iov_iter, opf: number): bio {
  const vecs = Math.min(BIO_MAX_VECS, Math.ceil(((iter.iov_offset & 4095) + iter.count) / 4096));
  const part = bio_alloc(bdev, vecs, opf, GFP_KERNEL);
  for (let i = 0; i < vecs; i++) {
    const length = iov_iter_single_seg_count(iter);
    bio_add_page(part, iov_iter_page(iter), length, iter.iov_offset & 4095);
    iov_iter_advance(iter, length);
  }
  return part;
}

/** Moves all of `iter` between its pages and the device. Returns 0 or a negative errno. Linux: __blkdev_direct_IO. */
function* direct_io(bdev: block_device, iter: iov_iter, pos: loff_t, opf: number): Sleeps<number> {
  const dio = new blkdev_dio();
  const plug = new blk_plug();
  let sector = pos / 512;
  blk_start_plug(plug);
  while (iter.count > 0) {
    const part = direct_bio(bdev, iter, opf);
    part.bi_iter.bi_sector = sector;
    part.bi_end_io = blkdev_bio_end_io;
    part.bi_private = dio;
    sector += part.bi_iter.bi_size / 512;
    dio.pending++;
    if (!submit_bio_nowait(part)) yield* submit_bio(part);
  }
  blk_finish_plug(plug);
  if (--dio.pending !== 0) yield* wait_for_completion_io(dio.done);
  return dio.error;
}

function bdev_of(opened: file): block_device {
  return opened.private_data as block_device;
}

/** Whether place and length are whole logical blocks, and memory is aligned as the device needs it. Linux: blkdev_dio_unaligned. */
function is_aligned(bdev: block_device, iter: iov_iter, pos: loff_t): boolean {
  const mask = bdev_logical_block_size(bdev) - 1;
  return (pos & mask) === 0 && (iter.count & mask) === 0 && (iter.iov_offset & bdev_limits(bdev).dma_alignment) === 0;
}

/** Cuts the transfer to what the device holds. Returns how many bytes were cut off. Linux: iov_iter_truncate. */
function truncate_to_device(bdev: block_device, iter: iov_iter, pos: loff_t): number {
  const cut = Math.min(Math.max(pos + iter.count - bdev_nr_bytes(bdev), 0), iter.count);
  iter.count -= cut;
  return cut;
}

/** Drops what the cache has of bytes `start` to `end` and is not dirty. */
function invalidate_bytes(bdev: block_device, start: loff_t, end: loff_t): void {
  if (bdev.bd_mapping !== null) {
    invalidate_pages(mapping_of(bdev), Math.floor(start / 4096), Math.ceil(end / 4096) - 1);
  }
}

function* blkdev_read_iter(opened: file, iter: iov_iter, pos: Ptr<loff_t>): Sleeps<number> {
  const bdev = bdev_of(opened);
  const cut = truncate_to_device(bdev, iter, pos.value);
  let result = 0;
  if (iter.count > 0) {
    const direct = (opened.f_flags & O_DIRECT) !== 0;
    result = yield* direct ? direct_read(bdev, iter, pos) : filemap_read(bdev, opened.f_ra, iter, pos);
  }
  iter.count += cut;
  return result;
}

function* direct_read(bdev: block_device, iter: iov_iter, pos: Ptr<loff_t>): Sleeps<number> {
  if (!is_aligned(bdev, iter, pos.value)) return -EINVAL;
  const count = iter.count;
  let error = yield* filemap_write_and_wait_range(bdev, pos.value, pos.value + count);
  if (error === 0) error = yield* direct_io(bdev, iter, pos.value, REQ_OP_READ);
  if (error !== 0) return error;
  pos.value += count;
  return count;
}

function* blkdev_write_iter(opened: file, iter: iov_iter, pos: Ptr<loff_t>): Sleeps<number> {
  const bdev = bdev_of(opened);
  if (bdev_read_only(bdev)) return -EPERM;
  if (iter.count === 0) return 0;
  if (pos.value >= bdev_nr_bytes(bdev)) return -ENOSPC;
  const cut = truncate_to_device(bdev, iter, pos.value);
  const direct = (opened.f_flags & O_DIRECT) !== 0;
  const written = yield* direct ? direct_write(opened, iter, pos) : filemap_write(bdev, iter, pos);
  iter.count += cut;
  if (written <= 0 || (opened.f_flags & O_DSYNC) === 0) return written;
  const error = yield* blkdev_fsync(opened);
  return error !== 0 ? error : written;
}

function* direct_write(opened: file, iter: iov_iter, pos: Ptr<loff_t>): Sleeps<number> {
  const bdev = bdev_of(opened);
  if (!is_aligned(bdev, iter, pos.value)) return -EINVAL;
  const [start, count] = [pos.value, iter.count];
  const fua = (opened.f_flags & O_DSYNC) !== 0 ? REQ_FUA : 0;
  let error = yield* filemap_write_and_wait_range(bdev, start, start + count);
  if (error !== 0) return error;
  invalidate_bytes(bdev, start, start + count);
  error = yield* direct_io(bdev, iter, start, REQ_OP_WRITE | REQ_SYNC | REQ_IDLE | fua);
  // A buffered reader may have brought the old bytes in meanwhile.
  invalidate_bytes(bdev, start, start + count);
  if (error !== 0) return error;
  pos.value += count;
  return count;
}

/** Writes back what is dirty, then flushes the device's cache. Linux: blkdev_fsync. */
function* blkdev_fsync(opened: file): Sleeps<number> {
  const bdev = bdev_of(opened);
  const error = yield* file_write_and_wait(opened, bdev);
  if (error !== 0) return error;
  const flushed = yield* blkdev_issue_flush(bdev);
  return flushed === -EOPNOTSUPP ? 0 : flushed;
}

/** The cache forgets a range that the device is about to drop; pages that lie in it only partly are written first. Linux: truncate_bdev_range. */
function* truncate_bdev_range(bdev: block_device, start: loff_t, end: loff_t): Sleeps<number> {
  if (bdev.bd_mapping === null) return 0;
  truncate_pages(mapping_of(bdev), Math.ceil(start / 4096), Math.floor(end / 4096) - 1);
  const error = yield* filemap_write_and_wait_range(bdev, start, end);
  invalidate_bytes(bdev, start, end);
  return error;
}

/** Whether the device can do what a request about a range asks for. */
function can_drop(bdev: block_device, cmd: number): boolean {
  if (cmd === BLKDISCARD) return bdev_max_discard_sectors(bdev) > 0;
  return cmd !== BLKSECDISCARD || bdev_max_secure_erase_sectors(bdev) > 0;
}

/** Linux: blk_ioctl_discard, blk_ioctl_secure_erase and blk_ioctl_zeroout. */
function* ioctl_range(opened: file, cmd: number, range: readonly [number, number]): Sleeps<number> {
  const bdev = bdev_of(opened);
  if ((opened.f_mode & FMODE_WRITE) === 0) return -EBADF;
  if (!can_drop(bdev, cmd)) return -EOPNOTSUPP;
  const [start, length] = range;
  if (((start | length) & 511) !== 0 || length === 0 || start + length > bdev_nr_bytes(bdev)) return -EINVAL;
  if (bdev_read_only(bdev)) return -EPERM;
  let error = yield* truncate_bdev_range(bdev, start, start + length);
  if (error !== 0) return error;
  const [sector, count] = [start / 512, length / 512];
  if (cmd === BLKDISCARD) error = yield* blkdev_issue_discard(bdev, sector, count, GFP_KERNEL);
  else if (cmd === BLKSECDISCARD) error = yield* blkdev_issue_secure_erase(bdev, sector, count, GFP_KERNEL);
  else error = yield* blkdev_issue_zeroout(bdev, sector, count, GFP_KERNEL, BLKDEV_ZERO_NOUNMAP);
  invalidate_bytes(bdev, start, start + length);
  return error;
}

/** Writes back what is dirty and forgets the rest; what fails to be written is the next fsync's business. Linux: blkdev_flushbuf. */
function* flush_buffers(bdev: block_device): Sleeps<number> {
  yield* filemap_write_and_wait_range(bdev, 0, INDEX_MAX);
  invalidate_bytes(bdev, 0, INDEX_MAX);
  return 0;
}

/** Linux: blkdev_roset. */
function set_read_only(bdev: block_device, readonly: boolean): number {
  if (readonly) bdev.bd_flags |= BD_READ_ONLY;
  else bdev.bd_flags &= ~BD_READ_ONLY;
  return 0;
}

/** What a request that only asks stores into its `Ptr<number>`; undefined for any other request. */
function ioctl_answer(bdev: block_device, cmd: number): number | undefined {
  switch (cmd) {
    case BLKGETSIZE64:
      return bdev_nr_bytes(bdev);
    case BLKSSZGET:
      return bdev_logical_block_size(bdev);
    case BLKPBSZGET:
      return bdev_physical_block_size(bdev);
    case BLKROGET:
      return bdev_read_only(bdev) ? 1 : 0;
    default:
      return undefined;
  }
}

/**
 * BLKDISCARD, BLKSECDISCARD and BLKZEROOUT take `[start, length]` in bytes; BLKGETSIZE64, BLKSSZGET, BLKPBSZGET and BLKROGET store into a
 * `Ptr<number>`, BLKROSET takes one. Anything unknown goes to the driver. Linux: blkdev_ioctl.
 */
function* ioctl(opened: file, cmd: number, arg: unknown): Sleeps<number> {
  const bdev = bdev_of(opened);
  const answer = ioctl_answer(bdev, cmd);
  if (answer !== undefined) {
    (arg as Ptr<number>).value = answer;
    return 0;
  }
  switch (cmd) {
    case BLKDISCARD:
    case BLKSECDISCARD:
    case BLKZEROOUT:
      return yield* ioctl_range(opened, cmd, arg as [number, number]);
    case BLKFLSBUF:
      return yield* flush_buffers(bdev);
    case BLKROSET:
      return set_read_only(bdev, (arg as Ptr<number>).value !== 0);
    case BLKRRPART:
      return bdev_is_partition(bdev) ? -EINVAL : yield* disk_scan_partitions(bdev.bd_disk, open_mode(opened));
    default:
      return yield* blkdev_ioctl(bdev, open_mode(opened), cmd, arg);
  }
}

/** The mode of opening that a file's mode asks for. Linux: file_to_blk_mode. */
function open_mode(opened: file): number {
  const read = (opened.f_mode & FMODE_READ) !== 0 ? BLK_OPEN_READ : 0;
  const write = (opened.f_mode & FMODE_WRITE) !== 0 ? BLK_OPEN_WRITE : 0;
  return read | write | ((opened.f_flags & O_EXCL) !== 0 ? BLK_OPEN_EXCL : 0);
}

/** Whom the device is held for: a file that was opened with O_EXCL. */
function holder_of(opened: file): file | null {
  return (opened.f_flags & O_EXCL) !== 0 ? opened : null;
}

/** What can be done to an open block device. */
export const def_blk_fops: file_operations = {
  // A read-only device may be opened for writing; the write is what fails.
  *open(node, opened) {
    const bdev = blkdev_get_no_open(node.i_rdev);
    if (bdev === null) return -ENXIO;
    opened.private_data = bdev;
    file_sample_wb_err(opened, bdev);
    return yield* bdev_open(bdev, open_mode(opened), holder_of(opened), null);
  },
  read_iter: blkdev_read_iter,
  write_iter: blkdev_write_iter,
  fsync: blkdev_fsync,
  ioctl,
  *release(_node, opened) {
    yield* bdev_release(bdev_of(opened), open_mode(opened), holder_of(opened));
  },
};
