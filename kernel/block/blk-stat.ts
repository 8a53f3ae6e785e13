/**
 * What /sys/block/DISK/stat counts: requests, sectors and times, of a disk and of its partitions.
 *
 * All of it is done when a request ends, so that its start costs one clock value. The time that something was in flight is the sum, over the
 * ends, of what passed since the end before or since the request's own start, whichever is later; Linux's number is an estimate as well.
 */
import { local_clock } from "xenolith/linux/ktime";
import { REQ_OP_DISCARD, REQ_OP_MASK } from "xenolith/linux/blk_types";
import { MQ_RQ_IN_FLIGHT, RQF_FLUSH_SEQ, blk_mq_queue_tag_busy_iter } from "xenolith/linux/blk-mq";
import type { blk_opf_t, block_device, disk_stats } from "xenolith/linux/blk_types";
import type { request } from "xenolith/linux/blk-mq";

/** Indices of the counters of disk_stats. */
export const STAT_READ = 0;
export const STAT_WRITE = 1;
export const STAT_DISCARD = 2;
export const STAT_FLUSH = 3;

/** The group that an operation is counted in. Linux: op_stat_group. */
export function op_stat_group(op: blk_opf_t): number {
  return (op & REQ_OP_MASK) === REQ_OP_DISCARD ? STAT_DISCARD : op & 1;
}

function count(stats: disk_stats, group: number, started: number, now: number): void {
  stats.ios[group]++;
  stats.nsecs[group] += now - started;
  stats.io_nsecs += now - (stats.stamp_ns > started ? stats.stamp_ns : started);
  stats.stamp_ns = now;
}

/** A request ends as a whole, in one step: completion and end. */
export function blk_account_io_whole(rq: request, part: block_device, sectors: number): void {
  const now = local_clock();
  const op = rq.cmd_flags & REQ_OP_MASK;
  const group = op <= STAT_WRITE ? op : op_stat_group(op);
  const stats = part.bd_stats;
  stats.sectors[group] += sectors;
  count(stats, group, rq.start_time_ns, now);
  rq.part = null;
  if (part.bd_partno === 0) return;
  const disk_stats = part.bd_disk.part0.bd_stats;
  disk_stats.sectors[group] += sectors;
  count(disk_stats, group, rq.start_time_ns, now);
}

/** Requests of one kind end together, as a whole; `started` is the sum of the times at which they began, `first` that of the first. */
export function blk_account_io_batch(
  part: block_device,
  op: blk_opf_t,
  ios: number,
  bytes: number,
  started: number,
  first: number,
  now: number,
): void {
  const group = op_stat_group(op);
  count_batch(part.bd_stats, group, ios, bytes, started, first, now);
  if (part.bd_partno !== 0) count_batch(part.bd_disk.part0.bd_stats, group, ios, bytes, started, first, now);
}

function count_batch(
  stats: disk_stats,
  group: number,
  ios: number,
  bytes: number,
  started: number,
  first: number,
  now: number,
): void {
  stats.ios[group] += ios;
  stats.sectors[group] += bytes / 512;
  stats.nsecs[group] += now * ios - started;
  stats.io_nsecs += now - (stats.stamp_ns > first ? stats.stamp_ns : first);
  stats.stamp_ns = now;
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
  count(part.bd_disk.part0.bd_stats, group, rq.start_time_ns, now);
  if (part.bd_partno !== 0) count(part.bd_stats, group, rq.start_time_ns, now);
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

/** Requests with the driver, reads and writes: of one partition, or of the whole disk. Linux: blk_mq_in_flight_rw. */
export function in_flight(bdev: block_device): [number, number] {
  const found: [number, number] = [0, 0];
  const visit = (rq: request): boolean => {
    if (rq.state === MQ_RQ_IN_FLIGHT && (bdev.bd_partno === 0 || rq.part === bdev)) found[rq.cmd_flags & 1]++;
    return true;
  };
  blk_mq_queue_tag_busy_iter(bdev.bd_queue, visit, null);
  return found;
}

function milliseconds(ns: number): number {
  return Math.floor(ns / 1_000_000);
}

/** The numbers of /sys/block/NAME/stat and /proc/diskstats, in their order. Times are in milliseconds. */
export function part_stat_fields(bdev: block_device): number[] {
  const stats = bdev.bd_stats;
  const group = (at: number): number[] => [
    stats.ios[at],
    stats.merges[at],
    stats.sectors[at],
    milliseconds(stats.nsecs[at]),
  ];
  const [reads, writes] = in_flight(bdev);
  const all = stats.nsecs[STAT_READ] + stats.nsecs[STAT_WRITE] + stats.nsecs[STAT_DISCARD] + stats.nsecs[STAT_FLUSH];
  return [
    ...group(STAT_READ),
    ...group(STAT_WRITE),
    reads + writes,
    milliseconds(stats.io_nsecs),
    milliseconds(all),
    ...group(STAT_DISCARD),
    stats.ios[STAT_FLUSH],
    milliseconds(stats.nsecs[STAT_FLUSH]),
  ];
}
