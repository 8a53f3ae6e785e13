/**
 * Struct pages without RAM behind them (Linux `drivers/xen/unpopulated-alloc.c`): windows for foreign frames.
 *
 * Their frame numbers start where the domain's RAM ends. Freed ones are kept and handed out again, last in first out, so that a driver that
 * maps and unmaps settles on the same few windows.
 */
import type { Hal } from "../../hal/abi/hal";
import { hal } from "../../hal/guest/hal";
import { EXPORT_SYMBOL } from "xenolith/linux/export";
import { WARN } from "xenolith/linux/kernel";
import { mem_map_add_page } from "xenolith/linux/mm";
import { page } from "xenolith/linux/mm_types";

let free_pages: page[] = [];
let made = 0;
/** The machine that the pages were made for. */
let made_for: Hal | null = null;

function take_page(): page {
  if (made_for !== hal) {
    made_for = hal;
    free_pages = [];
    made = 0;
  }
  const freed = free_pages.pop();
  if (freed !== undefined) return freed;
  const fresh = new page(hal.nr_pages + made);
  made++;
  mem_map_add_page(fresh);
  return fresh;
}

export function xen_alloc_unpopulated_pages(nr_pages: number, pages: page[]): number {
  for (let i = 0; i < nr_pages; i++) {
    const of = take_page();
    of._refcount = 1;
    pages[i] = of;
  }
  return 0;
}
EXPORT_SYMBOL(xen_alloc_unpopulated_pages);

export function xen_free_unpopulated_pages(nr_pages: number, pages: readonly page[]): void {
  for (let i = 0; i < nr_pages; i++) {
    const of = pages[i];
    if (WARN(of.words !== null, "xen: page %u is freed while grant %d is mapped there\n", of.pfn, of.gref)) continue;
    of._refcount = 0;
    of.private = null;
    free_pages.push(of);
  }
}
EXPORT_SYMBOL(xen_free_unpopulated_pages);

export function nr_unpopulated_pages(): number {
  return made_for === hal ? made - free_pages.length : 0;
}
EXPORT_SYMBOL(nr_unpopulated_pages);
