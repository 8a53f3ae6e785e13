/**
 * What the parts of xen-blkback share: its structures. Names and roles follow drivers/block/xen-blkback/common.h of Linux 6.16.
 *
 *   xen_blkif            one connection: a front end's vbd, its device (xen_vbd) and its rings
 *     xen_blkif_ring     one ring: shared pages, event channel, thread, free requests, page pool, statistics
 *       pending_req      one request between its slot and its response
 *
 * Everything that I/O touches belongs to one ring; nothing is shared between connections, so there is no lock between them. A ring's
 * requests are consumed by its thread alone; they are completed in any context, under `blk_ring_lock` where they meet.
 *
 * The front end is not trusted: what it wrote is in a `blkif_request`, copied once, before anything looks at it.
 */
import { completion } from "xenolith/linux/completion";
import type { bio, block_device } from "xenolith/linux/blk_types";
import type { bio_vec } from "xenolith/linux/bvec";
import type { file } from "xenolith/linux/fs";
import type { page } from "xenolith/linux/mm_types";
import type { dev_t, Ptr, sector_t } from "xenolith/linux/types";
import type { task_struct } from "xenolith/linux/sched";
import { blk_plug } from "xenolith/linux/blkdev";
import { spinlock_t } from "xenolith/linux/spinlock";
import { wait_queue_head } from "xenolith/linux/wait";
import { schedule_work, work_struct } from "xenolith/linux/workqueue";
import { gnttab_page_cache, INVALID_GRANT_HANDLE, INVALID_GRANT_REF } from "xenolith/xen/grant_table";
import type {
  domid_t,
  gntab_unmap_queue_data,
  gnttab_map_batch,
  gnttab_unmap_batch,
  grant_handle_t,
  grant_ref_t,
} from "xenolith/xen/grant_table";
import {
  BLKIF_MAX_SEGMENTS_PER_REQUEST,
  BLKIF_SLOT_SIZE,
  BLKIF_X86_32_SLOT_SIZE,
  blkif_back_ring,
  blkif_request,
} from "xenolith/xen/interface/io/blkif";
import { xenbus_watch } from "xenolith/xen/xenbus";
import type { xenbus_device } from "xenolith/xen/xenbus";

/** Requests of one ring page: what fits, rounded down to a power of two, in every ABI. */
export const XEN_BLKIF_REQS_PER_PAGE = 32;

/** Segments of an indirect request that we accept, and the pages that describe so many. */
export const MAX_INDIRECT_SEGMENTS = 256;
export const MAX_INDIRECT_PAGES = 1;

/** Layouts of the shared ring, by the word size of the front end. */
export const BLKIF_PROTOCOL_NATIVE = 1;
export const BLKIF_PROTOCOL_X86_32 = 2;
export const BLKIF_PROTOCOL_X86_64 = 3;
/** What a front end speaks that does not say: those that old were 32-bit. */
export const BLKIF_PROTOCOL_DEFAULT = BLKIF_PROTOCOL_X86_32;
export type blkif_protocol = number;

/** The device behind a connection. */
export class xen_vbd {
  /** What the front end calls the device; it means nothing to us. */
  handle = 0;
  /** Whether writes are refused. */
  readonly = false;
  /** VDISK_*. */
  type = 0;
  /** Number of the real device. */
  pdevice: dev_t = 0;
  bdev_file: file | null = null;
  /** The open device: `file_bdev(bdev_file)`. */
  bdev: block_device | null = null;
  /** Cached size in sectors; the threads look for a difference. */
  size: sector_t = 0;
  flush_support = false;
  discard_secure = false;
}

/** A piece of a request's data, in bytes and sectors. */
export class seg_buf {
  /** Bytes into the page. */
  offset = 0;
  /** Sectors. */
  nsec = 0;
}

/** A page of the front end's while it is mapped here. */
export class grant_page {
  page: page | null = null;
  handle: grant_handle_t = INVALID_GRANT_HANDLE;
  gref: grant_ref_t = INVALID_GRANT_REF;
}

