/**
 * Read-ahead of the page cache (Linux mm/readahead.c): a file that is read in order gets windows that grow to 128 KiB.
 *
 *        |<----- async_size ---------|
 *   |------------------- size ------>|
 *   ^start         ^ page marked `readahead`: a reader that gets here has the next window submitted before it needs it
 */
import { bio_add_page, bio_alloc, bio_max_segs, bio_put, submit_bio, submit_bio_nowait } from "xenolith/linux/bio";
import { REQ_OP_READ, REQ_RAHEAD, type bio } from "xenolith/linux/blk_types";
import { bdev_nr_bytes, blk_finish_plug, blk_plug, blk_start_plug } from "xenolith/linux/blkdev";
import type { file_ra_state } from "xenolith/linux/fs";
import { GFP_KERNEL } from "xenolith/linux/gfp";
import type { Sleeps } from "xenolith/linux/sched";
import { wake_up_all } from "xenolith/linux/wait";
import { type bdev_mapping, type cached_page, add_page, lock_page, unlock_page } from "./mapping";

/** The largest window of a sequential reader, pages: read_ahead_kb = 128. */
const RA_PAGES = 32;

/** What a bio of the cache is for: consecutive pages. */
class pages_read {
  constructor(readonly mapping: bdev_mapping, readonly entries: readonly cached_page[]) {}
}

function pages_read_end_io(ended: bio): void {
  const { mapping, entries } = ended.bi_private as pages_read;
  for (const entry of entries) {
    entry.uptodate = ended.bi_status === 0;
    unlock_page(entry);
  }
  bio_put(ended);
  wake_up_all(mapping.wq);
}

/** Submits the read of consecutive locked pages, at most BIO_MAX_VECS; its end unlocks them. Sleeps until submitted, not until read. */
export function* submit_read(mapping: bdev_mapping, entries: readonly cached_page[], flags: number): Sleeps<void> {
  const read = bio_alloc(mapping.host, entries.length, REQ_OP_READ | flags, GFP_KERNEL);
  read.bi_iter.bi_sector = entries[0].index * 8;
  read.bi_end_io = pages_read_end_io;
  read.bi_private = new pages_read(mapping, entries);
  for (const entry of entries) bio_add_page(read, entry.page, entry.bytes, 0);
  if (!submit_bio_nowait(read)) yield* submit_bio(read);
}

/** Reads those of the `count` pages from `start` on that are not there; the one `lookahead` before the end gets the mark. Linux: page_cache_ra_unbounded. */
function* read_window(mapping: bdev_mapping, start: number, count: number, lookahead: number): Sleeps<void> {
  const end = Math.min(start + count, Math.ceil(bdev_nr_bytes(mapping.host) / 4096));
  const missing: cached_page[] = [];
  for (let index = start; index < end; index++) {
    if (mapping.pages.has(index)) continue;
    const added = add_page(mapping, index);
    if (added === null) break;
    lock_page(added);
    added.readahead = lookahead > 0 && index === start + count - lookahead;
    missing.push(added);
  }
  const plug = new blk_plug();
  blk_start_plug(plug);
  for (let i = 0; i < missing.length; ) {
    let run = 1;
    while (i + run < missing.length && missing[i + run].index === missing[i].index + run) run++;
    run = bio_max_segs(run);
    yield* submit_read(mapping, missing.slice(i, i + run), REQ_RAHEAD);
    i += run;
  }
  blk_finish_plug(plug);
}

function roundup_pow_of_two(count: number): number {
  let power = 1;
  while (power < count) power *= 2;
  return power;
}

/** The first window of a reader that asks for `size` pages. */
function get_init_ra_size(size: number, max: number): number {
  const rounded = roundup_pow_of_two(size);
  if (rounded <= max / 32) return rounded * 4;
  return rounded <= max / 4 ? rounded * 2 : max;
}

function get_next_ra_size(current: number, max: number): number {
  if (current < max / 16) return current * 4;
  return current <= max / 2 ? current * 2 : max;
}

/** Whether the reader of page `index` goes on where its last window, or the last page that it read, ends. */
function is_sequential(ra: file_ra_state, index: number): boolean {
  const from_before = index - Math.floor(ra.prev_pos / 4096);
  return from_before === 0 || from_before === 1;
}

function set_window(ra: file_ra_state, start: number, size: number, async_size: number): void {
  ra.start = start;
  ra.size = size;
  ra.async_size = async_size;
}

/** Sets the window of a reader that wants `wanted` pages from `index` on. False: it jumps about, and gets no more than that. */
function next_window(
  mapping: bdev_mapping,
  ra: file_ra_state,
  index: number,
  wanted: number,
  max: number,
  at_mark: boolean,
): boolean {
  const end = ra.start + ra.size;
  if (index !== 0 && (index === end - ra.async_size || index === end)) {
    const size = get_next_ra_size(ra.size, max);
    set_window(ra, end, size, size);
  } else if (index !== 0 && at_mark) {
    // Another reader's mark, or our own from before a jump: the state is not about this place.
    let start = index + 1;
    while (mapping.pages.has(start) && start - index <= max) start++;
    const size = get_next_ra_size(start - index + wanted, max);
    set_window(ra, start, size, size);
  } else if (index === 0 || wanted > max || is_sequential(ra, index)) {
    const size = get_init_ra_size(wanted, max);
    set_window(ra, index, size, size > wanted ? size - wanted : size);
  } else return false;
  return true;
}

/** A window whose mark is its own first page would be followed by the next one at once: they become one. */
function merge_windows(ra: file_ra_state, index: number, max: number): void {
  if (index !== ra.start || ra.size !== ra.async_size) return;
  const more = get_next_ra_size(ra.size, max);
  if (ra.size + more <= max) {
    ra.async_size = more;
    ra.size += more;
  } else {
    ra.size = max;
    ra.async_size = max >> 1;
  }
}

/** Linux: ondemand_readahead. */
function* ondemand_readahead(
  mapping: bdev_mapping,
  ra: file_ra_state,
  index: number,
  wanted: number,
  at_mark: boolean,
): Sleeps<void> {
  const io_pages = mapping.host.bd_queue.limits.max_sectors >>> 3;
  const max = wanted > RA_PAGES && io_pages > RA_PAGES ? Math.min(wanted, io_pages) : RA_PAGES;
  if (!next_window(mapping, ra, index, wanted, max, at_mark)) {
    yield* read_window(mapping, index, Math.min(wanted, max), 0);
    return;
  }
  merge_windows(ra, index, max);
  yield* read_window(mapping, ra.start, ra.size, ra.async_size);
}

/** Page `index`, the first of `wanted` pages, is not there: submits its read, and that of what will be wanted next. Sleeps. */
export function* page_cache_sync_readahead(
  mapping: bdev_mapping,
  ra: file_ra_state,
  index: number,
  wanted: number,
): Sleeps<void> {
  yield* ondemand_readahead(mapping, ra, index, wanted, false);
}

/** A reader came to a marked page: submits the window after this one. Sleeps, but does not wait for the data. */
export function* page_cache_async_readahead(
  mapping: bdev_mapping,
  ra: file_ra_state,
  entry: cached_page,
  wanted: number,
): Sleeps<void> {
  entry.readahead = false;
  yield* ondemand_readahead(mapping, ra, entry.index, wanted, true);
}
