/**
 * The multi-queue block layer, as its drivers see it.
 *
 *   bio -> request (a tag) -> software queue or plug -> hardware queue -> ops.queue_rq -> hardware
 *   interrupt -> blk_mq_complete_request -> ops.complete -> blk_mq_end_request -> every bio ends, the tag is free
 *
 * One deviation from Linux: `blk_mq_tag_set.cmd_size` is a factory of the driver's per-request object instead of a size in bytes.
 */
import { list_head } from "xenolith/linux/list";
import { wait_queue_head } from "xenolith/linux/wait";
import { delayed_work } from "xenolith/linux/workqueue";
import { bio_iter_begin, type req_iterator } from "xenolith/linux/bio";
import { REQ_OP_MASK, REQ_OP_READ, REQ_OP_WRITE } from "xenolith/linux/blk_types";
import type { bio, blk_opf_t, blk_status_t, block_device } from "xenolith/linux/blk_types";
import type { gendisk, io_comp_batch, queue_limits, request_queue, rq_list } from "xenolith/linux/blkdev";
import type { bio_vec } from "xenolith/linux/bvec";
import type { scatterlist } from "xenolith/linux/scatterlist";
import type { err_ptr } from "xenolith/linux/err";
import type { Sleeps } from "xenolith/linux/sched";
import type { sector_t } from "xenolith/linux/types";

/** Requests of one hardware queue, at most. */
export const BLK_MQ_MAX_DEPTH = 10240;
/** Tag of a request that has none. */
export const BLK_MQ_NO_TAG = -1;
export const NUMA_NO_NODE = -1;
/** Default of request.timeout, jiffies. */
export const BLK_MQ_DEFAULT_TIMEOUT = 30000;

/** blk_mq_tag_set.flags. */
export const BLK_MQ_F_SHOULD_MERGE = 1;
export const BLK_MQ_F_BLOCKING = 1 << 5;
/** blk_mq_alloc_request flags. */
export const BLK_MQ_REQ_NOWAIT = 1;
export const BLK_MQ_REQ_RESERVED = 2;

/** request.state. */
export const MQ_RQ_IDLE = 0;
export const MQ_RQ_IN_FLIGHT = 1;
export const MQ_RQ_COMPLETE = 2;

/** request.rq_flags. */
export const RQF_FLUSH_SEQ = 1 << 4;
export const RQF_DONTPREP = 1 << 7;
export const RQF_QUIET = 1 << 11;
export const RQF_TIMED_OUT = 1 << 21;
export const RQF_RESV = 1 << 23;

/** blk_mq_hw_ctx.state bits. */
export const BLK_MQ_S_STOPPED = 1;
export const BLK_MQ_S_SCHED_RESTART = 4;
export const BLK_MQ_S_INACTIVE = 8;

/** What ops.timeout answers: the driver has completed the request, or wait once more. */
export const BLK_EH_DONE = 0;
export const BLK_EH_RESET_TIMER = 1;
export type blk_eh_timer_return = typeof BLK_EH_DONE | typeof BLK_EH_RESET_TIMER;

/** What a request's end_io answers: the block layer frees the request, or not. */
export const RQ_END_IO_NONE = 0;
export const RQ_END_IO_FREE = 1;
export type rq_end_io_ret = typeof RQ_END_IO_NONE | typeof RQ_END_IO_FREE;
export type rq_end_io_fn = (rq: request, error: blk_status_t) => rq_end_io_ret;

