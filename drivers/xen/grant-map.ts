/**
 * The mapper's side of the grant tables: foreign frames seen through struct pages of our own.
 *
 * A batch of operations is a page of private RAM that the hypercall reads and writes in place; filling it allocates nothing. Every operation
 * has its own status: a bad reference of the peer fails alone. The peer's frame may change under our eyes at any time.
 */
import {
  GNTTABOP_copy,
  GNTTABOP_map_grant_ref,
  GNTTABOP_unmap_grant_ref,
  GNTTAB_COPY_SIZE,
  GNTTAB_MAP_GRANT_REF_DEV_BUS_ADDR,
  GNTTAB_MAP_GRANT_REF_REF,
  GNTTAB_MAP_GRANT_REF_SIZE,
  GNTTAB_MAP_GRANT_REF_STATUS,
} from "../../hal/abi/grant_table";
import { hal } from "../../hal/guest/hal";
import { PAGE_SHIFT, page_map_foreign, page_unmap_foreign } from "../../hal/guest/page";
import { msleep } from "xenolith/linux/delay";
import { EAGAIN } from "xenolith/linux/errno";
import { EXPORT_SYMBOL } from "xenolith/linux/export";
import { GFP_ZERO } from "xenolith/linux/gfp";
import { BUG_ON } from "xenolith/linux/kernel";
import { local_clock } from "xenolith/linux/ktime";
import { __free_page, alloc_page } from "xenolith/linux/mm";
import type { page } from "xenolith/linux/mm_types";
import { pr_warn_once } from "xenolith/linux/printk";
import { current, type Sleeps } from "xenolith/linux/sched";
import {
  GNTST_bad_page,
  GNTST_eagain,
  GNTST_no_device_space,
  GNTST_no_space,
  GNTST_okay,
  gnttab_copy_status,
  gnttab_map_status,
  gnttab_set_copy_status,
  gnttab_set_map_status,
  type gnttab_copy_batch,
  type gnttab_map_batch,
  type gnttab_unmap_batch,
} from "xenolith/xen/grant_table";
import { HYPERVISOR_grant_table_op } from "./hypercall";

/** Milliseconds of the longest sleep before an operation that asks to be tried again is given up. */
const MAX_DELAY = 256;
const MAP_SIZE = GNTTAB_MAP_GRANT_REF_SIZE;
const COPY_SIZE = GNTTAB_COPY_SIZE;
/** Frames below a machine address of 2^32. */
const FRAMES_HIGH = 1 << (32 - PAGE_SHIFT);

// ---- batches ----------------------------------------------------------------------------------------------------------------------------

function alloc_batch<K extends string>(kind: K): { kind: K; ops: Uint32Array; paddr: number; page: page } | null {
  const own = alloc_page(GFP_ZERO);
  if (own === null) return null;
  return { kind, ops: hal.page(own.pfn), paddr: own.pfn * 4096, page: own };
}

export function gnttab_alloc_map_batch(): gnttab_map_batch | null {
  return alloc_batch("map");
}
EXPORT_SYMBOL(gnttab_alloc_map_batch);

export function gnttab_alloc_unmap_batch(): gnttab_unmap_batch | null {
  return alloc_batch("unmap");
}
EXPORT_SYMBOL(gnttab_alloc_unmap_batch);

export function gnttab_alloc_copy_batch(): gnttab_copy_batch | null {
  return alloc_batch("copy");
}
EXPORT_SYMBOL(gnttab_alloc_copy_batch);

export function gnttab_free_batch(batch: gnttab_map_batch | gnttab_unmap_batch | gnttab_copy_batch): void {
  __free_page(batch.page);
}
EXPORT_SYMBOL(gnttab_free_batch);

// ---- map and unmap ----------------------------------------------------------------------------------------------------------------------

