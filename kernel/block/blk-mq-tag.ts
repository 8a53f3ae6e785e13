/**
 * Tags: which requests of a hardware queue are in use, who waits for one, and walking those that the driver has.
 */
import { BUG_ON } from "xenolith/linux/kernel";
import { EINVAL, ENOMEM } from "xenolith/linux/errno";
import { EXPORT_SYMBOL } from "xenolith/linux/export";
import { nr_cpu_ids, smp_processor_id } from "xenolith/linux/smp";
import { TASK_UNINTERRUPTIBLE, current, io_schedule } from "xenolith/linux/sched";
import { finish_wait, prepare_to_wait_exclusive, wake_up, wake_up_nr } from "xenolith/linux/wait";
import { list_empty } from "xenolith/linux/list";
import { msleep } from "xenolith/linux/delay";
import {
  BLK_MQ_MAX_DEPTH,
  BLK_MQ_S_SCHED_RESTART,
  MQ_RQ_COMPLETE,
  MQ_RQ_IDLE,
  MQ_RQ_IN_FLIGHT,
  blk_mq_tags,
  request,
} from "xenolith/linux/blk-mq";
import type { blk_mq_hw_ctx, blk_mq_tag_set } from "xenolith/linux/blk-mq";
import type { request_queue } from "xenolith/linux/blkdev";
import type { Sleeps } from "xenolith/linux/sched";
import { blk_mq_run_hw_queue } from "./blk-mq-dispatch";

/** Visits a request; false ends the walk. */
type busy_tag_iter_fn = (rq: request, data: unknown) => boolean;

/** See the header. Linux: blk_mq_alloc_tag_set. */
export function blk_mq_alloc_tag_set(set: blk_mq_tag_set): number {
  if (set.nr_hw_queues <= 0 || set.queue_depth <= 0 || set.queue_depth > BLK_MQ_MAX_DEPTH) return -EINVAL;
  if (set.queue_depth < set.reserved_tags + 1 || set.ops === undefined || set.ops.queue_rq === undefined)
    return -EINVAL;
  if (set.nr_hw_queues > nr_cpu_ids()) set.nr_hw_queues = nr_cpu_ids();
  map_queues(set);
  const error = alloc_set_tags(set);
  if (error !== 0) free_set_tags(set, 0);
  return error;
}
EXPORT_SYMBOL(blk_mq_alloc_tag_set);

export function blk_mq_free_tag_set(set: blk_mq_tag_set): void {
  BUG_ON(!list_empty(set.tag_list));
  free_set_tags(set, 0);
}
EXPORT_SYMBOL(blk_mq_free_tag_set);

/** Spreads the CPUs over the hardware queues. */
export function map_queues(set: blk_mq_tag_set): void {
  set.map = new Int32Array(nr_cpu_ids());
  for (let cpu = 0; cpu < set.map.length; cpu++) set.map[cpu] = cpu % set.nr_hw_queues;
}

/** Makes the tags of hardware queues that have none yet. Every CPU's memory is one: depth is halved only if the driver cannot make its requests. */
export function alloc_set_tags(set: blk_mq_tag_set): number {
  for (let index = set.tags.length; index < set.nr_hw_queues; index++) {
    const tags = alloc_tags(set, index);
    if (typeof tags === "number") return tags;
    set.tags.push(tags);
  }
  return 0;
}

function alloc_tags(set: blk_mq_tag_set, index: number): blk_mq_tags | number {
  const tags = new blk_mq_tags(set.queue_depth, set.reserved_tags);
  for (let tag = 0; tag < tags.nr_tags; tag++) {
    const rq = make_request(set, index, tag);
    if (typeof rq === "number") {
      exit_requests(set, tags, index);
      return rq;
    }
    tags.static_rqs.push(rq);
    tags.rqs.push(rq);
  }
  // Last in, first out: the lowest tags are taken first, the reserved ones are the very lowest.
  for (let tag = tags.nr_tags - 1; tag >= 0; tag--) put_free(tags, tags.static_rqs[tag]);
  return tags;
}

/** Makes a request's tag free. */
export function put_free(tags: blk_mq_tags, rq: request): void {
  if (rq.internal_tag < tags.nr_reserved_tags) {
    rq.rq_next = tags.reserved_free;
    tags.reserved_free = rq;
  } else {
    rq.rq_next = tags.free;
    tags.free = rq;
  }
}

/** A request with the driver's object; also for flush requests, which have no tag of their own. */
export function make_request(set: blk_mq_tag_set, hctx_idx: number, tag: number): request | number {
  const rq = new request(tag);
  if (set.cmd_size !== null) rq.pdu = set.cmd_size();
  const init = set.ops.init_request;
  const error = init === undefined ? 0 : init(set, rq, hctx_idx, set.numa_node);
  return error === 0 ? rq : error === -ENOMEM ? -ENOMEM : error;
}

function exit_requests(set: blk_mq_tag_set, tags: blk_mq_tags, index: number): void {
  const exit = set.ops.exit_request;
  if (exit !== undefined) for (const rq of tags.static_rqs) exit(set, rq, index);
}

