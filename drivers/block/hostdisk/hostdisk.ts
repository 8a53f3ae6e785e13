/**
 * hostdisk: the disks that the machine's host provides (hal/abi/hostdisk.ts).
 *
 *   queue_rq: descriptors, one per page piece -> the descriptor page -> doorbell at the end of a batch
 *   interrupt: completion page {tag, status} -> blk_mq_complete_request; a new generation -> rescan: disks come, go, change size
 *
 *   tag on the wire = index of the disk << 16 | tag of the request
 *
 * The hypervisor is trusted. It reads the descriptor page only during the doorbell, under `hostdisk_lock`; it writes the completion page at
 * any time: `prod`, `generation` and entries are its, `cons` is ours.
 */
import { EIO, ENODEV, ENOMEM, ENXIO } from "xenolith/linux/errno";
import { IS_ERR } from "xenolith/linux/err";
import { GFP_KERNEL, GFP_ZERO } from "xenolith/linux/gfp";
import { IRQ_HANDLED } from "xenolith/linux/interrupt";
import { alloc_page, page_to_pfn, page_to_phys, put_page } from "xenolith/linux/mm";
import { MODULE_DESCRIPTION, MODULE_LICENSE, module_exit, module_init, this_module } from "xenolith/linux/module";
import { pr_err, pr_info } from "xenolith/linux/printk";
import { spin_lock_irqsave, spin_unlock_irqrestore, spinlock_t } from "xenolith/linux/spinlock";
import { ptr } from "xenolith/linux/types";
import { INIT_WORK, cancel_work_sync, schedule_work, work_struct } from "xenolith/linux/workqueue";
import { bind_evtchn_to_irqhandler, unbind_from_irqhandler, xen_evtchn_alloc_unbound } from "xenolith/xen/events";
import { HYPERVISOR_hostdisk_op } from "xenolith/xen/hypercall";
import { page_read32, page_write32 } from "xenolith/xen/page";
import { errno_to_blk_status, req_iterator } from "xenolith/linux/bio";
import {
  BLK_STS_DEV_RESOURCE,
  BLK_STS_IOERR,
  BLK_STS_NOTSUPP,
  BLK_STS_OK,
  REQ_OP_DISCARD,
  REQ_OP_FLUSH,
  REQ_OP_READ,
  REQ_OP_SECURE_ERASE,
  REQ_OP_WRITE,
} from "xenolith/linux/blk_types";
import {
  GENHD_FL_REMOVABLE,
  blk_mark_disk_dead,
  del_gendisk,
  add_disk,
  put_disk,
  register_blkdev,
  set_capacity,
  set_capacity_and_notify,
  set_disk_ro,
  unregister_blkdev,
} from "xenolith/linux/blkdev";
import {
  BLK_MQ_F_SHOULD_MERGE,
  blk_mq_alloc_disk,
  blk_mq_alloc_tag_set,
  blk_mq_complete_request,
  blk_mq_end_request,
  blk_mq_free_tag_set,
  blk_mq_rq_to_pdu,
  blk_mq_start_request,
  blk_mq_start_stopped_hw_queues,
  blk_mq_stop_hw_queue,
  blk_mq_tag_set,
  blk_mq_tag_to_rq,
  blk_rq_pos,
  blk_rq_sectors,
  req_op,
  rq_for_each_segment,
  rq_next_segment,
} from "xenolith/linux/blk-mq";
import { DOMID_SELF } from "../../../hal/abi/xen";
import {
  HOSTDISK_COMP_COUNT,
  HOSTDISK_COMP_cons,
  HOSTDISK_COMP_generation,
  HOSTDISK_COMP_prod,
  HOSTDISK_COMP_ring,
  HOSTDISK_DESC_MORE,
  HOSTDISK_DESC_SIZE,
  HOSTDISK_DESC_mfn,
  HOSTDISK_DESC_nr_sectors,
  HOSTDISK_DESC_offset,
  HOSTDISK_DESC_sector,
  HOSTDISK_DESC_tag,
  HOSTDISK_DISCARD,
  HOSTDISK_FLUSH,
  HOSTDISK_F_READONLY,
  HOSTDISK_F_REMOVABLE,
  HOSTDISKS_MAX,
  HOSTDISK_OP_setup,
  HOSTDISK_OP_submit,
  HOSTDISK_READ,
  HOSTDISK_SECURE_ERASE,
  HOSTDISK_WRITE,
} from "../../../hal/abi/hostdisk";
import type { blk_status_t } from "xenolith/linux/blk_types";
import type { block_device_operations, gendisk } from "xenolith/linux/blkdev";
import type { blk_mq_hw_ctx, blk_mq_ops, blk_mq_queue_data, request } from "xenolith/linux/blk-mq";
import type { page } from "xenolith/linux/mm_types";
import type { Sleeps } from "xenolith/linux/sched";
import type { sector_t } from "xenolith/linux/types";
import { limits_of, query_disk } from "./query";
import type { hostdisk_info } from "./query";

