/**
 * xen-blkfront: a disk whose driver is in another domain. Structured like drivers/block/xen-blkfront.c of Linux 6.16.
 * tidy: one file as in Linux
 *
 *   blk-mq ─► blkif_queue_rq: an id, a grant for each page, a slot ─► event ─► back end
 *   back end ─► event ─► blkif_interrupt: check the response, end the grants, free the id ─► blk-mq
 *
 *   probe ─► back end InitWait: rings ─► Initialised ─► back end Connected: disk ─► Connected ─► Closing: the disk is dead ─► Closed ─► remove
 *
 * A request is built in private memory (`blk_shadow.req`) and copied to its slot in one go; a response is copied once and must belong to a
 * request that waits for it. A back end that breaks a rule ends the use of the device, nothing else: state BLKIF_STATE_ERROR, left only by a
 * removal or a resume. Data pages are granted writable, as persistent grants would need it; with an untrusted back end ("trusted" = 0) data
 * goes through pages of our own, so that it sees nothing but the data.
 *
 * `ring_lock` guards a ring's indices, ids and grants; it is taken with interrupts off, since the interrupt handler takes it too.
 * Everything else runs on the xenwatch thread.
 */
import { bio_io_error, bio_list, bio_list_merge, bio_list_pop, submit_bio } from "xenolith/linux/bio";
import {
  blk_mark_disk_dead,
  BLK_FEAT_FUA,
  BLK_FEAT_WRITE_CACHE,
  blk_queue_disable_discard,
  blk_queue_disable_secure_erase,
  blk_queue_write_cache,
  del_gendisk,
  device_add_disk,
  GENHD_FL_REMOVABLE,
  get_capacity,
  io_comp_batch,
  put_disk,
  queue_limits,
  queue_limits_commit_update,
  queue_limits_start_update,
  register_blkdev,
  set_capacity,
  set_capacity_and_notify,
  set_disk_ro,
  unregister_blkdev,
} from "xenolith/linux/blkdev";
import type { block_device_operations, gendisk, request_queue, rq_list } from "xenolith/linux/blkdev";
import {
  blk_mq_add_to_batch,
  blk_mq_alloc_disk,
  blk_mq_alloc_tag_set,
  blk_mq_complete_request,
  blk_mq_end_request,
  blk_mq_end_request_batch,
  blk_mq_free_tag_set,
  blk_mq_kick_requeue_list,
  blk_mq_requeue_request,
  blk_mq_rq_to_pdu,
  blk_mq_start_request,
  blk_mq_start_stopped_hw_queues,
  blk_mq_stop_hw_queue,
  blk_mq_stop_hw_queues,
  blk_mq_tag_set,
  blk_mq_update_nr_hw_queues,
  blk_rq_map_sg,
  blk_rq_pos,
  blk_rq_sectors,
  blk_should_fake_timeout,
  req_op,
  rq_data_dir,
  rq_list_set,
} from "xenolith/linux/blk-mq";
import type { blk_mq_hw_ctx, blk_mq_ops, blk_mq_queue_data, request } from "xenolith/linux/blk-mq";
import {
  BLK_STS_DEV_RESOURCE,
  BLK_STS_IOERR,
  BLK_STS_NOTSUPP,
  BLK_STS_OK,
  REQ_FUA,
  REQ_OP_DISCARD,
  REQ_OP_FLUSH,
  REQ_OP_READ,
  REQ_OP_SECURE_ERASE,
  REQ_OP_WRITE,
} from "xenolith/linux/blk_types";
import type { blk_mode_t, blk_status_t, block_device } from "xenolith/linux/blk_types";
import { CDROM_GET_CAPABILITY, CDROMMULTISESSION } from "xenolith/linux/cdrom";
import type { cdrom_multisession } from "xenolith/linux/cdrom";
import { dev_get_drvdata, dev_set_drvdata, dev_warn } from "xenolith/linux/device";
import { IS_ERR, PTR_ERR } from "xenolith/linux/err";
import { EAGAIN, EBUSY, EINVAL, ENODEV, ENOMEM } from "xenolith/linux/errno";
import { GFP_NOIO, GFP_ZERO } from "xenolith/linux/gfp";
import type { hd_geometry } from "xenolith/linux/hdreg";
import { IRQ_HANDLED } from "xenolith/linux/interrupt";
import type { irqreturn_t } from "xenolith/linux/interrupt";
import { BUG_ON, min } from "xenolith/linux/kernel";
import { list_add, list_add_tail, list_del, list_empty, list_head } from "xenolith/linux/list";
import { __free_page, alloc_page } from "xenolith/linux/mm";
import type { page } from "xenolith/linux/mm_types";
import { MODULE_ALIAS, MODULE_DESCRIPTION, module_exit, module_init, MODULE_LICENSE } from "xenolith/linux/module";
import { MODULE_PARM_DESC, module_param_named } from "xenolith/linux/moduleparam";
import { kasprintf, pr_alert, pr_debug, pr_info, pr_warn, pr_warn_ratelimited } from "xenolith/linux/printk";
import { sg_alloc, sg_page } from "xenolith/linux/scatterlist";
import type { scatterlist } from "xenolith/linux/scatterlist";
import type { Sleeps } from "xenolith/linux/sched";
import { num_online_cpus } from "xenolith/linux/smp";
import { spin_lock_irqsave, spin_unlock_irqrestore, spinlock_t } from "xenolith/linux/spinlock";
import { simple_strtoul } from "xenolith/linux/string";
import { ptr } from "xenolith/linux/types";
import type { Ptr, sector_t } from "xenolith/linux/types";
import { flush_work, INIT_WORK, schedule_work, work_struct } from "xenolith/linux/workqueue";
import {
  bind_evtchn_to_irqhandler_lateeoi,
  notify_remote_via_irq,
  unbind_from_irqhandler,
  XEN_EOI_FLAG_SPURIOUS,
  xen_irq_lateeoi,
} from "xenolith/xen/events";
import {
  gnttab_alloc_grant_references,
  gnttab_cancel_free_callback,
  gnttab_claim_grant_reference,
  gnttab_end_foreign_access,
  gnttab_free_callback,
  gnttab_free_grant_references,
  gnttab_grant_foreign_access,
  gnttab_page_grant_foreign_access_ref_one,
  gnttab_request_free_callback,
  gnttab_try_end_foreign_access,
  INVALID_GRANT_REF,
} from "xenolith/xen/grant_table";
import type { grant_ref_t } from "xenolith/xen/grant_table";
import { memcpy_page, page_read32, page_write32, XEN_PAGE_SIZE } from "xenolith/xen/page";
import {
  XBT_NIL,
  XENBUS_EXIST_ERR,
  XENBUS_MAX_RING_GRANT_ORDER,
  XenbusStateClosed,
  XenbusStateClosing,
  XenbusStateConnected,
  XenbusStateInitialised,
  XenbusStateInitialising,
  XenbusStateInitWait,
  XenbusStateUnknown,
  xenbus_alloc_evtchn,
  xenbus_dev_fatal,
  xenbus_driver,
  xenbus_free_evtchn,
  xenbus_frontend_closed,
  xenbus_gather,
  xenbus_printf,
  xenbus_read_unsigned,
  xenbus_register_frontend,
  xenbus_scanf,
  xenbus_setup_ring,
  xenbus_switch_state,
  xenbus_teardown_ring,
  xenbus_transaction,
  xenbus_transaction_end,
  xenbus_transaction_start,
  xenbus_unregister_driver,
} from "xenolith/xen/xenbus";
import type { xenbus_device, xenbus_device_id, xenbus_state } from "xenolith/xen/xenbus";
import {
  BLKIF_DISCARD_SECURE,
  BLKIF_INDIRECT_PAGES,
  BLKIF_MAX_SEGMENTS_PER_REQUEST,
  BLKIF_OP_DISCARD,
  BLKIF_OP_FLUSH_DISKCACHE,
  BLKIF_OP_READ,
  BLKIF_OP_WRITE,
  BLKIF_OP_WRITE_BARRIER,
  BLKIF_RSP_EOPNOTSUPP,
  BLKIF_RSP_ERROR,
  BLKIF_RSP_OKAY,
  BLKIF_SEGS_PER_INDIRECT_FRAME,
  blkif_front_ring,
  blkif_put_page_request,
  blkif_put_request,
  blkif_put_segment,
  blkif_req_set_discard,
  blkif_req_set_id,
  blkif_req_set_indirect,
  blkif_req_set_indirect_gref,
  blkif_req_set_rw,
  blkif_req_set_seg,
  blkif_request_image,
  blkif_response,
  blkif_response_id_hi,
  blkif_response_id_lo,
  blkif_response_is_okay,
  blkif_response_page,
  blkif_response_result,
  blkif_response_word,
  blkif_set_response,
  VDISK_CDROM,
  VDISK_READONLY,
  VDISK_REMOVABLE,
} from "xenolith/xen/interface/io/blkif";
import { XEN_IO_PROTO_ABI_NATIVE } from "xenolith/xen/interface/io/protocols";
import {
  RING_FINAL_CHECK_FOR_RESPONSES,
  RING_FREE_REQUESTS,
  RING_FULL,
  RING_PUSH_REQUESTS_AND_CHECK_NOTIFY,
  RING_RESPONSE_PROD_OVERFLOW,
  RING_SIZE,
  SRING_RSP_EVENT_WORD,
  SRING_RSP_PROD_WORD,
  XEN_FRONT_RING_INIT,
} from "xenolith/xen/interface/io/ring";
import { vbd_identify, XENVBD_MAJOR } from "xenolith/xen/interface/io/vbd";

