/** Looking for partitions: the readers in their order, then devices for what they found. */
import { EBUSY, EINVAL } from "xenolith/linux/errno";
import { EXPORT_SYMBOL } from "xenolith/linux/export";
import { pr_info, pr_warn } from "xenolith/linux/printk";
import { BLK_OPEN_EXCL } from "xenolith/linux/blk_types";
import { GD_NEED_PART_SCAN, disk_live, get_capacity } from "xenolith/linux/blkdev";
import type { blk_mode_t } from "xenolith/linux/blk_types";
import type { gendisk } from "xenolith/linux/blkdev";
import type { Sleeps } from "xenolith/linux/sched";
import { bdev_open, bdev_release, invalidate_bdev, sync_blockdev } from "../bdev";
import { disk_has_partscan } from "../genhd";
import { parsed_partitions } from "./check";
import type { parsed_partition } from "./check";
import { add_partition, drop_partitions } from "./core";
import { efi_partition } from "./efi";
import { msdos_partition } from "./msdos";
import { other_partition } from "./other";

/** In the order of asking; a GPT must come before the MBR that protects it. */
const readers = [efi_partition, msdos_partition, other_partition];

/** See the header. Linux: disk_scan_partitions. */
export function* disk_scan_partitions(disk: gendisk, mode: blk_mode_t): Sleeps<number> {
  if (!disk_has_partscan(disk) || !disk_live(disk)) return -EINVAL;
  if (disk.open_partitions > 0) return -EBUSY;
  disk.state |= 1 << GD_NEED_PART_SCAN;
  const how = mode & ~BLK_OPEN_EXCL;
  const error = yield* bdev_open(disk.part0, how, null, null);
  if (error === 0) yield* bdev_release(disk.part0, how, null);
  disk.state &= ~(1 << GD_NEED_PART_SCAN);
  return error;
}
EXPORT_SYMBOL(disk_scan_partitions);

/** Drops the partitions that there were and adds those that there are. The disk's open_mutex is held. Linux: bdev_disk_changed. */
export function* bdev_disk_changed(disk: gendisk, invalidate: boolean): Sleeps<number> {
  if (!disk_live(disk)) return -EINVAL;
  if (disk.open_partitions > 0) return -EBUSY;
  yield* sync_blockdev(disk.part0);
  invalidate_bdev(disk.part0);
  yield* drop_partitions(disk);
  disk.state &= ~(1 << GD_NEED_PART_SCAN);
  if (invalidate) yield* sync_blockdev(disk.part0);
  if (get_capacity(disk) > 0 && disk_has_partscan(disk)) yield* blk_add_partitions(disk);
  return 0;
}

/** Linux: blk_add_partitions and check_partition. */
function* blk_add_partitions(disk: gendisk): Sleeps<void> {
  const state = new parsed_partitions(disk.part0, disk.disk_name);
  let found = 0;
  for (const reader of readers) {
    found = yield* reader(state);
    if (found !== 0) break;
  }
  if (found <= 0) {
    if (state.io_error !== 0) pr_warn(" %s: unable to read partition table\n", disk.disk_name);
    return;
  }
  pr_info("%s\n", partition_line(state));
  for (const [number, part] of state.parts) yield* blk_add_partition(disk, number, part);
}

/** " xvda: xvda1 xvda2 < xvda5 >". */
function partition_line(state: parsed_partitions): string {
  const name = state.bdev.bd_disk.disk_name;
  const last = name.charCodeAt(name.length - 1);
  const separator = last >= 48 && last <= 57 ? "p" : "";
  return state.line.replace(/ p(\d+)/g, ` ${name}${separator}$1`);
}

/** Adds what lies on the disk, cut to its end. Linux: blk_add_partition. */
function* blk_add_partition(disk: gendisk, number: number, part: parsed_partition): Sleeps<void> {
  const capacity = get_capacity(disk);
  let size = part.size;
  if (size === 0) return;
  if (part.from >= capacity) {
    pr_warn("%s: p%d start %llu is beyond EOD, ignored\n", disk.disk_name, number, part.from);
    return;
  }
  if (part.from + size > capacity) {
    pr_warn("%s: p%d size %llu extends beyond EOD, truncated\n", disk.disk_name, number, size);
    size = capacity - part.from;
  }
  const error = yield* add_partition(disk, number, part.from, size, part.info);
  if (error !== 0) pr_warn(" %s: p%d could not be added: %d\n", disk.disk_name, number, -error);
}
