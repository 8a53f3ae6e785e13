/** Operations on ranges of a device, synchronous: discard, secure erase, writing zeros, flush. */
import { EINVAL, EIO, ENOMEM, EOPNOTSUPP, EPERM } from "xenolith/linux/errno";
import { EXPORT_SYMBOL } from "xenolith/linux/export";
import { GFP_KERNEL, GFP_ZERO } from "xenolith/linux/gfp";
import { alloc_page, put_page } from "xenolith/linux/mm";
import { BIO_MAX_VECS, bio_add_page, bio_alloc, bio_put, submit_bio_wait } from "xenolith/linux/bio";
import {
  REQ_NOUNMAP,
  REQ_OP_DISCARD,
  REQ_OP_SECURE_ERASE,
  REQ_OP_WRITE,
  REQ_OP_WRITE_ZEROES,
  REQ_PREFLUSH,
  SECTOR_SIZE,
} from "xenolith/linux/blk_types";
import {
  BLKDEV_ZERO_NOFALLBACK,
  BLKDEV_ZERO_NOUNMAP,
  bdev_logical_block_size,
  bdev_max_discard_sectors,
  bdev_max_secure_erase_sectors,
  bdev_read_only,
  bdev_write_zeroes_sectors,
} from "xenolith/linux/blkdev";
import type { blk_opf_t, block_device } from "xenolith/linux/blk_types";
import type { gfp_t } from "xenolith/linux/gfp";
import type { Sleeps } from "xenolith/linux/sched";
import type { sector_t } from "xenolith/linux/types";

/** Sectors of one bio: its size in bytes is a u32 on Linux, and a multiple of every logical block. */
const SECTORS_MAX = 0x7fff80;

export function* blkdev_issue_flush(bdev: block_device): Sleeps<number> {
  const bio = bio_alloc(bdev, 0, REQ_OP_WRITE | REQ_PREFLUSH, GFP_KERNEL);
  const error = yield* submit_bio_wait(bio);
  bio_put(bio);
  return error;
}
EXPORT_SYMBOL(blkdev_issue_flush);

/** Sends the range as bios without data of at most `most` sectors, one after the other; the first error ends it. */
function* issue_range(
  bdev: block_device,
  opf: blk_opf_t,
  sector: sector_t,
  count: sector_t,
  most: number,
): Sleeps<number> {
  let error = 0;
  for (let done = 0; done < count && error === 0; ) {
    const sectors = Math.min(count - done, most, SECTORS_MAX);
    const bio = bio_alloc(bdev, 0, opf, GFP_KERNEL);
    bio.bi_iter.bi_sector = sector + done;
    bio.bi_iter.bi_size = sectors * SECTOR_SIZE;
    error = yield* submit_bio_wait(bio);
    bio_put(bio);
    done += sectors;
  }
  return error;
}

/** 0, or -EINVAL for an empty range or one that is not made of logical blocks. */
function check_range(bdev: block_device, sector: sector_t, nr_sects: sector_t): number {
  const block = bdev_logical_block_size(bdev) / SECTOR_SIZE;
  return nr_sects === 0 || sector % block !== 0 || nr_sects % block !== 0 ? -EINVAL : 0;
}

/** Sectors from `sector` on that one discard bio should have, so that all but the first start on a granule. Linux: bio_discard_limit. */
function discard_limit(bdev: block_device, sector: sector_t): number {
  const granularity = Math.max(Math.floor(bdev.bd_queue.limits.discard_granularity / SECTOR_SIZE), 1);
  const first = (bdev.bd_start_sect + sector) % granularity;
  if (first !== 0 && granularity <= SECTORS_MAX) return granularity - first;
  return SECTORS_MAX - (SECTORS_MAX % Math.min(granularity, SECTORS_MAX));
}