/** Where `dispatch_rw_block_io` is: at its start; waiting to map the page of segments, for a drain, to map the data, or to submit. */
export const DISPATCH_PARSE = 0;
export const DISPATCH_INDIRECT = 1;
export const DISPATCH_DRAIN = 2;
export const DISPATCH_MAP = 3;
export const DISPATCH_SUBMIT = 4;
/** The batch waits: for its mapping to be tried again, or for the device to take the next of its bios. */
export const BATCH_MAP = 5;
export const BATCH_SUBMIT = 6;

/** Requests that are taken off the ring, mapped and sent on their way together, at most. */
export const XEN_BLKIF_BATCH = BLKIF_MAX_SEGMENTS_PER_REQUEST;

/** A request that the front end waits for. Recycled through its ring's `pending_free`. */
export class pending_req {
  /** Next on `pending_free`. */
  free_list: pending_req | null = null;
  readonly ring: xen_blkif_ring;
  /** The front end's id, two words, echoed. */
  id_lo = 0;
  id_hi = 0;
  nr_segs = 0;
  /** Sectors in all, and the first one. */
  nr_sects = 0;
  sector_number: sector_t = 0;
  /** Bios that have not ended. */
  pendcnt = 0;
  operation = 0;
  /** BLKIF_RSP_*; OKAY while not in use. */
  status = 0;
  /** DISPATCH_*. */
  stage = DISPATCH_PARSE;
  /** Grows to what the largest request so far needed. */
  readonly segments: grant_page[] = [];
  readonly seg: seg_buf[] = [];
  readonly indirect_pages: grant_page[] = [];
  readonly biolist: bio[] = [];
  /** Bios in `biolist`, and how many of them the block layer has taken: valid while it has not taken them all. */
  nbio = 0;
  submitted = 0;
  /** The bio of a request of one segment: the request's own, made when it is first needed, and what it was made over. */
  bio: bio | null = null;
  vec: bio_vec | null = null;
  /** The mapping of a request of one segment; INVALID_GRANT_HANDLE when it has none. */
  handle: grant_handle_t = INVALID_GRANT_HANDLE;
  /** The unmapping at the end, GNTTAB_UNMAP_BATCH_MAX pages in each; and how many of them are under way. */
  readonly gnttab_unmap_data: gntab_unmap_queue_data[] = [];
  unmap_pendcnt = 0;

  constructor(ring: xen_blkif_ring) {
    this.ring = ring;
    for (let i = 0; i < MAX_INDIRECT_PAGES; i++) this.indirect_pages.push(new grant_page());
  }
}

/** One ring of a connection. */
export class xen_blkif_ring {
  readonly blkif: xen_blkif;
  /** The event channel's interrupt; 0 while not bound. */
  irq = 0;
  /** Our indices and the layout; the pages, null while not mapped. */
  readonly blk_rings: blkif_back_ring;
  blk_ring: page[] | null = null;
  /** Held while responses are put on the ring. */
  readonly blk_ring_lock = new spinlock_t();

  /** Where the thread waits for `waiting_reqs`. */
  readonly wq = new wait_queue_head();
  /** Requests that have been taken and not yet answered. */
  inflight = 0;
  active = false;
  /** The thread; null when there is none. Cleared by whoever stops it (XSA-350). */
  xenblkd: task_struct | null = null;
  /** Set by the interrupt, cleared by the thread. */
  waiting_reqs = false;

  /** Requests that are not in use, last in first out; the thread waits on `pending_free_wq` when there are none. */
  pending_free: pending_req | null = null;
  readonly pending_free_wq = new wait_queue_head();

  /** Whoever waits for a barrier's turn: set while draining, completed when `inflight` reaches 0. */
  drain = false;
  readonly drain_complete = new completion();

