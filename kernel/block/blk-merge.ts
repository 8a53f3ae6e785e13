/**
 * Fitting bios to a queue's limits: where to split one, what may join a request, and a request's pages as a scatter list.
 */
import { EXPORT_SYMBOL } from "xenolith/linux/export";
import { GFP_NOIO } from "xenolith/linux/gfp";
import { bio_chain, bio_end_sector, bio_has_data, bio_sectors, bio_split, fs_bio_set } from "xenolith/linux/bio";
import { blk_rq_sectors, rq_for_each_segment, rq_next_segment } from "xenolith/linux/blk-mq";
import { req_iterator } from "xenolith/linux/bio";
import { sg_mark_end, sg_set_page, sg_unmark_end } from "xenolith/linux/scatterlist";
import {
  REQ_FAILFAST_MASK,
  REQ_NOMERGE,
  REQ_NOMERGE_FLAGS,
  REQ_OP_DISCARD,
  REQ_OP_FLUSH,
  REQ_OP_MASK,
  REQ_OP_READ,
  REQ_OP_SECURE_ERASE,
  REQ_OP_WRITE,
  REQ_OP_WRITE_ZEROES,
  SECTOR_SIZE,
} from "xenolith/linux/blk_types";
import type { bio } from "xenolith/linux/blk_types";
import type { queue_limits } from "xenolith/linux/blkdev";
import type { request } from "xenolith/linux/blk-mq";
import type { bio_vec } from "xenolith/linux/bvec";
import type { page } from "xenolith/linux/mm_types";
import type { scatterlist } from "xenolith/linux/scatterlist";
import { biovec_continues } from "./bio";

/** Sectors of one bio, at most: its size in bytes is a u32 on Linux. */
const BIO_SECTORS_MAX = Math.floor(0xffffffff / SECTOR_SIZE);

/** The second result of `bio_fit`: physical segments of the part that fits. Read it at once. */
export let fit_segments = 0;

/** How many bytes from the bio's start fit into one request of a queue with these limits; the whole bio's size if no split is needed. */
export function bio_fit(bio: bio, lim: queue_limits): number {
  const size = bio.bi_iter.bi_size;
  const op = bio.bi_opf & REQ_OP_MASK;
  if (op === REQ_OP_READ || op === REQ_OP_WRITE) {
    const vec = bio.bi_io_vec[0];
    // One vector inside one page: every queue takes that (limits of less than a page are refused).
    if (bio.bi_vcnt === 1 && size <= 4096 && vec.bv_offset + vec.bv_len <= 4096 && lim.chunk_sectors === 0) {
      fit_segments = size === 0 ? 0 : 1;
      return size;
    }
    return fit_data(bio, lim);
  }
  fit_segments = op === REQ_OP_DISCARD || op === REQ_OP_SECURE_ERASE || op === REQ_OP_WRITE_ZEROES ? 1 : 0;
  if (op === REQ_OP_DISCARD) return fit_discard(bio, lim, lim.max_discard_sectors);
  if (op === REQ_OP_SECURE_ERASE) return fit_discard(bio, lim, lim.max_secure_erase_sectors);
  if (op === REQ_OP_WRITE_ZEROES && lim.max_write_zeroes_sectors > 0) {
    return Math.min(size, lim.max_write_zeroes_sectors * SECTOR_SIZE);
  }
  if (op === REQ_OP_FLUSH || op === REQ_OP_WRITE_ZEROES) return size;
  return fit_data(bio, lim);
}

/** Splits at a multiple of the granularity, counted from the alignment. Linux: bio_split_discard. */
function fit_discard(bio: bio, lim: queue_limits, limit: number): number {
  const granularity = Math.max(Math.floor(lim.discard_granularity / SECTOR_SIZE), 1);
  let most = Math.min(limit, BIO_SECTORS_MAX);
  most -= most % granularity;
  if (most === 0 || bio_sectors(bio) <= most) return bio.bi_iter.bi_size;
  const alignment = Math.floor(lim.discard_alignment / SECTOR_SIZE) % granularity;
  const beyond = (bio.bi_iter.bi_sector + most - alignment) % granularity;
  return (most > beyond ? most - beyond : most) * SECTOR_SIZE;
}

/** Sectors that a request from the bio's start on may have. Prefers to end on a physical block. Linux: get_max_io_size. */
export function get_max_io_size(bio: bio, lim: queue_limits): number {
  const sector = bio.bi_iter.bi_sector;
  let most = lim.max_sectors;
  if (lim.chunk_sectors !== 0) most = Math.min(most, lim.chunk_sectors - (sector % lim.chunk_sectors));
  const physical = lim.physical_block_size / SECTOR_SIZE;
  const logical = lim.logical_block_size / SECTOR_SIZE;
  const start = sector % physical;
  const end = start + most - ((start + most) % physical);
  return end > start ? end - start : most - (most % logical);
}

