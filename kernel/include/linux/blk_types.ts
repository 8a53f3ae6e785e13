/**
 * The block layer's basic types: status codes, operations and their flags, `bio` and `block_device`. No behaviour.
 */
import { device } from "xenolith/linux/device";
import { bvec_iter } from "xenolith/linux/bvec";
import type { bio_vec } from "xenolith/linux/bvec";
import type { address_space, blk_holder_ops, gendisk, request_queue } from "xenolith/linux/blkdev";
import type { dev_t, sector_t } from "xenolith/linux/types";

/** log2 of the sector size; a sector is 512 bytes, always. */
export const SECTOR_SHIFT = 9;
/** Bytes in a sector. */
export const SECTOR_SIZE = 512;
/** Sectors in a page. */
export const PAGE_SECTORS = 8;

/** Outcome of a block operation inside the block layer; 0 is success. Not an errno: see `blk_status_to_errno`. */
export type blk_status_t = number;
/** A `REQ_OP_*` in the low 8 bits and `REQ_*` flags above. */
export type blk_opf_t = number;
/** An operation: `REQ_OP_*`. */
export type req_op = number;
/** How a block device is opened: `BLK_OPEN_*`. */
export type blk_mode_t = number;

export const BLK_STS_OK = 0;
export const BLK_STS_NOTSUPP = 1;
export const BLK_STS_TIMEOUT = 2;
export const BLK_STS_NOSPC = 3;
export const BLK_STS_TRANSPORT = 4;
export const BLK_STS_TARGET = 5;
export const BLK_STS_RESV_CONFLICT = 6;
export const BLK_STS_MEDIUM = 7;
export const BLK_STS_PROTECTION = 8;
export const BLK_STS_RESOURCE = 9;
export const BLK_STS_IOERR = 10;
export const BLK_STS_DM_REQUEUE = 11;
export const BLK_STS_AGAIN = 12;
export const BLK_STS_DEV_RESOURCE = 13;
export const BLK_STS_ZONE_OPEN_RESOURCE = 14;
export const BLK_STS_ZONE_ACTIVE_RESOURCE = 15;
export const BLK_STS_OFFLINE = 16;
export const BLK_STS_DURATION_LIMIT = 17;
export const BLK_STS_INVAL = 19;

export const REQ_OP_BITS = 8;
export const REQ_OP_MASK = 0xff;
/** Odd operations carry data to the device. */
export const REQ_OP_READ = 0;
export const REQ_OP_WRITE = 1;
export const REQ_OP_FLUSH = 2;
export const REQ_OP_DISCARD = 3;
export const REQ_OP_SECURE_ERASE = 5;
export const REQ_OP_ZONE_APPEND = 7;
export const REQ_OP_WRITE_ZEROES = 9;
export const REQ_OP_ZONE_OPEN = 10;
export const REQ_OP_ZONE_CLOSE = 11;
export const REQ_OP_ZONE_FINISH = 13;
export const REQ_OP_ZONE_RESET = 15;
export const REQ_OP_ZONE_RESET_ALL = 17;
export const REQ_OP_DRV_IN = 34;
export const REQ_OP_DRV_OUT = 35;

export const REQ_FAILFAST_DEV = 1 << 8;
export const REQ_FAILFAST_TRANSPORT = 1 << 9;
export const REQ_FAILFAST_DRIVER = 1 << 10;
export const REQ_SYNC = 1 << 11;
export const REQ_META = 1 << 12;
export const REQ_PRIO = 1 << 13;
export const REQ_NOMERGE = 1 << 14;
export const REQ_IDLE = 1 << 15;
export const REQ_INTEGRITY = 1 << 16;
export const REQ_FUA = 1 << 17;
export const REQ_PREFLUSH = 1 << 18;
export const REQ_RAHEAD = 1 << 19;
export const REQ_BACKGROUND = 1 << 20;
export const REQ_NOWAIT = 1 << 21;
export const REQ_POLLED = 1 << 22;
export const REQ_ALLOC_CACHE = 1 << 23;
export const REQ_SWAP = 1 << 24;
export const REQ_DRV = 1 << 25;
export const REQ_FS_PRIVATE = 1 << 26;
export const REQ_ATOMIC = 1 << 27;
export const REQ_P2PDMA = 1 << 28;
export const REQ_NOUNMAP = 1 << 29;
export const REQ_FAILFAST_MASK = REQ_FAILFAST_DEV | REQ_FAILFAST_TRANSPORT | REQ_FAILFAST_DRIVER;
/** Flags that forbid merging. */
export const REQ_NOMERGE_FLAGS = REQ_NOMERGE | REQ_PREFLUSH | REQ_FUA;

export const BLK_OPEN_READ = 1;
export const BLK_OPEN_WRITE = 2;
export const BLK_OPEN_EXCL = 4;
export const BLK_OPEN_NDELAY = 8;