/** How far a device is. ERROR: the back end broke a rule. */
const BLKIF_STATE_DISCONNECTED = 0;
const BLKIF_STATE_CONNECTED = 1;
const BLKIF_STATE_SUSPENDED = 2;
const BLKIF_STATE_ERROR = 3;

/** How far a shadow is: taken off the ring, or waiting for its response. */
const REQ_PROCESSING = 0;
const REQ_WAITING = 1;

/** Never a request's: the first references are reserved. Quicker to compare with than INVALID_GRANT_REF, which is no int32. */
const NO_GREF: grant_ref_t = 0;
/** End of the chain of free ids. */
const SHADOW_FREE_END = 0x0fffffff;
/** Largest sector size that we can do: a request's pieces are pages. */
const SECTOR_SIZE_MAX = XEN_PAGE_SIZE;

/** Segments of an indirect request that we use at most; up to 11 means none. */
const xen_blkif_max_segments = ptr(32);
module_param_named("max_indirect_segments", xen_blkif_max_segments, "uint", 0o444);
MODULE_PARM_DESC("max_indirect_segments", "Maximum amount of segments in indirect requests (default is 32)");
// As it was called when indirect requests came (Linux 3.11).
module_param_named("max", xen_blkif_max_segments, "uint", 0);
MODULE_PARM_DESC("max", "Former name of max_indirect_segments");

/** Rings of one disk. */
const xen_blkif_max_queues = ptr(4);
module_param_named("max_queues", xen_blkif_max_queues, "uint", 0o444);
MODULE_PARM_DESC("max_queues", "Maximum number of hardware queues/rings used per virtual disk");

/** log2 of the pages of one ring. */
const xen_blkif_max_ring_order = ptr(0);
module_param_named("max_ring_page_order", xen_blkif_max_ring_order, "int", 0o444);
MODULE_PARM_DESC("max_ring_page_order", "Maximum order of pages to be used for the shared ring");

/** Whether back ends may see the rest of the pages that hold data. */
const xen_blkif_trusted = ptr(true);
module_param_named("trusted", xen_blkif_trusted, "bool", 0o644);
MODULE_PARM_DESC("trusted", "Is the backend trusted");

/** A grant that a request uses, or may use next. */
class grant {
  gref: grant_ref_t = INVALID_GRANT_REF;
  /** Our own page that is granted instead of the data's: bounce buffers, and pages of segments while they are in use. */
  page: page | null;
  readonly node = new list_head(this);

  constructor(page: page | null) {
    this.page = page;
  }
}

/** All that we must remember of a request on the ring, by its id. */
class blk_shadow {
  /** What is, or last was, in the slot. */
  readonly req = new blkif_request_image();
  /** The next free id. */
  next_free = SHADOW_FREE_END;
  request: request | null = null;
  /** The operation that its response must name. */
  operation = 0;
  /** Grants in use, in `grants_used` and `indirect_grants`. */
  num_grant = 0;
  num_indirect = 0;
  /** The reference of a request of one page, which has no others; else NO_GREF. */
  gref: grant_ref_t = NO_GREF;
  readonly grants_used: grant[] = [];
  readonly indirect_grants: grant[] = [];
  sg: scatterlist[] = [];
  status = REQ_PROCESSING;
}

/** The driver's part of a `struct request`. */
class blkif_req {
  error: blk_status_t = BLK_STS_OK;
}

/** One ring. */
class blkfront_ring_info {
  readonly dev_info: blkfront_info;
  readonly ring_lock = new spinlock_t("&rinfo->ring_lock");
  readonly ring = new blkif_front_ring();
  /** The ring's pages and their grants. */
  readonly pages: Ptr<page[] | null> = { value: null };
  readonly ring_ref: grant_ref_t[] = [];
  evtchn = 0;
  irq = 0;
  /** Starts the queue again when there are grant references. */
  readonly work = new work_struct(this);
  readonly callback = new gnttab_free_callback();
  /** Pages for segments of indirect requests, by `page.lru`; empty with bounce buffers, whose grants have pages of their own. */
  readonly indirect_pages = new list_head();
  /** Grants that are not in use; taken from the head, given back to the tail. */
  readonly grants = new list_head();
  /** First free id. */
  shadow_free = 0;
  readonly shadow: blk_shadow[] = [];
  /** The interrupt handler's: the response being looked at, requests that are done, and those of them that may end together. */
  readonly bret = new blkif_response();
  readonly done: request[] = [];
  readonly iob = new io_comp_batch();
  /** queue_rq's: references reserved for the request being built. */
  readonly gref_head: Ptr<grant_ref_t> = { value: INVALID_GRANT_REF };

  constructor(dev_info: blkfront_info) {
    this.dev_info = dev_info;
    INIT_WORK(this.work, blkif_restart_queue);
  }
}

/** One disk. */
class blkfront_info {
  readonly xbdev: xenbus_device;
  gd: gendisk | null = null;
  rq: request_queue | null = null;
  readonly tag_set = new blk_mq_tag_set();
  vdevice = 0;
  /** What our requests call the device; the back end ignores it. */
  handle = 0;
  /** VDISK_*. */
  vdisk_info = 0;
  sector_size = 0;
  physical_sector_size = 0;
  /** BLKIF_STATE_*. */
  connected = BLKIF_STATE_DISCONNECTED;
  /** The back end's state when it last changed. */
  backend_state: xenbus_state = XenbusStateUnknown;
  /** Nobody answers any more: requests end with an error. */
  gone = false;
  nr_ring_pages = 1;
  feature_flush = false;
  feature_fua = false;
  feature_discard = false;
  feature_secdiscard = false;
  /** Bytes; 0 when the back end does not say. */
  discard_granularity = 0;
  discard_alignment = 0;
  /** 0 means no indirect requests. */
  max_indirect_segments = 0;
  /** Data goes through pages of our own. */
  bounce = false;
  is_ready = false;
  rinfo: blkfront_ring_info[] = [];
  /** Saved over a resume: requests to be sent again, and bios to be submitted again. */
  readonly requests = new list_head();
  readonly bio_list = new bio_list();

  constructor(xbdev: xenbus_device) {
    this.xbdev = xbdev;
  }
}

/** Minors of major 202 that are taken. */
const minors = new Set<number>();

// ---- ids and grants --------------------------------------------------------------------------------------------------------------------------

/** Takes a free id. There is one: the ring is not full. */
function get_id_from_freelist(rinfo: blkfront_ring_info): number {
  const free = rinfo.shadow_free;
  BUG_ON(free >= RING_SIZE(rinfo.ring));
  rinfo.shadow_free = rinfo.shadow[free].next_free;
  return free;
}

/** Gives an id back. */
function add_id_to_freelist(rinfo: blkfront_ring_info, id: number): void {
  const shadow = rinfo.shadow[id];
  shadow.request = null;
  shadow.next_free = rinfo.shadow_free;
  rinfo.shadow_free = id;
}

/** Adds `num` grants to the ring's pool: 0 or -ENOMEM, with those that were added left for the caller to free. */
function fill_grant_buffer(rinfo: blkfront_ring_info, num: number): number {
  for (let i = 0; i < num; i++) {
    let of: page | null = null;
    if (rinfo.dev_info.bounce) {
      // Zeroed: the back end may read all of it, whatever part holds data.
      of = alloc_page(GFP_NOIO | GFP_ZERO);
      if (of === null) return -ENOMEM;
    }
    list_add(new grant(of).node, rinfo.grants);
  }
  return 0;
}

/** Takes a grant out of the pool, with a reference from `rinfo.gref_head`. The pool holds enough for a full ring. */
function get_free_grant(rinfo: blkfront_ring_info): grant {
  BUG_ON(list_empty(rinfo.grants));
  const gnt_list_entry = rinfo.grants.next.container as grant;
  list_del(gnt_list_entry.node);
  const ref = gnttab_claim_grant_reference(rinfo.gref_head);
  BUG_ON(ref < 0);
  gnt_list_entry.gref = ref;
  return gnt_list_entry;
}

/** A grant of `data`, or of a bounce page in its place. */
function get_grant(rinfo: blkfront_ring_info, data: page): grant {
  const info = rinfo.dev_info;
  const gnt = get_free_grant(rinfo);
  const of = info.bounce ? (gnt.page as page) : data;
  gnttab_page_grant_foreign_access_ref_one(gnt.gref, info.xbdev.otherend_id, of, 0);
  return gnt;
}

/** A grant of a page for segments. */
function get_indirect_grant(rinfo: blkfront_ring_info): grant {
  const info = rinfo.dev_info;
  const gnt = get_free_grant(rinfo);
  if (!info.bounce) {
    BUG_ON(list_empty(rinfo.indirect_pages));
    const indirect_page = rinfo.indirect_pages.next.container as page;
    list_del(indirect_page.lru);
    gnt.page = indirect_page;
  }
  gnttab_page_grant_foreign_access_ref_one(gnt.gref, info.xbdev.otherend_id, gnt.page as page, 0);
  return gnt;
}

