/**
 * Making, filling, splitting, chaining and completing bios.
 *
 *   bio_alloc -> bio_add_page... -> submit_bio -> driver -> bio_endio -> bi_end_io -> bio_put
 *
 * Bios come from pools and go back to them: after `bio_put` the object belongs to somebody else.
 */
import {
  type bio,
  REQ_OP_DISCARD,
  REQ_OP_MASK,
  REQ_OP_READ,
  REQ_OP_SECURE_ERASE,
  REQ_OP_WRITE,
  REQ_OP_WRITE_ZEROES,
  SECTOR_SHIFT,
} from "xenolith/linux/blk_types";
import { bio_vec } from "xenolith/linux/bvec";
import type { blk_opf_t, blk_status_t, block_device } from "xenolith/linux/blk_types";
import type { gfp_t } from "xenolith/linux/gfp";
import type { page } from "xenolith/linux/mm_types";
import { pfn_to_page } from "xenolith/linux/mm";
import type { Sleeps } from "xenolith/linux/sched";
import type { sector_t } from "xenolith/linux/types";

/** Vectors in one bio, at most. */
export const BIO_MAX_VECS = 256;

/** A pool that bios come from. There is one pool for everybody; the name is kept for signatures. */
export interface bio_set {
  readonly name: string;
}
export declare const fs_bio_set: bio_set;

/**
 * A fresh bio with room for `nr_vecs` vectors (0 to 256; 0 for a bio without data). Plain, never fails.
 * Linux: bio_alloc.
 */
export declare function bio_alloc(bdev: block_device, nr_vecs: number, opf: blk_opf_t, gfp_mask: gfp_t): bio;
/** Takes a reference. */
export declare function bio_get(bio: bio): void;
/** Drops a reference; the last one recycles the bio. */
export declare function bio_put(bio: bio): void;
/** Makes a bio as if just allocated, with the same vectors' room. Linux: bio_reset. */
export declare function bio_reset(bio: bio, bdev: block_device, opf: blk_opf_t): void;
/**
 * Adds `len` bytes at offset `off` of `page`. Returns `len`, or 0 when there is no room. Extends the last vector when the bytes follow it in
 * the guest's memory and in machine memory (XSA-229). Linux: bio_add_page.
 */
export declare function bio_add_page(bio: bio, page: page, len: number, off: number): number;
/** Ends one of the bio's outstanding completions; the last one calls bi_end_io, once. Plain, any context. Linux: bio_endio. */
export declare function bio_endio(bio: bio): void;
/** Ends a bio with BLK_STS_IOERR. */
export declare function bio_io_error(bio: bio): void;
/** Makes the completion of `parent` wait for `child`; an error of the child becomes the parent's. Linux: bio_chain. */
export declare function bio_chain(child: bio, parent: bio): void;
/** Splits off the first `sectors` sectors as a new bio; `bio` keeps the rest. Linux: bio_split. */
export declare function bio_split(bio: bio, sectors: number, gfp_mask: gfp_t, bs: bio_set): bio;
/** A bio over the same vectors, without completion function. The source must outlive it. Linux: bio_alloc_clone. */
export declare function bio_alloc_clone(bdev: block_device, bio_src: bio, gfp_mask: gfp_t, bs: bio_set): bio;
/** Cuts a bio to `size` sectors from `offset` on. Linux: bio_trim. */
export declare function bio_trim(bio: bio, offset: sector_t, size: sector_t): void;
/** Skips `bytes` bytes. Linux: bio_advance. */
export declare function bio_advance(bio: bio, bytes: number): void;
/** Fills the bio's data with zeros. */
export declare function zero_fill_bio(bio: bio): void;

/**
 * Hands a bio to its device; it ends by `bi_end_io`. May sleep for a tag or a frozen queue. Linux: submit_bio.
 */
export declare function submit_bio(bio: bio): Sleeps<void>;
/**
 * The same without sleeping. True: taken, exactly one completion comes. False: not (all) taken, because it would have to wait: call
 * `yield* submit_bio(bio)`, nothing else.
 */
