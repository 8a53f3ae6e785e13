/**
 * Pages for foreign mappings, one by one and from a cache.
 */
import { ENOMEM } from "xenolith/linux/errno";
import { EXPORT_SYMBOL } from "xenolith/linux/export";
import type { page } from "xenolith/linux/mm_types";
import type { Ptr } from "xenolith/linux/types";
import { gnttab_page_cache_take } from "xenolith/xen/grant_table";
import type { gnttab_page_cache } from "xenolith/xen/grant_table";
import { xen_alloc_unpopulated_pages, xen_free_unpopulated_pages } from "xenolith/xen/xen";

/** Pages that the cache gives back at a time. */
const SHRINK_BATCH = 10;

export function gnttab_alloc_pages(nr_pages: number, pages: page[]): number {
  return xen_alloc_unpopulated_pages(nr_pages, pages) < 0 ? -ENOMEM : 0;
}
EXPORT_SYMBOL(gnttab_alloc_pages);

export function gnttab_free_pages(nr_pages: number, pages: readonly page[]): void {
  xen_free_unpopulated_pages(nr_pages, pages);
}
EXPORT_SYMBOL(gnttab_free_pages);

export function gnttab_page_cache_init(cache: gnttab_page_cache): void {
  cache.pages.length = 0;
  cache.num_pages = 0;
}
EXPORT_SYMBOL(gnttab_page_cache_init);

const one_page: page[] = [];

export function gnttab_page_cache_get(cache: gnttab_page_cache, of: Ptr<page | null>): number {
  const cached = gnttab_page_cache_take(cache);
  if (cached !== null) {
    of.value = cached;
    return 0;
  }
  const result = gnttab_alloc_pages(1, one_page);
  of.value = result === 0 ? one_page[0] : null;
  return result;
}
EXPORT_SYMBOL(gnttab_page_cache_get);

export function gnttab_page_cache_shrink(cache: gnttab_page_cache, num: number): void {
  // What is beyond the pages in it has been taken.
  cache.pages.length = cache.num_pages;
  while (cache.num_pages > num) {
    const surplus = cache.pages.splice(-Math.min(SHRINK_BATCH, cache.num_pages - num));
    cache.num_pages = cache.pages.length;
    gnttab_free_pages(surplus.length, surplus);
  }
}
EXPORT_SYMBOL(gnttab_page_cache_shrink);
