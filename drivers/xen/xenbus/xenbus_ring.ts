/**
 * The shared pages and the port of a device (Linux `drivers/xen/xenbus/xenbus_client.c`, second half).
 *
 *   front end: xenbus_setup_ring -> references in xenstore -> ... -> xenbus_teardown_ring
 *   back end:  references from xenstore -> xenbus_map_ring_valloc -> ... -> xenbus_unmap_ring_vfree
 *
 * Where Linux has one virtual address for the whole ring, a ring is an array of its pages.
 */
import { EAGAIN, EINVAL, ENOENT, ENOMEM } from "xenolith/linux/errno";
import { EXPORT_SYMBOL } from "xenolith/linux/export";
import { __GFP_ZERO } from "xenolith/linux/gfp";
import { __free_page, alloc_page } from "xenolith/linux/mm";
import type { page } from "xenolith/linux/mm_types";
import type { Sleeps } from "xenolith/linux/sched";
import { ptr, type Ptr } from "xenolith/linux/types";
import { xen_evtchn_alloc_unbound, xen_evtchn_close, type evtchn_port_t } from "xenolith/xen/events";
import {
  GNTMAP_host_map,
  GNTST_bad_virt_addr,
  GNTST_general_error,
  GNTST_okay,
  INVALID_GRANT_HANDLE,
  INVALID_GRANT_REF,
  gnttab_alloc_grant_references,
  gnttab_alloc_map_batch,
  gnttab_alloc_pages,
  gnttab_alloc_unmap_batch,
  gnttab_claim_grant_reference,
  gnttab_end_foreign_access,
  gnttab_free_batch,
  gnttab_free_pages,
  gnttab_map_handle,
  gnttab_map_refs,
  gnttab_map_refs_retry,
  gnttab_map_status,
  gnttab_page_addr,
  gnttab_page_grant_foreign_access_ref_one,
  gnttab_set_map_op,
  gnttab_set_unmap_op,
  gnttab_unmap_refs,
  gnttab_unmap_status,
  type grant_handle_t,
  type grant_ref_t,
} from "xenolith/xen/grant_table";
import { XENBUS_MAX_RING_GRANTS, type xenbus_device } from "xenolith/xen/xenbus";
import { xenbus_dev_error, xenbus_dev_fatal } from "./xenbus_client";

// ---- our own ring -----------------------------------------------------------------------------------------------------------------------

/** `nr_pages` zeroed pages, or null. */
function alloc_ring_pages(gfp: number, nr_pages: number): page[] | null {
  const pages: page[] = [];
  while (pages.length < nr_pages) {
    const fresh = alloc_page(gfp | __GFP_ZERO);
    if (fresh === null) {
      for (const of of pages) __free_page(of);
      return null;
    }
    pages.push(fresh);
  }
  return pages;
}

export function* xenbus_setup_ring(
  dev: xenbus_device,
  gfp: number,
  vaddr: Ptr<page[] | null>,
  nr_pages: number,
  grefs: grant_ref_t[],
): Sleeps<number> {
  for (let i = 0; i < nr_pages; i++) grefs[i] = INVALID_GRANT_REF;
  const head = ptr(INVALID_GRANT_REF);
  const pages = alloc_ring_pages(gfp, nr_pages);
  const err = pages === null ? -ENOMEM : gnttab_alloc_grant_references(nr_pages, head);
  if (pages === null || err !== 0) {
    for (const of of pages ?? []) __free_page(of);
    vaddr.value = null;
    yield* xenbus_dev_fatal(dev, err, "granting access to %u ring pages", nr_pages);
    return err;
  }
  vaddr.value = pages;
  for (let i = 0; i < nr_pages; i++) {
    grefs[i] = gnttab_claim_grant_reference(head);
    gnttab_page_grant_foreign_access_ref_one(grefs[i], dev.otherend_id, pages[i], 0);
  }
  return 0;
}
EXPORT_SYMBOL(xenbus_setup_ring);

export function xenbus_teardown_ring(vaddr: Ptr<page[] | null>, nr_pages: number, grefs: grant_ref_t[]): void {
  const pages = vaddr.value;
  for (let i = 0; i < nr_pages; i++) {
    const of = pages === null ? null : pages[i];
    if (grefs[i] !== INVALID_GRANT_REF) gnttab_end_foreign_access(grefs[i], of);
    else if (of !== null) __free_page(of);
    grefs[i] = INVALID_GRANT_REF;
  }
  vaddr.value = null;
}
EXPORT_SYMBOL(xenbus_teardown_ring);

// ---- the other end's ring ---------------------------------------------------------------------------------------------------------------

/** Handles of the rings that are mapped. */
const mapped_rings = new Map<page[], grant_handle_t[]>();