const HOSTDISK_MAJOR = 240;
const HOSTDISK_MINORS = 16;
const QUEUE_DEPTH = 64;
/** Descriptors in the descriptor page; a request must fit. */
const DESCRIPTORS_MAX = 4096 / HOSTDISK_DESC_SIZE;
const DESC_WORDS = HOSTDISK_DESC_SIZE / 4;
/** Words of a descriptor after the first, which holds op, flags and disk. */
const DESC_TAG = HOSTDISK_DESC_tag / 4;
const DESC_SECTOR = HOSTDISK_DESC_sector / 4;
const DESC_SECTOR_HIGH = (HOSTDISK_DESC_sector + 4) / 4;
const DESC_MFN = HOSTDISK_DESC_mfn / 4;
const DESC_OFFSET_LENGTH = HOSTDISK_DESC_offset / 4;
const DESC_NR_SECTORS = HOSTDISK_DESC_nr_sectors / 4;
const DESC_NR_SECTORS_HIGH = (HOSTDISK_DESC_nr_sectors + 4) / 4;
const RING_WORD = HOSTDISK_COMP_ring / 4;

MODULE_LICENSE("Dual MIT/GPL");
MODULE_DESCRIPTION("disks of the machine's host");

/** What the driver keeps of one request. */
class hostdisk_cmd {
  /** As the completion said: 0 or a negative errno. */
  status = 0;
}

class hostdisk {
  readonly index: number;
  readonly disk: gendisk;
  readonly tag_set: blk_mq_tag_set;
  generation: number;

  constructor(index: number, disk: gendisk, tag_set: blk_mq_tag_set, generation: number) {
    this.index = index;
    this.disk = disk;
    this.tag_set = tag_set;
    this.generation = generation;
  }
}

/** By index. */
const hostdisks: (hostdisk | null)[] = new Array<hostdisk | null>(HOSTDISKS_MAX).fill(null);
/** Tag sets by index: a disk may complete requests before it is registered. */
const tag_sets: (blk_mq_tag_set | null)[] = new Array<blk_mq_tag_set | null>(HOSTDISKS_MAX).fill(null);
const hostdisk_lock = new spinlock_t("hostdisk");
const rescan_work = new work_struct();
/** Requests of refused batches, as tags on the wire. */
const refused_tags: number[] = [];
const refused_work = new work_struct();
const walk = new req_iterator();

/** The hypervisor reads it during a doorbell; a query's answer is put there too, while no descriptor is in it. */
let descriptor_page: page;
let completion_page: page;
let irq = -1;
let cons = 0;
let generation_seen = 0;
/** Descriptors written and not announced. */
let queued = 0;
/** Requests given to the hypervisor, or queued for it, and not completed. */
let in_flight = 0;
/** A queue was stopped because the completion page could overflow. */
let throttled = false;

// Data path, down.

function hostdisk_op(rq: request): number {
  switch (req_op(rq)) {
    case REQ_OP_READ:
      return HOSTDISK_READ;
    case REQ_OP_WRITE:
      return HOSTDISK_WRITE;
    case REQ_OP_FLUSH:
      return HOSTDISK_FLUSH;
    case REQ_OP_DISCARD:
      return HOSTDISK_DISCARD;
    case REQ_OP_SECURE_ERASE:
      return HOSTDISK_SECURE_ERASE;
    default:
      return -1;
  }
}

