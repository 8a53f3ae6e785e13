import { beforeEach, expect, test } from "vitest";
import { ptr } from "xenolith/linux/types";
import type { page } from "xenolith/linux/mm_types";
import { nr_unpopulated_pages } from "xenolith/xen/xen";
import {
  GNTMAP_host_map,
  GNTMAP_readonly,
  GNTST_bad_gntref,
  GNTST_eagain,
  GNTST_okay,
  gnttab_alloc_map_batch,
  gnttab_alloc_pages,
  gnttab_alloc_unmap_batch,
  gnttab_count_grant,
  gnttab_foreach_grant_in_range,
  gnttab_free_batch,
  gnttab_free_pages,
  gnttab_map_frame,
  gnttab_map_handle,
  gnttab_map_refs,
  gnttab_map_status,
  gnttab_page_addr,
  gnttab_page_cache,
  gnttab_page_cache_get,
  gnttab_page_cache_init,
  gnttab_page_cache_put,
  gnttab_page_cache_shrink,
  gnttab_set_map_op,
  gnttab_set_unmap_op,
  gnttab_unmap_refs,
  gnttab_unmap_status,
  type gnttab_map_batch,
  type gnttab_unmap_batch,
} from "xenolith/xen/grant_table";
import { page_read32, page_write32 } from "xenolith/xen/page";
import { EAGAIN } from "../../../hal/abi/errno";
import { get_field, type struct_layout } from "../../../hal/abi/layout";
import { gnttab_map_grant_ref, gnttab_unmap_grant_ref } from "../../../hal/abi/grant_table";
import { bootFake } from "./boot-fake";
import { NR_PAGES, type FakeXen } from "./fake-xen";

let fake: FakeXen;
let map: gnttab_map_batch;
let unmap: gnttab_unmap_batch;
let pages: page[];

beforeEach(() => {
  fake = bootFake();
  map = gnttab_alloc_map_batch() as gnttab_map_batch;
  unmap = gnttab_alloc_unmap_batch() as gnttab_unmap_batch;
  pages = [];
  gnttab_alloc_pages(3, pages);
});

function field<F extends string>(
  batch: { ops: Uint32Array },
  of: struct_layout<F, string>,
  i: number,
  name: F,
): number {
  const { buffer, byteOffset, byteLength } = batch.ops;
  return get_field(new DataView(buffer, byteOffset, byteLength), i * of.size, of, name);
}

test("gnttab_set_map_op fills the struct of the interface", () => {
  gnttab_set_map_op(map, 2, gnttab_page_addr(pages[2]), GNTMAP_host_map | GNTMAP_readonly, 0xfffffff0, 0x7fee);
  const get = (name: Parameters<typeof field<keyof typeof gnttab_map_grant_ref.fields>>[3]): number =>
    field(map, gnttab_map_grant_ref, 2, name);
  expect(get("host_addr")).toBe(pages[2].pfn * 4096);
  expect(get("flags")).toBe(6);
  expect(get("ref")).toBe(0xfffffff0);
  expect(get("dom")).toBe(0x7fee);
  expect(get("status")).toBe(1);
});

test("gnttab_set_unmap_op fills the struct of the interface", () => {
  gnttab_set_unmap_op(unmap, 1, gnttab_page_addr(pages[0]), GNTMAP_host_map, 0xffffff01);
  const get = (name: Parameters<typeof field<keyof typeof gnttab_unmap_grant_ref.fields>>[3]): number =>
    field(unmap, gnttab_unmap_grant_ref, 1, name);
  expect(get("host_addr")).toBe(pages[0].pfn * 4096);
  expect(get("dev_bus_addr")).toBe(0);
  expect(get("handle")).toBe(0xffffff01);
});

test("pages for foreign frames lie beyond RAM and have nothing mapped", () => {
  expect(pages[0].pfn).toBeGreaterThanOrEqual(NR_PAGES);
  expect(() => page_read32(pages[0], 0)).toThrow("page fault");
});

