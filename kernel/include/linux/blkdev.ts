/**
 * Disks, partitions, queues and their limits: what a block driver registers and what a user of block devices opens.
 *
 *   limits -> blk_mq_alloc_disk / blk_alloc_disk -> set_capacity -> device_add_disk -> ... -> del_gendisk -> put_disk
 */
import { kobject } from "xenolith/linux/kobject";
import { list_head } from "xenolith/linux/list";
import { mutex } from "xenolith/linux/mutex";
import { timer_list } from "xenolith/linux/timer";
import { delayed_work, work_struct } from "xenolith/linux/workqueue";
import { wait_queue_head } from "xenolith/linux/wait";
import { BD_READ_ONLY, block_device } from "xenolith/linux/blk_types";
import type { bio, blk_mode_t } from "xenolith/linux/blk_types";
import type { blk_mq_ctx, blk_mq_hw_ctx, blk_mq_ops, blk_mq_tag_set, request } from "xenolith/linux/blk-mq";
import type { attribute_group } from "xenolith/linux/sysfs";
import type { device } from "xenolith/linux/device";
import type { file } from "xenolith/linux/fs";
import type { gfp_t } from "xenolith/linux/gfp";
import type { hd_geometry } from "xenolith/linux/hdreg";
import type { module } from "xenolith/linux/module";
import type { err_ptr } from "xenolith/linux/err";
import type { Sleeps } from "xenolith/linux/sched";
import type { Ptr, dev_t, sector_t } from "xenolith/linux/types";

/** Bytes in a disk's name, at most, with the terminating zero of C. */
export const DISK_NAME_LEN = 32;
/** Partitions of one disk, at most. */
export const DISK_MAX_PARTS = 256;

/** gendisk.flags. */
export const GENHD_FL_REMOVABLE = 1;
export const GENHD_FL_HIDDEN = 2;
export const GENHD_FL_NO_PART = 4;

/** Bit numbers of gendisk.state. */
export const GD_NEED_PART_SCAN = 0;
export const GD_READ_ONLY = 1;
export const GD_DEAD = 2;
export const GD_NATIVE_CAPACITY = 3;
export const GD_ADDED = 4;
export const GD_SUPPRESS_PART_SCAN = 5;
export const GD_OWNS_QUEUE = 6;

/** queue_limits.features. */
export const BLK_FEAT_WRITE_CACHE = 1 << 0;
export const BLK_FEAT_FUA = 1 << 1;
export const BLK_FEAT_ROTATIONAL = 1 << 2;
export const BLK_FEAT_ADD_RANDOM = 1 << 3;
export const BLK_FEAT_IO_STAT = 1 << 4;
export const BLK_FEAT_STABLE_WRITES = 1 << 5;
export const BLK_FEAT_SYNCHRONOUS = 1 << 6;
export const BLK_FEAT_NOWAIT = 1 << 7;
/** queue_limits.flags: the write cache is switched off by the administrator or by a refused flush. */
export const BLK_FLAG_WRITE_CACHE_DISABLED = 1 << 0;

export const BLK_MAX_SEGMENTS = 128;
export const BLK_SAFE_MAX_SECTORS = 255;
export const BLK_MAX_SEGMENT_SIZE = 65536;
export const BLK_SEG_BOUNDARY_MASK = 0xffffffff;
/** The cap of max_sectors unless a driver or the administrator says otherwise: 1280 KiB. */
export const BLK_DEF_MAX_SECTORS_CAP = 2560;
/** Requests that one plug gathers before it is flushed. */
export const BLK_MAX_REQUEST_COUNT = 32;
/** Bytes of a plug's last request from which on it is flushed. */
export const BLK_PLUG_FLUSH_SIZE = 128 * 1024;

/** blkdev_issue_zeroout flags. */
export const BLKDEV_ZERO_NOUNMAP = 1;
export const BLKDEV_ZERO_NOFALLBACK = 2;

/** struct queue_limits. 0 in a field means "not set"; validation fills in the default. Sizes in bytes unless the name says sectors. */
export class queue_limits {
  /** BLK_FEAT_*. */
  features = 0;
  /** BLK_FLAG_*. */
  flags = 0;
  seg_boundary_mask = 0;
  virt_boundary_mask = 0;
  max_hw_sectors = 0;
  max_dev_sectors = 0;
  chunk_sectors = 0;
  max_sectors = 0;
  max_user_sectors = 0;
  max_segment_size = 0;
  physical_block_size = 0;
  logical_block_size = 0;
  alignment_offset = 0;
  io_min = 0;
  io_opt = 0;
  max_discard_sectors = 0;
  max_hw_discard_sectors = 0;
  max_user_discard_sectors = 0xffffffff;
  max_secure_erase_sectors = 0;
  max_write_zeroes_sectors = 0;
  discard_granularity = 0;
  discard_alignment = 0;
  max_segments = 0;
  max_discard_segments = 0;
  dma_alignment = 0;

