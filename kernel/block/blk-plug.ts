/**
 * Plugs: a task gathers the requests of one burst, so that neighbours merge and the driver learns which one is the last.
 *
 *   blk_start_plug -> bios ... -> blk_finish_plug, or 32 requests, or 128 KiB in one, or the task sleeps
 *
 * The plug is the task's (`current->plug`); an interrupt that submits uses the interrupted task's.
 */
import { EXPORT_SYMBOL } from "xenolith/linux/export";
import { current } from "xenolith/linux/sched";
import { BLK_MAX_REQUEST_COUNT, BLK_PLUG_FLUSH_SIZE } from "xenolith/linux/blkdev";
import type { bio } from "xenolith/linux/blk_types";
import type { blk_plug, request_queue } from "xenolith/linux/blkdev";
import { rq_list_add_tail, type request } from "xenolith/linux/blk-mq";
import { blk_attempt_bio_merge } from "./blk-merge";
import { blk_mq_flush_plug_list } from "./blk-mq-dispatch";
import { blk_account_io_merge } from "./blk-stat";

export function blk_start_plug(plug: blk_plug): void {
  const task = current();
  // An outer plug gathers for us as well.
  if (task.plug !== null) return;
  plug.mq_list.head = null;
  plug.mq_list.tail = null;
  plug.rq_count = 0;
  plug.multiple_queues = false;
  task.plug = plug;
}
EXPORT_SYMBOL(blk_start_plug);

export function blk_finish_plug(plug: blk_plug): void {
  const task = current();
  if (task.plug !== plug) return;
  blk_flush_plug(plug, false);
  task.plug = null;
}
EXPORT_SYMBOL(blk_finish_plug);

export function blk_flush_plug(plug: blk_plug, from_schedule: boolean): void {
  // Sending may complete requests and thereby gather new ones.
  while (plug.mq_list.head !== null) blk_mq_flush_plug_list(plug, from_schedule);
}
EXPORT_SYMBOL(blk_flush_plug);

/** Gathers a request; sends all of them first when there are enough. Linux: blk_add_rq_to_plug. */
export function blk_plug_add(plug: blk_plug, rq: request): void {
  const last = plug.mq_list.tail;
  if (last !== null && (plug.rq_count >= BLK_MAX_REQUEST_COUNT || last.__data_len >= BLK_PLUG_FLUSH_SIZE)) {
    blk_mq_flush_plug_list(plug, false);
  }
  const tail = plug.mq_list.tail;
  if (tail !== null && tail.mq_hctx !== rq.mq_hctx) plug.multiple_queues = true;
  rq_list_add_tail(plug.mq_list, rq);
  plug.rq_count++;
}

/** Whether the last gathered request of this queue took the bio in. Linux: blk_attempt_plug_merge. */
export function blk_attempt_plug_merge(plug: blk_plug, q: request_queue, bio: bio, segments: number): boolean {
  let rq = plug.mq_list.tail;
  if (rq !== null && rq.q !== q) rq = plug.multiple_queues ? last_of_queue(plug, q) : null;
  if (rq === null || !blk_attempt_bio_merge(rq, bio, segments)) return false;
  blk_account_io_merge(rq);
  return true;
}

function last_of_queue(plug: blk_plug, q: request_queue): request | null {
  let found: request | null = null;
  for (let rq = plug.mq_list.head; rq !== null; rq = rq.rq_next) if (rq.q === q) found = rq;
  return found;
}
