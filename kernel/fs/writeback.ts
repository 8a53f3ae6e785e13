/**
 * Writing the page cache back (Linux mm/page-writeback.c and the errors of mm/filemap.c).
 *
 * A page is one bio; the plug makes requests of neighbours. That is how a device without file system is written on Linux, and why requests
 * are filled to the device's limit across what the writer wrote at a time.
 *
 * A failed write-back leaves the page clean. It is told to the next who waits for write-back of the device, and to every open file's next fsync.
 */
import { EIO } from "xenolith/linux/errno";
import {
  bio_add_page,
  bio_alloc,
  bio_put,
  blk_status_to_errno,
  submit_bio,
  submit_bio_nowait,
} from "xenolith/linux/bio";
import { REQ_OP_WRITE, REQ_SYNC, type bio, type block_device } from "xenolith/linux/blk_types";
import { blk_finish_plug, blk_plug, blk_start_plug, register_bdev_cache } from "xenolith/linux/blkdev";
import type { file } from "xenolith/linux/fs";
import { GFP_KERNEL } from "xenolith/linux/gfp";
import { fs_initcall } from "xenolith/linux/init";
import { get_page, put_page, totalram_pages } from "xenolith/linux/mm";
import type { Sleeps } from "xenolith/linux/sched";
import { wake_up_all } from "xenolith/linux/wait";
import {
  INDEX_MAX,
  type bdev_mapping,
  type cached_page,
  mapping_of,
  mark_page_accessed,
  nr_dirty_pages,
  page_bytes,
  truncate_pages,
  wait_on_page_writeback,
} from "./mapping";

/** Part of RAM that may be dirty before writers must write back themselves: vm.dirty_ratio. */
const DIRTY_PERCENT = 20;

/** The caller has just changed the page's bytes. Linux: folio_mark_dirty. */
export function mark_page_dirty(mapping: bdev_mapping, entry: cached_page): void {
  entry.dirty = true;
  mark_page_accessed(entry);
  mapping.dirty.add(entry.index);
}

/** What a bio of the cache was for. */
class page_write {
  constructor(readonly mapping: bdev_mapping, readonly entry: cached_page) {}
}

function page_write_end_io(ended: bio): void {
  const { mapping, entry } = ended.bi_private as page_write;
  end_writeback(mapping, entry, blk_status_to_errno(ended.bi_status));
  bio_put(ended);
}

function end_writeback(mapping: bdev_mapping, entry: cached_page, error: number): void {
  if (error !== 0) set_error(mapping, error);
  entry.writeback = false;
  mapping.writeback.delete(entry);
  put_page(entry.page);
  wake_up_all(mapping.wq);
}

/** Linux: mapping_set_error. */
function set_error(mapping: bdev_mapping, error: number): void {
  mapping.pending_error = error;
  mapping.wb_errno = error;
  mapping.wb_err++;
  mapping.wb_seen = false;
}

/** Sends one dirty page on its way. */
function* write_page(mapping: bdev_mapping, entry: cached_page): Sleeps<void> {
  mapping.dirty.delete(entry.index);
  entry.dirty = false;
  entry.writeback = true;
  mapping.writeback.add(entry);
  get_page(entry.page);
  const bytes = Math.min(entry.bytes, page_bytes(mapping.host, entry.index));
  if (bytes <= 0) {
    // The device has shrunk below it.
    end_writeback(mapping, entry, -EIO);
    return;
  }
  const write = bio_alloc(mapping.host, 1, REQ_OP_WRITE | REQ_SYNC, GFP_KERNEL);
  write.bi_iter.bi_sector = entry.index * 8;
  write.bi_end_io = page_write_end_io;
  write.bi_private = new page_write(mapping, entry);
  bio_add_page(write, entry.page, bytes, 0);
  if (!submit_bio_nowait(write)) yield* submit_bio(write);
}

/** Sends the dirty pages `first` to `last` on their way, in order. Linux: filemap_fdatawrite_range. */
function* fdatawrite(mapping: bdev_mapping, first: number, last: number): Sleeps<void> {
  const indices = [...mapping.dirty].filter((index) => index >= first && index <= last).sort((a, b) => a - b);
  const plug = new blk_plug();
  blk_start_plug(plug);
  for (const index of indices) {
    const entry = mapping.pages.get(index);
    if (entry === undefined) continue;
    // Two writes of one page would end in any order.
    yield* wait_on_page_writeback(mapping, entry);
    if (entry.dirty) yield* write_page(mapping, entry);
  }
  blk_finish_plug(plug);
}

/** Waits for the pages `first` to `last` that are being written. Linux: filemap_fdatawait_range. */
function* fdatawait(mapping: bdev_mapping, first: number, last: number): Sleeps<void> {
  for (const entry of [...mapping.writeback]) {
    if (entry.index >= first && entry.index <= last) yield* wait_on_page_writeback(mapping, entry);
  }
}

/** Writes back the pages of bytes `start` to `end` (exclusive) and waits for it. 0 or a negative errno. Linux: filemap_write_and_wait_range. */
export function* filemap_write_and_wait_range(bdev: block_device, start: number, end: number): Sleeps<number> {
  if (bdev.bd_mapping === null) return 0;
  const mapping = mapping_of(bdev);
  const first = Math.floor(start / 4096);
  const last = Math.ceil(end / 4096) - 1;
  if (mapping.dirty.size > 0) yield* fdatawrite(mapping, first, last);
  if (mapping.writeback.size > 0) yield* fdatawait(mapping, first, last);
  const error = mapping.pending_error;
  mapping.pending_error = 0;
  return error;
}

/** Writes back everything and waits for it. 0 or a negative errno. Linux: filemap_write_and_wait. */
export function* filemap_write_and_wait(bdev: block_device): Sleeps<number> {
  return yield* filemap_write_and_wait_range(bdev, 0, INDEX_MAX);
}

/** A file begins to hear of failed write-backs; of one that nobody has heard of yet, too. Linux: errseq_sample. */
export function file_sample_wb_err(opened: file, bdev: block_device): void {
  const mapping = mapping_of(bdev);
  opened.f_wb_err = mapping.wb_seen ? mapping.wb_err : mapping.wb_err - 1;
}

/** What went wrong since the file last asked: 0 or a negative errno. Linux: file_check_and_advance_wb_err. */
function check_and_advance_wb_err(opened: file, mapping: bdev_mapping): number {
  if (opened.f_wb_err === mapping.wb_err) return 0;
  opened.f_wb_err = mapping.wb_err;
  mapping.wb_seen = true;
  return mapping.wb_errno;
}

/** Writes back everything of the file's device. 0, or what any write-back since the file's last fsync met. Linux: file_write_and_wait_range. */
export function* file_write_and_wait(opened: file, bdev: block_device): Sleeps<number> {
  yield* filemap_write_and_wait(bdev);
  return check_and_advance_wb_err(opened, mapping_of(bdev));
}

/** A writer that makes pages dirty faster than they go to the disk takes over writing them. Linux: balance_dirty_pages. */
export function* balance_dirty_pages(mapping: bdev_mapping): Sleeps<void> {
  if (nr_dirty_pages() * 100 < totalram_pages() * DIRTY_PERCENT) return;
  yield* fdatawrite(mapping, 0, INDEX_MAX);
  yield* fdatawait(mapping, 0, INDEX_MAX);
}

fs_initcall(() => {
  register_bdev_cache({
    sync: filemap_write_and_wait,
    invalidate: (bdev) => {
      if (bdev.bd_mapping !== null) truncate_pages(mapping_of(bdev), 0, INDEX_MAX);
    },
  });
  return 0;
});