function op_name(op: number): string {
  switch (op) {
    case BLKIF_OP_READ:
      return "read";
    case BLKIF_OP_WRITE:
      return "write";
    case BLKIF_OP_WRITE_BARRIER:
      return "barrier";
    case BLKIF_OP_FLUSH_DISKCACHE:
      return "flush";
    case BLKIF_OP_DISCARD:
      return "discard";
    default:
      return "unknown";
  }
}

/** Reserves `nr` minors from `minor` on: 0 or -EBUSY. */
function xlbd_reserve_minors(minor: number, nr: number): number {
  for (let i = minor; i < minor + nr; i++) {
    if (minors.has(i)) return -EBUSY;
  }
  for (let i = minor; i < minor + nr; i++) minors.add(i);
  return 0;
}

function xlbd_release_minors(minor: number, nr: number): void {
  for (let i = minor; i < minor + nr; i++) minors.delete(i);
}

/** Grant references have become free. Atomic. */
function blkif_restart_queue_callback(arg: unknown): void {
  schedule_work((arg as blkfront_ring_info).work);
}

/** What old programs want to know of a disk. */
function blkif_getgeo(disk: gendisk, hg: hd_geometry): number {
  const sect_size = get_capacity(disk);
  hg.heads = 0xff;
  hg.sectors = 0x3f;
  const cylinders = Math.floor(sect_size / (hg.heads * hg.sectors));
  hg.cylinders = cylinders > 0xffff ? 0xffff : cylinders;
  return 0;
}

function blkif_ioctl(bdev: block_device, _mode: blk_mode_t, command: number, argument: unknown): number {
  if (command === CDROMMULTISESSION) {
    const session = argument as cdrom_multisession;
    session.addr_lba = 0;
    session.xa_flag = 0;
    session.addr_format = 0;
    return 0;
  }
  if (command === CDROM_GET_CAPABILITY) {
    const info = bdev.bd_disk.private_data as blkfront_info;
    return (info.vdisk_info & VDISK_CDROM) !== 0 ? 0 : -EINVAL;
  }
  return -EINVAL;
}

// ---- requests down ---------------------------------------------------------------------------------------------------------------------------

/** Takes an id for `req`. */
function blkif_ring_get_request(rinfo: blkfront_ring_info, req: request): blk_shadow {
  const id = get_id_from_freelist(rinfo);
  const shadow = rinfo.shadow[id];
  shadow.request = req;
  blkif_req_set_id(shadow.req, id);
  return shadow;
}

/** Copies the finished request into its slot. */
function blkif_ring_put_request(rinfo: blkfront_ring_info, shadow: blk_shadow): void {
  const ring = rinfo.ring;
  blkif_put_request(ring, ring.req_prod_pvt, shadow.req);
  ring.req_prod_pvt = (ring.req_prod_pvt + 1) >>> 0;
  shadow.status = REQ_WAITING;
}

function blkif_queue_discard_req(req: request, rinfo: blkfront_ring_info): number {
  const shadow = blkif_ring_get_request(rinfo, req);
  const secure = req_op(req) === REQ_OP_SECURE_ERASE && rinfo.dev_info.feature_secdiscard;
  blkif_req_set_discard(shadow.req, secure ? BLKIF_DISCARD_SECURE : 0, blk_rq_pos(req), blk_rq_sectors(req));
  shadow.operation = BLKIF_OP_DISCARD;
  shadow.num_grant = 0;
  shadow.num_indirect = 0;
  blkif_ring_put_request(rinfo, shadow);
  return 0;
}

/** Grants one piece of data and describes it as segment `i` of the request. */
function blkif_setup_rw_req_grant(
  rinfo: blkfront_ring_info,
  shadow: blk_shadow,
  i: number,
  indirect: boolean,
  write: boolean,
): void {
  const sg = shadow.sg[i];
  const data = sg_page(sg);
  const n = i % BLKIF_SEGS_PER_INDIRECT_FRAME;
  if (indirect && n === 0) {
    const gnt = get_indirect_grant(rinfo);
    blkif_req_set_indirect_gref(shadow.req, shadow.num_indirect, gnt.gref);
    shadow.indirect_grants[shadow.num_indirect++] = gnt;
  }
  const gnt = get_grant(rinfo, data);
  shadow.grants_used[i] = gnt;
  if (write && rinfo.dev_info.bounce) memcpy_page(gnt.page as page, sg.offset, data, sg.offset, sg.length);
  const fsect = sg.offset >> 9;
  const lsect = fsect + (sg.length >> 9) - 1;
  if (indirect) {
    const segments = shadow.indirect_grants[shadow.num_indirect - 1].page as page;
    blkif_put_segment(segments, n, gnt.gref, fsect, lsect);
  } else {
    blkif_req_set_seg(shadow.req, i, gnt.gref, fsect, lsect);
  }
}

/** The operation of a request on the ring. A flush that nobody supports does not get here; such a FUA write is a plain one. */
function blkif_rw_operation(info: blkfront_info, req: request): number {
  const op = req_op(req);
  if (op === REQ_OP_READ) return BLKIF_OP_READ;
  const needs_flush = op === REQ_OP_FLUSH || (op === REQ_OP_WRITE && (req.cmd_flags & REQ_FUA) !== 0);
  if (needs_flush && info.feature_flush) return info.feature_fua ? BLKIF_OP_WRITE_BARRIER : BLKIF_OP_FLUSH_DISKCACHE;
  return rq_data_dir(req) === REQ_OP_WRITE ? BLKIF_OP_WRITE : BLKIF_OP_READ;
}

/** Puts a request with data, or a flush, into a slot. 0, or 1 when there are not enough grant references now. */
function blkif_queue_rw_req(req: request, rinfo: blkfront_ring_info): number {
  const info = rinfo.dev_info;
  const nr_segments = req.nr_phys_segments;
  const may_be_indirect = nr_segments > BLKIF_MAX_SEGMENTS_PER_REQUEST;
  const max_grefs = may_be_indirect ? nr_segments + BLKIF_INDIRECT_PAGES(nr_segments) : nr_segments;
  // Reserved before anything else, so that building the request cannot fail half-way.
  if (max_grefs !== 0 && gnttab_alloc_grant_references(max_grefs, rinfo.gref_head) < 0) {
    gnttab_request_free_callback(rinfo.callback, blkif_restart_queue_callback, rinfo, max_grefs);
    return 1;
  }
  const shadow = blkif_ring_get_request(rinfo, req);
  const num_grant = max_grefs === 0 ? 0 : blk_rq_map_sg(req, shadow.sg);
  const operation = blkif_rw_operation(info, req);
  const indirect = num_grant > BLKIF_MAX_SEGMENTS_PER_REQUEST;
  if (indirect) {
    // A flush has no data, and where a barrier carries some the limits keep it small.
    BUG_ON(operation !== BLKIF_OP_READ && operation !== BLKIF_OP_WRITE);
    blkif_req_set_indirect(shadow.req, operation, num_grant, info.handle, blk_rq_pos(req));
  } else {
    blkif_req_set_rw(shadow.req, operation, num_grant, info.handle, blk_rq_pos(req));
  }
  shadow.operation = operation;
  shadow.num_grant = num_grant;
  shadow.num_indirect = 0;
  const write = rq_data_dir(req) === REQ_OP_WRITE;
  for (let i = 0; i < num_grant; i++) blkif_setup_rw_req_grant(rinfo, shadow, i, indirect, write);
  blkif_ring_put_request(rinfo, shadow);
  if (max_grefs !== 0) gnttab_free_grant_references(rinfo.gref_head.value);
  return 0;
}

/** Puts a request into a slot. 0, or 1 when it has to wait. */
function blkif_queue_request(req: request, rinfo: blkfront_ring_info): number {
  if (rinfo.dev_info.connected !== BLKIF_STATE_CONNECTED) return 1;
  const op = req_op(req);
  if (op === REQ_OP_DISCARD || op === REQ_OP_SECURE_ERASE) return blkif_queue_discard_req(req, rinfo);
  return blkif_queue_rw_req(req, rinfo);
}

/** Publishes what is in the slots. */
function flush_requests(rinfo: blkfront_ring_info): void {
  if (RING_PUSH_REQUESTS_AND_CHECK_NOTIFY(rinfo.ring)) notify_remote_via_irq(rinfo.irq);
}

/** ops.queue_rq. A request that has to wait stops its queue; whoever makes room starts it again. */
function blkif_queue_rq(hctx: blk_mq_hw_ctx, qd: blk_mq_queue_data): blk_status_t {
  const info = hctx.queue.queuedata as blkfront_info;
  const rq = qd.rq;
  blk_mq_start_request(rq);
  if (info.gone) return BLK_STS_IOERR;
  const rinfo = info.rinfo[hctx.queue_num];
  // Between two connections there may be no rings at all.
  if (rinfo === undefined) {
    blk_mq_stop_hw_queue(hctx);
    return BLK_STS_DEV_RESOURCE;
  }
  const flags = spin_lock_irqsave(rinfo.ring_lock);
  if (req_op(rq) === REQ_OP_FLUSH && !info.feature_flush) {
    // The back end has revoked flush since the request was made: there is nothing to be flushed then.
    spin_unlock_irqrestore(rinfo.ring_lock, flags);
    blk_mq_end_request(rq, BLK_STS_OK);
    return BLK_STS_OK;
  }
  if (RING_FULL(rinfo.ring) || blkif_queue_request(rq, rinfo) !== 0) {
    blk_mq_stop_hw_queue(hctx);
    spin_unlock_irqrestore(rinfo.ring_lock, flags);
    return BLK_STS_DEV_RESOURCE;
  }
  flush_requests(rinfo);
  spin_unlock_irqrestore(rinfo.ring_lock, flags);
  return BLK_STS_OK;
}