  constructor(init?: Partial<queue_limits>) {
    if (init !== undefined) Object.assign(this, init);
  }
}

/** Operations of a disk. All optional. Those that say Sleeps may also be plain. */
export interface block_device_operations {
  owner?: module | null;
  /** Bio-based drivers: takes over the bio. Plain. */
  submit_bio?(bio: bio): void;
  open?(disk: gendisk, mode: blk_mode_t): number | Sleeps<number>;
  release?(disk: gendisk): void | Sleeps<void>;
  ioctl?(bdev: block_device, mode: blk_mode_t, cmd: number, arg: unknown): number | Sleeps<number>;
  compat_ioctl?(bdev: block_device, mode: blk_mode_t, cmd: number, arg: unknown): number | Sleeps<number>;
  getgeo?(disk: gendisk, geo: hd_geometry): number;
  /** The disk's last reference is gone. */
  free_disk?(disk: gendisk): void;
}

/** What the holder of an exclusive open wants to hear. */
export interface blk_holder_ops {
  mark_dead?(bdev: block_device, surprise: boolean): void;
  sync?(bdev: block_device): Sleeps<void>;
}

/** The page cache of one block device; made and understood by the file system layer. */
export interface address_space {
  readonly host: unknown;
}

/** What the page cache offers to the block layer. */
export interface bdev_cache_operations {
  /** Writes back everything dirty. 0 or a negative errno. */
  sync(bdev: block_device): Sleeps<number>;
  /** Forgets everything cached, dirty or not. */
  invalidate(bdev: block_device): void;
}

/** struct request_queue. */
export class request_queue {
  queuedata: unknown = null;
  readonly limits: queue_limits = new queue_limits();
  readonly limits_lock = new mutex("&q->limits_lock");
  disk: gendisk | null = null;
  tag_set: blk_mq_tag_set | null = null;
  /** Null for a bio-based queue. */
  mq_ops: blk_mq_ops | null = null;
  readonly queue_hw_ctx: blk_mq_hw_ctx[] = [];
  /** One per CPU. */
  readonly queue_ctx: blk_mq_ctx[] = [];
  nr_hw_queues = 0;
  nr_requests = 0;
  /** QUEUE_FLAG_* bits. */
  queue_flags = 0;
  /** Entries: a request holds one from its allocation to its end. */
  q_usage = 0;
  mq_freeze_depth = 0;
  quiesce_depth = 0;
  readonly mq_freeze_wq = new wait_queue_head();
  /** Calls of queue_rq that are running, and who waits for them. */
  dispatching = 0;
  readonly quiesce_wq = new wait_queue_head();
  readonly requeue_list = new list_head(this);
  readonly requeue_work = new delayed_work(this);
  readonly timeout = new timer_list(this);
  readonly timeout_work = new work_struct(this);
  /** Default of request.timeout, jiffies. */
  rq_timeout = 0;
  /** Link in the tag set's list of queues. */
  readonly tag_set_list = new list_head(this);
  /** Shared with every partition. */
  dying = false;
  nomerges = false;
  /** Whether plain reads and writes may take the short way in, and the hardware queue if it is the only one: kept by blk_queue_update_plain. */
  plain = false;
  plain_hctx: blk_mq_hw_ctx | null = null;
  /** The same for a queue without requests: its driver's submit_bio. */
  plain_submit: ((bio: bio) => void) | null = null;
}

/** queue_flags bits. */
export const QUEUE_FLAG_STOPPED = 1 << 0;
export const QUEUE_FLAG_DYING = 1 << 1;
export const QUEUE_FLAG_QUIESCED = 1 << 2;