export declare function submit_bio_nowait(bio: bio): boolean;
/**
 * Hands on a bio from a driver's `submit_bio`, or from any place that cannot sleep: what would have to wait is finished by a worker.
 * Linux: submit_bio_noacct.
 */
export declare function submit_bio_noacct(bio: bio): void;
/** Submits and waits. Returns 0 or a negative errno. The caller still owns the bio. Linux: submit_bio_wait. */
export declare function submit_bio_wait(bio: bio): Sleeps<number>;

/** The errno of a status: 0 or negative. Linux: blk_status_to_errno. */
export declare function blk_status_to_errno(status: blk_status_t): number;
/** The status of an errno (0 or negative); unknown ones are BLK_STS_IOERR. Linux: errno_to_blk_status. */
export declare function errno_to_blk_status(errno: number): blk_status_t;

/** min(nr_segs, 256). */
export function bio_max_segs(nr_segs: number): number {
  return nr_segs < BIO_MAX_VECS ? nr_segs : BIO_MAX_VECS;
}

/**
 * Makes a bio that has ended ready to be submitted once more: same device, vectors, completion and owner. Where on the device and how many
 * bytes (`bi_iter.bi_sector`, `bi_iter.bi_size`) is the caller's to say. Linux: bio_reuse.
 */
export function bio_reuse(bio: bio, opf: blk_opf_t): void {
  const iter = bio.bi_iter;
  bio.bi_opf = opf;
  bio.bi_flags = 0;
  bio.bi_status = 0;
  bio.__bi_remaining = 1;
  iter.bi_idx = 0;
  iter.bi_bvec_done = 0;
}

/** The bio's operation. */
export function bio_op(bio: bio): number {
  return bio.bi_opf & REQ_OP_MASK;
}

/** Replaces the bio's operation and keeps its flags. */
export function bio_set_op(bio: bio, op: number): void {
  bio.bi_opf = (bio.bi_opf & ~REQ_OP_MASK) | op;
}

/** 512-byte sectors left. */
export function bio_sectors(bio: bio): number {
  return bio.bi_iter.bi_size / (1 << SECTOR_SHIFT);
}

/** The first sector after the bio. */
export function bio_end_sector(bio: bio): sector_t {
  return bio.bi_iter.bi_sector + bio_sectors(bio);
}

/** REQ_OP_WRITE or REQ_OP_READ. */
export function bio_data_dir(bio: bio): number {
  return (bio.bi_opf & 1) !== 0 ? REQ_OP_WRITE : REQ_OP_READ;
}

/** Whether the bio carries pages: not so empty ones, discards and the like. */
export function bio_has_data(bio: bio): boolean {
  if (bio.bi_iter.bi_size === 0) return false;
  const op = bio.bi_opf & REQ_OP_MASK;
  if (op <= REQ_OP_WRITE) return true;
  return op !== REQ_OP_DISCARD && op !== REQ_OP_SECURE_ERASE && op !== REQ_OP_WRITE_ZEROES;
}

/** Puts a bio on another device (for remapping drivers). */
export function bio_set_dev(bio: bio, bdev: block_device): void {
  bio.bi_bdev = bdev;
  bio.bi_flags = 0;
}

/**
 * A walk over single-page segments, of one bio or of all bios of a request. Reusable; `bvec` is overwritten by each step.
 *
 *   const iter = new req_iterator();
 *   bio_for_each_segment(bio, iter);
 *   while (bio_next_segment(iter)) use(iter.bvec);
 */
export class req_iterator {
  /** The bio that is being walked. */
  bio: bio | null = null;
  /** The segment: inside one page. Valid after a step that returned true. */
  readonly bvec = new bio_vec(null as unknown as page, 0, 0);
  /** Sector of the segment. */
  bi_sector: sector_t = 0;
  idx = 0;
  done = 0;
  left = 0;
  /** Whether the walk goes on with `bi_next`. */
  chain = false;
}

/** Puts `iter` before the first segment of what is left of `bio`. */
export function bio_for_each_segment(bio: bio, iter: req_iterator): void {
  iter.chain = false;
  bio_iter_begin(bio, iter);
}