/**
 * Puts requests into slots, those of at most a page in one go, with direct access to the data. Returns the first one that queue_rq has to look
 * at, or null.
 */
function blkif_queue_requests(first: request, rinfo: blkfront_ring_info): request | null {
  const info = rinfo.dev_info;
  const ring = rinfo.ring;
  const domid = info.xbdev.otherend_id;
  let req: request | null = first;
  for (let room = RING_FREE_REQUESTS(ring); room > 0 && req !== null; room--) {
    const vec = req.single_vec;
    if (vec === null) {
      if ((req_op(req) === REQ_OP_FLUSH && !info.feature_flush) || blkif_queue_request(req, rinfo) !== 0) return req;
      blk_mq_start_request(req);
      req = req.rq_next;
      continue;
    }
    const gref = gnttab_grant_foreign_access(domid, vec.bv_page.mfn, 0);
    if (gref < 0) return req;
    const id = rinfo.shadow_free;
    const shadow = rinfo.shadow[id];
    const fsect = vec.bv_offset >> 9;
    const lsect = fsect + (vec.bv_len >> 9) - 1;
    // REQ_OP_READ and REQ_OP_WRITE have the numbers of BLKIF_OP_READ and BLKIF_OP_WRITE.
    const operation = req.cmd_flags & REQ_OP_WRITE;
    blk_mq_start_request(req);
    blkif_put_page_request(ring, operation, info.handle, id, req.__sector, gref, fsect | (lsect << 8));
    ring.req_prod_pvt = (ring.req_prod_pvt + 1) >>> 0;
    rinfo.shadow_free = shadow.next_free;
    shadow.request = req;
    shadow.operation = operation;
    shadow.gref = gref;
    shadow.status = REQ_WAITING;
    req = req.rq_next;
  }
  return req;
}

/** ops.queue_rqs. What a plug gathered: one lock, one index, one event. Leaves to queue_rq what has to wait. */
function blkif_queue_rqs(rqlist: rq_list): void {
  const req = rqlist.head as request;
  const hctx = req.mq_hctx;
  const info = hctx.queue.queuedata as blkfront_info;
  const rinfo = info.rinfo[hctx.queue_num];
  if (info.connected !== BLKIF_STATE_CONNECTED || info.bounce || rinfo === undefined) return;
  const flags = spin_lock_irqsave(rinfo.ring_lock);
  rq_list_set(rqlist, blkif_queue_requests(req, rinfo));
  flush_requests(rinfo);
  spin_unlock_irqrestore(rinfo.ring_lock, flags);
}

/** ops.complete. */
function blkif_complete_rq(rq: request): void {
  blk_mq_end_request(rq, blk_mq_rq_to_pdu<blkif_req>(rq).error);
}

const blkfront_mq_ops: blk_mq_ops = {
  queue_rq: blkif_queue_rq,
  queue_rqs: blkif_queue_rqs,
  complete: blkif_complete_rq,
};

// ---- the disk --------------------------------------------------------------------------------------------------------------------------------

/** Segments of one request. A barrier may carry data and must fit into a direct request. */
function max_segments(info: blkfront_info): number {
  const direct_only = info.max_indirect_segments === 0 || info.feature_fua;
  return direct_only ? BLKIF_MAX_SEGMENTS_PER_REQUEST : info.max_indirect_segments;
}

/** Sets what the back end's features allow. `capacity` in sectors. */
function blkif_set_queue_limits(info: blkfront_info, lim: queue_limits, capacity: sector_t): void {
  const segments = max_segments(info);
  lim.features &= ~(BLK_FEAT_WRITE_CACHE | BLK_FEAT_FUA);
  if (info.feature_flush) lim.features |= BLK_FEAT_WRITE_CACHE;
  if (info.feature_flush && info.feature_fua) lim.features |= BLK_FEAT_FUA;
  lim.logical_block_size = info.sector_size;
  lim.physical_block_size = info.physical_sector_size;
  lim.max_hw_sectors = segments * (XEN_PAGE_SIZE >> 9);
  lim.seg_boundary_mask = XEN_PAGE_SIZE - 1;
  lim.max_segment_size = XEN_PAGE_SIZE;
  lim.max_segments = segments;
  lim.dma_alignment = 511;
  lim.max_hw_discard_sectors = 0;
  lim.max_secure_erase_sectors = 0;
  if (!info.feature_discard) return;
  // One request is always enough.
  lim.max_hw_discard_sectors = capacity;
  lim.discard_granularity = info.discard_granularity || info.physical_sector_size;
  lim.discard_alignment = info.discard_alignment;
  if (info.feature_secdiscard) lim.max_secure_erase_sectors = capacity;
}

function flush_info(info: blkfront_info): string {
  if (info.feature_flush && info.feature_fua) return "barrier: enabled;";
  if (info.feature_flush) return "flush diskcache: enabled;";
  return "barrier or flush: disabled;";
}

/** Says in the log what the disk uses. */
function xlvbd_flush(info: blkfront_info): void {
  pr_info(
    "blkfront: %s: %s %s %s %s %s %s %s\n",
    (info.gd as gendisk).disk_name,
    flush_info(info),
    "persistent grants:",
    "disabled;",
    "indirect descriptors:",
    info.max_indirect_segments !== 0 ? "enabled;" : "disabled;",
    "bounce buffer:",
    info.bounce ? "enabled" : "disabled",
  );
}

const xlvbd_block_fops: block_device_operations = {
  getgeo: blkif_getgeo,
  ioctl: blkif_ioctl,
  compat_ioctl: blkif_ioctl,
};

/** Makes the tag set: as many requests per queue as its ring has slots. 0 or a negative errno. */
function alloc_tag_set(info: blkfront_info): number {
  const set = info.tag_set;
  set.ops = blkfront_mq_ops;
  set.nr_hw_queues = info.rinfo.length;
  set.queue_depth = RING_SIZE(info.rinfo[0].ring);
  set.cmd_size = () => new blkif_req();
  set.driver_data = info;
  return blk_mq_alloc_tag_set(set);
}

/** Makes the disk, not visible yet. 0 or a negative errno with nothing left behind. */
function xlvbd_alloc_gendisk(capacity: sector_t, info: blkfront_info): number {
  BUG_ON(info.gd !== null || info.rq !== null);
  const identity = vbd_identify(info.vdevice);
  if (identity === null) {
    pr_warn("blkfront: vdevice 0x%x is invalid or unsupported: use an xvd device\n", info.vdevice);
    return -ENODEV;
  }
  let err = xlbd_reserve_minors(identity.minor, identity.nr_minors);
  if (err !== 0) return err;
  err = alloc_tag_set(info);
  if (err === 0) {
    const lim = new queue_limits();
    blkif_set_queue_limits(info, lim, capacity);
    const gd = blk_mq_alloc_disk(info.tag_set, lim, info);
    if (!IS_ERR(gd)) {
      gd.disk_name = identity.name;
      gd.major = XENVBD_MAJOR;
      gd.first_minor = identity.minor;
      gd.minors = identity.nr_minors;
      set_up_gendisk(info, gd, capacity);
      return 0;
    }
    err = PTR_ERR(gd);
    blk_mq_free_tag_set(info.tag_set);
  }
  xlbd_release_minors(identity.minor, identity.nr_minors);
  return err;
}

function set_up_gendisk(info: blkfront_info, gd: gendisk, capacity: sector_t): void {
  gd.fops = xlvbd_block_fops;
  gd.private_data = info;
  set_capacity(gd, capacity);
  info.rq = gd.queue;
  info.gd = gd;
  xlvbd_flush(info);
  if ((info.vdisk_info & VDISK_READONLY) !== 0) set_disk_ro(gd, true);
  if ((info.vdisk_info & VDISK_REMOVABLE) !== 0) gd.flags |= GENHD_FL_REMOVABLE;
}

/** Frees the disk and what it was made from. */
function free_gendisk(info: blkfront_info): void {
  const gd = info.gd;
  if (gd === null) return;
  info.gd = null;
  info.rq = null;
  xlbd_release_minors(gd.first_minor, gd.minors);
  put_disk(gd);
  blk_mq_free_tag_set(info.tag_set);
}

/** Lets requests in that were refused, if there is room now. With `ring_lock` held. */
function kick_pending_request_queues_locked(rinfo: blkfront_ring_info): void {
  if (!RING_FULL(rinfo.ring)) blk_mq_start_stopped_hw_queues(rinfo.dev_info.rq as request_queue, true);
}

function kick_pending_request_queues(rinfo: blkfront_ring_info): void {
  const flags = spin_lock_irqsave(rinfo.ring_lock);
  kick_pending_request_queues_locked(rinfo);
  spin_unlock_irqrestore(rinfo.ring_lock, flags);
}

function blkif_restart_queue(work: work_struct): void {
  const rinfo = work.container as blkfront_ring_info;
  if (rinfo.dev_info.connected === BLKIF_STATE_CONNECTED) kick_pending_request_queues(rinfo);
}