/** Maps the references into the pages; a handle stays invalid where that failed. Returns the index of the first failure, or -1. */
function* map_pages(
  dev: xenbus_device,
  gnt_refs: readonly grant_ref_t[],
  pages: page[],
  handles: grant_handle_t[],
): Sleeps<{ failed: number; status: number }> {
  const map = gnttab_alloc_map_batch();
  if (map === null) return { failed: 0, status: GNTST_general_error };
  const count = pages.length;
  for (let i = 0; i < count; i++) {
    gnttab_set_map_op(map, i, gnttab_page_addr(pages[i]), GNTMAP_host_map, gnt_refs[i], dev.otherend_id);
  }
  if (gnttab_map_refs(map, null, pages, count) === -EAGAIN) yield* gnttab_map_refs_retry(map, null, pages, count);
  let failed = -1;
  let status = GNTST_okay;
  for (let i = 0; i < count; i++) {
    if (gnttab_map_status(map, i) === GNTST_okay) {
      handles[i] = gnttab_map_handle(map, i);
    } else if (failed < 0) {
      failed = i;
      status = gnttab_map_status(map, i);
    }
  }
  gnttab_free_batch(map);
  return { failed, status };
}

/** Unmaps the pages that have a handle: GNTST_okay or the first bad status. */
function unmap_pages(pages: page[], handles: grant_handle_t[]): number {
  const unmap = gnttab_alloc_unmap_batch();
  if (unmap === null) return GNTST_general_error;
  const mapped: page[] = [];
  for (let i = 0; i < pages.length; i++) {
    if (handles[i] === INVALID_GRANT_HANDLE) continue;
    gnttab_set_unmap_op(unmap, mapped.length, gnttab_page_addr(pages[i]), GNTMAP_host_map, handles[i]);
    mapped.push(pages[i]);
  }
  let status = gnttab_unmap_refs(unmap, null, mapped, mapped.length) === 0 ? GNTST_okay : GNTST_general_error;
  for (let i = 0; i < mapped.length && status === GNTST_okay; i++) status = gnttab_unmap_status(unmap, i);
  gnttab_free_batch(unmap);
  return status;
}

export function* xenbus_map_ring_valloc(
  dev: xenbus_device,
  gnt_refs: readonly grant_ref_t[],
  nr_grefs: number,
  vaddr: Ptr<page[] | null>,
): Sleeps<number> {
  vaddr.value = null;
  if (nr_grefs > XENBUS_MAX_RING_GRANTS) return -EINVAL;
  const pages: page[] = [];
  if (gnttab_alloc_pages(nr_grefs, pages) !== 0) return -ENOMEM;
  const handles = new Array<grant_handle_t>(nr_grefs).fill(INVALID_GRANT_HANDLE);
  const { failed, status } = yield* map_pages(dev, gnt_refs, pages, handles);
  if (failed >= 0) {
    yield* xenbus_dev_fatal(dev, status, "mapping in shared page %d from domain %d", gnt_refs[failed], dev.otherend_id);
    unmap_pages(pages, handles);
    gnttab_free_pages(nr_grefs, pages);
    return -ENOENT;
  }
  mapped_rings.set(pages, handles);
  vaddr.value = pages;
  return 0;
}
EXPORT_SYMBOL(xenbus_map_ring_valloc);

export function* xenbus_unmap_ring_vfree(dev: xenbus_device, vaddr: page[]): Sleeps<number> {
  const handles = mapped_rings.get(vaddr);
  if (handles === undefined) {
    yield* xenbus_dev_error(dev, -ENOENT, "can't find mapped virtual address");
    return GNTST_bad_virt_addr;
  }
  mapped_rings.delete(vaddr);
  const status = unmap_pages(vaddr, handles);
  if (status !== GNTST_okay) {
    yield* xenbus_dev_error(dev, status, "unmapping pages at handle %d error %d", handles[0], status);
    return status;
  }
  gnttab_free_pages(vaddr.length, vaddr);
  return GNTST_okay;
}
EXPORT_SYMBOL(xenbus_unmap_ring_vfree);

// ---- the port ---------------------------------------------------------------------------------------------------------------------------

export function* xenbus_alloc_evtchn(dev: xenbus_device, port: Ptr<evtchn_port_t>): Sleeps<number> {
  const err = xen_evtchn_alloc_unbound(dev.otherend_id, port);
  if (err !== 0) yield* xenbus_dev_fatal(dev, err, "allocating event channel");
  return err;
}
EXPORT_SYMBOL(xenbus_alloc_evtchn);

export function* xenbus_free_evtchn(dev: xenbus_device, port: evtchn_port_t): Sleeps<number> {
  const err = xen_evtchn_close(port);
  if (err !== 0) yield* xenbus_dev_error(dev, err, "freeing event channel %u", port);
  return err;
}
EXPORT_SYMBOL(xenbus_free_evtchn);
