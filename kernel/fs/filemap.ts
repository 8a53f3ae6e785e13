/**
 * Buffered reads and writes of block devices, through the page cache (Linux mm/filemap.c).
 *
 *   read   page missing? ─► read it and what a sequential reader wants next (`readahead.ts`) ─► copy to the caller
 *   write  whole page, or read it first ─► copy from the caller ─► dirty
 *
 * Dirty pages go to the disk by sync, fsync, the last close of the device, or when there are too many of them (`writeback.ts`).
 */
import { EIO, ENOMEM, ENOSPC } from "xenolith/linux/errno";
import type { err_ptr } from "xenolith/linux/err";
import { BLK_FEAT_STABLE_WRITES, bdev_nr_bytes } from "xenolith/linux/blkdev";
import type { block_device } from "xenolith/linux/blk_types";
import type { file_ra_state } from "xenolith/linux/fs";
import type { Sleeps } from "xenolith/linux/sched";
import type { Ptr, loff_t } from "xenolith/linux/types";
import { copy_page_from_iter, copy_page_to_iter, type iov_iter } from "xenolith/linux/uio";
import {
  type bdev_mapping,
  type cached_page,
  add_page,
  drop_page,
  lock_page,
  mapping_of,
  mark_page_accessed,
  page_bytes,
  wait_on_page_locked,
  wait_on_page_writeback,
} from "./mapping";
import { page_cache_async_readahead, page_cache_sync_readahead, submit_read } from "./readahead";
import { balance_dirty_pages, filemap_write_and_wait_range, mark_page_dirty } from "./writeback";

/** Reads one page and waits for it. 0, or -EIO, which also drops it. Linux: filemap_read_folio. */
function* read_page(mapping: bdev_mapping, entry: cached_page): Sleeps<number> {
  lock_page(entry);
  yield* submit_read(mapping, [entry], 0);
  yield* wait_on_page_locked(mapping, entry);
  if (entry.uptodate) return 0;
  drop_page(mapping, entry);
  return -EIO;
}

/**
 * Waits for a page that was just looked up. Returns whether it can be used: still cached, and of the size that the device has. One that is not
 * leads to another look-up.
 */
function* settle(mapping: bdev_mapping, entry: cached_page): Sleeps<boolean> {
  yield* wait_on_page_locked(mapping, entry);
  if (mapping.pages.get(entry.index) !== entry) return false;
  if (entry.bytes === page_bytes(mapping.host, entry.index)) return true;
  // The device was resized within this page.
  if (entry.dirty) yield* filemap_write_and_wait_range(mapping.host, entry.index * 4096, entry.index * 4096 + 1);
  drop_page(mapping, entry);
  return false;
}

/** Page `index`, up to date; `wanted` pages from there on are being read. Linux: filemap_get_pages. */
function* page_for_read(
  mapping: bdev_mapping,
  ra: file_ra_state,
  index: number,
  wanted: number,
): Sleeps<cached_page | err_ptr> {
  for (;;) {
    if (page_bytes(mapping.host, index) <= 0) return -EIO;
    if (!mapping.pages.has(index)) yield* page_cache_sync_readahead(mapping, ra, index, wanted);
    const entry = mapping.pages.get(index);
    if (entry === undefined) return -ENOMEM;
    if (entry.readahead) yield* page_cache_async_readahead(mapping, ra, entry, wanted);
    if (!(yield* settle(mapping, entry))) continue;
    if (entry.uptodate) return entry;
    // Another page of the same bio may have been the bad one.
    const error = yield* read_page(mapping, entry);
    if (error !== 0) return error;
  }
}

/** Reads through the cache. Returns the bytes read or a negative errno. Sleeps. Linux: filemap_read. */
export function* filemap_read(bdev: block_device, ra: file_ra_state, iter: iov_iter, pos: Ptr<loff_t>): Sleeps<number> {
  const mapping = mapping_of(bdev);
  let done = 0;
  while (iter.count > 0 && pos.value < bdev_nr_bytes(bdev)) {
    const index = Math.floor(pos.value / 4096);
    const entry = yield* page_for_read(mapping, ra, index, Math.ceil((pos.value + iter.count) / 4096) - index);
    if (typeof entry === "number") return done > 0 ? done : entry;
    // Reading a page in pieces is using it once.
    if (index !== Math.floor((ra.prev_pos - 1) / 4096)) mark_page_accessed(entry);
    const offset = pos.value & 4095;
    const copied = copy_page_to_iter(entry.page, offset, entry.bytes - offset, iter);
    pos.value += copied;
    done += copied;
    ra.prev_pos = pos.value;
  }
  return done;
}

/** Page `index`, ready to have `length` bytes at `offset` replaced without sleeping. Linux: block_write_begin. */
function* page_for_write(
  mapping: bdev_mapping,
  index: number,
  offset: number,
  length: number,
): Sleeps<cached_page | err_ptr> {
  for (;;) {
    if (page_bytes(mapping.host, index) <= 0) return -ENOSPC;
    const entry = mapping.pages.get(index) ?? add_page(mapping, index);
    if (entry === null) {
      if (mapping.dirty.size === 0) return -ENOMEM;
      yield* filemap_write_and_wait_range(mapping.host, 0, Number.MAX_SAFE_INTEGER);
      continue;
    }
    if (!(yield* settle(mapping, entry))) continue;
    if (!entry.uptodate && (offset > 0 || length < entry.bytes)) {
      const error = yield* read_page(mapping, entry);
      if (error !== 0) return error;
      continue;
    }
    if (entry.writeback && (mapping.host.bd_queue.limits.features & BLK_FEAT_STABLE_WRITES) !== 0) {
      yield* wait_on_page_writeback(mapping, entry);
      continue;
    }
    return entry;
  }
}

/** Writes into the cache. Returns the bytes written or a negative errno. Sleeps. Linux: generic_perform_write. */
export function* filemap_write(bdev: block_device, iter: iov_iter, pos: Ptr<loff_t>): Sleeps<number> {
  const mapping = mapping_of(bdev);
  let done = 0;
  while (iter.count > 0) {
    const index = Math.floor(pos.value / 4096);
    const offset = pos.value & 4095;
    const length = Math.min(page_bytes(bdev, index) - offset, iter.count);
    const entry = length <= 0 ? -ENOSPC : yield* page_for_write(mapping, index, offset, length);
    if (typeof entry === "number") return done > 0 ? done : entry;
    const copied = copy_page_from_iter(entry.page, offset, Math.min(length, entry.bytes - offset), iter);
    entry.uptodate = true;
    mark_page_dirty(mapping, entry);
    pos.value += copied;
    done += copied;
    yield* balance_dirty_pages(mapping);
  }
  return done;
}