/** Ends a grant for good; the back end may have it mapped still. Its page, if it has one, is freed with it. */
function free_grant(gnt: grant): void {
  const of = gnt.page;
  if (gnt.gref !== INVALID_GRANT_REF) gnttab_end_foreign_access(gnt.gref, of);
  else if (of !== null) __free_page(of);
  gnt.gref = INVALID_GRANT_REF;
  gnt.page = null;
}

function blkif_free_grants(rinfo: blkfront_ring_info): void {
  while (!list_empty(rinfo.indirect_pages)) {
    const indirect_page = rinfo.indirect_pages.next.container as page;
    list_del(indirect_page.lru);
    __free_page(indirect_page);
  }
  while (!list_empty(rinfo.grants)) {
    const gnt = rinfo.grants.next.container as grant;
    list_del(gnt.node);
    free_grant(gnt);
  }
  for (const shadow of rinfo.shadow) {
    if (shadow.gref !== NO_GREF) gnttab_end_foreign_access(shadow.gref, null);
    shadow.gref = NO_GREF;
    for (let i = 0; i < shadow.num_grant; i++) free_grant(shadow.grants_used[i]);
    for (let i = 0; i < shadow.num_indirect; i++) free_grant(shadow.indirect_grants[i]);
    shadow.num_grant = 0;
    shadow.num_indirect = 0;
  }
}

function* blkif_free_ring(rinfo: blkfront_ring_info): Sleeps<void> {
  // The back end may go on sending events: the handler goes first.
  if (rinfo.irq !== 0) unbind_from_irqhandler(rinfo.irq, rinfo);
  else if (rinfo.evtchn !== 0) yield* xenbus_free_evtchn(rinfo.dev_info.xbdev, rinfo.evtchn);
  rinfo.irq = 0;
  rinfo.evtchn = 0;
  gnttab_cancel_free_callback(rinfo.callback);
  yield* flush_work(rinfo.work);
  blkif_free_grants(rinfo);
  if (rinfo.pages.value !== null) {
    xenbus_teardown_ring(rinfo.pages, rinfo.dev_info.nr_ring_pages, rinfo.ring_ref);
  }
}

/** Takes the connection apart. "suspend": it will be made again and the disk lives on. */
function* blkif_free(info: blkfront_info, why: "suspend" | "disconnect"): Sleeps<void> {
  info.connected = why === "suspend" ? BLKIF_STATE_SUSPENDED : BLKIF_STATE_DISCONNECTED;
  if (info.rq !== null) blk_mq_stop_hw_queues(info.rq);
  for (const rinfo of info.rinfo) yield* blkif_free_ring(rinfo);
  info.rinfo = [];
}

// ---- responses up ----------------------------------------------------------------------------------------------------------------------------

/** Copies what was read from the bounce pages to where it was asked for. */
function blkif_copy_from_grant(shadow: blk_shadow): void {
  for (let i = 0; i < shadow.num_grant; i++) {
    const sg = shadow.sg[i];
    memcpy_page(sg_page(sg), sg.offset, shadow.grants_used[i].page as page, sg.offset, sg.length);
  }
}

/** Revokes a grant and puts it back into the pool. False when the back end has it mapped still: it must not at this point. */
function end_grant(rinfo: blkfront_ring_info, gnt: grant): boolean {
  if (gnttab_try_end_foreign_access(gnt.gref) === 0) {
    pr_alert("blkfront: backed has not unmapped grant: %u\n", gnt.gref);
    return false;
  }
  gnt.gref = INVALID_GRANT_REF;
  return true;
}

/** Undoes the granting of a request that was answered. False when the back end has kept a page. */
function blkif_completion(rinfo: blkfront_ring_info, shadow: blk_shadow): boolean {
  if (shadow.gref !== NO_GREF) return end_page_grant(shadow);
  const bounce = rinfo.dev_info.bounce;
  if (bounce && shadow.operation === BLKIF_OP_READ) blkif_copy_from_grant(shadow);
  for (let i = 0; i < shadow.num_grant; i++) {
    const gnt = shadow.grants_used[i];
    if (!end_grant(rinfo, gnt)) return keep_grants(shadow, i, 0);
    list_add_tail(gnt.node, rinfo.grants);
  }
  for (let i = 0; i < shadow.num_indirect; i++) {
    const gnt = shadow.indirect_grants[i];
    if (!end_grant(rinfo, gnt)) return keep_grants(shadow, shadow.num_grant, i);
    if (!bounce) {
      list_add((gnt.page as page).lru, rinfo.indirect_pages);
      gnt.page = null;
    }
    list_add_tail(gnt.node, rinfo.grants);
  }
  shadow.num_grant = 0;
  shadow.num_indirect = 0;
  return true;
}

/** The same for a request of one page. */
function end_page_grant(shadow: blk_shadow): boolean {
  if (gnttab_try_end_foreign_access(shadow.gref) === 0) {
    pr_alert("blkfront: backed has not unmapped grant: %u\n", shadow.gref);
    return false;
  }
  shadow.gref = NO_GREF;
  return true;
}

/** Leaves in a shadow the grants that could not be ended and those after them, for the teardown. Returns false. */
function keep_grants(shadow: blk_shadow, ended: number, ended_indirect: number): boolean {
  shadow.grants_used.splice(0, ended);
  shadow.num_grant -= ended;
  shadow.indirect_grants.splice(0, ended_indirect);
  shadow.num_indirect -= ended_indirect;
  return false;
}

/** The back end does not discard. Atomic. */
function discard_refused(info: blkfront_info): blk_status_t {
  const rq = info.rq as request_queue;
  pr_warn_ratelimited("blkfront: %s: %s op failed\n", (info.gd as gendisk).disk_name, op_name(BLKIF_OP_DISCARD));
  info.feature_discard = false;
  info.feature_secdiscard = false;
  blk_queue_disable_discard(rq);
  blk_queue_disable_secure_erase(rq);
  return BLK_STS_NOTSUPP;
}

/**
 * A flush or a barrier failed: they are not used any more. What was empty counts as done: without a cache there is nothing to flush.
 * BLK_STS_NOTSUPP means that there is data which has not been written: the request goes out again, as a plain write. Atomic.
 */
function flush_refused(info: blkfront_info, operation: number, status: number, segments: number): blk_status_t {
  const name = (info.gd as gendisk).disk_name;
  const empty_failed = status === BLKIF_RSP_ERROR && segments === 0;
  if (status === BLKIF_RSP_EOPNOTSUPP) {
    pr_warn_ratelimited("blkfront: %s: %s op failed\n", name, op_name(operation));
  } else if (empty_failed) {
    pr_warn_ratelimited("blkfront: %s: empty %s op failed\n", name, op_name(operation));
  }
  info.feature_fua = false;
  info.feature_flush = false;
  blk_queue_write_cache(info.rq as request_queue, false, false);
  if (status !== BLKIF_RSP_EOPNOTSUPP && !empty_failed) return BLK_STS_IOERR;
  return segments === 0 ? BLK_STS_OK : BLK_STS_NOTSUPP;
}

/** What a response means for its request. `segments` is how many it had. Atomic. */
function blkif_response_status(info: blkfront_info, operation: number, status: number, segments: number): blk_status_t {
  if (status === BLKIF_RSP_OKAY) return BLK_STS_OK;
  switch (operation) {
    case BLKIF_OP_DISCARD:
      return status === BLKIF_RSP_EOPNOTSUPP ? discard_refused(info) : BLK_STS_IOERR;
    case BLKIF_OP_FLUSH_DISKCACHE:
    case BLKIF_OP_WRITE_BARRIER:
      return flush_refused(info, operation, status, segments);
    default:
      pr_debug("blkfront: %s: bad return from blkdev data request: %d\n", (info.gd as gendisk).disk_name, status);
      return BLK_STS_IOERR;
  }
}

function disk_name(info: blkfront_info): string {
  return (info.gd as gendisk).disk_name;
}

/** One response. False when it breaks a rule, which has been logged. Atomic, with `ring_lock` held. */
function blkif_take_response(rinfo: blkfront_ring_info, bret: blkif_response): boolean {
  const info = rinfo.dev_info;
  const id = bret.id_lo;
  if (bret.id_hi !== 0 || id >= RING_SIZE(rinfo.ring)) {
    pr_alert("blkfront: %s: response has incorrect id (%#x%08x)\n", disk_name(info), bret.id_hi, id);
    return false;
  }
  const shadow = rinfo.shadow[id];
  if (shadow.status !== REQ_WAITING) {
    pr_alert("blkfront: %s: response references no pending request\n", disk_name(info));
    return false;
  }
  shadow.status = REQ_PROCESSING;
  const operation = shadow.operation;
  if (bret.operation !== operation) {
    pr_alert(
      "blkfront: %s: response has wrong operation (%u instead of %u)\n",
      disk_name(info),
      bret.operation,
      operation,
    );
    return false;
  }
  const segments = shadow.num_grant;
  if (!blkif_completion(rinfo, shadow)) return false;
  const req = shadow.request as request;
  add_id_to_freelist(rinfo, id);
  const error = blkif_response_status(info, operation, bret.status, segments);
  if (error === BLK_STS_NOTSUPP && operation !== BLKIF_OP_DISCARD) {
    blk_mq_requeue_request(req, true);
    return true;
  }
  blkif_done(rinfo, req, error);
  return true;
}

