/** /sys/block: the disk's and partitions' attributes, the queue's limits, and the hardware queues. */
import { EINVAL } from "xenolith/linux/errno";
import { kobject_init_and_add, kobject_del, kobject_create_and_add } from "xenolith/linux/kobject";
import { DEVICE_ATTR_RO, class_, class_register } from "xenolith/linux/device";
import { kstrtouint, strim } from "xenolith/linux/string";
import { subsys_initcall } from "xenolith/linux/init";
import { sysfs_create_link, sysfs_emit, sysfs_remove_link } from "xenolith/linux/sysfs";
import {
  BLK_FEAT_ADD_RANDOM,
  BLK_FEAT_FUA,
  BLK_FEAT_IO_STAT,
  BLK_FEAT_ROTATIONAL,
  BLK_FEAT_STABLE_WRITES,
  BLK_FLAG_WRITE_CACHE_DISABLED,
  BLK_FEAT_WRITE_CACHE,
  DISK_MAX_PARTS,
  GENHD_FL_HIDDEN,
  GENHD_FL_NO_PART,
  GENHD_FL_REMOVABLE,
  bdev_discard_alignment,
  bdev_read_only,
  blk_queue_write_cache_enabled,
} from "xenolith/linux/blkdev";
import type { block_device } from "xenolith/linux/blk_types";
import type { gendisk, request_queue } from "xenolith/linux/blkdev";
import type { device, device_attribute } from "xenolith/linux/device";
import type { kobj_attribute, kobj_type, kobject } from "xenolith/linux/kobject";
import type { attribute_group, sysfs_buf } from "xenolith/linux/sysfs";
import { in_flight, part_stat_fields } from "./blk-stat";

/** "block": every disk and partition, in /sys/class/block. */
export const block_class = new class_("block");
/** /sys/block, with a link for each disk. */
let block_depr: kobject | null = null;

function genhd_device_init(): number {
  block_class.dev_uevent = (dev, env) => {
    const bdev = bdev_of(dev);
    env.envp.push(`DEVTYPE=${bdev.bd_partno === 0 ? "disk" : "partition"}`);
    env.envp.push(`DISKSEQ=${bdev.bd_disk.diskseq}`);
    if (bdev.bd_partno !== 0) env.envp.push(`PARTN=${bdev.bd_partno}`);
    return 0;
  };
  const error = class_register(block_class);
  block_depr = kobject_create_and_add("block", null);
  return error;
}
subsys_initcall(genhd_device_init);

/** /sys/block/NAME. */
export function block_link(disk: gendisk): void {
  const dev = disk.part0.bd_device;
  if (block_depr !== null && (disk.flags & GENHD_FL_HIDDEN) === 0) {
    sysfs_create_link(block_depr, dev.kobj, disk.disk_name);
  }
}

export function block_unlink(disk: gendisk): void {
  if (block_depr !== null && (disk.flags & GENHD_FL_HIDDEN) === 0) sysfs_remove_link(block_depr, disk.disk_name);
}

// Disks and partitions.

function bdev_of(dev: device): block_device {
  return dev.container as block_device;
}

/** A read-only attribute that is one number or word of the device. */
function bdev_attr(name: string, value: (bdev: block_device) => number | string): device_attribute {
  return DEVICE_ATTR_RO(name, (dev, _attr, buf) => sysfs_emit(buf, "%s\n", String(value(bdev_of(dev)))));
}

/** The line of /sys/block/NAME/stat. Linux: part_stat_show. */
function stat_show(dev: device, _attr: device_attribute, buf: sysfs_buf): number {
  const fields = part_stat_fields(bdev_of(dev));
  return sysfs_emit(buf, "%s\n", fields.map((field) => String(field).padStart(8)).join(" "));
}

const common_attrs: readonly device_attribute[] = [
  bdev_attr("size", (bdev) => bdev.bd_nr_sectors),
  bdev_attr("ro", (bdev) => Number(bdev_read_only(bdev))),
  bdev_attr("alignment_offset", (bdev) => bdev.bd_queue.limits.alignment_offset),
  bdev_attr("discard_alignment", (bdev) => bdev_discard_alignment(bdev)),
  DEVICE_ATTR_RO("stat", stat_show),
  DEVICE_ATTR_RO("inflight", (dev, _attr, buf) => {
    const [reads, writes] = in_flight(bdev_of(dev));
    return sysfs_emit(buf, "%8u %8u\n", reads, writes);
  }),
];

