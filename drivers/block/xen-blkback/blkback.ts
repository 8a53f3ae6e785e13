/**
 * xen-blkback's data path: from a slot of the shared ring to the real device and back. Structured like
 * drivers/block/xen-blkback/blkback.c of Linux 6.16.
 * tidy: one file as in Linux
 *
 *   event ─► thread: copy the slot ─► check the copy ─► map its pages ─► bios ─► the device
 *   bio ends ─► unmap the pages ─► response ─► event
 *
 * One thread per ring consumes requests; nothing of what it uses is shared with another ring. The front end is not trusted: a slot is read
 * once, into `ring.req`, and only the copy is looked at. A bad request is answered with an error, and nothing is mapped for it; an
 * impossible producer index stops the ring until the front end reconnects.
 *
 * Reads and writes of one segment, which are most of what a fast device gets, take a shorter way: all that are on the ring go together,
 * one hypercall maps their pages, and what of them is done at one time is unmapped by one hypercall and answered together.
 *
 * Consuming is plain code. What has to sleep (a discard, a barrier, a mapping that must be tried again, a busy device) makes it return
 * DISPATCH_SLEEPS; the thread sleeps for it and calls again, and dispatch goes on where it stopped (`pending_req.stage`).
 */
import {
  bio_add_page,
  bio_alloc,
  bio_max_segs,
  bio_put,
  bio_reuse,
  submit_bio,
  submit_bio_nowait,
} from "xenolith/linux/bio";
import {
  bdev_logical_block_size,
  bdev_nr_sectors,
  blk_finish_plug,
  blk_start_plug,
  blkdev_issue_discard,
  blkdev_issue_secure_erase,
} from "xenolith/linux/blkdev";
import {
  BLK_STS_NOTSUPP,
  BLK_STS_OK,
  REQ_IDLE,
  REQ_OP_READ,
  REQ_OP_WRITE,
  REQ_PREFLUSH,
  REQ_SYNC,
} from "xenolith/linux/blk_types";
import type { bio, blk_opf_t, blk_status_t, block_device } from "xenolith/linux/blk_types";
import type { bio_vec } from "xenolith/linux/bvec";
import { complete, reinit_completion, wait_for_completion_timeout } from "xenolith/linux/completion";
import { msleep } from "xenolith/linux/delay";
import { EACCES, EAGAIN, EINVAL, EIO, ENOMEM, EOPNOTSUPP } from "xenolith/linux/errno";
import { set_freezable, try_to_freeze } from "xenolith/linux/freezer";
import { GFP_KERNEL } from "xenolith/linux/gfp";
import { IRQ_HANDLED } from "xenolith/linux/interrupt";
import type { irqreturn_t } from "xenolith/linux/interrupt";
import { HZ, jiffies, msecs_to_jiffies, time_after, time_before } from "xenolith/linux/jiffies";
import { BUG_ON, min } from "xenolith/linux/kernel";
import { kthread_should_stop } from "xenolith/linux/kthread";
import { page_count } from "xenolith/linux/mm";
import type { page } from "xenolith/linux/mm_types";
import { MODULE_PARM_DESC, module_param_named } from "xenolith/linux/moduleparam";
import { pr_debug, pr_info, pr_warn, pr_warn_ratelimited } from "xenolith/linux/printk";
import { cond_resched, current, need_resched } from "xenolith/linux/sched";
import type { Sleeps } from "xenolith/linux/sched";
import { num_online_cpus } from "xenolith/linux/smp";
import { spin_lock_irqsave, spin_unlock_irqrestore } from "xenolith/linux/spinlock";
import { MAJOR, MINOR, ptr } from "xenolith/linux/types";
import type { sector_t } from "xenolith/linux/types";
import { wait_event_interruptible, wait_event_interruptible_timeout, wake_up } from "xenolith/linux/wait";
import { schedule_work } from "xenolith/linux/workqueue";
import { notify_remote_via_irq, xen_irq_lateeoi, XEN_EOI_FLAG_SPURIOUS } from "xenolith/xen/events";
import {
  GNTMAP_host_map,
  GNTMAP_readonly,
  GNTST_okay,
  gntab_unmap_queue_data,
  gnttab_alloc_unmap_batch,
  gnttab_map_handle,
  gnttab_map_refs,
  gnttab_map_refs_retry,
  gnttab_map_status,
  gnttab_page_addr,
  gnttab_page_cache_get,
  gnttab_page_cache_give,
  gnttab_page_cache_put,
  gnttab_page_cache_shrink,
  gnttab_page_cache_take,
  gnttab_set_host_unmap_op,
  gnttab_set_map_op,
  gnttab_set_unmap_op,
  gnttab_unmap_refs,
  gnttab_unmap_refs_async,
  GNTTAB_UNMAP_BATCH_MAX,
  INVALID_GRANT_HANDLE,
} from "xenolith/xen/grant_table";
import type { gnttab_map_batch, gnttab_unmap_batch } from "xenolith/xen/grant_table";
import { page_read32, XEN_PAGE_SIZE } from "xenolith/xen/page";
import {
  BLKIF_DISCARD_SECURE,
  BLKIF_INDIRECT_PAGES,
  BLKIF_MAX_SEGMENTS_PER_REQUEST,
  BLKIF_OP_DISCARD,
  BLKIF_OP_FLUSH_DISKCACHE,
  BLKIF_OP_INDIRECT,
  BLKIF_OP_READ,
  BLKIF_OP_WRITE,
  BLKIF_OP_WRITE_BARRIER,
  BLKIF_RSP_EOPNOTSUPP,
  BLKIF_RSP_ERROR,
  BLKIF_REQUEST_WORD_GREF,
  BLKIF_REQUEST_WORD_ID,
  BLKIF_REQUEST_WORD_SECTOR_NUMBER,
  BLKIF_REQUEST_WORD_SECTS,
  BLKIF_RSP_OKAY,
  BLKIF_SEGS_PER_INDIRECT_FRAME,
  blkif_get_req_from,
  blkif_get_segments,
  blkif_get_x86_32_req,
  blkif_get_x86_64_req,
  blkif_put_response,
  blkif_sector,
  blkif_set_one_segment,
} from "xenolith/xen/interface/io/blkif";
import type { blkif_request } from "xenolith/xen/interface/io/blkif";
import {
  RING_FINAL_CHECK_FOR_REQUESTS,
  RING_PUSH_RESPONSES_AND_CHECK_NOTIFY,
  RING_REQUEST_CONS_OVERFLOW,
  RING_REQUEST_PROD_OVERFLOW,
  RING_SLOT_WORD,
  SRING_REQ_PROD_WORD,
} from "xenolith/xen/interface/io/ring";
import {
  XENBUS_MAX_RING_GRANT_ORDER,
  xenbus_printf,
  xenbus_transaction,
  xenbus_transaction_end,
  xenbus_transaction_start,
} from "xenolith/xen/xenbus";
import {
  BATCH_MAP,
  BATCH_SUBMIT,
  BLKIF_PROTOCOL_X86_32,
  DISPATCH_DRAIN,
  DISPATCH_INDIRECT,
  DISPATCH_MAP,
  DISPATCH_PARSE,
  DISPATCH_SUBMIT,
  MAX_INDIRECT_PAGES,
  MAX_INDIRECT_SEGMENTS,
  XEN_BLKIF_BATCH,
  xen_blkif_get,
  xen_blkif_put,
} from "./common";
import { grant_page, seg_buf } from "./common";
import type { backend_info, pending_req, xen_blkif, xen_blkif_ring, xen_vbd } from "./common";

