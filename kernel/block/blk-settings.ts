/** Queue limits: checking, defaults, changing them at run time, and stacking. */
import { EINVAL } from "xenolith/linux/errno";
import { EXPORT_SYMBOL } from "xenolith/linux/export";
import { is_power_of_2 } from "xenolith/linux/bitops";
import { min_not_zero } from "xenolith/linux/kernel";
import { mutex_lock, mutex_unlock } from "xenolith/linux/mutex";
import { PAGE_SECTORS, SECTOR_SIZE } from "xenolith/linux/blk_types";
import {
  BLK_DEF_MAX_SECTORS_CAP,
  BLK_FEAT_FUA,
  BLK_FEAT_NOWAIT,
  BLK_FEAT_ROTATIONAL,
  BLK_FEAT_STABLE_WRITES,
  BLK_FEAT_WRITE_CACHE,
  BLK_FLAG_WRITE_CACHE_DISABLED,
  BLK_MAX_SEGMENTS,
  BLK_MAX_SEGMENT_SIZE,
  BLK_SAFE_MAX_SECTORS,
  BLK_SEG_BOUNDARY_MASK,
  queue_limits,
} from "xenolith/linux/blkdev";
import type { request_queue } from "xenolith/linux/blkdev";
import type { Sleeps } from "xenolith/linux/sched";
import type { sector_t } from "xenolith/linux/types";
import { blk_mq_freeze_queue, blk_mq_unfreeze_queue } from "./blk-mq-freeze";
import { blk_queue_update_plain } from "./blk-mq-plain";

const PAGE_SIZE = 4096;
const LOGICAL_BLOCK_SIZE_MAX = 65536;

/** See the header. Changes `lim` in place. Linux: blk_validate_limits. */
export function blk_validate_limits(lim: queue_limits): number {
  if (validate_blocks(lim) !== 0 || validate_sectors(lim) !== 0 || validate_segments(lim) !== 0) return -EINVAL;
  if (lim.dma_alignment === 0) lim.dma_alignment = SECTOR_SIZE - 1;
  if (lim.dma_alignment > PAGE_SIZE) return -EINVAL;
  settle_discard(lim);
  if ((lim.features & BLK_FEAT_WRITE_CACHE) === 0) lim.features &= ~BLK_FEAT_FUA;
  return 0;
}
EXPORT_SYMBOL(blk_validate_limits);

function validate_blocks(lim: queue_limits): number {
  if (lim.logical_block_size === 0) lim.logical_block_size = SECTOR_SIZE;
  const logical = lim.logical_block_size;
  if (!is_power_of_2(logical) || logical < SECTOR_SIZE || logical > LOGICAL_BLOCK_SIZE_MAX) return -EINVAL;
  if (lim.physical_block_size < logical) lim.physical_block_size = logical;
  if (!is_power_of_2(lim.physical_block_size)) return -EINVAL;
  if (lim.io_min < lim.physical_block_size) lim.io_min = lim.physical_block_size;
  lim.alignment_offset &= lim.physical_block_size - 1;
  return 0;
}

/** max_sectors is what the driver can, capped, unless the administrator or an optimal size asks for more. */
function validate_sectors(lim: queue_limits): number {
  const block = lim.logical_block_size / SECTOR_SIZE;
  if (lim.max_hw_sectors === 0) lim.max_hw_sectors = BLK_SAFE_MAX_SECTORS;
  if (lim.max_hw_sectors < PAGE_SECTORS || lim.max_hw_sectors < block) return -EINVAL;
  lim.max_hw_sectors -= lim.max_hw_sectors % block;
  const most = min_not_zero(lim.max_hw_sectors, lim.max_dev_sectors);
  let wanted = BLK_DEF_MAX_SECTORS_CAP;
  if (lim.max_user_sectors !== 0) {
    if (lim.max_user_sectors < PAGE_SECTORS) return -EINVAL;
    wanted = lim.max_user_sectors;
  } else if (lim.io_opt > BLK_DEF_MAX_SECTORS_CAP * SECTOR_SIZE) wanted = Math.floor(lim.io_opt / SECTOR_SIZE);
  else if (lim.io_min > BLK_DEF_MAX_SECTORS_CAP * SECTOR_SIZE) wanted = Math.floor(lim.io_min / SECTOR_SIZE);
  lim.max_sectors = Math.min(most, wanted);
  lim.max_sectors -= lim.max_sectors % block;
  return 0;
}

function validate_segments(lim: queue_limits): number {
  if (lim.max_segments === 0) lim.max_segments = BLK_MAX_SEGMENTS;
  if (lim.max_discard_segments === 0) lim.max_discard_segments = 1;
  if (lim.seg_boundary_mask === 0) lim.seg_boundary_mask = BLK_SEG_BOUNDARY_MASK;
  if (lim.seg_boundary_mask < PAGE_SIZE - 1) return -EINVAL;
  if (lim.max_segment_size === 0) {
    lim.max_segment_size = lim.virt_boundary_mask === 0 ? BLK_MAX_SEGMENT_SIZE : 0xffffffff;
  }
  return lim.max_segment_size < PAGE_SIZE ? -EINVAL : 0;
}

function settle_discard(lim: queue_limits): void {
  lim.max_discard_sectors = Math.min(lim.max_hw_discard_sectors, lim.max_user_discard_sectors);
  if (lim.max_hw_discard_sectors === 0) return;
  if (lim.discard_granularity < lim.physical_block_size) lim.discard_granularity = lim.physical_block_size;
}