/** bio.bi_flags. */
export const BIO_CLONED = 1 << 1;
export const BIO_QUIET = 1 << 3;
export const BIO_CHAIN = 1 << 4;
export const BIO_REFFED = 1 << 5;
/** The partition's start has been added; a second submission must not add it again. */
export const BIO_REMAPPED = 1 << 9;
/** All checks of submission are done. */
export const BIO_CHECKED = 1 << 11;

/** block_device.bd_flags. */
export const BD_READ_ONLY = 1 << 8;
export const BD_RO_WARNED = 1 << 12;

/** Whether the operation is a write in the sense of "data to the device". */
export function op_is_write(op: blk_opf_t): boolean {
  return (op & 1) !== 0;
}

/** Whether the flags ask for the flush machinery. */
export function op_is_flush(op: blk_opf_t): boolean {
  return (op & (REQ_FUA | REQ_PREFLUSH)) !== 0;
}

/** Whether somebody is likely to wait for the operation. */
export function op_is_sync(op: blk_opf_t): boolean {
  return (op & REQ_OP_MASK) === REQ_OP_READ || (op & (REQ_SYNC | REQ_FUA | REQ_PREFLUSH)) !== 0;
}

/** Whether the operation discards. */
export function op_is_discard(op: blk_opf_t): boolean {
  return (op & REQ_OP_MASK) === REQ_OP_DISCARD;
}

/** Called once when all of a bio is done, in any context: it must not sleep. */
export type bio_end_io_t = (bio: bio) => void;

/**
 * struct bio: one I/O operation on consecutive sectors of one device. Made by `bio_alloc`, recycled by the last `bio_put`.
 */
export class bio {
  /** Link in a `bio_list`, in a request, or in the pool. */
  bi_next: bio | null = null;
  bi_bdev: block_device;
  /** Operation and flags. */
  bi_opf: blk_opf_t = 0;
  bi_flags = 0;
  bi_status: blk_status_t = 0;
  /** How many completions are outstanding: 1, and one per chained child. */
  __bi_remaining = 1;
  /** References; 0 while in the pool. */
  __bi_cnt = 1;
  readonly bi_iter = new bvec_iter();
  bi_end_io: bio_end_io_t | null = null;
  /** The submitter's own. */
  bi_private: unknown = null;
  /** Vectors in use. */
  bi_vcnt = 0;
  /** Vectors that may be used. */
  bi_max_vecs = 0;
  /** The vectors: this bio's own, or those of the bio that it is a clone of. */
  bi_io_vec: bio_vec[];
  /** The vectors that this object owns and reuses. */
  readonly bi_inline_vecs: bio_vec[] = [];
  /** Which pool it goes back to. */
  bi_pool = 0;

  constructor(bdev: block_device) {
    this.bi_bdev = bdev;
    this.bi_io_vec = this.bi_inline_vecs;
  }
}

/** Counts of one kind of operation: `REQ_OP` group index is STAT_READ, STAT_WRITE, STAT_DISCARD or STAT_FLUSH. */
export class disk_stats {
  readonly ios = [0, 0, 0, 0];
  readonly merges = [0, 0, 0, 0];
  readonly sectors = [0, 0, 0, 0];
  readonly nsecs = [0, 0, 0, 0];
  /** Nanoseconds during which something was in flight. */
  io_nsecs = 0;
  /** When a request last ended, nanoseconds. */
  stamp_ns = 0;
}

/** struct block_device: a whole disk (partition 0) or one partition. */
export class block_device {
  /** First sector on the disk. */
  bd_start_sect: sector_t = 0;
  bd_nr_sectors: sector_t = 0;
  readonly bd_disk: gendisk;
  /** The disk's queue, also for a partition. */
  readonly bd_queue: request_queue;
  readonly bd_stats = new disk_stats();
  /** BD_*. */
  bd_flags = 0;
  /** 0 for the whole disk. */
  readonly bd_partno: number;
  bd_dev: dev_t = 0;
  bd_openers = 0;
  bd_holder: unknown = null;
  bd_holder_ops: blk_holder_ops | null = null;
  bd_holders = 0;
  /** Writers that were opened exclusively and those that were not. */
  bd_writers = 0;
  readonly bd_device: device = new device(this);
  /** The page cache's own; null while nothing is cached. */
  bd_mapping: address_space | null = null;
  /** Logical partition's or partition's type and names, for sysfs and `lsblk`. */
  bd_meta_info: partition_meta_info | null = null;

  constructor(disk: gendisk, queue: request_queue, partno: number) {
    this.bd_disk = disk;
    this.bd_queue = queue;
    this.bd_partno = partno;
  }
}

/** What a partition table says of a partition beyond its place. */
export interface partition_meta_info {
  uuid: string;
  volname: string;
}