/** Free pages that each ring keeps for mappings. */
const xen_blkif_max_buffer_pages = ptr(1024);
module_param_named("max_buffer_pages", xen_blkif_max_buffer_pages, "int", 0o644);
MODULE_PARM_DESC("max_buffer_pages", "Maximum number of free pages to keep in each block backend buffer");

/** Rings that a front end may have; 0 stands for one per CPU. */
const xenblk_max_queues = ptr(0);
module_param_named("max_queues", xenblk_max_queues, "uint", 0o644);
MODULE_PARM_DESC(
  "max_queues",
  "Maximum number of hardware queues per virtual disk. By default it is the number of online CPUs.",
);

/** log2 of the pages that a ring may have. */
export const xen_blkif_max_ring_order = ptr(XENBUS_MAX_RING_GRANT_ORDER);
module_param_named("max_ring_page_order", xen_blkif_max_ring_order, "int", 0o444);
MODULE_PARM_DESC("max_ring_page_order", "Maximum order of pages to be used for the shared ring");

/** Not 0: every ring logs its statistics every 10 seconds. */
const log_stats = ptr(0);
module_param_named("log_stats", log_stats, "uint", 0o644);

/** Milliseconds after which an idle thread looks at its device's size and its page pool. */
const LRU_INTERVAL = 100;
/** Operations of one mapping hypercall. */
const MAP_BATCH = BLKIF_MAX_SEGMENTS_PER_REQUEST;

// What a pass over the ring returns besides 0 (all taken) and -EACCES (the ring is dead).
/** More requests may be there. */
const IO_OP_MORE = 1;
/** The request in `ring.req` needs to sleep. */
const DISPATCH_SLEEPS = 2;
/** A bad request has been answered; the front end is made to wait a little before the next one is looked at. */
const DISPATCH_BACK_OFF = 3;
/** The slice is over. */
const IO_OP_RESCHED = 4;

/** Rings that a front end may have. */
export function xen_blkback_max_queues(): number {
  return xenblk_max_queues.value === 0 ? num_online_cpus() : xenblk_max_queues.value;
}

/** A request that is not in use, or null. */
function alloc_req(ring: xen_blkif_ring): pending_req | null {
  const req = ring.pending_free;
  if (req !== null) {
    ring.pending_free = req.free_list;
    req.free_list = null;
  }
  return req;
}

/** Gives a request back, and wakes the thread if it waits for one. */
function free_req(ring: xen_blkif_ring, req: pending_req): void {
  const was_empty = ring.pending_free === null;
  req.free_list = ring.pending_free;
  ring.pending_free = req;
  if (was_empty) wake_up(ring.pending_free_wq);
}

/** Makes room for `nseg` segments in a request. False when out of memory; the request is as good as before then. */
export function pending_req_reserve(req: pending_req, nseg: number): boolean {
  if (nseg <= req.segments.length && req.gnttab_unmap_data.length > 0) return true;
  while (req.gnttab_unmap_data.length * GNTTAB_UNMAP_BATCH_MAX < nseg || req.gnttab_unmap_data.length === 0) {
    const unmap_ops = gnttab_alloc_unmap_batch();
    if (unmap_ops === null) return false;
    const item = new gntab_unmap_queue_data();
    item.data = req;
    item.unmap_ops = unmap_ops;
    item.done = xen_blkbk_unmap_and_respond_callback;
    req.gnttab_unmap_data.push(item);
  }
  while (req.segments.length < nseg) {
    req.segments.push(new grant_page());
    req.seg.push(new seg_buf());
  }
  return true;
}

/** Sectors of the real device, now. */
function vbd_sz(vbd: xen_vbd): sector_t {
  return bdev_nr_sectors(vbd.bdev as block_device);
}

/**
 * Whether `nr_sects` sectors from `sector` on may be read or written. 0 or -EACCES. Both come from the front end; -1 stands for what is too
 * large for any disk (`blkif_sector`). An empty flush has no place on the disk: its sector is not looked at.
 */
function xen_vbd_translate(vbd: xen_vbd, sector: sector_t, nr_sects: number, operation: number): number {
  if (operation !== REQ_OP_READ && vbd.readonly) return -EACCES;
  if (nr_sects === 0) return 0;
  if (sector < 0 || nr_sects < 0 || sector + nr_sects > vbd_sz(vbd)) return -EACCES;
  return 0;
}

/** The device has changed its size: tells the front end, by `sectors` and by writing `state` once more in the same transaction. */
function* xen_vbd_resize(blkif: xen_blkif): Sleeps<void> {
  const vbd = blkif.vbd;
  const dev = (blkif.be as backend_info).dev;
  const new_size = vbd_sz(vbd);
  pr_info(
    "xen-blkback: VBD Resize: Domid: %d, Device: (%d, %d)\n",
    blkif.domid,
    MAJOR(vbd.pdevice),
    MINOR(vbd.pdevice),
  );
  pr_info("xen-blkback: VBD Resize: new size %llu\n", new_size);
  vbd.size = new_size;
  const xbt = new xenbus_transaction();
  for (;;) {
    let err = yield* xenbus_transaction_start(xbt);
    if (err !== 0) return pr_warn("xen-blkback: Error starting transaction\n");
    err = yield* xenbus_printf(xbt, dev.nodename, "sectors", "%llu", new_size);
    if (err === 0) err = yield* xenbus_printf(xbt, dev.nodename, "state", "%d", dev.state);
    if (err !== 0) {
      pr_warn("xen-blkback: Error writing new size\n");
      yield* xenbus_transaction_end(xbt, 1);
      return;
    }
    err = yield* xenbus_transaction_end(xbt, 0);
    if (err === 0) return;
    if (err !== -EAGAIN) return pr_warn("xen-blkback: Error ending transaction\n");
  }
}

function blkif_notify_work(ring: xen_blkif_ring): void {
  ring.waiting_reqs = true;
  wake_up(ring.wq);
}

/** The front end has put requests on the ring. The thread ends the interrupt, when it has taken them. */
export function xen_blkif_be_int(_irq: number, dev_id: unknown): irqreturn_t {
  blkif_notify_work(dev_id as xen_blkif_ring);
  return IRQ_HANDLED;
}

/** Logs the ring's statistics of the last 10 seconds and starts the next ones. */
function print_stats(ring: xen_blkif_ring): void {
  pr_info(
    "xen-blkback: (%s): oo %3llu  |  rd %4llu  |  wr %4llu  |  f %4llu  |  ds %4llu\n",
    current().comm,
    ring.st_oo_req,
    ring.st_rd_req,
    ring.st_wr_req,
    ring.st_f_req,
    ring.st_ds_req,
  );
  ring.st_print = jiffies() + msecs_to_jiffies(10 * 1000);
  ring.st_rd_req = 0;
  ring.st_wr_req = 0;
  ring.st_oo_req = 0;
  ring.st_ds_req = 0;
}