/** struct request. Lives as long as its tag; between uses it is nobody's. */
export class request {
  /** Valid from allocation to end. */
  q!: request_queue;
  mq_ctx!: blk_mq_ctx;
  mq_hctx!: blk_mq_hw_ctx;
  /** REQ_OP_* and REQ_*. */
  cmd_flags: blk_opf_t = 0;
  /** RQF_*. */
  rq_flags = 0;
  /** MQ_RQ_*. */
  state = MQ_RQ_IDLE;
  /** The driver tag, or BLK_MQ_NO_TAG while the request is nobody's. */
  tag = BLK_MQ_NO_TAG;
  /** The tag that the object belongs to, always. */
  readonly internal_tag: number;
  /** Bytes left; see blk_rq_bytes. */
  __data_len = 0;
  /** First sector; -1 (all ones on the wire) for a flush. */
  __sector: sector_t = 0;
  /** First and last bio, linked by bi_next. */
  bio: bio | null = null;
  biotail: bio | null = null;
  /** Physical segments. */
  nr_phys_segments = 0;
  /** All of a request that is no more than a read or write of at most one page; null for any other. */
  single_vec: bio_vec | null = null;
  /** For the driver while it owns the request; the block layer's otherwise. */
  readonly queuelist = new list_head(this);
  /** The block layer's link in plugs, in batches, and among the free ones. */
  rq_next: request | null = null;
  /** Whole disk or partition that is accounted for. */
  part: block_device | null = null;
  /** Virtual time of allocation and of blk_mq_start_request, nanoseconds. */
  start_time_ns = 0;
  io_start_time_ns = 0;
  /** Jiffies; 0 means the queue's default. */
  timeout = 0;
  /** Jiffies at which the request times out. */
  deadline = 0;
  end_io: rq_end_io_fn | null = null;
  end_io_data: unknown = null;
  /** Flush machinery: steps done, and the end_io that was there before. */
  flush_seq = 0;
  flush_end_io: rq_end_io_fn | null = null;
  /** The driver's object, made by blk_mq_tag_set.cmd_size. */
  pdu: unknown = null;

  constructor(internal_tag: number) {
    this.internal_tag = internal_tag;
  }
}

/** struct blk_mq_queue_data: what queue_rq gets. Valid during the call only. */
export class blk_mq_queue_data {
  rq!: request;
  /** No further request of this batch follows. */
  last = false;
}

/** struct blk_mq_ops. */
export interface blk_mq_ops {
  /**
   * Starts a request. Plain; may run at once for different hardware queues. BLK_STS_OK: the driver will complete it. BLK_STS_RESOURCE: try again
   * later (the core sees to it). BLK_STS_DEV_RESOURCE: try again when the driver runs the queue. Anything else ends the request.
   */
  queue_rq(hctx: blk_mq_hw_ctx, bd: blk_mq_queue_data): blk_status_t;
  /**
   * Starts as many requests of a list as it can, in their order: all of one hardware queue, and at least one. What it leaves in the list goes to
   * queue_rq.
   */
  queue_rqs?(rqlist: rq_list): void;
  /** The batch ended although `last` was not announced. */
  commit_rqs?(hctx: blk_mq_hw_ctx): void;
  /** Ends a completed request; without it blk_mq_end_request with BLK_STS_OK is done. */
  complete?(rq: request): void;
  timeout?(rq: request): blk_eh_timer_return;
  init_hctx?(hctx: blk_mq_hw_ctx, driver_data: unknown, hctx_idx: number): number;
  exit_hctx?(hctx: blk_mq_hw_ctx, hctx_idx: number): void;
  init_request?(set: blk_mq_tag_set, rq: request, hctx_idx: number, numa_node: number): number;
  exit_request?(set: blk_mq_tag_set, rq: request, hctx_idx: number): void;
}

/** struct blk_mq_tags: the requests of one hardware queue of a set. */
export class blk_mq_tags {
  readonly nr_tags: number;
  readonly nr_reserved_tags: number;
  /** Every request, by its own tag. */
  readonly static_rqs: request[] = [];
  /** Who uses a tag now: the request itself, or the flush request that borrows the tag. */
  readonly rqs: (request | null)[] = [];
  /** Requests whose tags are free, by rq_next: last in, first out. */
  free: request | null = null;
  reserved_free: request | null = null;
  readonly wait = new wait_queue_head();
  readonly reserved_wait = new wait_queue_head();
  waiters = 0;

  constructor(nr_tags: number, nr_reserved_tags: number) {
    this.nr_tags = nr_tags;
    this.nr_reserved_tags = nr_reserved_tags;
  }
}

