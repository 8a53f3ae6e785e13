/**
 * Block devices: finding one by number or name, opening, holding, closing, and the hook to the page cache.
 *
 * `open_mutex` of the disk is held around everything that changes its open counts, as on Linux.
 */
import { EACCES, EBUSY, EINVAL, ENOENT, ENOTTY, ENXIO } from "xenolith/linux/errno";
import { BUG_ON } from "xenolith/linux/kernel";
import { EXPORT_SYMBOL } from "xenolith/linux/export";
import { file } from "xenolith/linux/fs";
import { module_put, try_module_get } from "xenolith/linux/module";
import { mutex_lock, mutex_unlock } from "xenolith/linux/mutex";
import { get_device, put_device } from "xenolith/linux/device";
import { HDIO_GETGEO } from "xenolith/linux/hdreg";
import { BLK_OPEN_EXCL, BLK_OPEN_WRITE } from "xenolith/linux/blk_types";
import { GD_NEED_PART_SCAN, bdev_name, bdev_read_only, disk_live } from "xenolith/linux/blkdev";
import type { blk_mode_t, block_device } from "xenolith/linux/blk_types";
import type { bdev_cache_operations, blk_holder_ops } from "xenolith/linux/blkdev";
import type { err_ptr } from "xenolith/linux/err";
import type { hd_geometry } from "xenolith/linux/hdreg";
import type { Sleeps } from "xenolith/linux/sched";
import type { Ptr, dev_t } from "xenolith/linux/types";
import { bdev_disk_changed } from "./partitions/scan";

/** Registered devices by number, in order of registration. */
const bdevs = new Map<dev_t, block_device>();

/** Stands in the whole disk's bd_holder while one of its partitions is held. */
const bd_may_claim = { name: "bd_may_claim" };

let cache: bdev_cache_operations | null = null;

// The page cache.

export function register_bdev_cache(ops: bdev_cache_operations): void {
  cache = ops;
}
EXPORT_SYMBOL(register_bdev_cache);

export function* sync_blockdev(bdev: block_device): Sleeps<number> {
  return cache === null ? 0 : yield* cache.sync(bdev);
}
EXPORT_SYMBOL(sync_blockdev);

export function invalidate_bdev(bdev: block_device): void {
  if (cache !== null) cache.invalidate(bdev);
}
EXPORT_SYMBOL(invalidate_bdev);

// The table of devices.

/** Makes a device findable. */
export function bdev_add(bdev: block_device, dev: dev_t): void {
  bdev.bd_dev = dev;
  bdevs.set(dev, bdev);
}

/** Nobody finds it any more. */
export function bdev_unhash(bdev: block_device): void {
  if (bdevs.get(bdev.bd_dev) === bdev) bdevs.delete(bdev.bd_dev);
}

export function blkdev_get_no_open(dev: dev_t): block_device | null {
  return bdevs.get(dev) ?? null;
}
EXPORT_SYMBOL(blkdev_get_no_open);

export function all_bdevs(): readonly block_device[] {
  return [...bdevs.values()];
}
EXPORT_SYMBOL(all_bdevs);

export function lookup_bdev(pathname: string, dev: Ptr<dev_t>): number {
  const name = pathname.startsWith("/dev/") ? pathname.slice(5) : pathname;
  for (const bdev of bdevs.values()) {
    if (bdev_name(bdev) !== name) continue;
    dev.value = bdev.bd_dev;
    return 0;
  }
  return -ENOENT;
}
EXPORT_SYMBOL(lookup_bdev);

/** The device is gone, or about to go: its holder hears of it. Linux: bdev_mark_dead. */
export function bdev_mark_dead(bdev: block_device, surprise: boolean): void {
  bdev.bd_holder_ops?.mark_dead?.(bdev, surprise);
}

// Holding.

function whole(bdev: block_device): block_device {
  return bdev.bd_disk.part0;
}

