import * as fc from "fast-check";
import { expect, test } from "vitest";
import { GFP_KERNEL, GFP_ZERO } from "xenolith/linux/gfp";
import {
  __free_page,
  __free_pages,
  alloc_page,
  alloc_pages,
  get_page,
  mfn_to_pfn,
  nr_allocated_pages,
  nr_free_pages,
  nth_page,
  page_count,
  pfn_to_mfn,
  pfn_to_page,
  put_page,
} from "xenolith/linux/mm";
import type { page } from "xenolith/linux/mm_types";
import { page_read32, page_write32 } from "xenolith/xen/page";
import { bootBareKernel } from "../../kit/bare-kernel";

const kernel = bootBareKernel({ pages: 512 });
const all = nr_free_pages();

test("alloc_page: own RAM with its frame number, zeroed on demand, last in first out", () => {
  const first = alloc_page(GFP_KERNEL) as page;
  expect(first.mfn).toBe(kernel.hal.mfn_base + first.pfn);
  expect(pfn_to_mfn(first.pfn)).toBe(first.mfn);
  expect(mfn_to_pfn(first.mfn)).toBe(first.pfn);
  expect(mfn_to_pfn(kernel.hal.mfn_base - 1)).toBe(-1);
  page_write32(first, 7, 0xffffffff);
  __free_page(first);
  const second = alloc_page(GFP_ZERO) as page;
  expect(second).toBe(first);
  expect(page_read32(second, 7)).toBe(0);
  __free_page(second);
  expect(nr_allocated_pages()).toBe(0);
});

test("get_page, put_page: the page is free after the last reference", () => {
  const page = alloc_page(0) as page;
  get_page(page);
  put_page(page);
  expect(page_count(page)).toBe(1);
  expect(nr_free_pages()).toBe(all - 1);
  put_page(page);
  expect(nr_free_pages()).toBe(all);
  expect(() => put_page(page)).toThrow(/Bad page state/);
});

test("reserved pages (start_info, rings, grant frames) are never handed out, and RAM runs out with null", () => {
  const pages: page[] = [];
  for (let page = alloc_page(0); page !== null; page = alloc_page(0)) pages.push(page);
  expect(pages).toHaveLength(all);
  expect(Math.min(...pages.map((page) => page.pfn))).toBe(37);
  expect(new Set(pages).size).toBe(all);
  expect(page_count(pfn_to_page(0))).toBe(1);
  for (const page of pages) __free_page(page);
  expect(nr_free_pages()).toBe(all);
});

test("alloc_pages: contiguous, aligned blocks; freed ones merge again", () => {
  const block = alloc_pages(0, 6) as page;
  expect(block.pfn % 64).toBe(0);
  expect(nth_page(block, 63).pfn).toBe(block.pfn + 63);
  __free_pages(block, 6);
  const large = alloc_pages(0, 8) as page;
  expect(large).not.toBeNull();
  __free_pages(large, 8);
  expect(alloc_pages(0, 11)).toBeNull();
});

test("the allocator: any mix of orders hands out no page twice, and gets all back", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(5), { maxLength: 80 }), fc.array(fc.nat(), { maxLength: 80 }), (orders, frees) => {
      const held: { page: page; order: number }[] = [];
      const used = new Set<number>();
      orders.forEach((order, step) => {
        const page = alloc_pages(0, order);
        if (page !== null) {
          for (let i = 0; i < 1 << order; i++) {
            expect(used.has(page.pfn + i)).toBe(false);
            used.add(page.pfn + i);
          }
          held.push({ page, order });
        }
        if (step >= frees.length || held.length === 0) return;
        const [gone] = held.splice(frees[step] % held.length, 1);
        for (let i = 0; i < 1 << gone.order; i++) used.delete(gone.page.pfn + i);
        __free_pages(gone.page, gone.order);
      });
      for (const { page, order } of held) __free_pages(page, order);
      expect(nr_free_pages()).toBe(all);
    }),
    { seed: 2 },
  );
});
