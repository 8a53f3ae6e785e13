/**
 * Grant tables, the client's view (Linux `include/xen/grant_table.h`).
 *
 *   granter: alloc/claim a reference -> grant_foreign_access_ref -> the peer maps -> end_foreign_access_ref (refused while mapped)
 *   mapper:  gnttab_alloc_pages -> set_map_op per reference -> gnttab_map_refs -> the pages' windows are open -> gnttab_unmap_refs
 *
 * Arrays of operations are batch objects over one private page of own RAM, which the hypercall takes as it is; where Linux writes
 * `&ops[i]`, we write `ops, i`. None of the functions sleeps unless it says so.
 */
import type { page } from "xenolith/linux/mm_types";
import type { Sleeps } from "xenolith/linux/sched";
import type { Ptr } from "xenolith/linux/types";
import { delayed_work } from "xenolith/linux/workqueue";
import type { grant_handle_t, grant_ref_t } from "./interface/grant_table";
import type { domid_t } from "./interface/xen";

export type { domid_t, grant_handle_t, grant_ref_t };
export {
  GNTCOPY_dest_gref,
  GNTCOPY_source_gref,
  GNTMAP_application_map,
  GNTMAP_contains_pte,
  GNTMAP_device_map,
  GNTMAP_host_map,
  GNTMAP_readonly,
  GNTST_address_too_big,
  GNTST_bad_copy_arg,
  GNTST_bad_dev_addr,
  GNTST_bad_domain,
  GNTST_bad_gntref,
  GNTST_bad_handle,
  GNTST_bad_page,
  GNTST_bad_virt_addr,
  GNTST_eagain,
  GNTST_general_error,
  GNTST_no_device_space,
  GNTST_no_space,
  GNTST_okay,
  GNTST_permission_denied,
  GNTTAB_NR_RESERVED_ENTRIES,
} from "./interface/grant_table";

/** No reference, and the end of a chain of references. */
export const INVALID_GRANT_REF = 0xffffffff;
export const INVALID_GRANT_HANDLE = 0xffffffff;
/** Operations in one batch, at most: what fits in its page. */
export const GNTTAB_MAP_BATCH_MAX = 128;
export const GNTTAB_UNMAP_BATCH_MAX = 170;
export const GNTTAB_COPY_BATCH_MAX = 102;

/** An array of GNTTABOP operations in a private page. `ops` is the page's words, `paddr` its address for the hypercall. */
interface gnttab_batch {
  readonly ops: Uint32Array;
  readonly paddr: number;
  readonly page: page;
}
/** `struct gnttab_map_grant_ref[GNTTAB_MAP_BATCH_MAX]`. */
export interface gnttab_map_batch extends gnttab_batch {
  readonly kind: "map";
}
/** `struct gnttab_unmap_grant_ref[GNTTAB_UNMAP_BATCH_MAX]`. */
export interface gnttab_unmap_batch extends gnttab_batch {
  readonly kind: "unmap";
}
/** `struct gnttab_copy[GNTTAB_COPY_BATCH_MAX]`. */
export interface gnttab_copy_batch extends gnttab_batch {
  readonly kind: "copy";
}

/** Makes an array of map operations; null when out of memory. */
export declare function gnttab_alloc_map_batch(): gnttab_map_batch | null;
/** Makes an array of unmap operations; null when out of memory. */
export declare function gnttab_alloc_unmap_batch(): gnttab_unmap_batch | null;
/** Makes an array of copy operations; null when out of memory. */
export declare function gnttab_alloc_copy_batch(): gnttab_copy_batch | null;
/** Frees any of the three. */
export declare function gnttab_free_batch(batch: gnttab_map_batch | gnttab_unmap_batch | gnttab_copy_batch): void;

// Words of the operations (x86_64): map 8, unmap 6, copy 10.
const MAP_WORDS = 8;
const UNMAP_WORDS = 6;
const COPY_WORDS = 10;
const ADDRESS_HIGH = 4294967296;

/** The address that a struct page stands for, which is what goes into a map operation's `host_addr`. */
export function gnttab_page_addr(of: page): number {
  return of.pfn * 4096;
}

/** Fills map operation `i`: map reference `ref` of domain `domid` at `addr` (`gnttab_page_addr`). Presets its status to 1. @inline */
export function gnttab_set_map_op(
  map: gnttab_map_batch,
  i: number,
  addr: number,
  flags: number,
  ref: grant_ref_t,
  domid: domid_t,
): void {
  const ops = map.ops;
  const op = i * MAP_WORDS;
  ops[op] = addr;
  ops[op + 1] = addr < ADDRESS_HIGH ? 0 : addr / ADDRESS_HIGH;
  ops[op + 2] = flags;
  ops[op + 3] = ref;
  ops[op + 4] = domid | 0x10000;
  ops[op + 5] = INVALID_GRANT_HANDLE;
}

