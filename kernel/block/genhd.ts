/**
 * Disks: making, registering, changing and taking away.
 *
 *   alloc -> device_add_disk: numbers, /sys, partition scan, uevents -> live
 *   del_gendisk: no new openers -> holders told, cache written -> dead: later bios fail -> partitions, /sys -> last request gone
 *
 * The disk's references are its device's (`part0.bd_device`); the last `put_disk` frees disk and queue.
 */
import { EINVAL } from "xenolith/linux/errno";
import { EXPORT_SYMBOL } from "xenolith/linux/export";
import { WARN_ON } from "xenolith/linux/kernel";
import { pr_info } from "xenolith/linux/printk";
import { KOBJ_ADD, KOBJ_CHANGE, kobject_uevent, kobject_uevent_env } from "xenolith/linux/kobject";
import { dev_set_name, device_add, device_del, device_initialize, put_device } from "xenolith/linux/device";
import { mutex_lock, mutex_unlock } from "xenolith/linux/mutex";
import { wake_up_all } from "xenolith/linux/wait";
import { MKDEV } from "xenolith/linux/types";
import { BLK_OPEN_READ } from "xenolith/linux/blk_types";
import {
  BLK_FEAT_IO_STAT,
  DISK_MAX_PARTS,
  GD_ADDED,
  GD_DEAD,
  GD_NEED_PART_SCAN,
  GD_OWNS_QUEUE,
  GD_READ_ONLY,
  GD_SUPPRESS_PART_SCAN,
  GENHD_FL_HIDDEN,
  GENHD_FL_NO_PART,
  QUEUE_FLAG_DYING,
  disk_live,
  gendisk,
  get_capacity,
  request_queue,
} from "xenolith/linux/blkdev";
import type { block_device } from "xenolith/linux/blk_types";
import type { queue_limits } from "xenolith/linux/blkdev";
import type { device } from "xenolith/linux/device";
import type { err_ptr } from "xenolith/linux/err";
import type { Sleeps } from "xenolith/linux/sched";
import type { attribute_group } from "xenolith/linux/sysfs";
import type { sector_t } from "xenolith/linux/types";
import { bdev_add, bdev_mark_dead, bdev_unhash, invalidate_bdev, sync_blockdev } from "./bdev";
import { BLOCK_EXT_MAJOR, blk_alloc_ext_minor, blk_free_ext_minor } from "./blk-majors";
import { blk_freeze_queue_start, blk_mq_freeze_queue_wait, blk_wake_tag_waiters } from "./blk-mq-freeze";
import { blk_queue_update_plain } from "./blk-mq-plain";
import { blk_mq_exit_queue, blk_mq_sync_queue } from "./blk-mq-queue";
import { blk_validate_limits } from "./blk-settings";
import {
  blk_register_queue,
  blk_unregister_queue,
  block_class,
  block_link,
  block_unlink,
  disk_groups,
} from "./blk-sysfs";
import { drop_partitions } from "./partitions/core";
import { disk_scan_partitions } from "./partitions/scan";

let disks_made = 0;

/** A disk around a queue that it owns. Linux: __alloc_disk_node. */
export function alloc_disk_of(q: request_queue): gendisk {
  const disk = new gendisk(q);
  disk.diskseq = ++disks_made;
  disk.state = 1 << GD_OWNS_QUEUE;
  q.disk = disk;
  device_initialize(disk.part0.bd_device);
  disk.part0.bd_device.class = block_class;
  disk.part0.bd_device.release = disk_release;
  return disk;
}

export function blk_alloc_disk(lim: queue_limits | null, _node: number): gendisk | err_ptr {
  const q = new request_queue();
  Object.assign(q.limits, lim ?? {});
  q.limits.features |= BLK_FEAT_IO_STAT;
  const error = blk_validate_limits(q.limits);
  return error !== 0 ? error : alloc_disk_of(q);
}
EXPORT_SYMBOL(blk_alloc_disk);