/** struct gendisk. */
export class gendisk {
  major = 0;
  first_minor = 0;
  minors = 0;
  disk_name = "";
  fops: block_device_operations = {};
  readonly queue: request_queue;
  private_data: unknown = null;
  /** GENHD_FL_*. */
  flags = 0;
  /** GD_* bits. */
  state = 0;
  readonly part0: block_device;
  /** Partitions by number, 0 included. */
  readonly part_tbl = new Map<number, block_device>();
  readonly open_mutex = new mutex("&disk->open_mutex");
  open_partitions = 0;
  /** Counts the disks that were ever made. */
  diskseq = 0;
  /** /sys/block/NAME/queue and /sys/block/NAME/mq. */
  readonly queue_kobj = new kobject(this);
  readonly mq_kobj = new kobject(this);

  constructor(queue: request_queue) {
    this.queue = queue;
    this.part0 = new block_device(this, queue, 0);
    this.part_tbl.set(0, this.part0);
  }
}

/** struct rq_list: requests in order, linked by rq_next. Both are null, or none. */
export class rq_list {
  head: request | null = null;
  tail: request | null = null;
}

/** struct io_comp_batch: requests of one hardware queue that a driver found done together. They all ended well. */
export class io_comp_batch {
  readonly req_list = new rq_list();
}

/** struct blk_plug: requests that one task gathers. */
export class blk_plug {
  readonly mq_list = new rq_list();
  rq_count = 0;
  /** Requests of more than one hardware queue are gathered. */
  multiple_queues = false;

  /** Called by the scheduler when the task goes to sleep. */
  flush_for_sleep(): void {
    blk_flush_plug(this, true);
  }
}

// Queues and limits.

/** Starts gathering this task's requests; nested calls do nothing. */
export declare function blk_start_plug(plug: blk_plug): void;
/** Sends what was gathered. */
export declare function blk_finish_plug(plug: blk_plug): void;
/** Sends what `plug` holds; called by the scheduler with `from_schedule` when its task sleeps. */
export declare function blk_flush_plug(plug: blk_plug, from_schedule: boolean): void;
/** Checks limits and fills in defaults. 0 or -EINVAL. */
export declare function blk_validate_limits(lim: queue_limits): number;
/** Locks the limits and returns a copy to change. Ends with one of the commits or with cancel. */
export declare function queue_limits_start_update(q: request_queue): Sleeps<queue_limits>;
/** Validates and applies; unlocks either way. 0 or -EINVAL. */
export declare function queue_limits_commit_update(q: request_queue, lim: queue_limits): Sleeps<number>;
/** The same with the queue frozen meanwhile. */
export declare function queue_limits_commit_update_frozen(q: request_queue, lim: queue_limits): Sleeps<number>;
/** Unlocks without change. */
export declare function queue_limits_cancel_update(q: request_queue): void;
/** Locks, validates and applies in one step. */
export declare function queue_limits_set(q: request_queue, lim: queue_limits): Sleeps<number>;
/** Limits of a stacking driver before its members are known. */
export declare function blk_set_stacking_limits(lim: queue_limits): void;
/** Combines `bottom` into `top` for a member that starts at sector `start`. 0, or -1 when the member is misaligned. */
export declare function blk_stack_limits(top: queue_limits, bottom: queue_limits, start: sector_t): number;
/** Run-time refusals by the device: the operation's limit becomes 0. Plain, any context. */
export declare function blk_queue_disable_discard(q: request_queue): void;
export declare function blk_queue_disable_secure_erase(q: request_queue): void;
export declare function blk_queue_disable_write_zeroes(q: request_queue): void;
/** Sets or clears the write cache and FUA attributes at run time. Plain, any context. Linux 6.7: blk_queue_write_cache. */
export declare function blk_queue_write_cache(q: request_queue, enabled: boolean, fua: boolean): void;
/** Default timeout of new requests, jiffies. */
export declare function blk_queue_rq_timeout(q: request_queue, timeout: number): void;
/** Whether the queue is being torn down. */
export declare function blk_queue_dying(q: request_queue): boolean;

// Disks.