/** A ring's thread: takes requests until it is stopped. */
export function* xen_blkif_schedule(ring: xen_blkif_ring): Sleeps<number> {
  const blkif = ring.blkif;
  const vbd = blkif.vbd;
  const has_work = (): boolean => ring.waiting_reqs || kthread_should_stop();
  const has_free = (): boolean => ring.pending_free !== null || kthread_should_stop();
  const interval = msecs_to_jiffies(LRU_INTERVAL);
  ring.eoi_flags = XEN_EOI_FLAG_SPURIOUS;
  set_freezable();
  while (!kthread_should_stop()) {
    if (yield* try_to_freeze()) continue;
    if (vbd.size !== vbd_sz(vbd)) yield* xen_vbd_resize(blkif);

    let timeout = interval;
    if (!has_work()) timeout = yield* wait_event_interruptible_timeout(ring.wq, has_work, timeout);
    if (timeout > 0 && !has_free()) {
      timeout = yield* wait_event_interruptible_timeout(ring.pending_free_wq, has_free, timeout);
    }
    if (timeout > 0) yield* xen_blkif_serve(ring);

    const squeezed = time_before(jiffies(), blkif.buffer_squeeze_end);
    gnttab_page_cache_shrink(ring.free_pages, squeezed ? 0 : xen_blkif_max_buffer_pages.value);
    if (log_stats.value !== 0 && time_after(jiffies(), ring.st_print)) print_stats(ring);
  }
  if (log_stats.value !== 0) print_stats(ring);
  return 0;
}

/** One round: takes what is on the ring, then ends the interrupt unless more came meanwhile. */
function* xen_blkif_serve(ring: xen_blkif_ring): Sleeps<void> {
  const do_eoi = ring.waiting_reqs;
  // Cleared before the ring is looked at: what comes after the look sets it again.
  ring.waiting_reqs = false;
  const ret = yield* do_block_io_op(ring);
  if (ret > 0) ring.waiting_reqs = true;
  if (ret === -EACCES) yield* wait_event_interruptible(ring.wq, kthread_should_stop);
  if (do_eoi && !ring.waiting_reqs && ret !== -EACCES) {
    xen_irq_lateeoi(ring.irq, ring.eoi_flags);
    ring.eoi_flags |= XEN_EOI_FLAG_SPURIOUS;
  }
}

/** Frees a ring's pages. None is mapped. */
export function xen_blkbk_free_caches(ring: xen_blkif_ring): void {
  gnttab_page_cache_shrink(ring.free_pages, 0);
}

// ---- mapping and unmapping -------------------------------------------------------------------------------------------------------------------

/** Fills `item` with the unmapping of those of `pages[from..to)` that are mapped, and forgets their mappings. */
function xen_blkbk_unmap_prepare(item: gntab_unmap_queue_data, pages: grant_page[], from: number, to: number): void {
  const unmap = item.unmap_ops as gnttab_unmap_batch;
  const unmap_pages = item.pages as page[];
  let count = 0;
  for (let i = from; i < to; i++) {
    const mapped = pages[i];
    if (mapped.handle === INVALID_GRANT_HANDLE) continue;
    const of = mapped.page as page;
    gnttab_set_unmap_op(unmap, count, gnttab_page_addr(of), GNTMAP_host_map, mapped.handle);
    unmap_pages[count] = of;
    mapped.handle = INVALID_GRANT_HANDLE;
    mapped.page = null;
    count++;
  }
  item.count = count;
}

/** Unmapped. The last part of a request answers it. */
function xen_blkbk_unmap_and_respond_callback(result: number, data: gntab_unmap_queue_data): void {
  const pending_req = data.data as pending_req;
  const ring = pending_req.ring;
  // We unmap what we mapped.
  BUG_ON(result !== 0);
  gnttab_page_cache_put(ring.free_pages, data.pages, data.count);
  if (--pending_req.unmap_pendcnt === 0) xen_blkbk_respond(pending_req);
}

/** Answers a request of which nothing is mapped any more, and lets go of it. */
function xen_blkbk_respond(pending_req: pending_req): void {
  const ring = pending_req.ring;
  const blkif = ring.blkif;
  make_response(ring, pending_req.id_lo, pending_req.id_hi, pending_req.operation, pending_req.status);
  pending_req.status = BLKIF_RSP_OKAY;
  free_req(ring, pending_req);
  if (--ring.inflight === 0 && ring.drain) complete(ring.drain_complete);
  xen_blkif_put(blkif);
}

/** The request's I/O is done: unmaps its pages, as soon as nobody uses them, then answers. The front end may revoke its grants after that. */
function xen_blkbk_unmap_and_respond(req: pending_req): void {
  const nr_segs = req.nr_segs;
  if (nr_segs === 0) return xen_blkbk_respond(req);
  const items = req.gnttab_unmap_data;
  // All are prepared before the first is begun: the last one to end recycles the request.
  let count = 0;
  for (let from = 0; from < nr_segs; from += GNTTAB_UNMAP_BATCH_MAX) {
    xen_blkbk_unmap_prepare(items[count++], req.segments, from, min(nr_segs, from + GNTTAB_UNMAP_BATCH_MAX));
  }
  req.unmap_pendcnt = count;
  for (let i = 0; i < count; i++) gnttab_unmap_refs_async(items[i]);
}

/** Unmaps at once those of the first `num` pages that are mapped. Only for pages that no bio has seen. */
function xen_blkbk_unmap(pending_req: pending_req, pages: grant_page[], num: number): void {
  const item = pending_req.gnttab_unmap_data[0];
  for (let from = 0; from < num; from += GNTTAB_UNMAP_BATCH_MAX) {
    xen_blkbk_unmap_prepare(item, pages, from, min(num, from + GNTTAB_UNMAP_BATCH_MAX));
    if (item.count === 0) continue;
    BUG_ON(gnttab_unmap_refs(item.unmap_ops as gnttab_unmap_batch, null, item.pages, item.count) !== 0);
    gnttab_page_cache_put(pending_req.ring.free_pages, item.pages, item.count);
  }
}

/** Fills the ring's map operations for `pages[from..from + count)`. 0, or -ENOMEM with every page given back. */
function xen_blkbk_map_prepare(
  ring: xen_blkif_ring,
  pages: grant_page[],
  from: number,
  count: number,
  ro: boolean,
): number {
  const flags = ro ? GNTMAP_host_map | GNTMAP_readonly : GNTMAP_host_map;
  const map = ring.map as gnttab_map_batch;
  const pages_to_gnt = ring.pages_to_gnt;
  for (let i = 0; i < count; i++) {
    if (gnttab_page_cache_get(ring.free_pages, ring.page_out) !== 0) {
      gnttab_page_cache_put(ring.free_pages, pages_to_gnt, i);
      return -ENOMEM;
    }
    const of = ring.page_out.value as page;
    pages_to_gnt[i] = of;
    gnttab_set_map_op(map, i, gnttab_page_addr(of), flags, pages[from + i].gref, ring.blkif.domid);
  }
  return 0;
}

