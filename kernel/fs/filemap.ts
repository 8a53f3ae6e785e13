/**
 * The page cache of block devices: what buffered reads and writes go through (Linux mm/filemap.c and block/fops.c).
 *
 *   read   page missing? ─► read it and up to RA_PAGES - 1 after it, one bio ─► copy to the caller
 *   write  whole page, or read it first ─► copy from the caller ─► dirty
 *   sync   runs of consecutive dirty pages ─► one bio each ─► wait
 *
 * A cache belongs to the whole life of its block device; it is emptied when the last opener leaves.
 */
import { EIO, ENOMEM, ENOSPC } from "xenolith/linux/errno";
import { BIO_MAX_VECS, bio_add_page, bio_alloc, bio_put, blk_status_to_errno, submit_bio } from "xenolith/linux/bio";
import { REQ_OP_READ, REQ_OP_WRITE, type bio, type block_device } from "xenolith/linux/blk_types";
import { bdev_nr_bytes, blk_finish_plug, blk_plug, blk_start_plug, register_bdev_cache } from "xenolith/linux/blkdev";
import { complete, completion, wait_for_completion } from "xenolith/linux/completion";
import { GFP_KERNEL } from "xenolith/linux/gfp";
import { fs_initcall } from "xenolith/linux/init";
import { __free_page, alloc_page } from "xenolith/linux/mm";
import type { page } from "xenolith/linux/mm_types";
import type { Sleeps } from "xenolith/linux/sched";
import type { Ptr, loff_t } from "xenolith/linux/types";
import { copy_page_from_iter, copy_page_to_iter, type iov_iter } from "xenolith/linux/uio";

/** Pages that one read fetches at most: 128 KiB, Linux's default read-ahead. */
const RA_PAGES = 32;
/** Dirty pages of one device after which a writer must write back first. */
const DIRTY_PAGES_MAX = 512;

/** The cached pages of one device, by index; those in `dirty` are newer than the disk. */
interface address_space {
  readonly host: block_device;
  readonly pages: Map<number, page>;
  readonly dirty: Set<number>;
}

function mapping_of(bdev: block_device): address_space {
  if (bdev.bd_mapping === null) {
    const mapping: address_space = { host: bdev, pages: new Map(), dirty: new Set() };
    bdev.bd_mapping = mapping;
  }
  return bdev.bd_mapping as address_space;
}

/** How many bytes of page `index` the device has. */
function page_bytes(bdev: block_device, index: number): number {
  return Math.min(4096, bdev_nr_bytes(bdev) - index * 4096);
}

/** Several bios and who waits for all of them. */
class bio_batch {
  pending = 1;
  error = 0;
  readonly done = new completion();
}

function batch_end_io(ended: bio): void {
  const batch = ended.bi_private as bio_batch;
  if (ended.bi_status !== 0 && batch.error === 0) batch.error = blk_status_to_errno(ended.bi_status);
  bio_put(ended);
  batch_put(batch);
}

function batch_put(batch: bio_batch): void {
  if (--batch.pending === 0) complete(batch.done);
}

/** Reads or writes the pages `first` to `last` of the mapping, all of which are cached. Sleeps until submitted, not until done. */
function* submit_run(mapping: address_space, first: number, last: number, op: number, batch: bio_batch): Sleeps<void> {
  for (let index = first; index <= last; ) {
    const count = Math.min(last - index + 1, BIO_MAX_VECS);
    const run = bio_alloc(mapping.host, count, op, GFP_KERNEL);
    run.bi_iter.bi_sector = index * 8;
    run.bi_end_io = batch_end_io;
    run.bi_private = batch;
    for (let i = 0; i < count; i++, index++) {
      bio_add_page(run, mapping.pages.get(index) as page, page_bytes(mapping.host, index), 0);
    }
    batch.pending++;
    yield* submit_bio(run);
  }
}

function* batch_wait(batch: bio_batch): Sleeps<number> {
  batch_put(batch);
  yield* wait_for_completion(batch.done);
  return batch.error;
}

function add_page(mapping: address_space, index: number): page | null {
  const added = alloc_page(GFP_KERNEL);
  if (added !== null) mapping.pages.set(index, added);
  return added;
}

function drop_page(mapping: address_space, index: number): void {
  const dropped = mapping.pages.get(index);
  if (dropped === undefined) return;
  mapping.pages.delete(index);
  mapping.dirty.delete(index);
  __free_page(dropped);
}