function hostdisk_queue_rq(hctx: blk_mq_hw_ctx, bd: blk_mq_queue_data): blk_status_t {
  const rq = bd.rq;
  const op = hostdisk_op(rq);
  if (op < 0) return BLK_STS_NOTSUPP;
  const flags = spin_lock_irqsave(hostdisk_lock);
  const status = queue_locked(hctx, rq, op, bd.last);
  spin_unlock_irqrestore(hostdisk_lock, flags);
  return status;
}

function queue_locked(hctx: blk_mq_hw_ctx, rq: request, op: number, last: boolean): blk_status_t {
  if (in_flight === HOSTDISK_COMP_COUNT) {
    blk_mq_stop_hw_queue(hctx);
    throttled = true;
    ring_doorbell();
    return BLK_STS_DEV_RESOURCE;
  }
  const needed = rq.nr_phys_segments === 0 ? 1 : rq.nr_phys_segments;
  if (queued + needed > DESCRIPTORS_MAX) ring_doorbell();
  blk_mq_start_request(rq);
  in_flight++;
  const disk = hctx.queue.queuedata as number;
  if (op === HOSTDISK_READ || op === HOSTDISK_WRITE) put_data(rq, op, disk);
  else put_descriptor(rq, op, disk, op === HOSTDISK_FLUSH ? 0 : blk_rq_pos(rq));
  if (last) ring_doorbell();
  return BLK_STS_OK;
}

/** One descriptor; its page fields are zero. Returns its first word. */
function put_descriptor(rq: request, op: number, disk: number, sector: sector_t): number {
  const at = queued++ * DESC_WORDS;
  page_write32(descriptor_page, at, op | (disk << 16));
  page_write32(descriptor_page, at + DESC_TAG, (disk << 16) | rq.tag);
  page_write32(descriptor_page, at + DESC_SECTOR, sector >>> 0);
  page_write32(descriptor_page, at + DESC_SECTOR_HIGH, Math.floor(sector / 0x100000000));
  page_write32(descriptor_page, at + DESC_MFN, 0);
  page_write32(descriptor_page, at + DESC_OFFSET_LENGTH, 0);
  page_write32(descriptor_page, at + DESC_NR_SECTORS, blk_rq_sectors(rq) >>> 0);
  page_write32(descriptor_page, at + DESC_NR_SECTORS_HIGH, 0);
  return at;
}

/** A descriptor for each page piece, chained. */
function put_data(rq: request, op: number, disk: number): void {
  let previous = -1;
  rq_for_each_segment(rq, walk);
  while (rq_next_segment(walk)) {
    if (previous >= 0) page_write32(descriptor_page, previous, op | (HOSTDISK_DESC_MORE << 8) | (disk << 16));
    previous = put_descriptor(rq, op, disk, walk.bi_sector);
    const bvec = walk.bvec;
    page_write32(descriptor_page, previous + DESC_MFN, bvec.bv_page.mfn);
    page_write32(descriptor_page, previous + DESC_OFFSET_LENGTH, bvec.bv_offset | (bvec.bv_len << 16));
  }
}

/** Hands over what is queued. The room in the completion page was counted, so the hypervisor takes it. */
function ring_doorbell(): void {
  if (queued === 0) return;
  const count = queued;
  queued = 0;
  const error = HYPERVISOR_hostdisk_op(HOSTDISK_OP_submit, page_to_phys(descriptor_page), count);
  if (error !== 0) fail_batch(count, error);
}

/** The hypervisor refused a batch: its requests fail, once the lock is released. */
function fail_batch(count: number, error: number): void {
  pr_err("hostdisk: doorbell refused: %d\n", error);
  for (let i = 0; i < count; i++) {
    const at = i * DESC_WORDS;
    if ((page_read32(descriptor_page, at) & (HOSTDISK_DESC_MORE << 8)) !== 0) continue;
    refused_tags.push(page_read32(descriptor_page, at + DESC_TAG));
  }
  schedule_work(refused_work);
}

function end_refused(_work: work_struct): void {
  for (const tag of refused_tags.splice(0)) complete_tag(tag, -EIO);
}

function hostdisk_commit_rqs(_hctx: blk_mq_hw_ctx): void {
  const flags = spin_lock_irqsave(hostdisk_lock);
  ring_doorbell();
  spin_unlock_irqrestore(hostdisk_lock, flags);
}