/** Linux 6.1: blkdev_issue_discard; a device without discard answers -EOPNOTSUPP before the range is looked at. */
export function* blkdev_issue_discard(
  bdev: block_device,
  sector: sector_t,
  nr_sects: sector_t,
  _gfp_mask: gfp_t,
): Sleeps<number> {
  if (bdev_read_only(bdev)) return -EPERM;
  if (bdev_max_discard_sectors(bdev) === 0) return -EOPNOTSUPP;
  const invalid = check_range(bdev, sector, nr_sects);
  if (invalid !== 0) return invalid;
  // A short range stays one bio: it is only beyond the largest bio that cutting at granules matters.
  const most = nr_sects <= SECTORS_MAX ? nr_sects : discard_limit(bdev, sector);
  let error = yield* issue_range(bdev, REQ_OP_DISCARD, sector, Math.min(most, nr_sects), SECTORS_MAX);
  if (error === 0 && most < nr_sects) {
    const rest = discard_limit(bdev, sector + most);
    error = yield* issue_range(bdev, REQ_OP_DISCARD, sector + most, nr_sects - most, rest);
  }
  return error === -EOPNOTSUPP ? 0 : error;
}
EXPORT_SYMBOL(blkdev_issue_discard);

export function* blkdev_issue_secure_erase(
  bdev: block_device,
  sector: sector_t,
  nr_sects: sector_t,
  _gfp_mask: gfp_t,
): Sleeps<number> {
  const most = bdev_max_secure_erase_sectors(bdev);
  if (most === 0) return -EOPNOTSUPP;
  const invalid = check_range(bdev, sector, nr_sects);
  if (invalid !== 0) return invalid;
  if (bdev_read_only(bdev)) return -EPERM;
  const block = bdev_logical_block_size(bdev) / SECTOR_SIZE;
  return yield* issue_range(bdev, REQ_OP_SECURE_ERASE, sector, nr_sects, Math.max(most - (most % block), block));
}
EXPORT_SYMBOL(blkdev_issue_secure_erase);

export function* blkdev_issue_zeroout(
  bdev: block_device,
  sector: sector_t,
  nr_sects: sector_t,
  gfp_mask: gfp_t,
  flags: number,
): Sleeps<number> {
  const invalid = check_range(bdev, sector, nr_sects);
  if (invalid !== 0) return invalid;
  if (bdev_read_only(bdev)) return -EPERM;
  const most = bdev_write_zeroes_sectors(bdev);
  if (most > 0) {
    const opf = REQ_OP_WRITE_ZEROES | ((flags & BLKDEV_ZERO_NOUNMAP) !== 0 ? REQ_NOUNMAP : 0);
    const error = yield* issue_range(bdev, opf, sector, nr_sects, most);
    if (error === 0 || (flags & BLKDEV_ZERO_NOFALLBACK) !== 0) return error;
    // A device that refuses at run time has set its limit to 0; anything else is an error of its own.
    if (bdev_write_zeroes_sectors(bdev) > 0) return error === -EOPNOTSUPP ? -EIO : error;
  } else if ((flags & BLKDEV_ZERO_NOFALLBACK) !== 0) return -EOPNOTSUPP;
  return yield* write_zero_pages(bdev, sector, nr_sects, gfp_mask);
}
EXPORT_SYMBOL(blkdev_issue_zeroout);

/** Writes one page of zeros again and again. */
function* write_zero_pages(bdev: block_device, sector: sector_t, nr_sects: sector_t, gfp_mask: gfp_t): Sleeps<number> {
  const zero = alloc_page(gfp_mask | GFP_ZERO);
  if (zero === null) return -ENOMEM;
  let error = 0;
  for (let done = 0; done < nr_sects && error === 0; ) {
    const bio = bio_alloc(bdev, BIO_MAX_VECS, REQ_OP_WRITE, GFP_KERNEL);
    bio.bi_iter.bi_sector = sector + done;
    while (done < nr_sects) {
      const bytes = Math.min((nr_sects - done) * SECTOR_SIZE, 4096);
      if (bio_add_page(bio, zero, bytes, 0) === 0) break;
      done += bytes / SECTOR_SIZE;
    }
    error = yield* submit_bio_wait(bio);
    bio_put(bio);
  }
  put_page(zero);
  return error;
}
