/**
 * Bios: pools, vectors, splitting, chains and completion.
 *
 * A bio in a pool has __bi_cnt 0; touching it then is a bug that `bio_put` and `bio_endio` catch. The pools are intrusive stacks and only
 * grow; a bio keeps its vector objects, so that a recycled one costs no allocation.
 */
import { BUG, BUG_ON } from "xenolith/linux/kernel";
import { EXPORT_SYMBOL } from "xenolith/linux/export";
import { memset_page } from "xenolith/xen/page";
import {
  BIO_MAX_VECS,
  bio_for_each_segment,
  bio_has_data,
  bio_next_segment,
  bio_sectors,
  req_iterator,
} from "xenolith/linux/bio";
import { BIO_CHAIN, BIO_CLONED, BLK_STS_IOERR, SECTOR_SIZE, bio } from "xenolith/linux/blk_types";
import { bio_vec } from "xenolith/linux/bvec";
import type { bio_set } from "xenolith/linux/bio";
import type { blk_opf_t, block_device } from "xenolith/linux/blk_types";
import type { gfp_t } from "xenolith/linux/gfp";
import type { page } from "xenolith/linux/mm_types";
import type { sector_t } from "xenolith/linux/types";

/** Bios with one vector or none, with up to 16, and larger ones: a bio keeps its vectors, so that small ones stay small. */
const pools: (bio | null)[] = [null, null, null];

/** The pool that everybody uses. */
export const fs_bio_set: bio_set = { name: "bio" };
EXPORT_SYMBOL(fs_bio_set);

function take(pool: number, bdev: block_device): bio {
  const free = pools[pool];
  if (free === null) {
    const fresh = new bio(bdev);
    fresh.bi_pool = pool;
    return fresh;
  }
  pools[pool] = free.bi_next;
  free.bi_next = null;
  free.bi_bdev = bdev;
  free.__bi_cnt = 1;
  return free;
}

/** See the header. Linux: bio_alloc_bioset. */
export function bio_alloc(bdev: block_device, nr_vecs: number, opf: blk_opf_t, _gfp_mask: gfp_t): bio {
  if (nr_vecs > BIO_MAX_VECS) BUG();
  const bio = take(nr_vecs <= 1 ? 0 : nr_vecs <= 16 ? 1 : 2, bdev);
  bio.bi_opf = opf;
  bio.bi_max_vecs = nr_vecs;
  return bio;
}
EXPORT_SYMBOL(bio_alloc);

/** Back to what `take` expects: everything but the link, the device, the operation and the reference. */
function wipe(bio: bio): void {
  const iter = bio.bi_iter;
  bio.bi_flags = 0;
  bio.bi_status = 0;
  bio.__bi_remaining = 1;
  iter.bi_sector = 0;
  iter.bi_size = 0;
  iter.bi_idx = 0;
  iter.bi_bvec_done = 0;
  bio.bi_end_io = null;
  bio.bi_private = null;
  bio.bi_vcnt = 0;
  bio.bi_io_vec = bio.bi_inline_vecs;
}

export function bio_reset(bio: bio, bdev: block_device, opf: blk_opf_t): void {
  wipe(bio);
  bio.bi_next = null;
  bio.bi_bdev = bdev;
  bio.bi_opf = opf;
}
EXPORT_SYMBOL(bio_reset);

export function bio_get(bio: bio): void {
  BUG_ON(bio.__bi_cnt <= 0);
  bio.__bi_cnt++;
}
EXPORT_SYMBOL(bio_get);

export function bio_put(bio: bio): void {
  // Not BUG_ON: this runs for every bio, and a call costs as much as all the rest.
  if (bio.__bi_cnt <= 0) BUG();
  if (--bio.__bi_cnt > 0) return;
  wipe(bio);
  bio.bi_next = pools[bio.bi_pool];
  pools[bio.bi_pool] = bio;
}
EXPORT_SYMBOL(bio_put);

/** Whether bytes at `off` of `page` follow those of `vec`, in the guest's numbering and in machine frames. */
export function biovec_continues(vec: bio_vec, page: page, off: number): boolean {
  const end = vec.bv_offset + vec.bv_len;
  if ((end & 4095) !== off) return false;
  const pages = end >>> 12;
  if (page.pfn !== vec.bv_page.pfn + pages) return false;
  return page.mfn === vec.bv_page.mfn + pages;
}

export function bio_add_page(bio: bio, page: page, len: number, off: number): number {
  const count = bio.bi_vcnt;
  if (count > 0 && biovec_continues(bio.bi_io_vec[count - 1], page, off)) {
    bio.bi_io_vec[count - 1].bv_len += len;
    bio.bi_iter.bi_size += len;
    return len;
  }
  if (count >= bio.bi_max_vecs || (bio.bi_flags & BIO_CLONED) !== 0) return 0;
  const vecs = bio.bi_inline_vecs;
  if (count === vecs.length) {
    vecs.push(new bio_vec(page, len, off));
  } else {
    const vec = vecs[count];
    vec.bv_page = page;
    vec.bv_len = len;
    vec.bv_offset = off;
  }
  bio.bi_vcnt = count + 1;
  bio.bi_iter.bi_size += len;
  return len;
}
EXPORT_SYMBOL(bio_add_page);