/** Status of map operation `i`: GNTST_okay, a negative GNTST_*, or 1 when it was not performed. */
export function gnttab_map_status(map: gnttab_map_batch, i: number): number {
  return map.ops[i * MAP_WORDS + 4] >> 16;
}

/** Overwrites the status of map operation `i`. */
export function gnttab_set_map_status(map: gnttab_map_batch, i: number, status: number): void {
  const word = i * MAP_WORDS + 4;
  map.ops[word] = (map.ops[word] & 0xffff) | (status << 16);
}

/** Handle of the successful map operation `i`. */
export function gnttab_map_handle(map: gnttab_map_batch, i: number): grant_handle_t {
  return map.ops[i * MAP_WORDS + 5];
}

/** Machine frame of the successful map operation `i`. */
export function gnttab_map_frame(map: gnttab_map_batch, i: number): number {
  const op = i * MAP_WORDS;
  return (map.ops[op + 6] >>> 12) + map.ops[op + 7] * 0x100000;
}

/** Reference that map operation `i` names. */
export function gnttab_map_ref(map: gnttab_map_batch, i: number): grant_ref_t {
  return map.ops[i * MAP_WORDS + 3];
}

/** Fills unmap operation `i`: the mapping `handle` at `addr`. @inline */
export function gnttab_set_unmap_op(
  unmap: gnttab_unmap_batch,
  i: number,
  addr: number,
  flags: number,
  handle: grant_handle_t,
): void {
  const ops = unmap.ops;
  const op = i * UNMAP_WORDS;
  ops[op] = addr;
  ops[op + 1] = addr < ADDRESS_HIGH ? 0 : addr / ADDRESS_HIGH;
  ops[op + 2] = (flags & 1) !== 0 ? addr : 0;
  ops[op + 3] = 0;
  ops[op + 4] = handle;
  ops[op + 5] = 0;
}

/**
 * Fills unmap operation `i` of a batch (zero when made) that has only ever held such: the mapping `handle` at `addr`, below 4 GiB, is the host's alone. What is
 * the same in all of them is there since the batch was made.
 */
export function gnttab_set_host_unmap_op(
  unmap: gnttab_unmap_batch,
  i: number,
  addr: number,
  handle: grant_handle_t,
): void {
  const ops = unmap.ops;
  const op = i * UNMAP_WORDS;
  ops[op] = addr;
  ops[op + 4] = handle;
  ops[op + 5] = 0;
}

/** Status of unmap operation `i`. */
export function gnttab_unmap_status(unmap: gnttab_unmap_batch, i: number): number {
  return (unmap.ops[i * UNMAP_WORDS + 5] << 16) >> 16;
}

/** One end of a copy: a reference of another domain, or a machine frame of our own. */
export interface gnttab_copy_end {
  /** Grant reference (`GNTCOPY_*_gref` set) or machine frame number. */
  readonly gref_or_gmfn: number;
  readonly domid: domid_t;
  /** Bytes into the frame. */
  readonly offset: number;
}

/** Fills copy operation `i`: `length` bytes from `source` to `dest`, flags GNTCOPY_*. Presets its status to 1. */
export function gnttab_set_copy_op(
  copy: gnttab_copy_batch,
  i: number,
  source: gnttab_copy_end,
  dest: gnttab_copy_end,
  length: number,
  flags: number,
): void {
  const ops = copy.ops;
  const op = i * COPY_WORDS;
  ops[op] = source.gref_or_gmfn;
  ops[op + 1] = 0;
  ops[op + 2] = source.domid | (source.offset << 16);
  ops[op + 3] = 0;
  ops[op + 4] = dest.gref_or_gmfn;
  ops[op + 5] = 0;
  ops[op + 6] = dest.domid | (dest.offset << 16);
  ops[op + 7] = 0;
  ops[op + 8] = length | (flags << 16);
  ops[op + 9] = 1;
}

/** Status of copy operation `i`. */
export function gnttab_copy_status(copy: gnttab_copy_batch, i: number): number {
  return (copy.ops[i * COPY_WORDS + 9] << 16) >> 16;
}

