/**
 * What the readers of partition tables share: the disk's sectors, a page at a time, and the slots that they fill.
 *
 * A partition table is data from outside: a reader checks every number before it uses it, and bounds its loops.
 */
import { ENOMEM } from "xenolith/linux/errno";
import { GFP_KERNEL } from "xenolith/linux/gfp";
import { alloc_page, put_page } from "xenolith/linux/mm";
import { memcpy_from_page } from "xenolith/xen/page";
import { bio_add_page, bio_alloc, bio_put, submit_bio_wait } from "xenolith/linux/bio";
import { PAGE_SECTORS, REQ_OP_READ, SECTOR_SIZE } from "xenolith/linux/blk_types";
import { DISK_MAX_PARTS } from "xenolith/linux/blkdev";
import type { block_device, partition_meta_info } from "xenolith/linux/blk_types";
import type { Sleeps } from "xenolith/linux/sched";
import type { sector_t } from "xenolith/linux/types";

/** A partition that a reader found. */
export interface parsed_partition {
  readonly from: sector_t;
  readonly size: sector_t;
  readonly info: partition_meta_info | null;
}

/** The state of one scan. */
export class parsed_partitions {
  readonly bdev: block_device;
  /** By partition number. */
  readonly parts = new Map<number, parsed_partition>();
  /** The first number that logical partitions may not have. */
  readonly limit = DISK_MAX_PARTS;
  /** The next logical partition's number. */
  next = 0;
  /** A sector could not be read. */
  access_beyond_eod = false;
  io_error = 0;
  /** The line for the log. */
  line: string;
  /** Pages of the disk that were read, by their index. */
  private readonly pages = new Map<number, Uint8Array>();

  constructor(bdev: block_device, name: string) {
    this.bdev = bdev;
    this.line = ` ${name}:`;
  }

  /** Sectors of 512 bytes in one logical block. */
  get block_sectors(): number {
    return this.bdev.bd_queue.limits.logical_block_size / SECTOR_SIZE;
  }

  /** The 512 bytes of sector `sector`, or null if it is not there or cannot be read. Linux: read_part_sector. */
  *read_sector(sector: sector_t): Sleeps<Uint8Array | null> {
    if (sector < 0 || sector >= this.bdev.bd_nr_sectors) {
      this.access_beyond_eod = true;
      return null;
    }
    const index = Math.floor(sector / PAGE_SECTORS);
    const bytes = this.pages.get(index) ?? (yield* this.read_page(index));
    if (bytes === null) return null;
    const offset = (sector % PAGE_SECTORS) * SECTOR_SIZE;
    return bytes.subarray(offset, offset + SECTOR_SIZE);
  }

  private *read_page(index: number): Sleeps<Uint8Array | null> {
    const bytes = new Uint8Array(4096);
    const sector = index * PAGE_SECTORS;
    const sectors = Math.min(PAGE_SECTORS, this.bdev.bd_nr_sectors - sector);
    const error = yield* read_sectors(this.bdev, sector, sectors, bytes);
    if (error !== 0) {
      this.io_error = error;
      return null;
    }
    this.pages.set(index, bytes);
    return bytes;
  }

  /** Linux: put_partition. */
  put(number: number, from: sector_t, size: sector_t, info: partition_meta_info | null): void {
    if (number >= this.limit) return;
    this.parts.set(number, { from, size, info });
    this.line += ` p${number}`;
  }
}

/** Reads up to a page's worth of sectors. 0 or a negative errno. */
function* read_sectors(bdev: block_device, sector: sector_t, count: number, into: Uint8Array): Sleeps<number> {
  const page = alloc_page(GFP_KERNEL);
  if (page === null) return -ENOMEM;
  const bio = bio_alloc(bdev, 1, REQ_OP_READ, GFP_KERNEL);
  bio.bi_iter.bi_sector = sector;
  bio_add_page(bio, page, count * SECTOR_SIZE, 0);
  const error = yield* submit_bio_wait(bio);
  if (error === 0) memcpy_from_page(into, 0, page, 0, count * SECTOR_SIZE);
  bio_put(bio);
  put_page(page);
  return error;
}

/** The unsigned little-endian 32-bit number at `offset`. */
export function le32(bytes: Uint8Array, offset: number): number {
  return (bytes[offset] | (bytes[offset + 1] << 8) | (bytes[offset + 2] << 16) | (bytes[offset + 3] << 24)) >>> 0;
}

/** The little-endian 64-bit number at `offset`; not exact from 2^53 on, which is beyond every disk. */
export function le64(bytes: Uint8Array, offset: number): number {
  return le32(bytes, offset) + le32(bytes, offset + 4) * 0x100000000;
}