/** Bytes from `offset` of the page on that may be one segment. Linux: get_max_segment_size. */
function max_segment(lim: queue_limits, page: page, offset: number): number {
  const mask = lim.seg_boundary_mask;
  const address = page.mfn * 4096 + offset;
  const to_boundary = mask - ((address & mask) >>> 0) + 1;
  return Math.min(to_boundary, lim.max_segment_size);
}

/** Walks the vectors until segments or bytes run out. Linux: bio_split_rw_at. */
function fit_data(bio: bio, lim: queue_limits): number {
  const most = get_max_io_size(bio, lim) * SECTOR_SIZE;
  let left = bio.bi_iter.bi_size;
  let skip = bio.bi_iter.bi_bvec_done;
  let bytes = 0;
  fit_segments = 0;
  for (let index = bio.bi_iter.bi_idx; left > 0; index++) {
    const vec = bio.bi_io_vec[index];
    const length = Math.min(vec.bv_len - skip, left);
    if (bytes > 0 && has_gap(lim, bio.bi_io_vec[index - 1], vec.bv_offset)) return round_fit(bytes, lim);
    const taken = take_segments(vec, skip, Math.min(length, most - bytes), lim);
    bytes += taken;
    if (taken < length) return round_fit(bytes, lim);
    left -= length;
    skip = 0;
  }
  return bytes;
}

function round_fit(bytes: number, lim: queue_limits): number {
  return bytes - (bytes % lim.logical_block_size);
}

/** Cuts up to `length` bytes of a vector into segments while there are segments left; returns how many bytes that were. */
function take_segments(vec: bio_vec, skip: number, length: number, lim: queue_limits): number {
  let done = 0;
  while (done < length && fit_segments < lim.max_segments) {
    done += Math.min(max_segment(lim, vec.bv_page, vec.bv_offset + skip + done), length - done);
    fit_segments++;
  }
  return done;
}

/** Whether two vectors cannot be neighbours in one request of this queue. */
function has_gap(lim: queue_limits, previous: bio_vec, offset: number): boolean {
  const mask = lim.virt_boundary_mask;
  if (mask === 0) return false;
  return (offset & mask) !== 0 || ((previous.bv_offset + previous.bv_len) & mask) !== 0;
}

/** Splits off the first `bytes` bytes, which then may not merge, and chains them to the rest. Linux: bio_submit_split. */
export function bio_split_front(bio: bio, bytes: number): bio {
  const split = bio_split(bio, bytes / SECTOR_SIZE, GFP_NOIO, fs_bio_set);
  split.bi_opf |= REQ_NOMERGE;
  bio_chain(split, bio);
  return split;
}

/** Whether the request may be joined by anything. Linux: rq_mergeable. */
function rq_mergeable(rq: request): boolean {
  const op = rq.cmd_flags & REQ_OP_MASK;
  if (op !== REQ_OP_READ && op !== REQ_OP_WRITE && op !== REQ_OP_DISCARD && op !== REQ_OP_SECURE_ERASE) return false;
  return (rq.cmd_flags & REQ_NOMERGE_FLAGS) === 0 && rq.bio !== null;
}

/** Linux: blk_rq_merge_ok. */
function merge_ok(rq: request, bio: bio): boolean {
  if (!rq_mergeable(rq) || (bio.bi_opf & REQ_NOMERGE_FLAGS) !== 0) return false;
  if (((rq.cmd_flags ^ bio.bi_opf) & (REQ_OP_MASK | REQ_FAILFAST_MASK)) !== 0) return false;
  return rq.q === bio.bi_bdev.bd_queue && rq.part === bio.bi_bdev;
}

/** Whether a request that starts at `sector` may have `segments` and `bytes` in all. */
function fits(rq: request, sector: number, bytes: number, segments: number): boolean {
  const lim = rq.q.limits;
  const op = rq.cmd_flags & REQ_OP_MASK;
  const sectors = bytes / SECTOR_SIZE;
  if (op === REQ_OP_DISCARD) return sectors <= lim.max_discard_sectors;
  if (op === REQ_OP_SECURE_ERASE) return sectors <= lim.max_secure_erase_sectors;
  if (sectors > lim.max_sectors || segments > lim.max_segments) return false;
  return lim.chunk_sectors === 0 || (sector % lim.chunk_sectors) + sectors <= lim.chunk_sectors;
}

function last_vec(bio: bio): bio_vec {
  return bio.bi_io_vec[bio.bi_vcnt - 1];
}