/** Overwrites the status of copy operation `i`. */
export function gnttab_set_copy_status(copy: gnttab_copy_batch, i: number, status: number): void {
  copy.ops[i * COPY_WORDS + 9] = status & 0xffff;
}

/** Somebody who waits for free references. `fn(arg)` runs with the list's lock held: it must not sleep. */
export class gnttab_free_callback {
  next: gnttab_free_callback | null = null;
  fn: ((arg: unknown) => void) | null = null;
  arg: unknown = null;
  /** How many references must be free. */
  count = 0;
  queued = false;
}

/** Takes `count` references from the free list as a private chain whose head goes to `head`. 0, or -ENOSPC when the table is full. */
export declare function gnttab_alloc_grant_references(count: number, head: Ptr<grant_ref_t>): number;
/** Pops a reference of a private chain; -ENOSPC when it is empty. */
export declare function gnttab_claim_grant_reference(head: Ptr<grant_ref_t>): number;
/** Pushes a reference back to a private chain. */
export declare function gnttab_release_grant_reference(head: Ptr<grant_ref_t>, ref: grant_ref_t): void;
/** Whether a private chain is empty. */
export declare function gnttab_empty_grant_references(head: Ptr<grant_ref_t>): boolean;
/** Returns one reference to the free list (last in, first out) and runs the callbacks that it satisfies. */
export declare function gnttab_free_grant_reference(ref: grant_ref_t): void;
/** Returns a whole private chain to the free list. */
export declare function gnttab_free_grant_references(head: grant_ref_t): void;
/** Takes `count` consecutive references; `first` is the lowest. 0 or -ENOSPC. */
export declare function gnttab_alloc_grant_reference_seq(count: number, first: Ptr<grant_ref_t>): number;
/** Returns `count` consecutive references. */
export declare function gnttab_free_grant_reference_seq(head: grant_ref_t, count: number): void;
/** Calls `fn(arg)` once, as soon as `count` references are free, perhaps before this returns. A queued callback stays as it is. */
export declare function gnttab_request_free_callback(
  callback: gnttab_free_callback,
  fn: (arg: unknown) => void,
  arg: unknown,
  count: number,
): void;
/** Forgets a callback that has not been called yet. */
export declare function gnttab_cancel_free_callback(callback: gnttab_free_callback): void;

/** Grants `domid` access to machine frame `frame`: the reference, or -ENOSPC. `readonly` is 0 or 1. */
export declare function gnttab_grant_foreign_access(domid: domid_t, frame: number, readonly: number): number;
/** Publishes a grant in a reference that the caller holds. */
export declare function gnttab_grant_foreign_access_ref(
  ref: grant_ref_t,
  domid: domid_t,
  frame: number,
  readonly: number,
): void;
/** The same for a struct page. */
export function gnttab_page_grant_foreign_access_ref_one(
  ref: grant_ref_t,
  domid: domid_t,
  of: page,
  readonly: number,
): void {
  gnttab_grant_foreign_access_ref(ref, domid, of.mfn, readonly);
}
/** Revokes and keeps the reference: 1, or 0 (with a warning) while the peer has it mapped. */
export declare function gnttab_end_foreign_access_ref(ref: grant_ref_t): number;
/** Revokes and frees the reference: 1, or 0 and no change while the peer has it mapped. */
export declare function gnttab_try_end_foreign_access(ref: grant_ref_t): number;
/**
 * Revokes and frees the reference and drops one reference of `of`; with null the frame's page stays the caller's. While the peer has it
 * mapped, reference and page stay out of circulation until a timer finds the mapping gone.
 */
export declare function gnttab_end_foreign_access(ref: grant_ref_t, of: page | null): void;
/** Whether the peer has the reference mapped: its in-use flags (GTF_reading, GTF_writing), 0 when not. */
export declare function gnttab_query_foreign_access(ref: grant_ref_t): number;
/** Frames that the table may have, at most: what the hypervisor and the start of day allow. */
export declare function gnttab_max_grant_frames(): number;

/**
 * Performs `count` map operations and opens the windows of `pages` on the frames of those that succeeded. 0; a negative errno when the
 * hypercall as a whole failed; -EAGAIN when an operation must be tried again: then `yield* gnttab_map_refs_retry(...)` finishes the job.
 */