/** Brings page `index` in, and those after it that a sequential reader will want, at most `window` pages. 0 or a negative errno. */
function* fill_pages(mapping: address_space, index: number, window: number): Sleeps<number> {
  const end = Math.ceil(bdev_nr_bytes(mapping.host) / 4096);
  let last = index;
  for (let at = index; at < Math.min(index + window, end) && !mapping.pages.has(at); at++) {
    if (add_page(mapping, at) === null) {
      if (at === index) return -ENOMEM;
      break;
    }
    last = at;
  }
  const batch = new bio_batch();
  yield* submit_run(mapping, index, last, REQ_OP_READ, batch);
  const error = yield* batch_wait(batch);
  if (error !== 0) for (let at = index; at <= last; at++) drop_page(mapping, at);
  return error;
}

/** Reads through the cache. Returns the bytes read or a negative errno. Sleeps. Linux: filemap_read. */
export function* filemap_read(bdev: block_device, iter: iov_iter, pos: Ptr<loff_t>): Sleeps<number> {
  const mapping = mapping_of(bdev);
  const size = bdev_nr_bytes(bdev);
  let done = 0;
  while (iter.count > 0 && pos.value < size) {
    const index = Math.floor(pos.value / 4096);
    const wanted = Math.ceil((pos.value + iter.count) / 4096) - index;
    if (!mapping.pages.has(index)) {
      const error = yield* fill_pages(mapping, index, Math.min(RA_PAGES, Math.max(wanted, done > 0 ? RA_PAGES : 1)));
      if (error !== 0) return done > 0 ? done : error;
    }
    const offset = pos.value & 4095;
    const length = Math.min(4096 - offset, size - pos.value);
    const copied = copy_page_to_iter(mapping.pages.get(index) as page, offset, length, iter);
    pos.value += copied;
    done += copied;
  }
  return done;
}

/** Writes into the cache. Returns the bytes written or a negative errno. Sleeps. Linux: generic_perform_write. */
export function* filemap_write(bdev: block_device, iter: iov_iter, pos: Ptr<loff_t>): Sleeps<number> {
  const mapping = mapping_of(bdev);
  const size = bdev_nr_bytes(bdev);
  if (pos.value >= size && iter.count > 0) return -ENOSPC;
  let done = 0;
  while (iter.count > 0 && pos.value < size) {
    const index = Math.floor(pos.value / 4096);
    const offset = pos.value & 4095;
    const length = Math.min(4096 - offset, size - pos.value, iter.count);
    if (!mapping.pages.has(index)) {
      const whole = length === page_bytes(bdev, index);
      const error = whole ? (add_page(mapping, index) === null ? -ENOMEM : 0) : yield* fill_pages(mapping, index, 1);
      if (error !== 0) return done > 0 ? done : error;
    }
    copy_page_from_iter(mapping.pages.get(index) as page, offset, length, iter);
    mapping.dirty.add(index);
    pos.value += length;
    done += length;
    if (mapping.dirty.size >= DIRTY_PAGES_MAX) {
      const error = yield* filemap_write_and_wait(bdev);
      if (error !== 0) return error;
    }
  }
  return done;
}

/** Writes back everything dirty and waits for it. 0 or a negative errno. Sleeps. Linux: filemap_write_and_wait. */
export function* filemap_write_and_wait(bdev: block_device): Sleeps<number> {
  const mapping = mapping_of(bdev);
  if (mapping.dirty.size === 0) return 0;
  const indices = [...mapping.dirty].sort((a, b) => a - b);
  mapping.dirty.clear();
  const batch = new bio_batch();
  const plug = new blk_plug();
  blk_start_plug(plug);
  for (let i = 0; i < indices.length; ) {
    let last = i;
    while (last + 1 < indices.length && indices[last + 1] === indices[last] + 1) last++;
    yield* submit_run(mapping, indices[i], indices[last], REQ_OP_WRITE, batch);
    i = last + 1;
  }
  blk_finish_plug(plug);
  const error = yield* batch_wait(batch);
  return error === 0 ? 0 : -EIO;
}

/** Forgets the pages from byte `start` to `end`, dirty or not; what is being written stays consistent because nobody else holds pages. */
export function invalidate_range(bdev: block_device, start: loff_t, end: loff_t): void {
  const mapping = bdev.bd_mapping as address_space | null;
  if (mapping === null || mapping.pages.size === 0) return;
  const first = Math.floor(start / 4096);
  const last = Math.ceil(end / 4096) - 1;
  for (const index of [...mapping.pages.keys()]) if (index >= first && index <= last) drop_page(mapping, index);
}

function invalidate_all(bdev: block_device): void {
  invalidate_range(bdev, 0, Number.MAX_SAFE_INTEGER);
}

fs_initcall(() => {
  register_bdev_cache({ sync: filemap_write_and_wait, invalidate: invalidate_all });
  return 0;
});
