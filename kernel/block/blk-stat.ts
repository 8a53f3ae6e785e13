/** What /sys/block/DISK/stat counts: requests, sectors and times, of a disk and of its partitions. */
import { local_clock } from "xenolith/linux/ktime";
import { REQ_OP_DISCARD, REQ_OP_MASK } from "xenolith/linux/blk_types";
import type { blk_opf_t, block_device, disk_stats } from "xenolith/linux/blk_types";
import { RQF_FLUSH_SEQ } from "xenolith/linux/blk-mq";
import type { request } from "xenolith/linux/blk-mq";

/** Indices of the counters of disk_stats. */
export const STAT_READ = 0;
export const STAT_WRITE = 1;
export const STAT_DISCARD = 2;
export const STAT_FLUSH = 3;

/** The group that an operation is counted in. Linux: op_stat_group. */
export function op_stat_group(op: blk_opf_t): number {
  return (op & REQ_OP_MASK) === REQ_OP_DISCARD ? STAT_DISCARD : (op & 1) !== 0 ? STAT_WRITE : STAT_READ;
}

function begin(stats: disk_stats, direction: number, now: number): void {
  if (stats.in_flight[0] + stats.in_flight[1] === 0) stats.busy_since = now;
  stats.in_flight[direction]++;
}

function finish(stats: disk_stats, direction: number, group: number, took: number, now: number): void {
  stats.ios[group]++;
  stats.nsecs[group] += took;
  stats.in_flight[direction]--;
  if (stats.in_flight[0] + stats.in_flight[1] === 0) stats.io_nsecs += now - stats.busy_since;
}

/** A request begins. Linux: blk_account_io_start. */
export function blk_account_io_start(rq: request, part: block_device): void {
  const now = local_clock();
  rq.part = part;
  rq.start_time_ns = now;
  begin(part.bd_disk.part0.bd_stats, rq.cmd_flags & 1, now);
  if (part.bd_partno !== 0) begin(part.bd_stats, rq.cmd_flags & 1, now);
}

/** Bytes of a request ended well or badly. Linux: blk_account_io_completion. */
export function blk_account_io_completion(rq: request, bytes: number): void {
  const part = rq.part;
  if (part === null) return;
  const group = op_stat_group(rq.cmd_flags);
  part.bd_disk.part0.bd_stats.sectors[group] += bytes / 512;
  if (part.bd_partno !== 0) part.bd_stats.sectors[group] += bytes / 512;
}

/** A request ends; one of the flush machinery's only with its last step. Linux: blk_account_io_done. */
export function blk_account_io_done(rq: request): void {
  const part = rq.part;
  if (part === null || (rq.rq_flags & RQF_FLUSH_SEQ) !== 0) return;
  const now = local_clock();
  const group = op_stat_group(rq.cmd_flags);
  finish(part.bd_disk.part0.bd_stats, rq.cmd_flags & 1, group, now - rq.start_time_ns, now);
  if (part.bd_partno !== 0) finish(part.bd_stats, rq.cmd_flags & 1, group, now - rq.start_time_ns, now);
  rq.part = null;
}

/** A bio joined a request. Linux: blk_account_io_merge_bio. */
export function blk_account_io_merge(rq: request): void {
  const part = rq.part;
  if (part === null) return;
  const group = op_stat_group(rq.cmd_flags);
  part.bd_disk.part0.bd_stats.merges[group]++;
  if (part.bd_partno !== 0) part.bd_stats.merges[group]++;
}

/** A flush of the whole disk ended. Linux: blk_account_io_flush. */
export function blk_account_io_flush(disk_part0: block_device, took: number): void {
  disk_part0.bd_stats.ios[STAT_FLUSH]++;
  disk_part0.bd_stats.nsecs[STAT_FLUSH] += took;
}

function milliseconds(ns: number): number {
  return Math.floor(ns / 1_000_000);
}

/** The numbers of /sys/block/NAME/stat and /proc/diskstats, in their order. Times are in milliseconds. */
export function part_stat_fields(stats: disk_stats): number[] {
  const group = (at: number): number[] => [
    stats.ios[at],
    stats.merges[at],
    stats.sectors[at],
    milliseconds(stats.nsecs[at]),
  ];
  const all = stats.nsecs[STAT_READ] + stats.nsecs[STAT_WRITE] + stats.nsecs[STAT_DISCARD] + stats.nsecs[STAT_FLUSH];
  return [
    ...group(STAT_READ),
    ...group(STAT_WRITE),
    stats.in_flight[0] + stats.in_flight[1],
    milliseconds(stats.io_nsecs),
    milliseconds(all),
    ...group(STAT_DISCARD),
    stats.ios[STAT_FLUSH],
    milliseconds(stats.nsecs[STAT_FLUSH]),
  ];
}
