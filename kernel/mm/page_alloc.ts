/**
 * The page allocator: a buddy system over the domain's own RAM.
 *
 *   free_area[order]: a stack of free blocks, last in first out ─► alloc_pages splits a larger block, __free_pages merges with its buddy
 *
 * Single pages come and go without touching the buddies' bookkeeping as long as the stack of order 0 holds some. `struct page`s are made when a page
 * is first used. Which page comes next depends on nothing but the calls before.
 */
import { EXPORT_SYMBOL } from "xenolith/linux/export";
import { __GFP_ZERO } from "xenolith/linux/gfp";
import { BUG_ON, panic } from "xenolith/linux/kernel";
import { MAX_ORDER } from "xenolith/linux/mm";
import { page } from "xenolith/linux/mm_types";
import { hal } from "../../hal/guest/hal";
import { memset_page, page_map_own, PAGE_SIZE } from "../../hal/guest/page";

/** What a freed page is filled with in debug builds when `page_poison=on`. */
const PAGE_POISON = 0xaa;

const mem_map: (page | undefined)[] = [];
/** Stacks of first pfns of free blocks, by order. An entry counts only while `free_order` agrees: merging leaves stale ones behind. */
const free_area: number[][] = [];
/** For the first page of a free block its order, else -1. */
let free_order = new Int8Array(0);
/** Free single pages, newest last. Not merged while it is short. */
const hot_pages: page[] = [];
const HOT_PAGES_MAX = 256;
let nr_free = 0;
let nr_total = 0;
let nr_reserved = 0;
let poison = false;

/** Frees all RAM from page `first_free_pfn` on; what is below belongs to the domain builder. */
export function mm_init(first_free_pfn: number): void {
  free_area.length = 0;
  hot_pages.length = 0;
  mem_map.length = 0;
  for (let order = 0; order < MAX_ORDER; order++) free_area.push([]);
  nr_total = hal.nr_pages;
  free_order = new Int8Array(nr_total).fill(-1);
  nr_reserved = first_free_pfn;
  nr_free = 0;
  add_range(first_free_pfn, nr_total);
}

/** Debug builds: fill freed pages, so that reading them shows. */
export function set_page_poison(on: boolean): void {
  poison = on;
}

/** Cuts [start, end) into aligned blocks; the lowest end up on top of their stacks. */
function add_range(start: number, end: number): void {
  const blocks: [number, number][] = [];
  for (let pfn = start; pfn < end; ) {
    let order = MAX_ORDER - 1;
    while (pfn % (1 << order) !== 0 || pfn + (1 << order) > end) order--;
    blocks.push([pfn, order]);
    pfn += 1 << order;
  }
  for (const [pfn, order] of blocks.reverse()) push_block(pfn, order);
  nr_free += end - start;
}

export function pfn_to_page(pfn: number): page {
  const known = mem_map[pfn];
  if (known !== undefined) return known;
  if (pfn < 0 || pfn >= nr_total) panic("BUG: pfn_to_page: pfn %d is beyond RAM (%d pages)", pfn, nr_total);
  const found = new page(pfn);
  page_map_own(found, pfn);
  if (pfn < nr_reserved) found._refcount = 1;
  mem_map_add_page(found);
  return found;
}
EXPORT_SYMBOL(pfn_to_page);

export function mem_map_add_page(of: page): void {
  while (mem_map.length <= of.pfn) mem_map.push(undefined);
  mem_map[of.pfn] = of;
}
EXPORT_SYMBOL(mem_map_add_page);

export function nth_page(first: page, n: number): page {
  return n === 0 ? first : pfn_to_page(first.pfn + n);
}
EXPORT_SYMBOL(nth_page);

function push_block(pfn: number, order: number): void {
  free_order[pfn] = order;
  free_area[order].push(pfn);
}

/** Takes the block that was freed last off a stack. Returns its first pfn, or -1. */
function pop_block(order: number): number {
  const stack = free_area[order];
  while (stack.length > 0) {
    const pfn = stack.pop() as number;
    if (free_order[pfn] !== order) continue;
    free_order[pfn] = -1;
    return pfn;
  }
  return -1;
}