/** The last reference is gone. */
function disk_release(dev: device): void {
  const disk = (dev.container as block_device).bd_disk;
  blk_mq_exit_queue(disk.queue);
  disk.fops.free_disk?.(disk);
}

export function put_disk(disk: gendisk): void {
  put_device(disk.part0.bd_device);
}
EXPORT_SYMBOL(put_disk);

// Registering.

/** Gives the disk its numbers. A driver without a major of its own gets one number of the common extended major. */
function assign_numbers(disk: gendisk): number {
  if (disk.major !== 0) {
    if (WARN_ON(disk.minors === 0)) return -EINVAL;
    if (disk.minors > DISK_MAX_PARTS) disk.minors = DISK_MAX_PARTS;
    return WARN_ON(disk.first_minor + disk.minors > 1 << 20) ? -EINVAL : 0;
  }
  if (WARN_ON(disk.minors !== 0)) return -EINVAL;
  disk.major = BLOCK_EXT_MAJOR;
  disk.first_minor = blk_alloc_ext_minor();
  return 0;
}

/** See the header. Linux: device_add_disk. */
export function* device_add_disk(
  parent: device | null,
  disk: gendisk,
  groups: readonly attribute_group[] | null,
): Sleeps<number> {
  if (WARN_ON(disk_live(disk) || disk.disk_name === "")) return -EINVAL;
  let error = assign_numbers(disk);
  if (error !== 0) return error;
  const dev = disk.part0.bd_device;
  dev.parent = parent;
  dev.devt = MKDEV(disk.major, disk.first_minor);
  dev.groups = groups === null ? disk_groups : [...disk_groups, ...groups];
  dev_set_name(dev, "%s", disk.disk_name);
  dev.uevent_suppress = true;
  error = yield* device_add(dev);
  if (error !== 0) {
    release_numbers(disk);
    return error;
  }
  block_link(disk);
  blk_queue_update_plain(disk.queue);
  blk_register_queue(disk);
  yield* make_visible(disk);
  return 0;
}
EXPORT_SYMBOL(device_add_disk);

export function* add_disk(disk: gendisk): Sleeps<number> {
  return yield* device_add_disk(null, disk, null);
}
EXPORT_SYMBOL(add_disk);

/** From here on it can be opened; then its partitions are looked for, and everybody is told. */
function* make_visible(disk: gendisk): Sleeps<void> {
  const dev = disk.part0.bd_device;
  disk.state |= 1 << GD_ADDED;
  if ((disk.flags & GENHD_FL_HIDDEN) === 0) {
    bdev_add(disk.part0, dev.devt);
    if (get_capacity(disk) > 0 && disk_has_partscan(disk)) {
      disk.state |= 1 << GD_NEED_PART_SCAN;
      yield* disk_scan_partitions(disk, BLK_OPEN_READ);
    }
  }
  dev.uevent_suppress = false;
  disk_uevent(disk, KOBJ_ADD);
}

/** Whether partitions are looked for. */
export function disk_has_partscan(disk: gendisk): boolean {
  return (disk.flags & (GENHD_FL_NO_PART | GENHD_FL_HIDDEN)) === 0 && (disk.state & (1 << GD_SUPPRESS_PART_SCAN)) === 0;
}

/** One event for the disk and one for each partition that has sectors. */
function disk_uevent(disk: gendisk, action: number): void {
  for (const part of disk.part_tbl.values()) {
    if (part.bd_partno === 0 || part.bd_nr_sectors > 0) kobject_uevent(part.bd_device.kobj, action);
  }
}

// Taking away.

function release_numbers(disk: gendisk): void {
  if (disk.major === BLOCK_EXT_MAJOR) blk_free_ext_minor(disk.first_minor);
}