/** struct blk_mq_tag_set. */
export class blk_mq_tag_set {
  ops!: blk_mq_ops;
  nr_hw_queues = 0;
  queue_depth = 0;
  reserved_tags = 0;
  numa_node = NUMA_NO_NODE;
  /** Makes the driver's object of one request; null for none. */
  cmd_size: (() => unknown) | null = null;
  /** Jiffies; 0 means BLK_MQ_DEFAULT_TIMEOUT. */
  timeout = 0;
  /** BLK_MQ_F_*. */
  flags = 0;
  driver_data: unknown = null;
  tags: blk_mq_tags[] = [];
  /** Hardware queue of each CPU. */
  map: Int32Array = new Int32Array(0);
  readonly tag_list = new list_head(this);
}

/** One CPU's software queue of one request queue. */
export class blk_mq_ctx {
  readonly cpu: number;
  readonly queue: request_queue;
  hctx!: blk_mq_hw_ctx;
  readonly rq_list = new list_head(this);

  constructor(cpu: number, queue: request_queue) {
    this.cpu = cpu;
    this.queue = queue;
  }
}

/** struct blk_mq_hw_ctx: one hardware queue. */
export class blk_mq_hw_ctx {
  readonly queue: request_queue;
  readonly queue_num: number;
  /** The driver's own. */
  driver_data: unknown = null;
  /** BLK_MQ_S_*. */
  state = 0;
  /** Requests that queue_rq refused, first to be sent again. */
  readonly dispatch = new list_head(this);
  readonly run_work = new delayed_work(this);
  tags!: blk_mq_tags;
  /** The driver. */
  readonly ops: blk_mq_ops;
  readonly ctxs: blk_mq_ctx[] = [];
  /** Index of the software queue that is asked first. */
  dispatch_from = 0;
  /** Flush machinery of this queue. */
  fq: blk_flush_queue | null = null;
  /** A run is going on; another one asked for meanwhile sets `rerun`. */
  running = false;
  rerun = false;

  constructor(queue: request_queue, queue_num: number, ops: blk_mq_ops) {
    this.queue = queue;
    this.queue_num = queue_num;
    this.ops = ops;
  }
}

/** The flush machinery's state for one hardware queue. */
export class blk_flush_queue {
  readonly hctx: blk_mq_hw_ctx;
  /** Which of the two lists gathers, and which one the running flush serves. */
  flush_pending_idx = 0;
  flush_running_idx = 0;
  /** Jiffies at which the first of the pending ones came. */
  flush_pending_since = 0;
  /** Requests that wait for a flush: gathering and being served. */
  readonly flush_queue = [new list_head(this), new list_head(this)];
  /** Requests whose data is on its way. */
  flush_data_in_flight = 0;
  /** The status of the flush that ran last. */
  rq_status: blk_status_t = 0;
  /** The one flush request. */
  readonly flush_rq: request;

  constructor(hctx: blk_mq_hw_ctx, flush_rq: request) {
    this.hctx = hctx;
    this.flush_rq = flush_rq;
  }
}

// Tag sets and disks.

/** Makes the tags and the map of CPUs. 0, -EINVAL, -ENOMEM. */
export declare function blk_mq_alloc_tag_set(set: blk_mq_tag_set): number;
/** After all queues that use it are gone. */
export declare function blk_mq_free_tag_set(set: blk_mq_tag_set): void;
/** A disk with its queue. ERR_PTR(-EINVAL) on bad limits, ERR_PTR(-ENOMEM). `lim` null means all defaults. */
export declare function blk_mq_alloc_disk(
  set: blk_mq_tag_set,
  lim: queue_limits | null,
  queuedata: unknown,
): gendisk | err_ptr;
/** Freezes all queues of the set and maps them anew; nothing happens if `nr_hw_queues` is below 1 or unchanged. */
export declare function blk_mq_update_nr_hw_queues(set: blk_mq_tag_set, nr_hw_queues: number): Sleeps<void>;

// A request's life.