/** A request is done; it ends when the lock is free. */
function blkif_done(rinfo: blkfront_ring_info, req: request, error: blk_status_t): void {
  blk_mq_rq_to_pdu<blkif_req>(req).error = error;
  rinfo.done.push(req);
}

/**
 * The usual response: a request of one page, done well. False: it is another one, which blkif_take_response has to look at, and nothing was done.
 * The three words are those of the response.
 */
function blkif_take_usual_response(
  rinfo: blkfront_ring_info,
  ring: blkif_front_ring,
  iob: io_comp_batch,
  id: number,
  id_hi: number,
  result: number,
): boolean {
  if (id_hi !== 0 || id >= RING_SIZE(ring)) return false;
  const shadow = rinfo.shadow[id];
  const gref = shadow.gref;
  if (gref === NO_GREF || shadow.status !== REQ_WAITING) return false;
  if (!blkif_response_is_okay(result, shadow.operation)) return false;
  if (gnttab_try_end_foreign_access(gref) === 0) return false;
  const req = shadow.request as request;
  shadow.gref = NO_GREF;
  shadow.status = REQ_PROCESSING;
  shadow.request = null;
  shadow.next_free = rinfo.shadow_free;
  rinfo.shadow_free = id;
  if (!blk_mq_add_to_batch(req, iob, false)) blkif_done(rinfo, req, BLK_STS_OK);
  return true;
}

/** Takes all responses. XEN_EOI_FLAG_SPURIOUS when there were none, 0 when there were, -EINVAL when the back end broke a rule. */
function blkif_take_responses(rinfo: blkfront_ring_info): number {
  const ring = rinfo.ring;
  const iob = rinfo.iob;
  let eoiflag = XEN_EOI_FLAG_SPURIOUS;
  for (;;) {
    // Once; slots are read after it.
    const rp = page_read32(ring.sring, SRING_RSP_PROD_WORD);
    if (RING_RESPONSE_PROD_OVERFLOW(ring, rp)) {
      const name = (rinfo.dev_info.gd as gendisk).disk_name;
      pr_alert("blkfront: %s: illegal number of responses %u\n", name, (rp - ring.rsp_cons) >>> 0);
      return -EINVAL;
    }
    for (let i = ring.rsp_cons; i !== rp; i = (i + 1) >>> 0) {
      eoiflag = 0;
      const page = blkif_response_page(ring, i);
      const word = blkif_response_word(ring, i, page);
      const id = blkif_response_id_lo(page, word);
      const id_hi = blkif_response_id_hi(page, word);
      const result = blkif_response_result(page, word);
      if (blkif_take_usual_response(rinfo, ring, iob, id, id_hi, result)) continue;
      blkif_set_response(rinfo.bret, id, id_hi, result);
      if (!blkif_take_response(rinfo, rinfo.bret)) return -EINVAL;
    }
    ring.rsp_cons = rp;
    if (rp === ring.req_prod_pvt) {
      // Nothing is outstanding: nothing can have come in between.
      page_write32(ring.sring, SRING_RSP_EVENT_WORD, rp + 1);
      return eoiflag;
    }
    if (RING_FINAL_CHECK_FOR_RESPONSES(ring) === 0) return eoiflag;
  }
}

/** Ends the requests that were answered. Without lock: their owners may send the next ones from here. */
function blkif_complete_done(rinfo: blkfront_ring_info): void {
  const done = rinfo.done;
  blk_mq_end_request_batch(rinfo.iob);
  for (let i = 0; i < done.length; i++) {
    const req = done[i];
    if (!blk_should_fake_timeout(req.q)) blk_mq_complete_request(req);
  }
  done.length = 0;
}

/** The back end has put responses on the ring. */
function blkif_interrupt(irq: number, dev_id: unknown): irqreturn_t {
  const rinfo = dev_id as blkfront_ring_info;
  const info = rinfo.dev_info;
  if (info.connected !== BLKIF_STATE_CONNECTED) {
    xen_irq_lateeoi(irq, XEN_EOI_FLAG_SPURIOUS);
    return IRQ_HANDLED;
  }
  const flags = spin_lock_irqsave(rinfo.ring_lock);
  const eoiflag = blkif_take_responses(rinfo);
  if (eoiflag < 0) info.connected = BLKIF_STATE_ERROR;
  else kick_pending_request_queues_locked(rinfo);
  spin_unlock_irqrestore(rinfo.ring_lock, flags);
  blkif_complete_done(rinfo);
  if (eoiflag < 0) {
    // No end of interrupt: the event stays masked, and the back end can do nothing more to us.
    pr_alert("blkfront: %s disabled for further use\n", (info.gd as gendisk).disk_name);
    return IRQ_HANDLED;
  }
  xen_irq_lateeoi(irq, eoiflag);
  return IRQ_HANDLED;
}

// ---- connecting ------------------------------------------------------------------------------------------------------------------------------

/** Makes a ring and its event channel. 0 or a negative errno; the caller frees what is there. */
function* setup_blkring(dev: xenbus_device, rinfo: blkfront_ring_info): Sleeps<number> {
  const nr_ring_pages = rinfo.dev_info.nr_ring_pages;
  let err = yield* xenbus_setup_ring(dev, GFP_NOIO, rinfo.pages, nr_ring_pages, rinfo.ring_ref);
  if (err !== 0) return err;
  XEN_FRONT_RING_INIT(rinfo.ring, rinfo.pages.value as page[], nr_ring_pages * XEN_PAGE_SIZE);
  const evtchn = ptr(0);
  err = yield* xenbus_alloc_evtchn(dev, evtchn);
  if (err !== 0) return err;
  rinfo.evtchn = evtchn.value;
  err = bind_evtchn_to_irqhandler_lateeoi(rinfo.evtchn, blkif_interrupt, 0, "blkif", rinfo);
  if (err <= 0) {
    yield* xenbus_dev_fatal(dev, err, "bind_evtchn_to_irqhandler failed");
    return err || -EINVAL;
  }
  rinfo.irq = err;
  init_shadow(rinfo);
  return 0;
}

/** As many ids as slots, all free, 0 first. */
function init_shadow(rinfo: blkfront_ring_info): void {
  const size = RING_SIZE(rinfo.ring);
  for (let id = 0; id < size; id++) {
    const shadow = new blk_shadow();
    shadow.next_free = id === size - 1 ? SHADOW_FREE_END : id + 1;
    rinfo.shadow.push(shadow);
  }
  rinfo.shadow_free = 0;
}

/** Writes where to find a ring into directory `dir`. Null, or what failed. */
function* write_per_ring_nodes(
  xbt: xenbus_transaction,
  rinfo: blkfront_ring_info,
  dir: string,
  err: Ptr<number>,
): Sleeps<string | null> {
  const nr_ring_pages = rinfo.dev_info.nr_ring_pages;
  for (let i = 0; i < nr_ring_pages; i++) {
    const name = nr_ring_pages === 1 ? "ring-ref" : kasprintf("ring-ref%u", i);
    err.value = yield* xenbus_printf(xbt, dir, name, "%u", rinfo.ring_ref[i]);
    if (err.value !== 0) return "writing ring-ref";
  }
  err.value = yield* xenbus_printf(xbt, dir, "event-channel", "%u", rinfo.evtchn);
  return err.value !== 0 ? "writing event-channel" : null;
}

/** Writes what the back end needs. Null, or what failed, with the errno in `err`. */
function* write_frontend_nodes(xbt: xenbus_transaction, info: blkfront_info, err: Ptr<number>): Sleeps<string | null> {
  const dev = info.xbdev;
  const nr_rings = info.rinfo.length;
  if (info.nr_ring_pages > 1) {
    const order = 31 - Math.clz32(info.nr_ring_pages);
    err.value = yield* xenbus_printf(xbt, dev.nodename, "ring-page-order", "%u", order);
    if (err.value !== 0) return "writing ring-page-order";
  }
  if (nr_rings > 1) {
    err.value = yield* xenbus_printf(xbt, dev.nodename, "multi-queue-num-queues", "%u", nr_rings);
    if (err.value !== 0) return "writing multi-queue-num-queues";
  }
  for (let i = 0; i < nr_rings; i++) {
    const dir = nr_rings === 1 ? dev.nodename : kasprintf("%s/queue-%u", dev.nodename, i);
    const message = yield* write_per_ring_nodes(xbt, info.rinfo[i], dir, err);
    if (message !== null) return message;
  }
  err.value = yield* xenbus_printf(xbt, dev.nodename, "protocol", "%s", XEN_IO_PROTO_ABI_NATIVE);
  if (err.value !== 0) return "writing protocol";
  // Every grant is made and ended per request.
  const warned = yield* xenbus_printf(xbt, dev.nodename, "feature-persistent", "%u", 0);
  if (warned !== 0) dev_warn(dev.dev, "writing persistent grants feature to xenbus");
  return null;
}