/** Frees the tags of the hardware queues from `first` on. */
export function free_set_tags(set: blk_mq_tag_set, first: number): void {
  for (let index = set.tags.length - 1; index >= first; index--) {
    exit_requests(set, set.tags[index], index);
    set.tags.pop();
  }
}

/** This CPU's hardware queue. */
export function current_hctx(q: request_queue): blk_mq_hw_ctx {
  return q.queue_ctx[smp_processor_id()].hctx;
}

/** Takes a tag and returns its request, or null. Linux: blk_mq_get_tag without waiting. */
export function blk_mq_get_tag(tags: blk_mq_tags): request | null {
  const rq = tags.free;
  if (rq !== null) tags.free = rq.rq_next;
  return rq;
}

/** The same from the reserved tags. */
export function blk_mq_get_reserved_tag(tags: blk_mq_tags): request | null {
  const rq = tags.reserved_free;
  if (rq !== null) tags.reserved_free = rq.rq_next;
  return rq;
}

/** Gives back a request's tag and wakes one that waits for it. */
export function blk_mq_put_tag(tags: blk_mq_tags, rq: request): void {
  put_free(tags, rq);
  if (tags.waiters > 0) wake_up(rq.internal_tag < tags.nr_reserved_tags ? tags.reserved_wait : tags.wait);
}

/** `count` tags of the hardware queue are free again: wakes as many that wait for one, and tries again what the driver refused. */
export function blk_mq_tags_freed(hctx: blk_mq_hw_ctx, count: number): void {
  const tags = hctx.tags;
  if (tags.waiters > 0) {
    wake_up_nr(tags.reserved_wait, count);
    wake_up_nr(tags.wait, count);
  }
  if ((hctx.state & BLK_MQ_S_SCHED_RESTART) === 0) return;
  hctx.state &= ~BLK_MQ_S_SCHED_RESTART;
  blk_mq_run_hw_queue(hctx, true);
}

/** Sleeps until this CPU's hardware queue has a free tag, or the queue refuses everybody. Linux: the slow part of blk_mq_get_tag. */
export function* blk_mq_wait_for_tag(q: request_queue, reserved: "normal" | "reserved"): Sleeps<void> {
  const hctx = current_hctx(q);
  const tags = hctx.tags;
  const wq = reserved === "normal" ? tags.wait : tags.reserved_wait;
  const entry = current().wait;
  const none = (): boolean => (reserved === "normal" ? tags.free : tags.reserved_free) === null;
  tags.waiters++;
  // What is queued must be with the driver before we wait for some of it to end.
  blk_mq_run_hw_queue(hctx, false);
  while (none() && q.mq_freeze_depth === 0 && !q.dying) {
    prepare_to_wait_exclusive(wq, entry, TASK_UNINTERRUPTIBLE);
    if (none()) yield* io_schedule();
    finish_wait(wq, entry);
  }
  tags.waiters--;
}

/** Whoever was woken for a tag and did not need it, or found more, wakes the next one. */
export function blk_mq_pass_on_tag(q: request_queue): void {
  const tags = current_hctx(q).tags;
  if (tags.waiters > 0 && tags.free !== null) wake_up(tags.wait);
}

export function blk_mq_tag_to_rq(tags: blk_mq_tags, tag: number): request | null {
  return tag >= 0 && tag < tags.nr_tags ? tags.rqs[tag] : null;
}
EXPORT_SYMBOL(blk_mq_tag_to_rq);

/** Visits started requests; false if the walk was ended. */
function iterate(tags: blk_mq_tags, q: request_queue | null, fn: busy_tag_iter_fn, priv: unknown): boolean {
  for (const rq of tags.rqs) {
    if (rq === null || rq.state === MQ_RQ_IDLE || (q !== null && rq.q !== q)) continue;
    if (!fn(rq, priv)) return false;
  }
  return true;
}

export function blk_mq_tagset_busy_iter(set: blk_mq_tag_set, fn: busy_tag_iter_fn, priv: unknown): void {
  for (const tags of set.tags) if (!iterate(tags, null, fn, priv)) return;
}
EXPORT_SYMBOL(blk_mq_tagset_busy_iter);

export function blk_mq_queue_tag_busy_iter(q: request_queue, fn: busy_tag_iter_fn, priv: unknown): void {
  if (q.tag_set === null) return;
  for (const tags of q.tag_set.tags) if (!iterate(tags, q, fn, priv)) return;
}
EXPORT_SYMBOL(blk_mq_queue_tag_busy_iter);

function count_in_state(set: blk_mq_tag_set, q: request_queue | null, state: number): number {
  let count = 0;
  const visit = (rq: request): boolean => {
    if (rq.state === state) count++;
    return true;
  };
  for (const tags of set.tags) iterate(tags, q, visit, null);
  return count;
}

export function blk_mq_queue_inflight(q: request_queue): number {
  return q.tag_set === null ? 0 : count_in_state(q.tag_set, q, MQ_RQ_IN_FLIGHT);
}
EXPORT_SYMBOL(blk_mq_queue_inflight);

export function* blk_mq_tagset_wait_completed_request(set: blk_mq_tag_set): Sleeps<void> {
  while (count_in_state(set, null, MQ_RQ_COMPLETE) > 0) yield* msleep(5);
}
EXPORT_SYMBOL(blk_mq_tagset_wait_completed_request);