/** Whether `holder` may have the device for itself. Linux: bd_may_claim. */
function may_claim(bdev: block_device, holder: unknown, hops: blk_holder_ops | null): boolean {
  if (bdev.bd_holder !== null) return bdev.bd_holder === holder && bdev.bd_holder_ops === hops;
  const disk = whole(bdev);
  return disk === bdev || disk.bd_holder === null || disk.bd_holder === bd_may_claim;
}

function claim(bdev: block_device, holder: unknown, hops: blk_holder_ops | null): void {
  const disk = whole(bdev);
  if (disk !== bdev) disk.bd_holder = bd_may_claim;
  disk.bd_holders++;
  if (disk !== bdev) bdev.bd_holders++;
  bdev.bd_holder = holder;
  bdev.bd_holder_ops = hops;
}

function unclaim(bdev: block_device): void {
  const disk = whole(bdev);
  BUG_ON(bdev.bd_holder === null);
  if (--disk.bd_holders === 0) disk.bd_holder = null;
  if (disk !== bdev) bdev.bd_holders--;
  if (bdev.bd_holders > 0) return;
  bdev.bd_holder = null;
  bdev.bd_holder_ops = null;
}

// Opening and closing.

/** The driver's open and the first look at the partition table. Linux: blkdev_get_whole. */
function* get_whole(bdev: block_device, mode: blk_mode_t): Sleeps<number> {
  const disk = bdev.bd_disk;
  const opened = disk.fops.open === undefined ? 0 : disk.fops.open(disk, mode);
  const error = typeof opened === "number" ? opened : yield* opened;
  if (error !== 0) return error;
  bdev.bd_openers++;
  if ((disk.state & (1 << GD_NEED_PART_SCAN)) !== 0) yield* bdev_disk_changed(disk, false);
  return 0;
}

/** Nobody has it open any more: what is dirty is written, and nothing stays cached. Linux: blkdev_flush_mapping. */
function* flush_mapping(bdev: block_device): Sleeps<void> {
  yield* sync_blockdev(bdev);
  invalidate_bdev(bdev);
}

function* put_whole(bdev: block_device): Sleeps<void> {
  const disk = bdev.bd_disk;
  BUG_ON(bdev.bd_openers <= 0);
  if (--bdev.bd_openers === 0) yield* flush_mapping(bdev);
  const released = disk.fops.release?.(disk);
  if (typeof released === "object") yield* released;
}

/** A partition keeps its disk open as well. Linux: blkdev_get_part. */
function* get_part(bdev: block_device, mode: blk_mode_t): Sleeps<number> {
  const error = yield* get_whole(whole(bdev), mode);
  if (error !== 0) return error;
  if (bdev.bd_nr_sectors === 0) {
    yield* put_whole(whole(bdev));
    return -ENXIO;
  }
  if (bdev.bd_openers++ === 0) bdev.bd_disk.open_partitions++;
  return 0;
}

function* put_part(bdev: block_device): Sleeps<void> {
  BUG_ON(bdev.bd_openers <= 0);
  if (--bdev.bd_openers === 0) {
    yield* flush_mapping(bdev);
    bdev.bd_disk.open_partitions--;
  }
  yield* put_whole(whole(bdev));
}

export function* bdev_open(
  bdev: block_device,
  mode: blk_mode_t,
  holder: unknown,
  hops: blk_holder_ops | null,
): Sleeps<number> {
  const disk = bdev.bd_disk;
  if ((mode & BLK_OPEN_EXCL) !== 0 && holder === null) return -EINVAL;
  yield* mutex_lock(disk.open_mutex);
  const error = yield* open_locked(bdev, mode, holder, hops);
  mutex_unlock(disk.open_mutex);
  return error;
}
EXPORT_SYMBOL(bdev_open);

function* open_locked(
  bdev: block_device,
  mode: blk_mode_t,
  holder: unknown,
  hops: blk_holder_ops | null,
): Sleeps<number> {
  const disk = bdev.bd_disk;
  if (holder !== null && !may_claim(bdev, holder, hops)) return -EBUSY;
  if (!disk_live(disk)) return -ENXIO;
  const owner = disk.fops.owner ?? null;
  if (!try_module_get(owner)) return -ENXIO;
  const error = bdev.bd_partno === 0 ? yield* get_whole(bdev, mode) : yield* get_part(bdev, mode);
  if (error !== 0) {
    module_put(owner);
    return error;
  }
  get_device(disk.part0.bd_device);
  if (holder !== null) claim(bdev, holder, hops);
  if ((mode & BLK_OPEN_WRITE) !== 0) bdev.bd_writers++;
  return 0;
}