/** Looks at what became of a batch of map operations. 0, or -EINVAL when one failed; each one that did not is mapped and must be unmapped. */
function xen_blkbk_map_finish(ring: xen_blkif_ring, pages: grant_page[], from: number, count: number): number {
  const map = ring.map as gnttab_map_batch;
  let ret = 0;
  for (let i = 0; i < count; i++) {
    const of = ring.pages_to_gnt[i];
    // Any other status is a failure, positive ones too (XSA-316).
    if (gnttab_map_status(map, i) === GNTST_okay) {
      const mapped = pages[from + i];
      mapped.page = of;
      mapped.handle = gnttab_map_handle(map, i);
    } else {
      pr_debug("xen-blkback: invalid buffer -- could not remap it\n");
      gnttab_page_cache_put(ring.free_pages, [of], 1);
      ret = -EINVAL;
    }
  }
  return ret;
}

/**
 * Maps pages `ring.map_from..num` of the front end, 11 at a time. 0; a negative errno when one could not be mapped (those that were, stay
 * mapped); -EAGAIN when the caller must `yield* xen_blkbk_map_retry` and call again.
 */
function xen_blkbk_map(ring: xen_blkif_ring, pages: grant_page[], num: number, ro: boolean): number {
  while (ring.map_from < num) {
    const from = ring.map_from;
    const count = min(num - from, MAP_BATCH);
    if (!ring.map_retried) {
      const err = xen_blkbk_map_prepare(ring, pages, from, count, ro);
      if (err !== 0) return err;
      ring.map_count = count;
      if (gnttab_map_refs(ring.map as gnttab_map_batch, null, ring.pages_to_gnt, count) === -EAGAIN) return -EAGAIN;
    }
    ring.map_retried = false;
    const err = xen_blkbk_map_finish(ring, pages, from, count);
    if (err !== 0) return err;
    ring.map_from += count;
  }
  return 0;
}

/** Sleeps until the batch that answered -EAGAIN is through. */
function* xen_blkbk_map_retry(ring: xen_blkif_ring): Sleeps<void> {
  yield* gnttab_map_refs_retry(ring.map as gnttab_map_batch, null, ring.pages_to_gnt, ring.map_count);
  ring.map_retried = true;
}

/** Maps a request's data. */
function xen_blkbk_map_seg(pending_req: pending_req): number {
  // The device reads what the front end writes, and the other way round.
  const ro = pending_req.operation !== BLKIF_OP_READ;
  return xen_blkbk_map(pending_req.ring, pending_req.segments, pending_req.nr_segs, ro);
}

/** Whether a segment lies within its page. Its fields are copies. */
function set_segment(
  pending_req: pending_req,
  n: number,
  gref: number,
  first_sect: number,
  last_sect: number,
): boolean {
  if (last_sect >= XEN_PAGE_SIZE >> 9 || last_sect < first_sect) return false;
  const nsec = last_sect - first_sect + 1;
  const seg = pending_req.seg[n];
  pending_req.segments[n].gref = gref;
  seg.nsec = nsec;
  seg.offset = first_sect << 9;
  pending_req.nr_sects += nsec;
  return true;
}

/**
 * Reads the segments of an indirect request out of the page that describes them, each word once, and unmaps that page. 0 or a negative
 * errno; -EAGAIN as xen_blkbk_map.
 */
function xen_blkbk_parse_indirect(req: blkif_request, pending_req: pending_req): number {
  const ring = pending_req.ring;
  const pages = pending_req.indirect_pages;
  const indirect_grefs = BLKIF_INDIRECT_PAGES(pending_req.nr_segs);
  for (let i = 0; i < indirect_grefs; i++) pages[i].gref = req.indirect_grefs[i];
  let rc = xen_blkbk_map(ring, pages, indirect_grefs, true);
  if (rc === -EAGAIN) return rc;
  for (let n = 0; rc === 0 && n < pending_req.nr_segs; n++) {
    const from = pages[(n / BLKIF_SEGS_PER_INDIRECT_FRAME) | 0].page as page;
    blkif_get_segments(
      req.seg_gref,
      req.seg_first_sect,
      req.seg_last_sect,
      0,
      from,
      2 * (n % BLKIF_SEGS_PER_INDIRECT_FRAME),
      1,
    );
    if (!set_segment(pending_req, n, req.seg_gref[0], req.seg_first_sect[0], req.seg_last_sect[0])) rc = -EINVAL;
  }
  xen_blkbk_unmap(pending_req, pages, indirect_grefs);
  ring.map_from = 0;
  return rc;
}

// ---- requests --------------------------------------------------------------------------------------------------------------------------------

/** Discards sectors. 0 or a negative errno; the request has been answered. */
function* dispatch_discard_io(ring: xen_blkif_ring, req: blkif_request): Sleeps<number> {
  const blkif = ring.blkif;
  const vbd = blkif.vbd;
  const bdev = vbd.bdev as block_device;
  const sector = blkif_sector(req.sector_number_lo, req.sector_number_hi);
  const nr_sectors = blkif_sector(req.nr_sectors_lo, req.nr_sectors_hi);
  let status = BLKIF_RSP_OKAY;
  xen_blkif_get(blkif);
  // A discard destroys data: it is allowed where a write is (CVE-2013-2140).
  let err = xen_vbd_translate(vbd, sector, nr_sectors, REQ_OP_WRITE);
  if (err !== 0) {
    pr_warn_ratelimited(
      "xen-blkback: access denied: DISCARD [%llu->%llu] on dev=%04x\n",
      sector,
      sector + nr_sectors,
      vbd.pdevice,
    );
    status = BLKIF_RSP_ERROR;
  } else {
    ring.st_ds_req++;
    const secure = vbd.discard_secure && (req.flag & BLKIF_DISCARD_SECURE) !== 0;
    err = secure
      ? yield* blkdev_issue_secure_erase(bdev, sector, nr_sectors, GFP_KERNEL)
      : yield* blkdev_issue_discard(bdev, sector, nr_sectors, GFP_KERNEL);
    if (err === -EOPNOTSUPP) status = BLKIF_RSP_EOPNOTSUPP;
    else if (err !== 0) status = BLKIF_RSP_ERROR;
  }
  make_response(ring, req.id_lo, req.id_hi, req.operation, status);
  xen_blkif_put(blkif);
  return err;
}

/** An operation that we do not know. */
function dispatch_other_io(ring: xen_blkif_ring, req: blkif_request): number {
  make_response(ring, req.id_lo, req.id_hi, req.operation, BLKIF_RSP_EOPNOTSUPP);
  return -EIO;
}

/** Waits until everything that the ring has taken before is answered. */
function* xen_blk_drain_io(ring: xen_blkif_ring): Sleeps<void> {
  // Before the first look: a request that ends after it must find the flag.
  reinit_completion(ring.drain_complete);
  ring.drain = true;
  while (ring.inflight !== 0) {
    yield* wait_for_completion_timeout(ring.drain_complete, HZ);
    if (kthread_should_stop()) break;
  }
  ring.drain = false;
}