// Data path, up.

function hostdisk_interrupt(_irq: number, _dev_id: unknown): number {
  // The hypervisor publishes prod after the entries; new ones raise a new event.
  for (let prod = page_read32(completion_page, HOSTDISK_COMP_prod / 4); cons !== prod; ) {
    while (cons !== prod) {
      const at = RING_WORD + (cons % HOSTDISK_COMP_COUNT) * 2;
      const tag = page_read32(completion_page, at);
      const status = page_read32(completion_page, at + 1) | 0;
      cons = (cons + 1) >>> 0;
      page_write32(completion_page, HOSTDISK_COMP_cons / 4, cons);
      complete_tag(tag, status);
    }
    prod = page_read32(completion_page, HOSTDISK_COMP_prod / 4);
  }
  if (throttled) restart_queues();
  if (page_read32(completion_page, HOSTDISK_COMP_generation / 4) !== generation_seen) schedule_work(rescan_work);
  return IRQ_HANDLED;
}

function complete_tag(tag: number, status: number): void {
  const set = tag_sets[tag >>> 16];
  const rq = set === null || set === undefined ? null : blk_mq_tag_to_rq(set.tags[0], tag & 0xffff);
  if (rq === null) {
    pr_err("hostdisk: completion of unknown tag 0x%x\n", tag);
    return;
  }
  in_flight--;
  blk_mq_rq_to_pdu<hostdisk_cmd>(rq).status = status;
  blk_mq_complete_request(rq);
}

function hostdisk_complete_rq(rq: request): void {
  const status = blk_mq_rq_to_pdu<hostdisk_cmd>(rq).status;
  blk_mq_end_request(rq, status === 0 ? BLK_STS_OK : status === -ENODEV ? BLK_STS_IOERR : errno_to_blk_status(status));
}

function restart_queues(): void {
  throttled = false;
  for (const disk of hostdisks) if (disk !== null) blk_mq_start_stopped_hw_queues(disk.disk.queue, true);
}

const hostdisk_mq_ops: blk_mq_ops = {
  queue_rq: hostdisk_queue_rq,
  commit_rqs: hostdisk_commit_rqs,
  complete: hostdisk_complete_rq,
};
const hostdisk_fops: block_device_operations = { owner: this_module() };

// Disks that come, change and go.

/** What the host says about disk `index`, or a negative errno. */
function hostdisk_query(index: number): hostdisk_info | number {
  const flags = spin_lock_irqsave(hostdisk_lock);
  ring_doorbell();
  const info = query_disk(descriptor_page, index);
  spin_unlock_irqrestore(hostdisk_lock, flags);
  return info;
}

function make_tag_set(): blk_mq_tag_set {
  const set = new blk_mq_tag_set();
  set.ops = hostdisk_mq_ops;
  set.nr_hw_queues = 1;
  set.queue_depth = QUEUE_DEPTH;
  set.cmd_size = () => new hostdisk_cmd();
  set.flags = BLK_MQ_F_SHOULD_MERGE;
  return set;
}

function* hostdisk_add(index: number, info: hostdisk_info): Sleeps<number> {
  const set = make_tag_set();
  let error = blk_mq_alloc_tag_set(set);
  if (error !== 0) return error;
  const disk = blk_mq_alloc_disk(set, limits_of(info, DESCRIPTORS_MAX), index);
  if (IS_ERR(disk)) {
    blk_mq_free_tag_set(set);
    return disk;
  }
  disk.major = HOSTDISK_MAJOR;
  disk.first_minor = index * HOSTDISK_MINORS;
  disk.minors = HOSTDISK_MINORS;
  disk.disk_name = `hostdisk${index}`;
  disk.fops = hostdisk_fops;
  if ((info.flags & HOSTDISK_F_REMOVABLE) !== 0) disk.flags |= GENHD_FL_REMOVABLE;
  set_capacity(disk, info.sectors);
  set_disk_ro(disk, (info.flags & HOSTDISK_F_READONLY) !== 0);
  tag_sets[index] = set;
  hostdisks[index] = new hostdisk(index, disk, set, info.generation);
  error = yield* add_disk(disk);
  if (error !== 0) hostdisk_free(index);
  return error;
}