export declare function gnttab_map_refs(
  map_ops: gnttab_map_batch,
  kmap_ops: null,
  pages: readonly page[],
  count: number,
): number;
/** Second half of gnttab_map_refs: tries operations with GNTST_eagain again, sleeping 1, 2, 3... ms; those that never succeed end as GNTST_bad_page. */
export declare function gnttab_map_refs_retry(
  map_ops: gnttab_map_batch,
  kmap_ops: null,
  pages: readonly page[],
  count: number,
): Sleeps<number>;
/** Performs `count` unmap operations and shuts the windows of `pages`. 0 or a negative errno. */
export declare function gnttab_unmap_refs(
  unmap_ops: gnttab_unmap_batch,
  kunmap_ops: null,
  pages: readonly page[],
  count: number,
): number;

/** An unmap that waits until nobody else uses the pages. */
export class gntab_unmap_queue_data {
  readonly gnttab_work = new delayed_work(this);
  data: unknown = null;
  /** Called when the pages are unmapped. Runs in a worker: it must not sleep. */
  done: ((result: number, item: gntab_unmap_queue_data) => void) | null = null;
  unmap_ops: gnttab_unmap_batch | null = null;
  kunmap_ops: null = null;
  pages: readonly page[] = [];
  count = 0;
  age = 0;
}
/** Unmaps once every page's count is at most 1, looking again after 5, 10, 15... ms; then calls `item.done`. */
export declare function gnttab_unmap_refs_async(item: gntab_unmap_queue_data): void;
/** The same, and sleeps until it is done. 0 or a negative errno. */
export declare function gnttab_unmap_refs_sync(item: gntab_unmap_queue_data): Sleeps<number>;

/** Maps without struct pages: the hypercall, and GNTST_eagain tried again. Results are in the statuses. */
export declare function gnttab_batch_map(batch: gnttab_map_batch, count: number): Sleeps<void>;
/** Copies: the hypercall, and GNTST_eagain tried again. Results are in the statuses. */
export declare function gnttab_batch_copy(batch: gnttab_copy_batch, count: number): Sleeps<void>;

/** A pool of unpopulated pages: the first `num_pages` of `pages`, last in first out. */
export class gnttab_page_cache {
  readonly pages: page[] = [];
  num_pages = 0;
}
/** Takes the page that was put in last; null when there is none: `gnttab_page_cache_get` makes one. */
export function gnttab_page_cache_take(cache: gnttab_page_cache): page | null {
  return cache.num_pages === 0 ? null : cache.pages[--cache.num_pages];
}
/** Gives one page to the cache. */
export function gnttab_page_cache_give(cache: gnttab_page_cache, of: page): void {
  cache.pages[cache.num_pages++] = of;
}
/** Empties the bookkeeping of a new cache. */
export declare function gnttab_page_cache_init(cache: gnttab_page_cache): void;
/** Takes a page from the cache, or a new one: 0, or -ENOMEM. */
export declare function gnttab_page_cache_get(cache: gnttab_page_cache, of: Ptr<page | null>): number;
/** Gives `num` pages to the cache. */
export function gnttab_page_cache_put(cache: gnttab_page_cache, pages: readonly page[], num: number): void {
  const pool = cache.pages;
  let count = cache.num_pages;
  for (let i = 0; i < num; i++) pool[count++] = pages[i];
  cache.num_pages = count;
}
/** Frees pages until at most `num` are left. */
export declare function gnttab_page_cache_shrink(cache: gnttab_page_cache, num: number): void;

/** Fills `pages` with `nr_pages` pages that have no RAM behind them, for foreign mappings: 0 or -ENOMEM. */
export declare function gnttab_alloc_pages(nr_pages: number, pages: page[]): number;
/** Frees pages of gnttab_alloc_pages. */
export declare function gnttab_free_pages(nr_pages: number, pages: readonly page[]): void;

/** Calls `fn(gfn, offset, len, data)` for each grant-sized piece of `len` bytes at `offset` of the page. */
export function gnttab_foreach_grant_in_range<T>(
  of: page,
  offset: number,
  len: number,
  fn: (gfn: number, offset: number, len: number, data: T) => void,
  data: T,
): void {
  let gfn = of.mfn + (offset >>> 12);
  let start = offset & 4095;
  while (len > 0) {
    const piece = Math.min(4096 - start, len);
    fn(gfn, start, piece, data);
    gfn++;
    start = 0;
    len -= piece;
  }
}
/** How many grants `len` bytes at offset `start` need. */
export function gnttab_count_grant(start: number, len: number): number {
  return (((start & 4095) + len + 4095) / 4096) | 0;
}

/** Builds the table again after the domain was restored; every grant must be given anew. 0 or a negative errno. */
export declare function gnttab_resume(): number;
/** Lets go of the table's frames before the domain is saved. */
export declare function gnttab_suspend(): number;