function __end_block_io_op(pending_req: pending_req, error: blk_status_t): void {
  if (error !== BLK_STS_OK) {
    const blkif = pending_req.ring.blkif;
    const operation = pending_req.operation;
    if (error === BLK_STS_NOTSUPP && operation === BLKIF_OP_FLUSH_DISKCACHE) {
      pr_debug("xen-blkback: flush diskcache op failed, not supported\n");
      blkif.flush_refused = true;
      schedule_work(blkif.feature_work);
      pending_req.status = BLKIF_RSP_EOPNOTSUPP;
    } else if (error === BLK_STS_NOTSUPP && operation === BLKIF_OP_WRITE_BARRIER) {
      pr_debug("xen-blkback: write barrier op failed, not supported\n");
      blkif.barrier_refused = true;
      schedule_work(blkif.feature_work);
      pending_req.status = BLKIF_RSP_EOPNOTSUPP;
    } else {
      pr_debug("xen-blkback: Buffer not up-to-date at end of operation, error=%d\n", error);
      pending_req.status = BLKIF_RSP_ERROR;
    }
  }
  if (--pending_req.pendcnt === 0) xen_blkbk_unmap_and_respond(pending_req);
}

/** A bio of a request has ended. Any context. */
function end_block_io_op(bio: bio): void {
  const pending_req = bio.bi_private as pending_req;
  const error = bio.bi_status;
  bio_put(bio);
  __end_block_io_op(pending_req, error);
}

/**
 * Takes requests off the ring until there are none, one must sleep, or one was bad. Plain. Returns 0, -EACCES when the front end claims more
 * requests than can exist, or one of the codes above.
 */
function __do_block_io_op(ring: xen_blkif_ring): number {
  const blk_rings = ring.blk_rings;
  let rc = blk_rings.req_cons;
  // Once; slots are read after it.
  const rp = page_read32(blk_rings.sring, SRING_REQ_PROD_WORD);
  if (RING_REQUEST_PROD_OVERFLOW(blk_rings, rp)) {
    pr_warn(
      "xen-blkback: Frontend provided bogus ring requests (%u - %u = %u). Halting ring processing on dev=%04x\n",
      rp,
      blk_rings.rsp_prod_pvt,
      (rp - blk_rings.rsp_prod_pvt) >>> 0,
      ring.blkif.vbd.pdevice,
    );
    return -EACCES;
  }
  while (rc !== rp) {
    if (RING_REQUEST_CONS_OVERFLOW(blk_rings, rc)) break;
    ring.eoi_flags &= ~XEN_EOI_FLAG_SPURIOUS;
    if (kthread_should_stop()) return IO_OP_MORE;
    const taken = take_batch(ring, rc, rp);
    if (taken !== 0) {
      rc = (rc + taken) >>> 0;
      // Before the answers, which may take these very slots.
      blk_rings.req_cons = rc;
      const err = dispatch_batch(ring);
      if (err !== 0) return err;
      if (need_resched()) return IO_OP_RESCHED;
      continue;
    }
    const pending_req = alloc_req(ring);
    if (pending_req === null) {
      ring.st_oo_req++;
      return IO_OP_MORE;
    }
    if (ring.req_taken) ring.req_taken = false;
    else if (ring.blkif.blk_protocol === BLKIF_PROTOCOL_X86_32) {
      blkif_get_x86_32_req(ring.req, blk_rings, rc, MAX_INDIRECT_PAGES);
    } else {
      blkif_get_x86_64_req(ring.req, blk_rings, rc, MAX_INDIRECT_PAGES);
    }
    rc = (rc + 1) >>> 0;
    // Before the answer, which may take this very slot.
    blk_rings.req_cons = rc;
    const err = dispatch(ring, ring.req, pending_req);
    if (err === DISPATCH_SLEEPS || err === DISPATCH_BACK_OFF) return err;
    // The rest waits for the next pass.
    if (err !== 0) break;
    if (need_resched()) return IO_OP_RESCHED;
  }
  return 0;
}

/** Sends a request on its way by its operation. 0, a negative errno, DISPATCH_SLEEPS or DISPATCH_BACK_OFF. */
function dispatch(ring: xen_blkif_ring, req: blkif_request, pending_req: pending_req): number {
  switch (req.operation) {
    case BLKIF_OP_READ:
    case BLKIF_OP_WRITE:
    case BLKIF_OP_WRITE_BARRIER:
    case BLKIF_OP_FLUSH_DISKCACHE:
    case BLKIF_OP_INDIRECT:
      pending_req.stage = DISPATCH_PARSE;
      return dispatch_rw_block_io(ring, req, pending_req);
    case BLKIF_OP_DISCARD:
      free_req(ring, pending_req);
      ring.dispatching = null;
      return DISPATCH_SLEEPS;
    default:
      free_req(ring, pending_req);
      return dispatch_other_io(ring, req);
  }
}

/** Does the sleeping for the request that returned DISPATCH_SLEEPS, and sees it through. 0, a negative errno or DISPATCH_BACK_OFF. */
function* dispatch_sleeping(ring: xen_blkif_ring): Sleeps<number> {
  if (ring.batch_count !== 0) return yield* dispatch_batch_sleeping(ring);
  const pending_req = ring.dispatching;
  if (pending_req === null) return yield* dispatch_discard_io(ring, ring.req);
  for (;;) {
    if (pending_req.stage === DISPATCH_DRAIN) {
      yield* xen_blk_drain_io(ring);
      pending_req.stage = DISPATCH_MAP;
    } else if (pending_req.stage === DISPATCH_SUBMIT) {
      return yield* submit_bios(pending_req);
    } else {
      yield* xen_blkbk_map_retry(ring);
    }
    const err = dispatch_rw_block_io(ring, ring.req, pending_req);
    if (err !== DISPATCH_SLEEPS) return err;
  }
}

/** Takes all requests off the ring, and asks for an event when the next one comes. 0, 1 (more are there) or -EACCES. */
function* do_block_io_op(ring: xen_blkif_ring): Sleeps<number> {
  for (;;) {
    let more_to_do = __do_block_io_op(ring);
    if (more_to_do === DISPATCH_SLEEPS) {
      more_to_do = yield* dispatch_sleeping(ring);
      // As in a pass that did not sleep: a good request is followed by the next one, a bad one by the final check.
      if (more_to_do === 0) continue;
      if (more_to_do < 0) more_to_do = 0;
    }
    if (more_to_do === IO_OP_RESCHED) {
      yield* cond_resched();
      continue;
    }
    if (more_to_do === DISPATCH_BACK_OFF) {
      yield* msleep(1);
      more_to_do = 0;
    }
    if (more_to_do !== 0) return more_to_do;
    if (RING_FINAL_CHECK_FOR_REQUESTS(ring.blk_rings) === 0) return 0;
  }
}

/**
 * Turns a request into bios and sends them to the device. Goes on from `pending_req.stage`. 0; DISPATCH_SLEEPS; DISPATCH_BACK_OFF after the
 * request was answered with an error.
 */
function dispatch_rw_block_io(ring: xen_blkif_ring, req: blkif_request, pending_req: pending_req): number {
  if (pending_req.stage !== DISPATCH_MAP) {
    const parsed = pending_req.stage === DISPATCH_PARSE ? parse_request(ring, req, pending_req) : 0;
    const err = parsed !== 0 ? parsed : parse_segments(ring, req, pending_req);
    if (err === -EAGAIN) return dispatch_sleeps(ring, pending_req, DISPATCH_INDIRECT);
    if (err !== 0) return fail_response(ring, pending_req);
    if (pending_req.operation === BLKIF_OP_WRITE_BARRIER) return dispatch_sleeps(ring, pending_req, DISPATCH_DRAIN);
  }
  const err = xen_blkbk_map_seg(pending_req);
  if (err === -EAGAIN) return dispatch_sleeps(ring, pending_req, DISPATCH_MAP);
  if (err !== 0) {
    xen_blkbk_unmap(pending_req, pending_req.segments, pending_req.nr_segs);
    return fail_response(ring, pending_req);
  }
  return submit_request(ring, pending_req);
}