function hostdisk_free(index: number): void {
  const host = hostdisks[index] as hostdisk;
  hostdisks[index] = null;
  tag_sets[index] = null;
  put_disk(host.disk);
  blk_mq_free_tag_set(host.tag_set);
}

function* hostdisk_remove(index: number, how: "orderly" | "surprise"): Sleeps<void> {
  const host = hostdisks[index] as hostdisk;
  if (how === "surprise") blk_mark_disk_dead(host.disk);
  yield* del_gendisk(host.disk);
  hostdisk_free(index);
}

/** Brings one disk in line with what the host says now. -ENXIO when there was never one of this index or above. */
function* hostdisk_sync(index: number): Sleeps<number> {
  const info = hostdisk_query(index);
  const host = hostdisks[index];
  if (IS_ERR(info)) {
    if (host !== null) yield* hostdisk_remove(index, "surprise");
    return info;
  } else if (host === null) {
    const error = yield* hostdisk_add(index, info);
    if (error !== 0) pr_err("hostdisk%d: cannot be added: %d\n", index, error);
  } else if (host.generation !== info.generation) {
    host.generation = info.generation;
    set_capacity_and_notify(host.disk, info.sectors);
    set_disk_ro(host.disk, (info.flags & HOSTDISK_F_READONLY) !== 0);
  }
  return 0;
}

function* hostdisk_rescan(_work: work_struct): Sleeps<void> {
  // Read before the disks are asked: a change while we look makes the next interrupt look again.
  generation_seen = page_read32(completion_page, HOSTDISK_COMP_generation / 4);
  for (let index = 0; index < HOSTDISKS_MAX; index++) {
    const error = yield* hostdisk_sync(index);
    if (error === -ENXIO) break;
  }
}

// Start and end.

/** Gives the hypervisor the completion page and the event channel. 0 or a negative errno. */
function hostdisk_setup(): number {
  const port = ptr(0);
  const error = xen_evtchn_alloc_unbound(DOMID_SELF, port);
  if (error !== 0) return error;
  irq = bind_evtchn_to_irqhandler(port.value, hostdisk_interrupt, 0, "hostdisk", hostdisks);
  if (irq < 0) return irq;
  const refused = HYPERVISOR_hostdisk_op(HOSTDISK_OP_setup, page_to_pfn(completion_page), port.value);
  if (refused !== 0) unbind_from_irqhandler(irq, hostdisks);
  return refused;
}

/** Two pages of our own. */
function alloc_pages_of_ours(): number {
  const first = alloc_page(GFP_KERNEL | GFP_ZERO);
  const second = alloc_page(GFP_KERNEL | GFP_ZERO);
  if (first === null || second === null) {
    if (first !== null) put_page(first);
    return -ENOMEM;
  }
  descriptor_page = first;
  completion_page = second;
  return 0;
}

function free_pages_of_ours(): void {
  put_page(descriptor_page);
  put_page(completion_page);
}

function* hostdisk_init(): Sleeps<number> {
  let error = alloc_pages_of_ours();
  if (error !== 0) return error;
  error = register_blkdev(HOSTDISK_MAJOR, "hostdisk");
  if (error === 0) {
    error = hostdisk_setup();
    if (error !== 0) unregister_blkdev(HOSTDISK_MAJOR, "hostdisk");
  }
  if (error !== 0) {
    free_pages_of_ours();
    return error;
  }
  INIT_WORK(rescan_work, hostdisk_rescan);
  INIT_WORK(refused_work, end_refused);
  yield* hostdisk_rescan(rescan_work);
  pr_info("hostdisk: module loaded\n");
  return 0;
}

export function* hostdisk_exit(): Sleeps<void> {
  yield* cancel_work_sync(rescan_work);
  for (let index = 0; index < HOSTDISKS_MAX; index++) {
    if (hostdisks[index] !== null) yield* hostdisk_remove(index, "orderly");
  }
  unbind_from_irqhandler(irq, hostdisks);
  unregister_blkdev(HOSTDISK_MAJOR, "hostdisk");
  free_pages_of_ours();
}

module_init(hostdisk_init);
module_exit(hostdisk_exit);