/** A request without bio, for drivers' own commands. ERR_PTR(-EWOULDBLOCK) without waiting, ERR_PTR(-ENODEV) when dying. */
export declare function blk_mq_alloc_request(
  q: request_queue,
  opf: blk_opf_t,
  flags: number,
): Sleeps<request | err_ptr>;
/** Frees a request that will not be ended. */
export declare function blk_mq_free_request(rq: request): void;
/** Sends a request of the caller's own; `done` is called at its end and says who frees it. */
export declare function blk_execute_rq_nowait(rq: request, at_head: boolean): void;
/** Sends it and waits. */
export declare function blk_execute_rq(rq: request, at_head: boolean): Sleeps<blk_status_t>;
/** IDLE to IN_FLIGHT; the first thing in queue_rq. */
export function blk_mq_start_request(rq: request): void {
  if (rq.tag === BLK_MQ_NO_TAG || rq.state !== MQ_RQ_IDLE) blk_mq_bad_start(rq);
  rq.state = MQ_RQ_IN_FLIGHT;
  if (rq.mq_hctx.ops.timeout !== undefined) blk_add_timer(rq);
}
/** The driver has started a request that is not its own: our own bug. */
export declare function blk_mq_bad_start(rq: request): never;
/** Gives a started request its deadline. */
export declare function blk_add_timer(rq: request): void;
/** IN_FLIGHT to COMPLETE, then ops.complete. */
export declare function blk_mq_complete_request(rq: request): void;
/** Ends all bytes of a request with `error` and frees it. A request without bio is just freed. */
export declare function blk_mq_end_request(rq: request, error: blk_status_t): void;
/** Ends all requests of a batch, which is empty afterwards. */
export declare function blk_mq_end_request_batch(iob: io_comp_batch): void;
/** The second half of it, after blk_update_request said that nothing is left. */
export declare function __blk_mq_end_request(rq: request, error: blk_status_t): void;
/** Ends the first `nr_bytes`; true if some are left. */
export declare function blk_update_request(rq: request, error: blk_status_t, nr_bytes: number): boolean;
/** Gives a started request back; it is sent again when the list is kicked. */
export declare function blk_mq_requeue_request(rq: request, kick_requeue_list: boolean): void;
export declare function blk_mq_kick_requeue_list(q: request_queue): void;
export declare function blk_mq_delay_kick_requeue_list(q: request_queue, msecs: number): void;
/** Calls `fn` for every started request; it stops when `fn` says false. */
export declare function blk_mq_tagset_busy_iter(
  set: blk_mq_tag_set,
  fn: (rq: request, data: unknown) => boolean,
  priv: unknown,
): void;
/** The same for one queue. */
export declare function blk_mq_queue_tag_busy_iter(
  q: request_queue,
  fn: (rq: request, data: unknown) => boolean,
  priv: unknown,
): void;
/** Waits until every completed request of the set has been ended. */
export declare function blk_mq_tagset_wait_completed_request(set: blk_mq_tag_set): Sleeps<void>;
/** Requests of the queue that are with the driver. */
export declare function blk_mq_queue_inflight(q: request_queue): number;
/** The request that uses `tag`, or null. */
export declare function blk_mq_tag_to_rq(tags: blk_mq_tags, tag: number): request | null;

// Queues.

export declare function blk_mq_stop_hw_queue(hctx: blk_mq_hw_ctx): void;
export declare function blk_mq_stop_hw_queues(q: request_queue): void;
export declare function blk_mq_start_hw_queue(hctx: blk_mq_hw_ctx): void;
export declare function blk_mq_start_hw_queues(q: request_queue): void;
export declare function blk_mq_start_stopped_hw_queue(hctx: blk_mq_hw_ctx, async: boolean): void;
export declare function blk_mq_start_stopped_hw_queues(q: request_queue, async: boolean): void;
export declare function blk_mq_run_hw_queue(hctx: blk_mq_hw_ctx, async: boolean): void;
export declare function blk_mq_run_hw_queues(q: request_queue, async: boolean): void;
export declare function blk_mq_delay_run_hw_queue(hctx: blk_mq_hw_ctx, msecs: number): void;
export declare function blk_mq_delay_run_hw_queues(q: request_queue, msecs: number): void;
/** Stops dispatch and waits for running queue_rq calls. Counted. */
export declare function blk_mq_quiesce_queue(q: request_queue): Sleeps<void>;
/** The same without waiting. */
export declare function blk_mq_quiesce_queue_nowait(q: request_queue): void;
export declare function blk_mq_unquiesce_queue(q: request_queue): void;
/** Blocks new requests and waits until all are gone. Counted. Returns what unfreeze wants. */
export declare function blk_mq_freeze_queue(q: request_queue): Sleeps<number>;
export declare function blk_mq_unfreeze_queue(q: request_queue, memflags: number): void;
/** The two halves of blk_mq_freeze_queue. */
export declare function blk_freeze_queue_start(q: request_queue): void;
export declare function blk_mq_freeze_queue_wait(q: request_queue): Sleeps<void>;

