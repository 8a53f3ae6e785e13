/** Bios, queues and pages for block layer tests that need no running kernel. */
import { bio_add_page, bio_alloc } from "xenolith/linux/bio";
import { REQ_OP_READ, type block_device } from "xenolith/linux/blk_types";
import type { bio } from "xenolith/linux/blk_types";
import { blk_validate_limits, gendisk, type queue_limits, request_queue } from "xenolith/linux/blkdev";
import { page } from "xenolith/linux/mm_types";

/** A small generator of numbers, the same for the same seed. */
export class Numbers {
  private state: number;

  constructor(seed: number) {
    this.state = seed >>> 0 || 1;
  }

  /** A whole number from 0 to `limit` - 1. */
  below(limit: number): number {
    this.state ^= this.state << 13;
    this.state ^= this.state >>> 17;
    this.state ^= this.state << 5;
    return (this.state >>> 0) % limit;
  }

  /** One of the values. */
  pick<T>(values: readonly T[]): T {
    return values[this.below(values.length)];
  }
}

/** A page with a guest number and a machine frame, and nothing behind it. */
export function bare_page(pfn: number, mfn = pfn): page {
  const made = new page(pfn);
  made.mfn = mfn;
  return made;
}

/** A queue with checked limits and a disk around it, of which nobody knows. */
export function bare_disk(limits: Partial<queue_limits> = {}, sectors = 1 << 20): gendisk {
  const queue = new request_queue();
  Object.assign(queue.limits, limits);
  if (blk_validate_limits(queue.limits) !== 0) throw new Error("bad limits in a test");
  const disk = new gendisk(queue);
  queue.disk = disk;
  disk.part0.bd_nr_sectors = sectors;
  return disk;
}

/** A bio at `sector` made of pieces. */
export function bio_of(
  bdev: block_device,
  sector: number,
  pieces: readonly { page: page; length: number; offset?: number }[],
  opf = REQ_OP_READ,
): bio {
  const made = bio_alloc(bdev, Math.max(1, pieces.length), opf, 0);
  made.bi_iter.bi_sector = sector;
  for (const piece of pieces) {
    const offset = piece.offset ?? 0;
    if (bio_add_page(made, piece.page, piece.length, offset) !== piece.length)
      throw new Error("no room in a test's bio");
  }
  return made;
}
