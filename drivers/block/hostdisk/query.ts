/** What the host says about one of its disks, and the queue limits that follow from it. */
import { page_to_phys } from "xenolith/linux/mm";
import { BLK_FEAT_WRITE_CACHE, queue_limits } from "xenolith/linux/blkdev";
import { HYPERVISOR_hostdisk_op } from "xenolith/xen/hypercall";
import { page_read32, page_write32 } from "xenolith/xen/page";
import {
  HOSTDISK_F_DISCARD,
  HOSTDISK_F_SECURE_ERASE,
  HOSTDISK_F_WRITE_CACHE,
  HOSTDISK_OP_query,
  HOSTDISK_QUERY_discard_granularity,
  HOSTDISK_QUERY_flags,
  HOSTDISK_QUERY_generation,
  HOSTDISK_QUERY_index,
  HOSTDISK_QUERY_logical_block_size,
  HOSTDISK_QUERY_max_segments,
  HOSTDISK_QUERY_physical_block_size,
  HOSTDISK_QUERY_sectors,
} from "../../../hal/abi/hostdisk";
import type { page } from "xenolith/linux/mm_types";
import type { sector_t } from "xenolith/linux/types";

/** The answer to a query. */
export interface hostdisk_info {
  /** HOSTDISK_F_*. */
  readonly flags: number;
  readonly logical_block_size: number;
  readonly physical_block_size: number;
  readonly sectors: sector_t;
  readonly max_segments: number;
  /** Changes with the size. */
  readonly generation: number;
  /** Bytes. */
  readonly discard_granularity: number;
}

/**
 * Asks about disk `index` through a page of our own, whose first 64 bytes are overwritten. -ENODEV if there is no such disk, -ENXIO if there is
 * none of a higher index either.
 */
export function query_disk(scratch: page, index: number): hostdisk_info | number {
  page_write32(scratch, HOSTDISK_QUERY_index / 4, index);
  const error = HYPERVISOR_hostdisk_op(HOSTDISK_OP_query, page_to_phys(scratch), 0);
  if (error !== 0) return error;
  const word = (offset: number): number => page_read32(scratch, offset / 4);
  return {
    flags: word(HOSTDISK_QUERY_flags),
    logical_block_size: word(HOSTDISK_QUERY_logical_block_size),
    physical_block_size: word(HOSTDISK_QUERY_physical_block_size),
    sectors: word(HOSTDISK_QUERY_sectors) + word(HOSTDISK_QUERY_sectors + 4) * 0x100000000,
    max_segments: word(HOSTDISK_QUERY_max_segments),
    generation: word(HOSTDISK_QUERY_generation),
    discard_granularity: word(HOSTDISK_QUERY_discard_granularity),
  };
}

/** The limits of a disk whose requests have at most `segments_max` descriptors, each inside one page. */
export function limits_of(info: hostdisk_info, segments_max: number): queue_limits {
  const segments = Math.min(info.max_segments, segments_max);
  return new queue_limits({
    logical_block_size: info.logical_block_size,
    physical_block_size: info.physical_block_size,
    max_segments: segments,
    max_segment_size: 4096,
    seg_boundary_mask: 4095,
    max_hw_sectors: segments * 8,
    max_hw_discard_sectors: (info.flags & HOSTDISK_F_DISCARD) !== 0 ? 0xffffffff : 0,
    max_secure_erase_sectors: (info.flags & HOSTDISK_F_SECURE_ERASE) !== 0 ? 0xffffffff : 0,
    discard_granularity: info.discard_granularity,
    features: (info.flags & HOSTDISK_F_WRITE_CACHE) !== 0 ? BLK_FEAT_WRITE_CACHE : 0,
  });
}