/** Fills `sglist` with the request's pages; returns how many entries. Entries respect max_segment_size and the segment boundary. */
export declare function blk_rq_map_sg(rq: request, sglist: scatterlist[]): number;

// Inlines.

/** The driver's object of the request. */
export function blk_mq_rq_to_pdu<T>(rq: request): T {
  return rq.pdu as T;
}

export function blk_mq_hctx_stopped(hctx: blk_mq_hw_ctx): boolean {
  return (hctx.state & BLK_MQ_S_STOPPED) !== 0;
}

export function blk_mq_request_started(rq: request): boolean {
  return rq.state !== MQ_RQ_IDLE;
}

export function blk_mq_request_completed(rq: request): boolean {
  return rq.state === MQ_RQ_COMPLETE;
}

/** First sector; -1 for a flush. */
export function blk_rq_pos(rq: request): sector_t {
  return rq.__sector;
}

export function blk_rq_bytes(rq: request): number {
  return rq.__data_len;
}

export function blk_rq_sectors(rq: request): number {
  return Math.floor(rq.__data_len / 512);
}

export function req_op(rq: request): number {
  return rq.cmd_flags & REQ_OP_MASK;
}

/** REQ_OP_WRITE for odd operations, else REQ_OP_READ. */
export function rq_data_dir(rq: request): number {
  return (rq.cmd_flags & 1) !== 0 ? REQ_OP_WRITE : REQ_OP_READ;
}

/** Fault injection of lost completions; never. */
export function blk_should_fake_timeout(_q: request_queue): boolean {
  return false;
}

/**
 * Puts `iter` before the first single-page segment of a request:
 *
 *   rq_for_each_segment(rq, iter);
 *   while (rq_next_segment(iter)) use(iter.bvec);
 */
export function rq_for_each_segment(rq: request, iter: req_iterator): void {
  iter.chain = true;
  if (rq.bio !== null) bio_iter_begin(rq.bio, iter);
  else {
    iter.bio = null;
    iter.left = 0;
  }
}

/** Appends a request. */
export function rq_list_add_tail(rl: rq_list, rq: request): void {
  const tail = rl.tail;
  rq.rq_next = null;
  if (tail === null) rl.head = rq;
  else tail.rq_next = rq;
  rl.tail = rq;
}

/** Takes the first request, or null. */
export function rq_list_pop(rl: rq_list): request | null {
  const rq = rl.head;
  if (rq !== null) rq_list_set(rl, rq.rq_next);
  return rq;
}

/** Leaves in a list what begins with `rq`, one of its requests; nothing for null. */
export function rq_list_set(rl: rq_list, rq: request | null): void {
  rl.head = rq;
  if (rq === null) rl.tail = null;
}

export function rq_list_empty(rl: rq_list): boolean {
  return rl.head === null;
}

/** The first request, or null. */
export function rq_list_peek(rl: rq_list): request | null {
  return rl.head;
}

/**
 * Puts a completed request into a batch of them. False: it has to be ended by itself, since it failed, or has been through more.
 * Linux: blk_mq_add_to_batch.
 */
export function blk_mq_add_to_batch(req: request, iob: io_comp_batch, is_error: boolean): boolean {
  if (is_error || req.end_io !== null || req.rq_flags !== 0) return false;
  rq_list_add_tail(iob.req_list, req);
  return true;
}

/** `for each bio of the request`: the next of a list. */
export function rq_next_bio(bio: bio): bio | null {
  return bio.bi_next;
}

export { bio_next_segment as rq_next_segment } from "xenolith/linux/bio";