/** A disk for a bio-based driver. ERR_PTR(-EINVAL) on bad limits. */
export declare function blk_alloc_disk(lim: queue_limits | null, node: number): gendisk | err_ptr;
/** Registers the disk, scans its partitions and makes it visible. 0 or a negative errno; after an error the caller puts the disk. */
export declare function device_add_disk(
  parent: device | null,
  disk: gendisk,
  groups: readonly attribute_group[] | null,
): Sleeps<number>;
/** device_add_disk without parent. */
export declare function add_disk(disk: gendisk): Sleeps<number>;
/** Takes the disk away: marks it dead, drops partitions and cache, waits for everything in flight. */
export declare function del_gendisk(disk: gendisk): Sleeps<void>;
/** Drops a reference. */
export declare function put_disk(disk: gendisk): void;
/** The device is gone: later bios end with BLK_STS_IOERR. Capacity becomes 0. Plain. */
export declare function blk_mark_disk_dead(disk: gendisk): void;
/** Size in sectors. */
export declare function set_capacity(disk: gendisk, size: sector_t): void;
/** The same; true, with a RESIZE=1 uevent, if a visible disk went from one size above 0 to another. */
export declare function set_capacity_and_notify(disk: gendisk, size: sector_t): boolean;
/** Read-only policy of the whole disk, with uevents. */
export declare function set_disk_ro(disk: gendisk, read_only: boolean): void;
/** Reads the partition table again. 0, -EBUSY while a partition is open, or another errno. */
export declare function disk_scan_partitions(disk: gendisk, mode: blk_mode_t): Sleeps<number>;

/** Claims a major number; 0 asks for a free one, which is then returned. 0 or -EBUSY, -EINVAL. */
export declare function register_blkdev(major: number, name: string): number;
/** Gives it back. */
export declare function unregister_blkdev(major: number, name: string): void;
/** Majors and names, for /proc/devices. */
export declare function blkdev_majors(): readonly { readonly major: number; readonly name: string }[];

// Block devices.

/** Opens a device by number. ERR_PTR: -ENXIO (no such device), -EBUSY (held), -EACCES (read-only), or what the driver's open says. */
export declare function bdev_file_open_by_dev(
  dev: dev_t,
  mode: blk_mode_t,
  holder: unknown,
  hops: blk_holder_ops | null,
): Sleeps<file | err_ptr>;
/** The same by name: "/dev/xvda" or "xvda". */
export declare function bdev_file_open_by_path(
  path: string,
  mode: blk_mode_t,
  holder: unknown,
  hops: blk_holder_ops | null,
): Sleeps<file | err_ptr>;
/** Closes what bdev_file_open_by_* opened: gives up the hold and the open count. */
export declare function bdev_fput(bdev_file: file): Sleeps<void>;
/** The block device of an open file. */
export declare function file_bdev(bdev_file: file): block_device;
/** The device number behind "/dev/NAME". 0 or -ENOENT. */
export declare function lookup_bdev(pathname: string, dev: Ptr<dev_t>): number;
/** Opens without a file: counts openers, calls the driver's open. 0 or a negative errno. For the file system layer. */
export declare function bdev_open(
  bdev: block_device,
  mode: blk_mode_t,
  holder: unknown,
  hops: blk_holder_ops | null,
): Sleeps<number>;
/** Undoes bdev_open. */
export declare function bdev_release(bdev: block_device, mode: blk_mode_t, holder: unknown): Sleeps<void>;
/** The registered device with this number, or null. */
export declare function blkdev_get_no_open(dev: dev_t): block_device | null;
/** All visible block devices, disks before their partitions, by registration. */
export declare function all_bdevs(): readonly block_device[];
/** Like the ioctl BLKRRPART, BLKGETSIZE64... of a file; -ENOTTY for unknown ones. */
export declare function blkdev_ioctl(bdev: block_device, mode: blk_mode_t, cmd: number, arg: unknown): Sleeps<number>;

/** Installs the page cache. Called once, by the file system layer. */
export declare function register_bdev_cache(ops: bdev_cache_operations): void;
/** Writes back the page cache of a device. 0 or a negative errno. */
export declare function sync_blockdev(bdev: block_device): Sleeps<number>;
/** Drops the page cache of a device. */
export declare function invalidate_bdev(bdev: block_device): void;

/** Makes everything written durable. 0 or a negative errno. */
export declare function blkdev_issue_flush(bdev: block_device): Sleeps<number>;
/** Discards sectors. 0, -EPERM (read-only), -EOPNOTSUPP, -EINVAL (misaligned or empty), or an I/O error. */
export declare function blkdev_issue_discard(
  bdev: block_device,
  sector: sector_t,
  nr_sects: sector_t,
  gfp_mask: gfp_t,
): Sleeps<number>;
/** The same, so that the data cannot be read again. */
export declare function blkdev_issue_secure_erase(
  bdev: block_device,
  sector: sector_t,
  nr_sects: sector_t,
  gfp_mask: gfp_t,
): Sleeps<number>;
/** Writes zeros, by WRITE_ZEROES when the device can, else by writing pages of them. */
export declare function blkdev_issue_zeroout(
  bdev: block_device,
  sector: sector_t,
  nr_sects: sector_t,
  gfp_mask: gfp_t,
  flags: number,
): Sleeps<number>;