/** Takes a block of 2^order pages, splitting a larger one if need be. Returns its first pfn, or -1. */
function take_block(order: number): number {
  for (let from = order; from < MAX_ORDER; from++) {
    const pfn = pop_block(from);
    if (pfn < 0) continue;
    while (from > order) push_block(pfn + (1 << --from), from);
    return pfn;
  }
  return -1;
}

/** Puts a block back and merges it with its buddies. */
function give_block(first: number, first_order: number): void {
  let pfn = first;
  let order = first_order;
  while (order < MAX_ORDER - 1 && free_order[pfn ^ (1 << order)] === order) {
    free_order[pfn ^ (1 << order)] = -1;
    pfn &= ~(1 << order);
    order++;
  }
  push_block(pfn, order);
}

export function alloc_page(gfp: number): page | null {
  let taken: page;
  if (hot_pages.length > 0) taken = hot_pages.pop() as page;
  else {
    const pfn = take_block(0);
    if (pfn < 0) return null;
    taken = pfn_to_page(pfn);
  }
  nr_free--;
  taken._refcount = 1;
  taken.order = 0;
  taken.private = null;
  if ((gfp & __GFP_ZERO) !== 0) memset_page(taken, 0, 0, PAGE_SIZE);
  return taken;
}
EXPORT_SYMBOL(alloc_page);

export function alloc_pages(gfp: number, order: number): page | null {
  if (order === 0) return alloc_page(gfp);
  if (order >= MAX_ORDER) return null;
  let pfn = take_block(order);
  if (pfn < 0 && hot_pages.length > 0) {
    drain_hot_pages();
    pfn = take_block(order);
  }
  if (pfn < 0) return null;
  nr_free -= 1 << order;
  for (let i = 0; i < 1 << order; i++) {
    const taken = pfn_to_page(pfn + i);
    taken._refcount = 1;
    taken.private = null;
    taken.order = 0;
    if ((gfp & __GFP_ZERO) !== 0) memset_page(taken, 0, 0, PAGE_SIZE);
  }
  pfn_to_page(pfn).order = order;
  return pfn_to_page(pfn);
}
EXPORT_SYMBOL(alloc_pages);

function drain_hot_pages(): void {
  while (hot_pages.length > 0) give_block((hot_pages.pop() as page).pfn, 0);
}

function free_one(freed: page): void {
  BUG_ON(freed.pfn >= nr_total);
  if (poison) memset_page(freed, 0, PAGE_POISON, PAGE_SIZE);
  nr_free++;
  if (hot_pages.length < HOT_PAGES_MAX) hot_pages.push(freed);
  else give_block(freed.pfn, 0);
}

export function put_page(page: page): void {
  if (page._refcount <= 0) panic("BUG: Bad page state: pfn %d freed with refcount %d", page.pfn, page._refcount);
  if (--page._refcount === 0) free_one(page);
}
EXPORT_SYMBOL(put_page);

export function __free_page(page: page): void {
  put_page(page);
}
EXPORT_SYMBOL(__free_page);

export function __free_pages(first: page, order: number): void {
  for (let i = 0; i < 1 << order; i++) put_page(nth_page(first, i));
}
EXPORT_SYMBOL(__free_pages);

export function get_page(page: page): void {
  if (page._refcount <= 0) panic("BUG: get_page on free pfn %d", page.pfn);
  page._refcount++;
}
EXPORT_SYMBOL(get_page);

export function get_order(size: number): number {
  let order = 0;
  while (PAGE_SIZE * (1 << order) < size) order++;
  return order;
}
EXPORT_SYMBOL(get_order);

export function pfn_to_mfn(pfn: number): number {
  return hal.mfn_base + pfn;
}
EXPORT_SYMBOL(pfn_to_mfn);

export function mfn_to_pfn(mfn: number): number {
  const pfn = mfn - hal.mfn_base;
  return pfn >= 0 && pfn < nr_total ? pfn : -1;
}
EXPORT_SYMBOL(mfn_to_pfn);

export function nr_free_pages(): number {
  return nr_free;
}
EXPORT_SYMBOL(nr_free_pages);

export function totalram_pages(): number {
  return nr_total;
}
EXPORT_SYMBOL(totalram_pages);

export function nr_allocated_pages(): number {
  return nr_total - nr_reserved - nr_free;
}
EXPORT_SYMBOL(nr_allocated_pages);