/** The thread sleeps for the request and comes back at `stage`. */
function dispatch_sleeps(ring: xen_blkif_ring, pending_req: pending_req, stage: number): number {
  pending_req.stage = stage;
  ring.dispatching = pending_req;
  return DISPATCH_SLEEPS;
}

/** A bad request, of which nothing is mapped: answers it. The thread backs off after the answer, so that a flood of them is slow. */
function fail_response(ring: xen_blkif_ring, pending_req: pending_req): number {
  make_response(ring, pending_req.id_lo, pending_req.id_hi, pending_req.operation, BLKIF_RSP_ERROR);
  free_req(ring, pending_req);
  return DISPATCH_BACK_OFF;
}

function count_request(ring: xen_blkif_ring, operation: number): void {
  if (operation === BLKIF_OP_READ) ring.st_rd_req++;
  else if (operation === BLKIF_OP_WRITE) ring.st_wr_req++;
  else ring.st_f_req++;
}

/** Takes over the request's head and checks it. 0 or a negative errno. */
function parse_request(ring: xen_blkif_ring, req: blkif_request, pending_req: pending_req): number {
  const indirect = req.operation === BLKIF_OP_INDIRECT;
  const operation = indirect ? req.indirect_op : req.operation;
  const nseg = req.nr_segments;
  pending_req.id_lo = req.id_lo;
  pending_req.id_hi = req.id_hi;
  pending_req.operation = operation;
  pending_req.status = BLKIF_RSP_OKAY;
  pending_req.nr_segs = nseg;
  pending_req.nr_sects = 0;
  ring.map_from = 0;
  ring.map_retried = false;
  if (indirect && operation !== BLKIF_OP_READ && operation !== BLKIF_OP_WRITE) {
    pr_debug("xen-blkback: Invalid indirect operation (%u)\n", operation);
    return -EINVAL;
  }
  count_request(ring, operation);
  const may_be_empty = operation === BLKIF_OP_FLUSH_DISKCACHE || operation === BLKIF_OP_WRITE_BARRIER;
  const nseg_max = indirect ? MAX_INDIRECT_SEGMENTS : BLKIF_MAX_SEGMENTS_PER_REQUEST;
  if ((nseg === 0 && !may_be_empty) || nseg > nseg_max) {
    pr_debug("xen-blkback: Bad number of segments in request (%d)\n", nseg);
    return -EINVAL;
  }
  return pending_req_reserve(pending_req, nseg) ? 0 : -ENOMEM;
}

/** Takes over the segments, then checks where they lie on the disk. 0 or a negative errno; -EAGAIN as xen_blkbk_map. */
function parse_segments(ring: xen_blkif_ring, req: blkif_request, pending_req: pending_req): number {
  if (req.operation === BLKIF_OP_INDIRECT) {
    const rc = xen_blkbk_parse_indirect(req, pending_req);
    if (rc !== 0) return rc;
  } else {
    for (let i = 0; i < pending_req.nr_segs; i++) {
      if (!set_segment(pending_req, i, req.seg_gref[i], req.seg_first_sect[i], req.seg_last_sect[i])) return -EINVAL;
    }
  }
  const vbd = ring.blkif.vbd;
  const sector = blkif_sector(req.sector_number_lo, req.sector_number_hi);
  const operation = pending_req.operation === BLKIF_OP_READ ? REQ_OP_READ : REQ_OP_WRITE;
  if (xen_vbd_translate(vbd, sector, pending_req.nr_sects, operation) !== 0) {
    pr_debug(
      "xen-blkback: access denied: %s of [%llu,%llu] on dev=%04x\n",
      operation === REQ_OP_READ ? "read" : "write",
      sector,
      sector + pending_req.nr_sects,
      vbd.pdevice,
    );
    return -EACCES;
  }
  pending_req.sector_number = sector;
  return check_alignment(vbd, pending_req, req.sector_number_lo);
}

/** Everything is counted in 512-byte sectors, and must be aligned to the device's blocks all the same. 0 or -EINVAL. */
function check_alignment(vbd: xen_vbd, pending_req: pending_req, sector_number_lo: number): number {
  const mask = (bdev_logical_block_size(vbd.bdev as block_device) >> 9) - 1;
  if (mask === 0) return 0;
  for (let i = 0; i < pending_req.nr_segs; i++) {
    if (((sector_number_lo | pending_req.seg[i].nsec) & mask) !== 0) {
      pr_debug("xen-blkback: Misaligned I/O request from domain %d\n", pending_req.ring.blkif.domid);
      return -EINVAL;
    }
  }
  return 0;
}

/** Operation and flags of a request's bios. */
function request_opf(operation: number): blk_opf_t {
  if (operation === BLKIF_OP_READ) return REQ_OP_READ;
  if (operation === BLKIF_OP_WRITE) return REQ_OP_WRITE | REQ_SYNC | REQ_IDLE;
  return REQ_OP_WRITE | REQ_PREFLUSH;
}

/** A bio of the request, `nr_vecs` pages from `sector` on. */
function new_bio(pending_req: pending_req, nr_vecs: number, opf: blk_opf_t, sector: sector_t): bio {
  const bio = bio_alloc(pending_req.ring.blkif.vbd.bdev as block_device, nr_vecs, opf, GFP_KERNEL);
  bio.bi_private = pending_req;
  bio.bi_end_io = end_block_io_op;
  bio.bi_iter.bi_sector = sector;
  return bio;
}

/** Makes the request's bios in `biolist`. Returns how many. */
function build_bios(pending_req: pending_req, opf: blk_opf_t): number {
  const nseg = pending_req.nr_segs;
  const biolist = pending_req.biolist;
  let sector = pending_req.sector_number;
  let nbio = 0;
  let bio: bio | null = null;
  for (let i = 0; i < nseg; i++) {
    const seg = pending_req.seg[i];
    const of = pending_req.segments[i].page as page;
    while (bio === null || bio_add_page(bio, of, seg.nsec << 9, seg.offset) === 0) {
      bio = new_bio(pending_req, bio_max_segs(nseg - i), opf, sector);
      biolist[nbio++] = bio;
    }
    sector += seg.nsec;
  }
  if (nbio === 0) {
    // Nothing to write: the flush alone.
    BUG_ON((opf & REQ_PREFLUSH) === 0);
    biolist[nbio++] = new_bio(pending_req, 0, opf, 0);
  }
  return nbio;
}

/** Everything is mapped: hands the bios to the block layer. 0 or DISPATCH_SLEEPS. From the first bio on, completions may come. */
function submit_request(ring: xen_blkif_ring, pending_req: pending_req): number {
  const opf = request_opf(pending_req.operation);
  const nbio = build_bios(pending_req, opf);
  const biolist = pending_req.biolist;
  xen_blkif_get(ring.blkif);
  ring.inflight++;
  pending_req.pendcnt = nbio;
  if (opf === REQ_OP_READ) ring.st_rd_sect += pending_req.nr_sects;
  else ring.st_wr_sect += pending_req.nr_sects;

  // A plug around a single bio would gather nothing.
  const plugged = nbio > 1;
  if (plugged) blk_start_plug(ring.plug);
  let i = 0;
  while (i < nbio && submit_bio_nowait(biolist[i])) i++;
  if (plugged) blk_finish_plug(ring.plug);
  // All taken: the request may be somebody else's by now.
  if (i === nbio) return 0;
  pending_req.nbio = nbio;
  pending_req.submitted = i;
  return dispatch_sleeps(ring, pending_req, DISPATCH_SUBMIT);
}

