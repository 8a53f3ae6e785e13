/**
 * What is cached of one block device, page by page (Linux: struct address_space and its folios).
 *
 *   absent ─► locked: being read ─► uptodate ⇄ dirty: newer than the disk ─► writeback: on its way there ─► uptodate
 *                 └► neither: the read failed; whoever needs the page reads it alone, and drops it if that fails too
 *
 * A page that a bio is running on has one reference more than the cache's own. So it may be dropped from the cache at any time, and is freed
 * when the bio ends; whoever slept while holding a `cached_page` looks it up again.
 */
import type { block_device } from "xenolith/linux/blk_types";
import { bdev_nr_bytes, type address_space } from "xenolith/linux/blkdev";
import { GFP_KERNEL } from "xenolith/linux/gfp";
import { alloc_page, get_page, put_page, totalram_pages } from "xenolith/linux/mm";
import type { page } from "xenolith/linux/mm_types";
import type { Sleeps } from "xenolith/linux/sched";
import { wait_event, wait_queue_head } from "xenolith/linux/wait";

/** Pages that one reclaim tries to free. */
const SWAP_CLUSTER_MAX = 32;
/** Every page of a device. */
export const INDEX_MAX = Number.MAX_SAFE_INTEGER;

/** One page of a device. */
export class cached_page {
  readonly index: number;
  readonly page: page;
  /** How much of it the device had when it was added. */
  readonly bytes: number;
  uptodate = false;
  /** Being read. */
  locked = false;
  dirty = false;
  /** Being written. */
  writeback = false;
  /** Used, and used again since reclaim last came by. */
  accessed = false;
  referenced = false;
  /** A reader that gets here wants the next window to be on its way. */
  readahead = false;

  constructor(index: number, page: page, bytes: number) {
    this.index = index;
    this.page = page;
    this.bytes = bytes;
  }
}

/** The cache of one device. Lives as long as the device's `bd_mapping`. */
export class bdev_mapping implements address_space {
  readonly host: block_device;
  /** By index, in the order in which reclaim looks at them. */
  readonly pages = new Map<number, cached_page>();
  /** Indices of the dirty ones. */
  readonly dirty = new Set<number>();
  /** Being written, whether still cached or not. */
  readonly writeback = new Set<cached_page>();
  /** Woken whenever a bio of the cache ends. */
  readonly wq = new wait_queue_head();
  /** A write-back failed with this, and nobody who waits for write-back has been told. */
  pending_error = 0;
  /** Failures so far, the last one's errno, and whether any file was told of it (Linux: errseq_t). */
  wb_err = 0;
  wb_errno = 0;
  wb_seen = true;

  constructor(host: block_device) {
    this.host = host;
  }
}

/** Mappings that hold pages, for reclaim. */
const mappings = new Set<bdev_mapping>();
let nr_cached = 0;

/** The cache of a device, made when it is first needed. */
export function mapping_of(bdev: block_device): bdev_mapping {
  if (bdev.bd_mapping === null) bdev.bd_mapping = new bdev_mapping(bdev);
  return bdev.bd_mapping as bdev_mapping;
}

/** How many bytes of page `index` the device has now; 0 or less beyond its end. */
export function page_bytes(bdev: block_device, index: number): number {
  return Math.min(4096, bdev_nr_bytes(bdev) - index * 4096);
}

/** Pages of all caches, for /proc/meminfo. */
export function nr_cached_pages(): number {
  return nr_cached;
}

/** Dirty pages of all caches. */
export function nr_dirty_pages(): number {
  let count = 0;
  for (const mapping of mappings) count += mapping.dirty.size;
  return count;
}

/** Pages of all caches that are being written. */
export function nr_writeback_pages(): number {
  let count = 0;
  for (const mapping of mappings) count += mapping.writeback.size;
  return count;
}