  /** Pages for mappings. */
  readonly free_pages = new gnttab_page_cache();
  /** The thread's own: the slot being dispatched, its map operations, and the request that it belongs to while dispatch sleeps. */
  readonly req = new blkif_request();
  map: gnttab_map_batch | null = null;
  readonly pages_to_gnt: page[] = [];
  readonly page_out: Ptr<page | null> = { value: null };
  /** First page of the batch being mapped, its pages, and whether it has been tried again and is to be looked at. */
  map_from = 0;
  map_count = 0;
  map_retried = false;
  dispatching: pending_req | null = null;
  /** The batch of requests being dispatched: how many, and which is next to be submitted. Slots of the arrays beyond that are of earlier ones. */
  readonly batch: pending_req[] = [];
  batch_count = 0;
  batch_next = 0;
  batch_stage = BATCH_SUBMIT;
  /** A request that ended the batch before it: `req` holds its copy. */
  req_taken = false;
  /** Requests of one segment whose I/O is done, in the order of its end; answered together. */
  done: pending_req[] = [];
  done_count = 0;
  /** Whoever is about to answer what is in `done` has not got there yet: nobody else needs to. */
  done_pending = false;
  /** The other array of that kind, and the operations and pages that unmap what is in it. */
  done_spare: pending_req[] = [];
  unmap: gnttab_unmap_batch | null = null;
  readonly unmap_pages: page[] = [];
  readonly plug = new blk_plug();
  /** XEN_EOI_FLAG_* for the next end of interrupt: spurious until a request was seen. */
  eoi_flags = 0;

  // Statistics, shown in sysfs as sums over the rings.
  st_print = 0;
  st_rd_req = 0;
  st_wr_req = 0;
  st_oo_req = 0;
  st_f_req = 0;
  st_ds_req = 0;
  st_rd_sect = 0;
  st_wr_sect = 0;

  constructor(blkif: xen_blkif) {
    this.blkif = blkif;
    const i386 = blkif.blk_protocol === BLKIF_PROTOCOL_X86_32;
    this.blk_rings = new blkif_back_ring(i386 ? BLKIF_X86_32_SLOT_SIZE : BLKIF_SLOT_SIZE);
  }
}

/** The back end's half of a vbd on the bus: what xenstore says about the device. */
export class backend_info {
  readonly dev: xenbus_device;
  blkif: xen_blkif | null = null;
  /** On physical-device, which the hotplug script writes. */
  readonly backend_watch: xenbus_watch = new xenbus_watch(this);
  /** The real device's number, 0:0 until it is known. */
  major = 0;
  minor = 0;
  /** "w" or "r", as the toolstack wrote it; null until read. */
  mode: string | null = null;

  constructor(dev: xenbus_device) {
    this.dev = dev;
  }
}

/** One connection. Lives until its last request has ended, which may be after its device is gone. */
export class xen_blkif {
  readonly domid: domid_t;
  /** BLKIF_PROTOCOL_*. */
  blk_protocol: blkif_protocol = BLKIF_PROTOCOL_NATIVE;
  be: backend_info | null = null;
  readonly vbd = new xen_vbd();
  /** One for the device, one per request in flight. */
  refcnt = 1;
  /** The last reference may go in an interrupt; what remains is done here. */
  readonly free_work = new work_struct(this);
  /** Writes the feature nodes that the device has turned out not to support. */
  readonly feature_work = new work_struct(this);
  flush_refused = false;
  barrier_refused = false;
  nr_ring_pages = 0;
  /** The front end names its ring pages ring-ref0, ring-ref1...; so it does whenever it wrote ring-page-order, even 0. */
  multi_ref = false;
  /** Null while there is no connection. Replaced, never changed, so that a reader sees all rings or none. */
  rings: xen_blkif_ring[] | null = null;
  nr_rings = 0;
  /** Jiffies until which the page pools are kept empty. */
  buffer_squeeze_end = 0;

  constructor(domid: domid_t) {
    this.domid = domid;
  }
}

/** Takes a reference. */
export function xen_blkif_get(blkif: xen_blkif): void {
  blkif.refcnt++;
}

/** Drops a reference; the last one frees the connection, later and in a worker. Plain. */
export function xen_blkif_put(blkif: xen_blkif): void {
  if (--blkif.refcnt === 0) schedule_work(blkif.free_work);
}