/** Hands over the rest of the bios, waiting for the device. */
function* submit_bios(pending_req: pending_req): Sleeps<number> {
  const nbio = pending_req.nbio;
  const biolist = pending_req.biolist;
  for (let i = pending_req.submitted; i < nbio; i++) yield* submit_bio(biolist[i]);
  return 0;
}

// ---- requests of one segment, in batches -----------------------------------------------------------------------------------------------------

/**
 * Takes requests `rc` to `rp` off the ring, as long as they are good reads and writes of one segment, at most XEN_BLKIF_BATCH of them: into
 * `ring.batch`, and their mappings into `ring.map`. Returns how many. No word of a slot is read twice: what has been read of the request
 * that ends the batch is in `ring.req`, and `ring.req_taken` says so.
 */
function take_batch(ring: xen_blkif_ring, rc: number, rp: number): number {
  if (ring.req_taken) return 0;
  const r = ring.blk_rings;
  const blkif = ring.blkif;
  const vbd = blkif.vbd;
  const size = vbd_sz(vbd);
  const mask = (bdev_logical_block_size(vbd.bdev as block_device) >> 9) - 1;
  const plain = vbd.readonly ? 0xffff : 0xfffe;
  const abi = blkif.blk_protocol === BLKIF_PROTOCOL_X86_32 ? 1 : 0;
  const domid = blkif.domid;
  const map = ring.map as gnttab_map_batch;
  const batch = ring.batch;
  const pages = ring.pages_to_gnt;
  const free_pages = ring.free_pages;
  let count = 0;
  let reads = 0;
  let read = 0;
  let written = 0;
  for (; rc !== rp && count < XEN_BLKIF_BATCH; rc = (rc + 1) >>> 0) {
    const req = ring.pending_free;
    if (req === null) break;
    let shared = r.sring;
    let slot = RING_SLOT_WORD(r, rc);
    if (r.bounce !== null) {
      shared = r.pages[slot >>> 10];
      slot &= PAGE_WORDS - 1;
      // A slot that straddles two pages is for those who copy it whole.
      if (slot + r.slot_words > PAGE_WORDS) break;
    }
    const word = page_read32(shared, slot);
    if ((word & plain) !== ONE_SEGMENT) {
      blkif_get_req_from(ring.req, shared, slot, word, abi, MAX_INDIRECT_PAGES);
      ring.req_taken = true;
      break;
    }
    const at = slot - abi;
    const id_lo = page_read32(shared, at + BLKIF_REQUEST_WORD_ID);
    const id_hi = page_read32(shared, at + (BLKIF_REQUEST_WORD_ID + 1));
    const sector = page_read32(shared, at + BLKIF_REQUEST_WORD_SECTOR_NUMBER);
    const sector_hi = page_read32(shared, at + (BLKIF_REQUEST_WORD_SECTOR_NUMBER + 1));
    const gref = page_read32(shared, at + BLKIF_REQUEST_WORD_GREF);
    const sects = page_read32(shared, at + BLKIF_REQUEST_WORD_SECTS) & 0xffff;
    const first_sect = sects & 0xff;
    const nsec = (sects >>> 8) + 1 - first_sect;
    const of = gnttab_page_cache_take(free_pages) ?? new_page(ring);
    if (
      sects > LAST_SECT_MAX ||
      nsec < 1 ||
      sector_hi !== 0 ||
      sector + nsec > size ||
      of === null ||
      ((sector | nsec) & mask) !== 0
    ) {
      if (of !== null) gnttab_page_cache_give(free_pages, of);
      blkif_set_one_segment(ring.req, word, id_lo, id_hi, sector, sector_hi, gref, sects);
      ring.req_taken = true;
      break;
    }
    const operation = word & 1;
    ring.pending_free = req.free_list;
    req.id_lo = id_lo;
    req.id_hi = id_hi;
    req.operation = operation;
    gnttab_set_map_op(map, count, gnttab_page_addr(of), MAP_FLAGS[operation], gref, domid);
    pages[count] = of;
    batch[count++] = req;
    prepare_bio(req, of, operation, sector, nsec << 9, first_sect << 9);
    if (operation === BLKIF_OP_READ) {
      reads++;
      read += nsec;
    } else written += nsec;
  }
  if (count !== 0) count_batch(ring, count, reads, read, written);
  return count;
}

/** How requests of one segment map their page: the device writes what is read, and only reads what is written. */
const MAP_FLAGS = [GNTMAP_host_map, GNTMAP_host_map | GNTMAP_readonly];
/** Operation and number of segments of such a request, but for the bit that tells a write from a read. */
const ONE_SEGMENT = BLKIF_OP_READ | (1 << 8);
/** The largest last_sect, and any first_sect, as they lie in a descriptor. */
const LAST_SECT_MAX = (((XEN_PAGE_SIZE >> 9) - 1) << 8) | 0xff;
const PAGE_WORDS = XEN_PAGE_SIZE >> 2;

function count_batch(ring: xen_blkif_ring, count: number, reads: number, read: number, written: number): void {
  ring.batch_count = count;
  ring.batch_next = 0;
  ring.st_rd_req += reads;
  ring.st_wr_req += count - reads;
  ring.st_rd_sect += read;
  ring.st_wr_sect += written;
  ring.inflight += count;
  ring.blkif.refcnt += count;
}

/** A page for a mapping that the pool does not have; null when out of memory. */
function new_page(ring: xen_blkif_ring): page | null {
  return gnttab_page_cache_get(ring.free_pages, ring.page_out) === 0 ? ring.page_out.value : null;
}

/** Fills in the request's own bio. */
function prepare_bio(
  req: pending_req,
  of: page,
  operation: number,
  sector: sector_t,
  len: number,
  offset: number,
): void {
  const bio = req.bio ?? one_segment_bio(req, of);
  const vec = req.vec as bio_vec;
  const iter = bio.bi_iter;
  bio_reuse(bio, operation === BLKIF_OP_READ ? REQ_OP_READ : REQ_OP_WRITE | REQ_SYNC | REQ_IDLE);
  iter.bi_sector = sector;
  iter.bi_size = len;
  vec.bv_page = of;
  vec.bv_len = len;
  vec.bv_offset = offset;
}

/** Makes the bio that the request keeps. */
function one_segment_bio(req: pending_req, of: page): bio {
  const bio = new_bio(req, 1, REQ_OP_READ, 0);
  bio.bi_end_io = end_one_segment;
  bio_add_page(bio, of, XEN_PAGE_SIZE, 0);
  req.bio = bio;
  req.vec = bio.bi_io_vec[0];
  return bio;
}