/** Adds page `index`, which is not there, neither read nor locked. Null: no memory, even after reclaim. */
export function add_page(mapping: bdev_mapping, index: number): cached_page | null {
  // Half of RAM stays for those who cannot wait for reclaim.
  if (nr_cached >= totalram_pages() / 2) reclaim();
  let fresh = alloc_page(GFP_KERNEL);
  if (fresh === null && reclaim() > 0) fresh = alloc_page(GFP_KERNEL);
  if (fresh === null) return null;
  const added = new cached_page(index, fresh, page_bytes(mapping.host, index));
  mapping.pages.set(index, added);
  mappings.add(mapping);
  nr_cached++;
  return added;
}

/** Takes a page out of the cache, dirty or not. Nothing happens if it is not there any more. */
export function drop_page(mapping: bdev_mapping, entry: cached_page): void {
  if (mapping.pages.get(entry.index) !== entry) return;
  mapping.pages.delete(entry.index);
  mapping.dirty.delete(entry.index);
  entry.dirty = false;
  nr_cached--;
  put_page(entry.page);
  if (mapping.pages.size === 0) mappings.delete(mapping);
}

function is_idle(entry: cached_page): boolean {
  return !entry.locked && !entry.dirty && !entry.writeback;
}

/** Drops clean pages, but those that were used again since the last time get another round. Returns how many. Linux: shrink_inactive_list. */
function reclaim(): number {
  let freed = 0;
  for (const mapping of mappings) {
    for (const entry of mapping.pages.values()) {
      if (freed === SWAP_CLUSTER_MAX) return freed;
      if (!is_idle(entry)) continue;
      if (entry.referenced) {
        // To the end of the map, where this loop comes by again.
        entry.referenced = false;
        mapping.pages.delete(entry.index);
        mapping.pages.set(entry.index, entry);
      } else {
        drop_page(mapping, entry);
        freed++;
      }
    }
  }
  return freed;
}

/** The cached pages with indices `first` to `last`, in no particular order. */
function entries_between(mapping: bdev_mapping, first: number, last: number): cached_page[] {
  if (last - first > mapping.pages.size) {
    return [...mapping.pages.values()].filter(({ index }) => index >= first && index <= last);
  }
  const entries: cached_page[] = [];
  for (let index = first; index <= last; index++) {
    const entry = mapping.pages.get(index);
    if (entry !== undefined) entries.push(entry);
  }
  return entries;
}

/** Drops the pages `first` to `last`, dirty ones too. Linux: truncate_inode_pages_range. */
export function truncate_pages(mapping: bdev_mapping, first: number, last: number): void {
  for (const entry of entries_between(mapping, first, last)) drop_page(mapping, entry);
}

/** Drops the pages `first` to `last` but for those that are newer than the disk. Linux: invalidate_inode_pages2_range. */
export function invalidate_pages(mapping: bdev_mapping, first: number, last: number): void {
  for (const entry of entries_between(mapping, first, last)) {
    if (!entry.dirty && !entry.writeback) drop_page(mapping, entry);
  }
}

/** The page was used. Linux: folio_mark_accessed. */
export function mark_page_accessed(entry: cached_page): void {
  if (entry.accessed) entry.referenced = true;
  entry.accessed = true;
}

/** The page is going to be read: nobody uses it, and it stays, until `unlock_page`. */
export function lock_page(entry: cached_page): void {
  entry.locked = true;
  get_page(entry.page);
}

/** The read has ended. The caller wakes the mapping's waiters. */
export function unlock_page(entry: cached_page): void {
  entry.locked = false;
  put_page(entry.page);
}

/** Sleeps until the page is not being read. Linux: folio_wait_locked. */
export function* wait_on_page_locked(mapping: bdev_mapping, entry: cached_page): Sleeps<void> {
  if (entry.locked) yield* wait_event(mapping.wq, () => !entry.locked);
}

/** Sleeps until the page is not being written. Linux: folio_wait_writeback. */
export function* wait_on_page_writeback(mapping: bdev_mapping, entry: cached_page): Sleeps<void> {
  if (entry.writeback) yield* wait_event(mapping.wq, () => !entry.writeback);
}
