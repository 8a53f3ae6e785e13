/** Partitions as devices: adding, dropping, and their files in /sys. */
import { dev_set_name, device_add, device_del, device_initialize, put_device } from "xenolith/linux/device";
import { MKDEV } from "xenolith/linux/types";
import { block_device } from "xenolith/linux/blk_types";
import { bdev_name } from "xenolith/linux/blkdev";
import type { partition_meta_info } from "xenolith/linux/blk_types";
import type { gendisk } from "xenolith/linux/blkdev";
import type { Sleeps } from "xenolith/linux/sched";
import type { dev_t, sector_t } from "xenolith/linux/types";
import { bdev_add, bdev_unhash, invalidate_bdev } from "../bdev";
import { BLOCK_EXT_MAJOR, blk_alloc_ext_minor, blk_free_ext_minor } from "../blk-majors";
import { block_class, part_groups } from "../blk-sysfs";

/** The partition's number: one of the disk's minors, or one of the extended major's. */
function part_devt(disk: gendisk, partno: number): dev_t {
  if (partno < disk.minors) return MKDEV(disk.major, disk.first_minor + partno);
  return MKDEV(BLOCK_EXT_MAJOR, blk_alloc_ext_minor());
}

/** Adds partition `partno`. 0 or a negative errno. Linux: add_partition. */
export function* add_partition(
  disk: gendisk,
  partno: number,
  start: sector_t,
  len: sector_t,
  info: partition_meta_info | null,
): Sleeps<number> {
  const part = new block_device(disk, disk.queue, partno);
  part.bd_start_sect = start;
  part.bd_nr_sectors = len;
  part.bd_meta_info = info;
  const dev = part.bd_device;
  device_initialize(dev);
  dev.class = block_class;
  dev.parent = disk.part0.bd_device;
  dev.groups = part_groups;
  dev.devt = part_devt(disk, partno);
  dev.uevent_suppress = disk.part0.bd_device.uevent_suppress;
  dev_set_name(dev, "%s", bdev_name(part));
  const error = yield* device_add(dev);
  if (error !== 0) {
    free_devt(disk, partno, dev.devt);
    put_device(dev);
    return error;
  }
  dev.uevent_suppress = false;
  disk.part_tbl.set(partno, part);
  bdev_add(part, dev.devt);
  return 0;
}

function free_devt(disk: gendisk, partno: number, devt: dev_t): void {
  if (partno >= disk.minors) blk_free_ext_minor(devt % 0x100000);
}

/** Takes one partition away. Linux: drop_partition. */
function* drop_partition(part: block_device): Sleeps<void> {
  const disk = part.bd_disk;
  bdev_unhash(part);
  invalidate_bdev(part);
  disk.part_tbl.delete(part.bd_partno);
  yield* device_del(part.bd_device);
  free_devt(disk, part.bd_partno, part.bd_device.devt);
  put_device(part.bd_device);
}

/** Takes all partitions away. The disk's open_mutex is held. */
export function* drop_partitions(disk: gendisk): Sleeps<void> {
  for (const part of [...disk.part_tbl.values()]) if (part.bd_partno !== 0) yield* drop_partition(part);
}
