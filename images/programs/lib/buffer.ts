/** A program's I/O buffer: pages, so that direct I/O can be granted to a back end as they are. */
import { GFP_KERNEL } from "xenolith/linux/gfp";
import { __free_page, alloc_page } from "xenolith/linux/mm";
import type { page } from "xenolith/linux/mm_types";

/** Pages for `bytes` bytes, or null when the domain has no such memory. */
export function alloc_buffer(bytes: number): page[] | null {
  const pages: page[] = [];
  while (pages.length * 4096 < bytes) {
    const page = alloc_page(GFP_KERNEL);
    if (page === null) {
      free_buffer(pages);
      return null;
    }
    pages.push(page);
  }
  return pages;
}

/** Gives the pages back. */
export function free_buffer(pages: readonly page[]): void {
  for (const page of pages) __free_page(page);
}