/** Attributes of a whole disk. */
export const disk_groups: readonly attribute_group[] = [
  {
    attrs: [
      ...common_attrs,
      bdev_attr("range", ({ bd_disk }) => bd_disk.minors),
      bdev_attr("ext_range", ({ bd_disk }) => ((bd_disk.flags & GENHD_FL_NO_PART) !== 0 ? 1 : DISK_MAX_PARTS)),
      bdev_attr("removable", ({ bd_disk }) => Number((bd_disk.flags & GENHD_FL_REMOVABLE) !== 0)),
      bdev_attr("hidden", ({ bd_disk }) => Number((bd_disk.flags & GENHD_FL_HIDDEN) !== 0)),
      bdev_attr("capability", () => 0),
      bdev_attr("diskseq", ({ bd_disk }) => bd_disk.diskseq),
    ],
  },
];

/** Attributes of a partition. */
export const part_groups: readonly attribute_group[] = [
  {
    attrs: [
      ...common_attrs,
      bdev_attr("partition", (bdev) => bdev.bd_partno),
      bdev_attr("start", (bdev) => bdev.bd_start_sect),
    ],
  },
];

// The queue.

function queue_of(kobj: kobject): request_queue {
  return (kobj.container as gendisk).queue;
}

/** A read-only attribute of the queue. */
function queue_attr(name: string, value: (q: request_queue) => number | string): kobj_attribute {
  return { name, mode: 0o444, show: (kobj, _attr, buf) => sysfs_emit(buf, "%s\n", String(value(queue_of(kobj)))) };
}

/** An attribute of the queue that can be written; `store` returns 0 or a negative errno. */
function queue_attr_rw(
  name: string,
  value: (q: request_queue) => number | string,
  store: (q: request_queue, text: string) => number,
): kobj_attribute {
  return {
    ...queue_attr(name, value),
    mode: 0o644,
    store(kobj, _attr, text, count) {
      const error = store(queue_of(kobj), strim(text));
      return error !== 0 ? error : count;
    },
  };
}

function has(q: request_queue, feature: number): number {
  return Number((q.limits.features & feature) !== 0);
}

/** Linux: queue_max_sectors_store. */
function store_max_sectors(q: request_queue, text: string): number {
  const kib = { value: 0 };
  const error = kstrtouint(text, 10, kib);
  if (error !== 0) return error;
  const lim = q.limits;
  const sectors = kib.value * 2;
  if (sectors > lim.max_hw_sectors || kib.value < 4) return -EINVAL;
  lim.max_user_sectors = sectors;
  lim.max_sectors = sectors - (sectors % (lim.logical_block_size / 512));
  return 0;
}

function store_write_cache(q: request_queue, text: string): number {
  if (text === "write back") {
    if ((q.limits.features & BLK_FEAT_WRITE_CACHE) === 0) return -EINVAL;
    q.limits.flags &= ~BLK_FLAG_WRITE_CACHE_DISABLED;
  } else if (text === "write through" || text === "none") q.limits.flags |= BLK_FLAG_WRITE_CACHE_DISABLED;
  else return -EINVAL;
  return 0;
}

function store_nomerges(q: request_queue, text: string): number {
  const value = { value: 0 };
  const error = kstrtouint(text, 10, value);
  if (error === 0) q.nomerges = value.value !== 0;
  return error;
}

/** Bytes of a number of sectors. */
function bytes(sectors: number): number {
  return sectors * 512;
}