/** Joins a bio to a request's end or beginning if it may. `segments` are the bio's. Linux: blk_attempt_bio_merge. */
export function blk_attempt_bio_merge(rq: request, bio: bio, segments: number): boolean {
  // Where they lie comes first: most bios have no neighbour, and all other checks are for nothing then.
  const is_behind = rq.__sector + blk_rq_sectors(rq) === bio.bi_iter.bi_sector;
  if (!is_behind && bio_end_sector(bio) !== rq.__sector) return false;
  if (!merge_ok(rq, bio)) return false;
  return is_behind ? back_merge(rq, bio, segments) : front_merge(rq, bio, segments);
}

function back_merge(rq: request, bio: bio, segments: number): boolean {
  const tail = rq.biotail as bio;
  const bytes = rq.__data_len + bio.bi_iter.bi_size;
  if (!fits(rq, rq.__sector, bytes, merged_segments(rq, segments))) return false;
  if (bio_has_data(bio) && has_gap(rq.q.limits, last_vec(tail), bio.bi_io_vec[0].bv_offset)) return false;
  tail.bi_next = bio;
  rq.biotail = bio;
  grow(rq, bytes, segments);
  return true;
}

function front_merge(rq: request, bio: bio, segments: number): boolean {
  const head = rq.bio as bio;
  const bytes = rq.__data_len + bio.bi_iter.bi_size;
  if (!fits(rq, bio.bi_iter.bi_sector, bytes, merged_segments(rq, segments))) return false;
  if (bio_has_data(bio) && has_gap(rq.q.limits, last_vec(bio), head.bi_io_vec[0].bv_offset)) return false;
  bio.bi_next = head;
  rq.bio = bio;
  rq.__sector = bio.bi_iter.bi_sector;
  grow(rq, bytes, segments);
  return true;
}

/** A discard stays one segment however many bios it has. */
function merged_segments(rq: request, segments: number): number {
  const op = rq.cmd_flags & REQ_OP_MASK;
  return op === REQ_OP_READ || op === REQ_OP_WRITE ? rq.nr_phys_segments + segments : 1;
}

function grow(rq: request, bytes: number, segments: number): void {
  rq.__data_len = bytes;
  rq.nr_phys_segments = merged_segments(rq, segments);
  rq.single_vec = null;
}

const walk = new req_iterator();

/**
 * Fills `sglist` with the request's pages and marks the last entry. Neighbours that are contiguous, in the guest and in machine memory,
 * share an entry as far as max_segment_size and the segment boundary allow. Returns the number of entries. Linux: blk_rq_map_sg.
 */
export function blk_rq_map_sg(rq: request, sglist: scatterlist[]): number {
  const bio = rq.bio;
  if (bio !== null && bio.bi_vcnt === 1 && bio === rq.biotail) {
    const vec = bio.bi_io_vec[0];
    // One whole vector inside one page: every queue takes that as one entry, without the walk.
    if (vec.bv_len === rq.__data_len && vec.bv_offset + vec.bv_len <= 4096) {
      const sg = sglist[0];
      sg.page = vec.bv_page;
      sg.offset = vec.bv_offset;
      sg.length = vec.bv_len;
      sg.end = true;
      return 1;
    }
  }
  const lim = rq.q.limits;
  let count = 0;
  rq_for_each_segment(rq, walk);
  while (rq_next_segment(walk)) count = map_segment(walk.bvec, sglist, count, lim);
  walk.bio = null;
  if (count > 0) sg_mark_end(sglist[count - 1]);
  return count;
}
EXPORT_SYMBOL(blk_rq_map_sg);

/** Adds one single-page segment; returns the new number of entries. */
function map_segment(bvec: bio_vec, sglist: scatterlist[], count: number, lim: queue_limits): number {
  if (count > 0 && sg_extends(sglist[count - 1], bvec, lim)) {
    sglist[count - 1].length += bvec.bv_len;
    return count;
  }
  let offset = bvec.bv_offset;
  let left = bvec.bv_len;
  while (left > 0) {
    const length = Math.min(max_segment(lim, bvec.bv_page, offset), left);
    sg_set_page(sglist[count], bvec.bv_page, length, offset);
    sg_unmark_end(sglist[count]);
    count++;
    offset += length;
    left -= length;
  }
  return count;
}

const joint = { bv_page: null as unknown as page, bv_len: 0, bv_offset: 0 };

function sg_extends(sg: scatterlist, bvec: bio_vec, lim: queue_limits): boolean {
  if (sg.page === null || sg.length + bvec.bv_len > lim.max_segment_size) return false;
  joint.bv_page = sg.page;
  joint.bv_len = sg.length;
  joint.bv_offset = sg.offset;
  if (!biovec_continues(joint, bvec.bv_page, bvec.bv_offset)) return false;
  const start = sg.page.mfn * 4096 + sg.offset;
  const end = start + sg.length + bvec.bv_len - 1;
  const mask = lim.seg_boundary_mask;
  return (start | mask) >>> 0 === (end | mask) >>> 0;
}