/** The completion of a chained child: its parent has one less to wait for. */
function bio_chain_endio(child: bio): void {
  bio_endio(chain_parent(child));
}

/** Frees the child and returns its parent, which has the child's error unless it had one. */
function chain_parent(child: bio): bio {
  const parent = child.bi_private as bio;
  if (child.bi_status !== 0 && parent.bi_status === 0) parent.bi_status = child.bi_status;
  bio_put(child);
  return parent;
}

export function bio_endio(bio: bio): void {
  for (;;) {
    if (bio.__bi_remaining <= 0 || bio.__bi_cnt <= 0) BUG();
    if (--bio.__bi_remaining > 0) return;
    const end_io = bio.bi_end_io;
    // A chain may be as long as a split bio has parts: walk it instead of recursing.
    if (end_io === bio_chain_endio) bio = chain_parent(bio);
    else {
      if (end_io !== null) end_io(bio);
      return;
    }
  }
}
EXPORT_SYMBOL(bio_endio);

export function bio_io_error(bio: bio): void {
  bio.bi_status = BLK_STS_IOERR;
  bio_endio(bio);
}
EXPORT_SYMBOL(bio_io_error);

export function bio_chain(child: bio, parent: bio): void {
  BUG_ON(child.bi_private !== null || child.bi_end_io !== null);
  child.bi_private = parent;
  child.bi_end_io = bio_chain_endio;
  parent.bi_flags |= BIO_CHAIN;
  parent.__bi_remaining++;
}
EXPORT_SYMBOL(bio_chain);

export function bio_alloc_clone(bdev: block_device, bio_src: bio, _gfp_mask: gfp_t, _bs: bio_set): bio {
  const bio = take(0, bdev);
  bio.bi_opf = bio_src.bi_opf;
  bio.bi_flags = bdev === bio_src.bi_bdev ? (bio_src.bi_flags | BIO_CLONED) & ~BIO_CHAIN : BIO_CLONED;
  bio.bi_iter.bi_sector = bio_src.bi_iter.bi_sector;
  bio.bi_iter.bi_size = bio_src.bi_iter.bi_size;
  bio.bi_iter.bi_idx = bio_src.bi_iter.bi_idx;
  bio.bi_iter.bi_bvec_done = bio_src.bi_iter.bi_bvec_done;
  bio.bi_io_vec = bio_src.bi_io_vec;
  bio.bi_vcnt = bio_src.bi_vcnt;
  bio.bi_max_vecs = 0;
  return bio;
}
EXPORT_SYMBOL(bio_alloc_clone);

export function bio_split(bio: bio, sectors: number, gfp_mask: gfp_t, bs: bio_set): bio {
  BUG_ON(sectors <= 0 || sectors >= bio_sectors(bio));
  const split = bio_alloc_clone(bio.bi_bdev, bio, gfp_mask, bs);
  split.bi_iter.bi_size = sectors * SECTOR_SIZE;
  bio_advance(bio, sectors * SECTOR_SIZE);
  return split;
}
EXPORT_SYMBOL(bio_split);

export function bio_advance(bio: bio, bytes: number): void {
  const iter = bio.bi_iter;
  BUG_ON(bytes > iter.bi_size);
  const has_pages = bio_has_data(bio);
  iter.bi_sector += Math.floor(bytes / SECTOR_SIZE);
  iter.bi_size -= bytes;
  if (!has_pages) return;
  let done = iter.bi_bvec_done + bytes;
  while (iter.bi_idx < bio.bi_vcnt && done >= bio.bi_io_vec[iter.bi_idx].bv_len) {
    done -= bio.bi_io_vec[iter.bi_idx].bv_len;
    iter.bi_idx++;
  }
  iter.bi_bvec_done = done;
}
EXPORT_SYMBOL(bio_advance);

export function bio_trim(bio: bio, offset: sector_t, size: sector_t): void {
  BUG_ON(offset < 0 || size <= 0 || offset + size > bio_sectors(bio));
  bio_advance(bio, offset * SECTOR_SIZE);
  bio.bi_iter.bi_size = size * SECTOR_SIZE;
}
EXPORT_SYMBOL(bio_trim);

export function zero_fill_bio(bio: bio): void {
  const iter = new req_iterator();
  bio_for_each_segment(bio, iter);
  while (bio_next_segment(iter)) memset_page(iter.bvec.bv_page, iter.bvec.bv_offset, 0, iter.bvec.bv_len);
}
EXPORT_SYMBOL(zero_fill_bio);