const queue_attrs: readonly kobj_attribute[] = [
  queue_attr("add_random", (q) => has(q, BLK_FEAT_ADD_RANDOM)),
  queue_attr("chunk_sectors", (q) => q.limits.chunk_sectors),
  queue_attr("dax", () => 0),
  queue_attr("discard_granularity", (q) => q.limits.discard_granularity),
  queue_attr("discard_max_bytes", (q) => bytes(q.limits.max_discard_sectors)),
  queue_attr("discard_max_hw_bytes", (q) => bytes(q.limits.max_hw_discard_sectors)),
  queue_attr("discard_zeroes_data", () => 0),
  queue_attr("dma_alignment", (q) => q.limits.dma_alignment),
  queue_attr("fua", (q) => has(q, BLK_FEAT_FUA)),
  queue_attr("hw_sector_size", (q) => q.limits.logical_block_size),
  queue_attr("io_poll", () => 0),
  queue_attr("io_poll_delay", () => -1),
  queue_attr("iostats", (q) => has(q, BLK_FEAT_IO_STAT)),
  queue_attr("logical_block_size", (q) => q.limits.logical_block_size),
  queue_attr("max_discard_segments", (q) => q.limits.max_discard_segments),
  queue_attr("max_hw_sectors_kb", (q) => Math.floor(q.limits.max_hw_sectors / 2)),
  queue_attr("max_integrity_segments", () => 0),
  queue_attr_rw("max_sectors_kb", (q) => Math.floor(q.limits.max_sectors / 2), store_max_sectors),
  queue_attr("max_segment_size", (q) => q.limits.max_segment_size),
  queue_attr("max_segments", (q) => q.limits.max_segments),
  queue_attr("minimum_io_size", (q) => q.limits.io_min),
  queue_attr_rw("nomerges", (q) => Number(q.nomerges), store_nomerges),
  queue_attr("nr_requests", (q) => q.nr_requests),
  queue_attr("nr_zones", () => 0),
  queue_attr("optimal_io_size", (q) => q.limits.io_opt),
  queue_attr("physical_block_size", (q) => q.limits.physical_block_size),
  queue_attr("read_ahead_kb", () => 128),
  queue_attr("rotational", (q) => has(q, BLK_FEAT_ROTATIONAL)),
  queue_attr("rq_affinity", () => 1),
  queue_attr("scheduler", () => "[none]"),
  queue_attr("stable_writes", (q) => has(q, BLK_FEAT_STABLE_WRITES)),
  queue_attr("virt_boundary_mask", (q) => q.limits.virt_boundary_mask),
  queue_attr_rw(
    "write_cache",
    (q) => (blk_queue_write_cache_enabled(q) ? "write back" : "write through"),
    store_write_cache,
  ),
  queue_attr("write_same_max_bytes", () => 0),
  queue_attr("write_zeroes_max_bytes", (q) => bytes(q.limits.max_write_zeroes_sectors)),
  queue_attr("zone_append_max_bytes", () => 0),
  queue_attr("zone_write_granularity", () => 0),
  queue_attr("zoned", () => "none"),
];

const blk_queue_ktype: kobj_type = { default_groups: [{ attrs: queue_attrs }] };

/** One directory per hardware queue: /sys/block/NAME/mq/N. */
function hctx_groups(q: request_queue): attribute_group[] {
  return q.queue_hw_ctx.map((hctx) => ({
    name: String(hctx.queue_num),
    attrs: [
      hctx_attr("nr_tags", () => hctx.tags.nr_tags),
      hctx_attr("nr_reserved_tags", () => hctx.tags.nr_reserved_tags),
      hctx_attr("cpu_list", () => hctx.ctxs.map((ctx) => ctx.cpu).join(", ")),
    ],
  }));
}

function hctx_attr(name: string, value: () => number | string): kobj_attribute {
  return { name, mode: 0o444, show: (_kobj, _attr, buf) => sysfs_emit(buf, "%s\n", String(value())) };
}

/** Makes /sys/block/NAME/queue and mq. Linux: blk_register_queue. */
export function blk_register_queue(disk: gendisk): void {
  const parent = disk.part0.bd_device.kobj;
  kobject_init_and_add(disk.queue_kobj, blk_queue_ktype, parent, "queue");
  if (disk.queue.mq_ops === null) return;
  kobject_init_and_add(disk.mq_kobj, { default_groups: hctx_groups(disk.queue) }, parent, "mq");
}

export function blk_unregister_queue(disk: gendisk): void {
  if (disk.queue.mq_ops !== null) kobject_del(disk.mq_kobj);
  kobject_del(disk.queue_kobj);
}
