/** `<linux/mm.h>`: pages. Nothing here sleeps; an allocation that cannot be met returns null at once. */
import type { gfp_t } from "./gfp";
import type { page } from "./mm_types";

export const PAGE_SHIFT = 12;
export const PAGE_SIZE = 4096;
export const PAGE_MASK = ~4095;
/** Largest order of a block, exclusive. */
export const MAX_ORDER = 11;

/** One page with one reference, zeroed if asked (`GFP_ZERO`), else with any contents. Null when RAM is exhausted. */
export declare function alloc_page(gfp: gfp_t): page | null;
/** 2^order contiguous pages; the first is returned, the others are `nth_page(page, i)`. */
export declare function alloc_pages(gfp: gfp_t, order: number): page | null;
/** Drops the reference that `alloc_page` gave; frees at 0. */
export declare function __free_page(page: page): void;
export declare function __free_pages(page: page, order: number): void;
export declare function nth_page(page: page, n: number): page;
export declare function get_page(page: page): void;
/** Drops a reference; frees the page at 0. */
export declare function put_page(page: page): void;
export function page_count(page: page): number {
  return page._refcount;
}
export declare function pfn_to_page(pfn: number): page;
/** Makes a page that is not RAM known to pfn_to_page. (Linux: memremap_pages.) */
export declare function mem_map_add_page(page: page): void;
/** Smallest order whose block holds `size` bytes. */
export declare function get_order(size: number): number;
/** Pages of RAM that are free. */
export declare function nr_free_pages(): number;
/** All pages of RAM. */
export declare function totalram_pages(): number;
/** Pages that were allocated and not freed, for the leak ledger. */
export declare function nr_allocated_pages(): number;
export function page_to_pfn(page: page): number {
  return page.pfn;
}

/** Byte offset of the page in this domain's address space: an address for hypercalls if it is own RAM, and a grant's `host_addr`. */
export function page_to_phys(page: page): number {
  return page.pfn * PAGE_SIZE;
}

export function PFN_UP(size: number): number {
  return Math.ceil(size / PAGE_SIZE);
}

export function PFN_DOWN(size: number): number {
  return Math.floor(size / PAGE_SIZE);
}

export function offset_in_page(address: number): number {
  return address & (PAGE_SIZE - 1);
}

/** Machine frame of the page, -1 if nothing is mapped. (Xen's `xen_page_to_gfn`.) */
export function page_to_mfn(page: page): number {
  return page.mfn;
}

/** Machine frame of own page `pfn`. */
export declare function pfn_to_mfn(pfn: number): number;
/** Own page of machine frame `mfn`, or -1 if it is not ours. */
export declare function mfn_to_pfn(mfn: number): number;