export function* queue_limits_start_update(q: request_queue): Sleeps<queue_limits> {
  yield* mutex_lock(q.limits_lock);
  return new queue_limits(q.limits);
}
EXPORT_SYMBOL(queue_limits_start_update);

/** Validates and applies under the lock. */
function apply(q: request_queue, lim: queue_limits): number {
  const error = blk_validate_limits(lim);
  if (error === 0) Object.assign(q.limits, lim);
  blk_queue_update_plain(q);
  mutex_unlock(q.limits_lock);
  return error;
}

// Sleeping belongs to its interface, so that callers need not know whether a stacked queue has to wait.

export function* queue_limits_commit_update(q: request_queue, lim: queue_limits): Sleeps<number> {
  return apply(q, lim);
}
EXPORT_SYMBOL(queue_limits_commit_update);

export function* queue_limits_commit_update_frozen(q: request_queue, lim: queue_limits): Sleeps<number> {
  const memflags = yield* blk_mq_freeze_queue(q);
  const error = apply(q, lim);
  blk_mq_unfreeze_queue(q, memflags);
  return error;
}
EXPORT_SYMBOL(queue_limits_commit_update_frozen);

export function queue_limits_cancel_update(q: request_queue): void {
  mutex_unlock(q.limits_lock);
}
EXPORT_SYMBOL(queue_limits_cancel_update);

export function* queue_limits_set(q: request_queue, lim: queue_limits): Sleeps<number> {
  yield* mutex_lock(q.limits_lock);
  return apply(q, lim);
}
EXPORT_SYMBOL(queue_limits_set);

export function blk_queue_disable_discard(q: request_queue): void {
  q.limits.max_discard_sectors = 0;
  q.limits.max_hw_discard_sectors = 0;
}
EXPORT_SYMBOL(blk_queue_disable_discard);

export function blk_queue_disable_secure_erase(q: request_queue): void {
  q.limits.max_secure_erase_sectors = 0;
}
EXPORT_SYMBOL(blk_queue_disable_secure_erase);

export function blk_queue_disable_write_zeroes(q: request_queue): void {
  q.limits.max_write_zeroes_sectors = 0;
}
EXPORT_SYMBOL(blk_queue_disable_write_zeroes);

export function blk_queue_write_cache(q: request_queue, enabled: boolean, fua: boolean): void {
  const lim = q.limits;
  lim.features &= ~(BLK_FEAT_WRITE_CACHE | BLK_FEAT_FUA);
  lim.flags &= ~BLK_FLAG_WRITE_CACHE_DISABLED;
  if (enabled) lim.features |= BLK_FEAT_WRITE_CACHE;
  if (enabled && fua) lim.features |= BLK_FEAT_FUA;
}
EXPORT_SYMBOL(blk_queue_write_cache);

/** Numbers that mean "no limit", to be lowered by each member. */
export function blk_set_stacking_limits(lim: queue_limits): void {
  Object.assign(lim, new queue_limits());
  lim.logical_block_size = SECTOR_SIZE;
  lim.physical_block_size = SECTOR_SIZE;
  lim.io_min = SECTOR_SIZE;
  lim.seg_boundary_mask = BLK_SEG_BOUNDARY_MASK;
  lim.dma_alignment = SECTOR_SIZE - 1;
  lim.max_segments = 0xffff;
  lim.max_discard_segments = 0xffff;
  lim.max_segment_size = 0xffffffff;
  lim.max_hw_sectors = 0xffffffff;
  lim.max_dev_sectors = 0xffffffff;
  lim.max_sectors = 0xffffffff;
  lim.max_user_sectors = 0xffffffff;
  lim.max_write_zeroes_sectors = 0xffffffff;
  lim.max_hw_discard_sectors = 0xffffffff;
  lim.max_secure_erase_sectors = 0xffffffff;
  lim.features = BLK_FEAT_NOWAIT;
}
EXPORT_SYMBOL(blk_set_stacking_limits);

/** Fields of which a stack has the smaller one, 0 meaning "none": an unsupported operation of one member is unsupported by all. */
const STACK_MIN = [
  "max_sectors",
  "max_user_sectors",
  "max_hw_sectors",
  "max_dev_sectors",
  "max_segments",
  "max_discard_segments",
  "max_segment_size",
  "seg_boundary_mask",
  "max_write_zeroes_sectors",
  "max_hw_discard_sectors",
  "max_discard_sectors",
  "max_secure_erase_sectors",
] as const;
/** Fields of which a stack has the larger one. */
const STACK_MAX = [
  "logical_block_size",
  "physical_block_size",
  "io_min",
  "dma_alignment",
  "discard_granularity",
  "virt_boundary_mask",
] as const;

export function blk_stack_limits(top: queue_limits, bottom: queue_limits, start: sector_t): number {
  for (const field of STACK_MIN) top[field] = Math.min(top[field], bottom[field]);
  for (const field of STACK_MAX) top[field] = Math.max(top[field], bottom[field]);
  top.chunk_sectors = min_not_zero(top.chunk_sectors, bottom.chunk_sectors);
  top.io_opt = Math.max(top.io_opt, bottom.io_opt);
  top.features |=
    bottom.features & (BLK_FEAT_WRITE_CACHE | BLK_FEAT_FUA | BLK_FEAT_ROTATIONAL | BLK_FEAT_STABLE_WRITES);
  if ((bottom.features & BLK_FEAT_NOWAIT) === 0) top.features &= ~BLK_FEAT_NOWAIT;
  const misaligned = (start * SECTOR_SIZE + bottom.alignment_offset) % top.physical_block_size;
  return misaligned === 0 ? 0 : -1;
}
EXPORT_SYMBOL(blk_stack_limits);