/** Maps the batch and sends it on its way. 0, DISPATCH_SLEEPS or DISPATCH_BACK_OFF. */
function dispatch_batch(ring: xen_blkif_ring): number {
  if (gnttab_map_refs(ring.map as gnttab_map_batch, null, ring.pages_to_gnt, ring.batch_count) === -EAGAIN) {
    ring.batch_stage = BATCH_MAP;
    return DISPATCH_SLEEPS;
  }
  return submit_batch(ring);
}

/** Hands over those bios of the batch that the device has not got yet, and answers what is done by then. As dispatch_batch. */
function submit_batch(ring: xen_blkif_ring): number {
  const map = ring.map as gnttab_map_batch;
  const batch = ring.batch;
  const count = ring.batch_count;
  let ret = 0;
  ring.done_pending = true;
  for (let i = ring.batch_next; i < count; i++) {
    const req = batch[i];
    // Any other status is a failure, positive ones too (XSA-316).
    if (gnttab_map_status(map, i) !== GNTST_okay) {
      refuse_grant(ring, req);
      ret = DISPATCH_BACK_OFF;
      continue;
    }
    req.handle = gnttab_map_handle(map, i);
    if (submit_bio_nowait(req.bio as bio)) continue;
    ring.batch_next = i + 1;
    ring.batch_stage = BATCH_SUBMIT;
    answer_done(ring);
    return DISPATCH_SLEEPS;
  }
  ring.batch_count = 0;
  answer_done(ring);
  return ret;
}

/** A reference that cannot be mapped: the request is answered in its turn, with an error. */
function refuse_grant(ring: xen_blkif_ring, req: pending_req): void {
  const bytes = (req.bio as bio).bi_iter.bi_size;
  pr_debug("xen-blkback: invalid buffer -- could not remap it\n");
  gnttab_page_cache_give(ring.free_pages, (req.vec as bio_vec).bv_page);
  if (req.operation === BLKIF_OP_READ) ring.st_rd_sect -= bytes >>> 9;
  else ring.st_wr_sect -= bytes >>> 9;
  req.status = BLKIF_RSP_ERROR;
  ring.done[ring.done_count++] = req;
}

/** Does the sleeping for the batch, and sees it through. 0 or DISPATCH_BACK_OFF. */
function* dispatch_batch_sleeping(ring: xen_blkif_ring): Sleeps<number> {
  for (;;) {
    if (ring.batch_stage === BATCH_MAP) {
      yield* gnttab_map_refs_retry(ring.map as gnttab_map_batch, null, ring.pages_to_gnt, ring.batch_count);
    } else yield* submit_bio(ring.batch[ring.batch_next - 1].bio as bio);
    const err = submit_batch(ring);
    if (err !== DISPATCH_SLEEPS) return err;
  }
}

/** The bio of a request of one segment has ended. Any context. */
function end_one_segment(bio: bio): void {
  const req = bio.bi_private as pending_req;
  const ring = req.ring;
  if (bio.bi_status !== BLK_STS_OK) {
    pr_debug("xen-blkback: Buffer not up-to-date at end of operation, error=%d\n", bio.bi_status);
    req.status = BLKIF_RSP_ERROR;
  }
  if (page_count((req.vec as bio_vec).bv_page) > 1) return unmap_later(req);
  ring.done[ring.done_count++] = req;
  if (!ring.done_pending) answer_done(ring);
}

/** Somebody still uses the page: the request is unmapped and answered by itself, when it is let go. */
function unmap_later(req: pending_req): void {
  const segment = req.segments[0];
  segment.page = (req.vec as bio_vec).bv_page;
  segment.handle = req.handle;
  req.handle = INVALID_GRANT_HANDLE;
  req.nr_segs = 1;
  xen_blkbk_unmap_and_respond(req);
}

/** Unmaps and answers everything in `ring.done`. What is done meanwhile, in an interrupt, joins it. */
function answer_done(ring: xen_blkif_ring): void {
  ring.done_pending = true;
  while (ring.done_count !== 0) {
    const done = ring.done;
    const count = ring.done_count;
    ring.done = ring.done_spare;
    ring.done_spare = done;
    ring.done_count = 0;
    for (let from = 0; from < count; from += GNTTAB_UNMAP_BATCH_MAX) {
      unmap_done(ring, done, from, min(count, from + GNTTAB_UNMAP_BATCH_MAX));
    }
    respond_done(ring, done, count);
  }
  ring.done_pending = false;
}

/** Unmaps those of `done[from..to)` that are mapped. */
function unmap_done(ring: xen_blkif_ring, done: pending_req[], from: number, to: number): void {
  const unmap = ring.unmap as gnttab_unmap_batch;
  const pages = ring.unmap_pages;
  let count = 0;
  for (let i = from; i < to; i++) {
    const req = done[i];
    if (req.handle === INVALID_GRANT_HANDLE) continue;
    const of = (req.vec as bio_vec).bv_page;
    gnttab_set_host_unmap_op(unmap, count, gnttab_page_addr(of), req.handle);
    req.handle = INVALID_GRANT_HANDLE;
    pages[count++] = of;
  }
  if (count === 0) return;
  // We unmap what we mapped.
  BUG_ON(gnttab_unmap_refs(unmap, null, pages, count) !== 0);
  gnttab_page_cache_put(ring.free_pages, pages, count);
}

/** Answers `done[0..count)`, of which nothing is mapped any more, and lets go of them. The front end hears of all at once. */
function respond_done(ring: xen_blkif_ring, done: pending_req[], count: number): void {
  const blk_rings = ring.blk_rings;
  const was_empty = ring.pending_free === null;
  const flags = spin_lock_irqsave(ring.blk_ring_lock);
  let prod = blk_rings.rsp_prod_pvt;
  let free = ring.pending_free;
  for (let i = 0; i < count; i++) {
    const req = done[i];
    blkif_put_response(blk_rings, prod, req.id_lo, req.id_hi, req.operation, req.status);
    prod = (prod + 1) >>> 0;
    req.status = BLKIF_RSP_OKAY;
    req.free_list = free;
    free = req;
  }
  ring.pending_free = free;
  blk_rings.rsp_prod_pvt = prod;
  const notify = RING_PUSH_RESPONSES_AND_CHECK_NOTIFY(blk_rings);
  spin_unlock_irqrestore(ring.blk_ring_lock, flags);
  if (notify) notify_remote_via_irq(ring.irq);
  if (was_empty) wake_up(ring.pending_free_wq);
  ring.inflight -= count;
  if (ring.inflight === 0 && ring.drain) complete(ring.drain_complete);
  ring.blkif.refcnt -= count - 1;
  xen_blkif_put(ring.blkif);
}

/** Puts a response on the ring, and tells the front end if it asked for that. */
function make_response(ring: xen_blkif_ring, id_lo: number, id_hi: number, op: number, st: number): void {
  const blk_rings = ring.blk_rings;
  const flags = spin_lock_irqsave(ring.blk_ring_lock);
  blkif_put_response(blk_rings, blk_rings.rsp_prod_pvt, id_lo, id_hi, op, st);
  blk_rings.rsp_prod_pvt = (blk_rings.rsp_prod_pvt + 1) >>> 0;
  const notify = RING_PUSH_RESPONSES_AND_CHECK_NOTIFY(blk_rings);
  spin_unlock_irqrestore(ring.blk_ring_lock, flags);
  if (notify) notify_remote_via_irq(ring.irq);
}