test("gnttab_map_refs opens windows on the peer's frames, and only where the operation succeeded", () => {
  fake.foreignGrants.set(20, 5).set(22, 6);
  fake.frame(5)[3] = 0xdeadbeef;
  for (let i = 0; i < 3; i++) gnttab_set_map_op(map, i, gnttab_page_addr(pages[i]), GNTMAP_host_map, 20 + i, 2);
  expect(gnttab_map_refs(map, null, pages, 3)).toBe(0);
  expect([0, 1, 2].map((i) => gnttab_map_status(map, i))).toEqual([GNTST_okay, GNTST_bad_gntref, GNTST_okay]);
  expect(gnttab_map_frame(map, 2)).toBe(6);
  expect(page_read32(pages[0], 3)).toBe(0xdeadbeef);
  page_write32(pages[2], 0, 7);
  expect(fake.frame(6)[0]).toBe(7);
  expect(pages.map((of) => of.words !== null)).toEqual([true, false, true]);
  expect(() => page_read32(pages[1], 0)).toThrow("page fault");
});

test("an access after gnttab_unmap_refs is a page fault that names the grant", () => {
  fake.foreignGrants.set(20, 5);
  gnttab_set_map_op(map, 0, gnttab_page_addr(pages[0]), GNTMAP_host_map, 20, 2);
  gnttab_map_refs(map, null, pages, 1);
  gnttab_set_unmap_op(unmap, 0, gnttab_page_addr(pages[0]), GNTMAP_host_map, gnttab_map_handle(map, 0));
  expect(gnttab_unmap_refs(unmap, null, pages, 1)).toBe(0);
  expect(gnttab_unmap_status(unmap, 0)).toBe(GNTST_okay);
  expect(() => page_read32(pages[0], 0)).toThrow("gref 20");
});

test("gnttab_map_refs says -EAGAIN when an operation is to be tried again, and has done the others", () => {
  fake.foreignGrants.set(20, 5).set(21, GNTST_eagain);
  for (let i = 0; i < 2; i++) gnttab_set_map_op(map, i, gnttab_page_addr(pages[i]), GNTMAP_host_map, 20 + i, 2);
  expect(gnttab_map_refs(map, null, pages, 2)).toBe(-EAGAIN);
  expect(pages[0].words !== null).toBe(true);
  expect(gnttab_map_status(map, 1)).toBe(GNTST_eagain);
});

test("the page cache hands out what was put in last, makes what it lacks, and shrinks to a size", () => {
  const before = nr_unpopulated_pages();
  const cache = new gnttab_page_cache();
  const got = ptr<page | null>(null);
  gnttab_page_cache_init(cache);
  gnttab_page_cache_put(cache, pages, 3);
  gnttab_page_cache_get(cache, got);
  expect(got.value).toBe(pages[2]);
  const more: page[] = [];
  gnttab_alloc_pages(30, more);
  gnttab_page_cache_put(cache, more, 30);
  gnttab_page_cache_shrink(cache, 4);
  expect(cache.num_pages).toBe(4);
  gnttab_page_cache_shrink(cache, 0);
  gnttab_free_pages(1, [pages[2]]);
  expect(nr_unpopulated_pages()).toBe(before - 3);
  gnttab_page_cache_get(cache, got);
  expect(got.value).not.toBeNull();
});

test("ranges are cut at page borders", () => {
  const pieces: number[][] = [];
  pages[0].mfn = 10;
  gnttab_foreach_grant_in_range(pages[0], 4000, 5000, (gfn, offset, len) => pieces.push([gfn, offset, len]), null);
  expect(pieces).toEqual([
    [10, 4000, 96],
    [11, 0, 4096],
    [12, 0, 808],
  ]);
  expect(gnttab_count_grant(4000, 5000)).toBe(3);
  expect(gnttab_count_grant(0, 4096)).toBe(1);
});

test("a batch is a page, and goes back", () => {
  expect(map.paddr % 4096).toBe(0);
  gnttab_free_batch(map);
});