/** Lets no new request in. Linux: __blk_mark_disk_dead. */
function mark_dead(disk: gendisk): void {
  const q = disk.queue;
  if ((disk.state & (1 << GD_DEAD)) !== 0) return;
  disk.state |= 1 << GD_DEAD;
  if ((disk.state & (1 << GD_OWNS_QUEUE)) !== 0) {
    q.dying = true;
    q.queue_flags |= QUEUE_FLAG_DYING;
  }
  set_capacity(disk, 0);
  blk_freeze_queue_start(q);
  blk_wake_tag_waiters(q);
  // Whoever waits for a frozen queue fails now instead.
  wake_up_all(q.mq_freeze_wq);
}

export function blk_mark_disk_dead(disk: gendisk): void {
  mark_dead(disk);
  for (const part of disk.part_tbl.values()) bdev_mark_dead(part, true);
}
EXPORT_SYMBOL(blk_mark_disk_dead);

/** See the header. Linux: del_gendisk. */
export function* del_gendisk(disk: gendisk): Sleeps<void> {
  if (WARN_ON(!disk_live(disk))) return;
  yield* mutex_lock(disk.open_mutex);
  for (const part of disk.part_tbl.values()) bdev_unhash(part);
  mutex_unlock(disk.open_mutex);
  for (const part of [...disk.part_tbl.values()].reverse()) yield* give_up(part);
  yield* mutex_lock(disk.open_mutex);
  mark_dead(disk);
  yield* drop_partitions(disk);
  mutex_unlock(disk.open_mutex);
  blk_unregister_queue(disk);
  block_unlink(disk);
  disk.state &= ~(1 << GD_ADDED);
  yield* device_del(disk.part0.bd_device);
  release_numbers(disk);
  yield* blk_mq_freeze_queue_wait(disk.queue);
  if (disk.queue.mq_ops !== null) yield* blk_mq_sync_queue(disk.queue);
  blk_mq_exit_queue(disk.queue);
}
EXPORT_SYMBOL(del_gendisk);

/** Tells the holder that the device goes; without one, writes back and drops what is cached. Linux: bdev_mark_dead. */
function* give_up(part: block_device): Sleeps<void> {
  bdev_mark_dead(part, false);
  if (part.bd_holder_ops?.mark_dead === undefined && (part.bd_disk.state & (1 << GD_DEAD)) === 0) {
    yield* sync_blockdev(part);
  }
  invalidate_bdev(part);
}

// Size and policy.

export function set_capacity(disk: gendisk, size: sector_t): void {
  disk.part0.bd_nr_sectors = size;
}
EXPORT_SYMBOL(set_capacity);

export function set_capacity_and_notify(disk: gendisk, size: sector_t): boolean {
  const before = get_capacity(disk);
  set_capacity(disk, size);
  if (size === before || !disk_live(disk) || (disk.flags & GENHD_FL_HIDDEN) !== 0) return false;
  pr_info("%s: detected capacity change from %lld to %lld\n", disk.disk_name, before, size);
  // An empty drive that gets a medium, or loses it, is another kind of event.
  if (before === 0 || size === 0) return false;
  kobject_uevent_env(disk.part0.bd_device.kobj, KOBJ_CHANGE, ["RESIZE=1"]);
  return true;
}
EXPORT_SYMBOL(set_capacity_and_notify);

export function set_disk_ro(disk: gendisk, read_only: boolean): void {
  const bit = 1 << GD_READ_ONLY;
  if (((disk.state & bit) !== 0) === read_only) return;
  if (read_only) disk.state |= bit;
  else disk.state &= ~bit;
  if (disk_live(disk)) {
    kobject_uevent_env(disk.part0.bd_device.kobj, KOBJ_CHANGE, [read_only ? "DISK_RO=1" : "DISK_RO=0"]);
  }
}
EXPORT_SYMBOL(set_disk_ro);

/** Whether the queue is being torn down. */
export function blk_queue_dying(q: request_queue): boolean {
  return q.dying;
}
EXPORT_SYMBOL(blk_queue_dying);