/** Writes them in one transaction, again and again until it is not disturbed. 0 or a negative errno, reported. */
function* publish_frontend_nodes(info: blkfront_info): Sleeps<number> {
  const dev = info.xbdev;
  const xbt = new xenbus_transaction();
  const err = ptr(0);
  for (;;) {
    err.value = yield* xenbus_transaction_start(xbt);
    if (err.value !== 0) {
      yield* xenbus_dev_fatal(dev, err.value, "starting transaction");
      return err.value;
    }
    const message = yield* write_frontend_nodes(xbt, info, err);
    if (message !== null) {
      yield* xenbus_transaction_end(xbt, 1);
      yield* xenbus_dev_fatal(dev, err.value, "%s", message);
      return err.value;
    }
    err.value = yield* xenbus_transaction_end(xbt, 0);
    if (err.value === 0) return 0;
    if (err.value !== -EAGAIN) {
      yield* xenbus_dev_fatal(dev, err.value, "completing transaction");
      return err.value;
    }
  }
}

/** Agrees with the back end on the transport, makes the rings, and says Initialised. 0 or a negative errno, reported, with nothing left. */
function* talk_to_blkback(dev: xenbus_device, info: blkfront_info): Sleeps<number> {
  info.bounce = !xen_blkif_trusted.value || (yield* xenbus_read_unsigned(dev.nodename, "trusted", 1)) === 0;
  const max_page_order = yield* xenbus_read_unsigned(dev.otherend, "max-ring-page-order", 0);
  info.nr_ring_pages = 1 << min(xen_blkif_max_ring_order.value, max_page_order);
  yield* negotiate_mq(info);
  let err = 0;
  for (const rinfo of info.rinfo) {
    err = yield* setup_blkring(dev, rinfo);
    if (err !== 0) break;
  }
  if (err === 0) err = yield* publish_frontend_nodes(info);
  if (err !== 0) {
    yield* blkif_free(info, "disconnect");
    return err;
  }
  yield* xenbus_switch_state(dev, XenbusStateInitialised);
  return 0;
}

/** As many rings as both ends want, at least one. */
function* negotiate_mq(info: blkfront_info): Sleeps<void> {
  BUG_ON(info.rinfo.length !== 0);
  const backend_max_queues = yield* xenbus_read_unsigned(info.xbdev.otherend, "multi-queue-max-queues", 1);
  const nr_rings = min(backend_max_queues, xen_blkif_max_queues.value) || 1;
  for (let i = 0; i < nr_rings; i++) info.rinfo.push(new blkfront_ring_info(info));
}

/** A new vbd. Nothing is done until the back end says InitWait. */
function* blkfront_probe(dev: xenbus_device, _id: xenbus_device_id): Sleeps<number> {
  const vdevice = ptr(0);
  let err = yield* xenbus_scanf(XBT_NIL, dev.nodename, "virtual-device", "%i", vdevice);
  if (err !== 1) {
    err = yield* xenbus_scanf(XBT_NIL, dev.nodename, "virtual-device-ext", "%i", vdevice);
    if (err !== 1) {
      yield* xenbus_dev_fatal(dev, err, "reading virtual-device");
      return err < 0 ? err : -EINVAL;
    }
  }
  const info = new blkfront_info(dev);
  info.vdevice = vdevice.value;
  info.handle = simple_strtoul(dev.nodename.slice(dev.nodename.lastIndexOf("/") + 1), null, 0) & 0xffff;
  dev_set_drvdata(dev.dev, info);
  return 0;
}

/** Goes on with a new back end: what was saved is sent again, split by the block layer to what this one can do. */
function* blkif_recover(info: blkfront_info): Sleeps<void> {
  const rq = info.rq as request_queue;
  const lim = yield* queue_limits_start_update(rq);
  yield* blkfront_gather_backend_features(info);
  blkif_set_queue_limits(info, lim, get_capacity(info.gd as gendisk));
  let err = yield* queue_limits_commit_update(rq, lim);
  for (const rinfo of info.rinfo) {
    if (err === 0) err = blkfront_setup_indirect(rinfo);
  }
  if (err !== 0) {
    yield* xenbus_dev_fatal(info.xbdev, err, "recovering from %s", info.xbdev.otherend);
    return;
  }
  yield* xenbus_switch_state(info.xbdev, XenbusStateConnected);
  info.connected = BLKIF_STATE_CONNECTED;
  for (const rinfo of info.rinfo) kick_pending_request_queues(rinfo);

  const segs = max_segments(info);
  while (!list_empty(info.requests)) {
    const req = info.requests.next.container as request;
    list_del(req.queuelist);
    BUG_ON(req.nr_phys_segments > segs);
    blk_mq_requeue_request(req, false);
  }
  blk_mq_start_stopped_hw_queues(rq, true);
  blk_mq_kick_requeue_list(rq);
  for (let bio = bio_list_pop(info.bio_list); bio !== null; bio = bio_list_pop(info.bio_list)) yield* submit_bio(bio);
}

/** Saves a request that the old back end did not answer: its bios, or itself when it is not a plain read or write. */
function save_request(info: blkfront_info, req: request): void {
  const op = req_op(req);
  if (op !== REQ_OP_READ && (op !== REQ_OP_WRITE || (req.cmd_flags & REQ_FUA) !== 0)) {
    list_add(req.queuelist, info.requests);
    return;
  }
  const merge_bio = new bio_list();
  merge_bio.head = req.bio;
  merge_bio.tail = req.biotail;
  bio_list_merge(info.bio_list, merge_bio);
  req.bio = null;
  blk_mq_end_request(req, BLK_STS_OK);
}

/** We are in a new place, with a new back end and no memory shared with it. 0 or a negative errno. */
function* blkfront_resume(dev: xenbus_device): Sleeps<number> {
  const info = dev_get_drvdata<blkfront_info>(dev.dev);
  // What an earlier resume saved and nobody took up stays in the lists.
  for (const rinfo of info.rinfo) {
    for (const shadow of rinfo.shadow) {
      const req = shadow.request;
      shadow.request = null;
      if (req !== null) save_request(info, req);
    }
  }
  // A device that was in use goes on, also one whose old back end broke the rules.
  const live = info.connected === BLKIF_STATE_CONNECTED || info.connected === BLKIF_STATE_ERROR;
  const suspended = live || info.connected === BLKIF_STATE_SUSPENDED;
  yield* blkif_free(info, suspended ? "suspend" : "disconnect");
  const err = yield* talk_to_blkback(dev, info);
  if (err !== 0) return err;
  if (suspended) yield* blk_mq_update_nr_hw_queues(info.tag_set, info.rinfo.length);
  return 0;
}

/** The back end goes away: the disk is dead from here on, and it is told that we let go. */
function* blkfront_closing(info: blkfront_info): Sleeps<void> {
  const xbdev = info.xbdev;
  if (xbdev.state === XenbusStateClosing) return;
  if (info.gd !== null) blk_mark_disk_dead(info.gd);
  for (const rinfo of info.rinfo) {
    gnttab_cancel_free_callback(rinfo.callback);
    yield* flush_work(rinfo.work);
  }
  yield* xenbus_frontend_closed(xbdev);
}

function* blkfront_setup_discard(info: blkfront_info): Sleeps<void> {
  const otherend = info.xbdev.otherend;
  info.feature_discard = true;
  info.discard_granularity = yield* xenbus_read_unsigned(otherend, "discard-granularity", 0);
  info.discard_alignment = yield* xenbus_read_unsigned(otherend, "discard-alignment", 0);
  info.feature_secdiscard = (yield* xenbus_read_unsigned(otherend, "discard-secure", 0)) !== 0;
}

/** Makes what the ring's requests need, for as many as it has slots. 0 or -ENOMEM. */
function blkfront_setup_indirect(rinfo: blkfront_ring_info): number {
  const info = rinfo.dev_info;
  const grants = max_segments(info);
  const size = RING_SIZE(rinfo.ring);
  const indirect_pages = BLKIF_INDIRECT_PAGES(grants);
  const err = fill_grant_buffer(rinfo, (grants + indirect_pages) * size);
  if (err !== 0) return err;
  if (!info.bounce && grants > BLKIF_MAX_SEGMENTS_PER_REQUEST) {
    for (let i = 0; i < indirect_pages * size; i++) {
      // Zeroed: what a request does not fill in must not be old memory.
      const indirect_page = alloc_page(GFP_NOIO | GFP_ZERO);
      if (indirect_page === null) return -ENOMEM;
      list_add(indirect_page.lru, rinfo.indirect_pages);
    }
  }
  for (const shadow of rinfo.shadow) shadow.sg = sg_alloc(grants);
  return 0;
}

/** Reads what the back end can do. */
function* blkfront_gather_backend_features(info: blkfront_info): Sleeps<void> {
  const otherend = info.xbdev.otherend;
  info.feature_flush = false;
  info.feature_fua = false;
  info.feature_discard = false;
  info.feature_secdiscard = false;
  // A barrier flushes and is durable itself. Whoever can flush is not asked for barriers.
  if ((yield* xenbus_read_unsigned(otherend, "feature-barrier", 0)) !== 0) {
    info.feature_flush = true;
    info.feature_fua = true;
  }
  if ((yield* xenbus_read_unsigned(otherend, "feature-flush-cache", 0)) !== 0) {
    info.feature_flush = true;
    info.feature_fua = false;
  }
  if ((yield* xenbus_read_unsigned(otherend, "feature-discard", 0)) !== 0) yield* blkfront_setup_discard(info);
  // Read to keep the order of the handshake; grants are not kept whatever it says.
  yield* xenbus_read_unsigned(otherend, "feature-persistent", 0);
  const indirect_segments = yield* xenbus_read_unsigned(otherend, "feature-max-indirect-segments", 0);
  info.max_indirect_segments = min(indirect_segments, xen_blkif_max_segments.value);
  if (info.max_indirect_segments <= BLKIF_MAX_SEGMENTS_PER_REQUEST) info.max_indirect_segments = 0;
}