/** Starts the walk of one bio of a possibly longer list. */
export function bio_iter_begin(bio: bio, iter: req_iterator): void {
  const from = bio.bi_iter;
  iter.bio = bio;
  iter.idx = from.bi_idx;
  iter.done = from.bi_bvec_done;
  iter.left = bio_has_data(bio) ? from.bi_size : 0;
  iter.bi_sector = from.bi_sector;
  // The first step adds the length of the segment before it.
  iter.bvec.bv_len = 0;
}

/** Steps to the next segment. False at the end. */
export function bio_next_segment(iter: req_iterator): boolean {
  while (iter.left === 0) {
    const next = iter.chain && iter.bio !== null ? iter.bio.bi_next : null;
    if (next === null) return false;
    bio_iter_begin(next, iter);
  }
  const vec = (iter.bio as bio).bi_io_vec[iter.idx];
  const bvec = iter.bvec;
  const from = vec.bv_offset + iter.done;
  const rest = vec.bv_len - iter.done;
  iter.bi_sector += bvec.bv_len >>> SECTOR_SHIFT;
  // Most vectors are one segment.
  if (from + rest <= 4096 && rest <= iter.left) {
    bvec.bv_page = vec.bv_page;
    bvec.bv_offset = from;
    bvec.bv_len = rest;
    iter.left -= rest;
    iter.idx++;
    iter.done = 0;
    return true;
  }
  return bio_next_part(iter, vec, from, rest);
}

/** A step to a segment that is only a part of its vector. */
function bio_next_part(iter: req_iterator, vec: bio_vec, from: number, rest: number): boolean {
  const bvec = iter.bvec;
  const offset = from & 4095;
  const length = Math.min(rest, 4096 - offset, iter.left);
  bvec.bv_page = from < 4096 ? vec.bv_page : pfn_to_page(vec.bv_page.pfn + (from >>> 12));
  bvec.bv_offset = offset;
  bvec.bv_len = length;
  iter.left -= length;
  if (length === rest) {
    iter.idx++;
    iter.done = 0;
  } else iter.done += length;
  return true;
}

/** Single-page segments left in the bio; 0 for a bio without pages. */
export function bio_segments(bio: bio): number {
  const iter = new req_iterator();
  let count = 0;
  bio_for_each_segment(bio, iter);
  while (bio_next_segment(iter)) count++;
  return count;
}

/** struct bio_list: first in, first out, through bi_next. */
export class bio_list {
  head: bio | null = null;
  tail: bio | null = null;
}

export function bio_list_init(bl: bio_list): void {
  bl.head = null;
  bl.tail = null;
}

export function bio_list_empty(bl: bio_list): boolean {
  return bl.head === null;
}

/** Appends a bio. */
export function bio_list_add(bl: bio_list, bio: bio): void {
  bio.bi_next = null;
  if (bl.tail === null) bl.head = bio;
  else bl.tail.bi_next = bio;
  bl.tail = bio;
}

/** Prepends a bio. */
export function bio_list_add_head(bl: bio_list, bio: bio): void {
  bio.bi_next = bl.head;
  bl.head = bio;
  if (bl.tail === null) bl.tail = bio;
}

/** Appends all of `bl2`, which the caller then re-initialises or forgets. */
export function bio_list_merge(bl: bio_list, bl2: bio_list): void {
  if (bl2.head === null) return;
  if (bl.tail === null) bl.head = bl2.head;
  else bl.tail.bi_next = bl2.head;
  bl.tail = bl2.tail;
}

/** Takes the first bio, or null. */
export function bio_list_pop(bl: bio_list): bio | null {
  const bio = bl.head;
  if (bio === null) return null;
  bl.head = bio.bi_next;
  if (bl.head === null) bl.tail = null;
  bio.bi_next = null;
  return bio;
}

/** The first bio, or null. */
export function bio_list_peek(bl: bio_list): bio | null {
  return bl.head;
}

/** How many bios are on the list. */
export function bio_list_size(bl: bio_list): number {
  let count = 0;
  for (let bio = bl.head; bio !== null; bio = bio.bi_next) count++;
  return count;
}