/** Acts on the statuses of `count` operations: opens the windows of those that succeeded. -EAGAIN if one is to be tried again. */
function gnttab_map_finish(map_ops: gnttab_map_batch, pages: readonly page[], count: number): number {
  const ops = map_ops.ops;
  let result = 0;
  for (let i = 0, op = 0; i < count; i++, op += MAP_SIZE >>> 2) {
    const status = ops[op + (GNTTAB_MAP_GRANT_REF_STATUS >>> 2)] >> 16;
    if (status === GNTST_okay) {
      const address = op + (GNTTAB_MAP_GRANT_REF_DEV_BUS_ADDR >>> 2);
      const mfn = (ops[address] >>> PAGE_SHIFT) + ops[address + 1] * FRAMES_HIGH;
      page_map_foreign(pages[i], mfn, ops[op + (GNTTAB_MAP_GRANT_REF_REF >>> 2)]);
    } else if (status === GNTST_eagain) {
      result = -EAGAIN;
    } else if (status === GNTST_no_device_space || status === GNTST_no_space) {
      pr_warn_once("xen/grant-table: maptrack limit reached, can't map all guest pages\n");
    }
  }
  return result;
}

export function gnttab_map_refs(
  map_ops: gnttab_map_batch,
  kmap_ops: null,
  pages: readonly page[],
  count: number,
): number {
  const result = HYPERVISOR_grant_table_op(GNTTABOP_map_grant_ref, map_ops.paddr, count);
  if (result !== 0) return result;
  return gnttab_map_finish(map_ops, pages, count);
}
EXPORT_SYMBOL(gnttab_map_refs);

/** Tries one operation again until it no longer answers GNTST_eagain, or ends it as GNTST_bad_page. */
function* gnttab_retry_map(map_ops: gnttab_map_batch, i: number): Sleeps<void> {
  for (let delay = 1; delay < MAX_DELAY; delay++) {
    yield* msleep(delay);
    HYPERVISOR_grant_table_op(GNTTABOP_map_grant_ref, map_ops.paddr + i * MAP_SIZE, 1);
    if (gnttab_map_status(map_ops, i) !== GNTST_eagain) return;
  }
  gnttab_set_map_status(map_ops, i, GNTST_bad_page);
}

export function* gnttab_map_refs_retry(
  map_ops: gnttab_map_batch,
  kmap_ops: null,
  pages: readonly page[],
  count: number,
): Sleeps<number> {
  for (let i = 0; i < count; i++) {
    if (gnttab_map_status(map_ops, i) === GNTST_eagain) yield* gnttab_retry_map(map_ops, i);
  }
  return gnttab_map_finish(map_ops, pages, count);
}
EXPORT_SYMBOL(gnttab_map_refs_retry);

export function gnttab_unmap_refs(
  unmap_ops: gnttab_unmap_batch,
  kunmap_ops: null,
  pages: readonly page[],
  count: number,
): number {
  const result = HYPERVISOR_grant_table_op(GNTTABOP_unmap_grant_ref, unmap_ops.paddr, count);
  if (result !== 0) return result;
  const { comm, pid } = current();
  const now = local_clock();
  for (let i = 0; i < count; i++) {
    page_unmap_foreign(pages[i], comm, pid, now);
  }
  return 0;
}
EXPORT_SYMBOL(gnttab_unmap_refs);

export function* gnttab_batch_map(batch: gnttab_map_batch, count: number): Sleeps<void> {
  const result = HYPERVISOR_grant_table_op(GNTTABOP_map_grant_ref, batch.paddr, count);
  BUG_ON(result !== 0);
  for (let i = 0; i < count; i++) {
    if (gnttab_map_status(batch, i) === GNTST_eagain) yield* gnttab_retry_map(batch, i);
  }
}
EXPORT_SYMBOL(gnttab_batch_map);

function* gnttab_retry_copy(batch: gnttab_copy_batch, i: number): Sleeps<void> {
  for (let delay = 1; delay < MAX_DELAY; delay++) {
    yield* msleep(delay);
    HYPERVISOR_grant_table_op(GNTTABOP_copy, batch.paddr + i * COPY_SIZE, 1);
    if (gnttab_copy_status(batch, i) !== GNTST_eagain) return;
  }
  gnttab_set_copy_status(batch, i, GNTST_bad_page);
}

export function* gnttab_batch_copy(batch: gnttab_copy_batch, count: number): Sleeps<void> {
  const result = HYPERVISOR_grant_table_op(GNTTABOP_copy, batch.paddr, count);
  BUG_ON(result !== 0);
  for (let i = 0; i < count; i++) {
    if (gnttab_copy_status(batch, i) === GNTST_eagain) yield* gnttab_retry_copy(batch, i);
  }
}
EXPORT_SYMBOL(gnttab_batch_copy);