export function* bdev_release(bdev: block_device, mode: blk_mode_t, holder: unknown): Sleeps<void> {
  const disk = bdev.bd_disk;
  const owner = disk.fops.owner ?? null;
  if (bdev.bd_openers === 1) yield* sync_blockdev(bdev);
  yield* mutex_lock(disk.open_mutex);
  if ((mode & BLK_OPEN_WRITE) !== 0) bdev.bd_writers--;
  if (holder !== null) unclaim(bdev);
  yield* bdev.bd_partno === 0 ? put_whole(bdev) : put_part(bdev);
  mutex_unlock(disk.open_mutex);
  module_put(owner);
  put_device(disk.part0.bd_device);
}
EXPORT_SYMBOL(bdev_release);

/** A file that stands for an open device, with what closing needs. */
class bdev_file extends file {
  readonly bdev: block_device;
  readonly mode: blk_mode_t;
  readonly holder: unknown;

  constructor(bdev: block_device, mode: blk_mode_t, holder: unknown) {
    super();
    this.bdev = bdev;
    this.mode = mode;
    this.holder = holder;
    this.private_data = bdev;
    this.f_mode = mode & 3;
    this.f_path = `/dev/${bdev_name(bdev)}`;
  }
}

export function* bdev_file_open_by_dev(
  dev: dev_t,
  mode: blk_mode_t,
  holder: unknown,
  hops: blk_holder_ops | null,
): Sleeps<file | err_ptr> {
  const bdev = blkdev_get_no_open(dev);
  if (bdev === null) return -ENXIO;
  if ((mode & BLK_OPEN_WRITE) !== 0 && bdev_read_only(bdev)) return -EACCES;
  const error = yield* bdev_open(bdev, mode, holder, hops);
  return error !== 0 ? error : new bdev_file(bdev, mode, holder);
}
EXPORT_SYMBOL(bdev_file_open_by_dev);

export function* bdev_file_open_by_path(
  path: string,
  mode: blk_mode_t,
  holder: unknown,
  hops: blk_holder_ops | null,
): Sleeps<file | err_ptr> {
  const dev = { value: 0 };
  const error = lookup_bdev(path, dev);
  return error !== 0 ? error : yield* bdev_file_open_by_dev(dev.value, mode, holder, hops);
}
EXPORT_SYMBOL(bdev_file_open_by_path);

export function* bdev_fput(opened: file): Sleeps<void> {
  const { bdev, mode, holder } = opened as bdev_file;
  yield* bdev_release(bdev, mode, holder);
}
EXPORT_SYMBOL(bdev_fput);

export function file_bdev(opened: file): block_device {
  return opened.private_data as block_device;
}
EXPORT_SYMBOL(file_bdev);

// Requests that are neither read nor write.

export function* blkdev_ioctl(bdev: block_device, mode: blk_mode_t, cmd: number, arg: unknown): Sleeps<number> {
  const fops = bdev.bd_disk.fops;
  if (cmd === HDIO_GETGEO) return getgeo(bdev, arg as hd_geometry);
  if (fops.ioctl === undefined) return -ENOTTY;
  const result = fops.ioctl(bdev, mode, cmd, arg);
  return typeof result === "number" ? result : yield* result;
}
EXPORT_SYMBOL(blkdev_ioctl);

/** Linux: blkdev_getgeo. */
function getgeo(bdev: block_device, geo: hd_geometry): number {
  const ask = bdev.bd_disk.fops.getgeo;
  if (ask === undefined) return -ENOTTY;
  const error = ask(bdev.bd_disk, geo);
  if (error === 0) geo.start = bdev.bd_start_sect;
  return error;
}