// Inlines.

/** Size in sectors. */
export function get_capacity(disk: gendisk): sector_t {
  return disk.part0.bd_nr_sectors;
}

export function bdev_nr_sectors(bdev: block_device): sector_t {
  return bdev.bd_nr_sectors;
}

/** Size in bytes. */
export function bdev_nr_bytes(bdev: block_device): number {
  return bdev.bd_nr_sectors * 512;
}

export function bdev_get_queue(bdev: block_device): request_queue {
  return bdev.bd_queue;
}

export function bdev_limits(bdev: block_device): queue_limits {
  return bdev.bd_queue.limits;
}

export function bdev_is_partition(bdev: block_device): boolean {
  return bdev.bd_partno !== 0;
}

export function bdev_logical_block_size(bdev: block_device): number {
  return bdev.bd_queue.limits.logical_block_size;
}

export function bdev_physical_block_size(bdev: block_device): number {
  return bdev.bd_queue.limits.physical_block_size;
}

export function queue_logical_block_size(q: request_queue): number {
  return q.limits.logical_block_size;
}

export function queue_physical_block_size(q: request_queue): number {
  return q.limits.physical_block_size;
}

/** Whether the limits say that there is a write cache in use. */
export function blk_queue_write_cache_enabled(q: request_queue): boolean {
  return (q.limits.features & BLK_FEAT_WRITE_CACHE) !== 0 && (q.limits.flags & BLK_FLAG_WRITE_CACHE_DISABLED) === 0;
}

export function bdev_write_cache(bdev: block_device): boolean {
  return blk_queue_write_cache_enabled(bdev.bd_queue);
}

export function bdev_fua(bdev: block_device): boolean {
  return (bdev.bd_queue.limits.features & BLK_FEAT_FUA) !== 0;
}

export function bdev_nonrot(bdev: block_device): boolean {
  return (bdev.bd_queue.limits.features & BLK_FEAT_ROTATIONAL) === 0;
}

export function bdev_max_discard_sectors(bdev: block_device): number {
  return bdev.bd_queue.limits.max_discard_sectors;
}

export function bdev_max_secure_erase_sectors(bdev: block_device): number {
  return bdev.bd_queue.limits.max_secure_erase_sectors;
}

export function bdev_write_zeroes_sectors(bdev: block_device): number {
  return bdev.bd_queue.limits.max_write_zeroes_sectors;
}

/** Bytes. */
export function bdev_discard_granularity(bdev: block_device): number {
  return bdev.bd_queue.limits.discard_granularity;
}

/** Bytes from the device's start to its first discard granule. */
export function bdev_discard_alignment(bdev: block_device): number {
  const lim = bdev.bd_queue.limits;
  if (bdev.bd_partno === 0 || lim.max_discard_sectors === 0 || lim.discard_granularity === 0) {
    return lim.discard_alignment;
  }
  const granularity = lim.discard_granularity;
  const into = (bdev.bd_start_sect * 512) % granularity;
  return (granularity + (lim.discard_alignment % granularity) - into) % granularity;
}

/** Whether the disk's driver or administrator made the whole disk read-only. */
export function get_disk_ro(disk: gendisk): boolean {
  return (disk.part0.bd_flags & BD_READ_ONLY) !== 0 || (disk.state & (1 << GD_READ_ONLY)) !== 0;
}

/** Whether this device must not be written. */
export function bdev_read_only(bdev: block_device): boolean {
  return (bdev.bd_flags & BD_READ_ONLY) !== 0 || (bdev.bd_disk.state & (1 << GD_READ_ONLY)) !== 0;
}

/** Whether device_add_disk has made the disk visible, and del_gendisk has not taken it away. */
export function disk_live(disk: gendisk): boolean {
  return (disk.state & (1 << GD_ADDED)) !== 0;
}

/** Whether the device is gone. */
export function disk_dead(disk: gendisk): boolean {
  return (disk.state & (1 << GD_DEAD)) !== 0;
}

/** The name of a device: "xvda", "xvda1", "nvme0p1". */
export function bdev_name(bdev: block_device): string {
  const name = bdev.bd_disk.disk_name;
  if (bdev.bd_partno === 0) return name;
  const last = name.charCodeAt(name.length - 1);
  return last >= 48 && last <= 57 ? `${name}p${bdev.bd_partno}` : `${name}${bdev.bd_partno}`;
}