/** Whether a sector size is one that a disk of ours can have. */
function valid_sector_size(size: number): boolean {
  return size >= 512 && size <= SECTOR_SIZE_MAX && (size & (size - 1)) === 0;
}

/** Reads the disk's properties. Its capacity in sectors, or a negative errno, reported. */
function* read_backend_fields(info: blkfront_info): Sleeps<number> {
  const otherend = info.xbdev.otherend;
  const sectors = ptr(0);
  const binfo = ptr(0);
  const sector_size = ptr(0);
  const err = yield* xenbus_gather(
    XBT_NIL,
    otherend,
    "sectors",
    "%llu",
    sectors,
    "info",
    "%u",
    binfo,
    "sector-size",
    "%lu",
    sector_size,
    null,
  );
  if (err !== 0) {
    yield* xenbus_dev_fatal(info.xbdev, err, "reading backend fields at %s", otherend);
    return err;
  }
  info.vdisk_info = binfo.value;
  info.sector_size = sector_size.value;
  info.physical_sector_size = yield* xenbus_read_unsigned(otherend, "physical-sector-size", sector_size.value);
  if (!valid_sector_size(info.sector_size) || !Number.isSafeInteger(sectors.value)) {
    yield* xenbus_dev_fatal(info.xbdev, -EINVAL, "bad sector-size or sectors at %s", otherend);
    return -EINVAL;
  }
  return sectors.value;
}

/** The back end is Connected: makes the disk; or takes up the new size, or the new back end. */
function* blkfront_connect(info: blkfront_info): Sleeps<void> {
  switch (info.connected) {
    case BLKIF_STATE_CONNECTED:
      return yield* blkfront_resize(info);
    case BLKIF_STATE_SUSPENDED:
      return yield* blkif_recover(info);
    default:
      // The disk is there already: only a removal or a resume ends the error. No rings: an earlier attempt has failed.
      if (info.gd !== null || info.rinfo.length === 0) return;
  }
  const sectors = yield* read_backend_fields(info);
  if (sectors < 0) return;
  yield* blkfront_gather_backend_features(info);
  for (const rinfo of info.rinfo) {
    const err = blkfront_setup_indirect(rinfo);
    if (err === 0) continue;
    yield* xenbus_dev_fatal(info.xbdev, err, "setup_indirect at %s", info.xbdev.otherend);
    yield* blkif_free(info, "disconnect");
    return;
  }
  const err = xlvbd_alloc_gendisk(sectors, info);
  if (err !== 0) {
    yield* xenbus_dev_fatal(info.xbdev, err, "xlvbd_add at %s", info.xbdev.otherend);
    yield* blkif_free(info, "disconnect");
    return;
  }
  yield* blkfront_add_disk(info);
}

/** A repeated Connected: the device may have another size now. */
function* blkfront_resize(info: blkfront_info): Sleeps<void> {
  const sectors = ptr(0);
  const err = yield* xenbus_scanf(XBT_NIL, info.xbdev.otherend, "sectors", "%llu", sectors);
  if (XENBUS_EXIST_ERR(err) || err !== 1 || !Number.isSafeInteger(sectors.value)) return;
  const gd = info.gd as gendisk;
  if (sectors.value !== get_capacity(gd)) pr_info("Setting capacity to %llu\n", sectors.value);
  set_capacity_and_notify(gd, sectors.value);
}

/** Says Connected and makes the disk visible, which reads its partition table. */
function* blkfront_add_disk(info: blkfront_info): Sleeps<void> {
  const gd = info.gd as gendisk;
  yield* xenbus_switch_state(info.xbdev, XenbusStateConnected);
  info.connected = BLKIF_STATE_CONNECTED;
  for (const rinfo of info.rinfo) kick_pending_request_queues(rinfo);
  const err = yield* device_add_disk(info.xbdev.dev, gd, null);
  if (err !== 0) {
    free_gendisk(info);
    yield* blkif_free(info, "disconnect");
    return;
  }
  info.is_ready = true;
}

/** The back end's state changed. Any state at any time. */
function* blkback_changed(dev: xenbus_device, backend_state: xenbus_state): Sleeps<void> {
  const info = dev_get_drvdata<blkfront_info>(dev.dev);
  info.backend_state = backend_state;
  switch (backend_state) {
    case XenbusStateInitWait:
      if (dev.state === XenbusStateInitialising && info.rinfo.length === 0) yield* talk_to_blkback(dev, info);
      break;
    case XenbusStateConnected:
      // The back end may have skipped InitWait. With rings of an earlier connection it is not to be believed.
      if (dev.state !== XenbusStateInitialised && dev.state !== XenbusStateConnected) {
        if (info.rinfo.length !== 0 || (yield* talk_to_blkback(dev, info)) !== 0) break;
      }
      yield* blkfront_connect(info);
      break;
    case XenbusStateClosed:
      if (dev.state !== XenbusStateClosed) yield* blkfront_closing(info);
      break;
    case XenbusStateClosing:
      yield* blkfront_closing(info);
      break;
    default:
      break;
  }
}

/** Nobody is going to answer: ends what is on the rings with an error. Their grants are ended by blkif_free. */
function blkif_fail_requests(info: blkfront_info): void {
  info.connected = BLKIF_STATE_DISCONNECTED;
  info.gone = true;
  for (const rinfo of info.rinfo) {
    for (const shadow of rinfo.shadow) {
      const req = shadow.request;
      shadow.request = null;
      shadow.status = REQ_PROCESSING;
      if (req !== null) blk_mq_end_request(req, BLK_STS_IOERR);
    }
  }
  while (!list_empty(info.requests)) {
    const req = info.requests.next.container as request;
    list_del(req.queuelist);
    blk_mq_end_request(req, BLK_STS_IOERR);
  }
  for (let bio = bio_list_pop(info.bio_list); bio !== null; bio = bio_list_pop(info.bio_list)) bio_io_error(bio);
  // Those that wait for room fail in queue_rq.
  if (info.rq !== null) blk_mq_start_stopped_hw_queues(info.rq, true);
}

/** The device is gone, or the driver goes. */
function* blkfront_remove(dev: xenbus_device): Sleeps<void> {
  const info = dev_get_drvdata<blkfront_info>(dev.dev);
  const answered = info.connected === BLKIF_STATE_CONNECTED && info.backend_state === XenbusStateConnected;
  if (!answered) blkif_fail_requests(info);
  if (info.gd !== null) yield* del_gendisk(info.gd);
  yield* blkif_free(info, "disconnect");
  free_gendisk(info);
  dev_set_drvdata(dev.dev, null);
}

function blkfront_is_ready(dev: xenbus_device): number {
  const info = dev_get_drvdata<blkfront_info | null>(dev.dev);
  return info !== null && info.is_ready ? 1 : 0;
}

const blkfront_driver = new xenbus_driver({
  ids: [{ devicetype: "vbd" }],
  probe: blkfront_probe,
  remove: blkfront_remove,
  resume: blkfront_resume,
  otherend_changed: blkback_changed,
  is_ready: blkfront_is_ready,
});

/** Brings the parameters into their bounds. */
function check_parameters(): void {
  if (xen_blkif_max_segments.value < BLKIF_MAX_SEGMENTS_PER_REQUEST) {
    xen_blkif_max_segments.value = BLKIF_MAX_SEGMENTS_PER_REQUEST;
  }
  if (xen_blkif_max_ring_order.value > XENBUS_MAX_RING_GRANT_ORDER) {
    pr_info(
      "Invalid max_ring_order (%d), will use default max: %d.\n",
      xen_blkif_max_ring_order.value,
      XENBUS_MAX_RING_GRANT_ORDER,
    );
    xen_blkif_max_ring_order.value = XENBUS_MAX_RING_GRANT_ORDER;
  }
  const nr_cpus = num_online_cpus();
  if (xen_blkif_max_queues.value > nr_cpus) {
    pr_info("Invalid max_queues (%d), will use default max: %d.\n", xen_blkif_max_queues.value, nr_cpus);
    xen_blkif_max_queues.value = nr_cpus;
  }
}

/** Registers the driver. 0 or a negative errno. */
function* xlblk_init(): Sleeps<number> {
  check_parameters();
  if (register_blkdev(XENVBD_MAJOR, "xvd") !== 0) {
    pr_warn("xen_blk: can't get major %d with name %s\n", XENVBD_MAJOR, "xvd");
    return -ENODEV;
  }
  const ret = yield* xenbus_register_frontend(blkfront_driver);
  if (ret !== 0) unregister_blkdev(XENVBD_MAJOR, "xvd");
  return ret;
}

function* xlblk_exit(): Sleeps<void> {
  yield* xenbus_unregister_driver(blkfront_driver);
  unregister_blkdev(XENVBD_MAJOR, "xvd");
}

module_init(xlblk_init);
module_exit(xlblk_exit);
MODULE_DESCRIPTION("Xen virtual block device frontend");
MODULE_LICENSE("MIT");
MODULE_ALIAS("xen:vbd");
MODULE_ALIAS("xenblk");
