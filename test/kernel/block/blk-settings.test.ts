import { describe, expect, it } from "vitest";
import {
  BLK_FEAT_FUA,
  BLK_FEAT_NOWAIT,
  BLK_FEAT_WRITE_CACHE,
  blk_queue_disable_discard,
  blk_queue_disable_secure_erase,
  blk_queue_write_cache,
  blk_queue_write_cache_enabled,
  blk_set_stacking_limits,
  blk_stack_limits,
  blk_validate_limits,
  queue_limits,
} from "xenolith/linux/blkdev";
import { bare_disk } from "./fixtures";

function validated(init: Partial<queue_limits>): queue_limits | number {
  const lim = new queue_limits(init);
  const error = blk_validate_limits(lim);
  return error === 0 ? lim : error;
}

describe("blk_validate_limits", () => {
  it("fills in Linux's defaults", () => {
    expect(validated({})).toMatchObject({
      logical_block_size: 512,
      physical_block_size: 512,
      io_min: 512,
      max_hw_sectors: 255,
      max_sectors: 255,
      max_segments: 128,
      max_segment_size: 65536,
      max_discard_segments: 1,
      seg_boundary_mask: 0xffffffff,
      dma_alignment: 511,
      discard_granularity: 0,
      max_discard_sectors: 0,
    });
  });

  it.each([
    [{ logical_block_size: 256 }],
    [{ logical_block_size: 1000 }],
    [{ logical_block_size: 131072 }],
    [{ physical_block_size: 3000 }],
    [{ max_hw_sectors: 7 }],
    [{ max_hw_sectors: 8, logical_block_size: 8192 }],
    [{ max_user_sectors: 4 }],
    [{ seg_boundary_mask: 2047 }],
    [{ max_segment_size: 2048 }],
    [{ dma_alignment: 8191 }],
  ])("refuses %o", (init) => {
    expect(validated(init)).toBe(-22);
  });

  it("max_sectors is what the hardware can, capped at 1280 KiB, unless somebody asks for more or less", () => {
    const max = (init: Partial<queue_limits>): number => (validated(init) as queue_limits).max_sectors;
    expect(max({ max_hw_sectors: 88 })).toBe(88);
    expect(max({ max_hw_sectors: 100_000 })).toBe(2560);
    expect(max({ max_hw_sectors: 100_000, io_opt: 4 << 20 })).toBe(8192);
    expect(max({ max_hw_sectors: 100_000, max_user_sectors: 64 })).toBe(64);
    expect(max({ max_hw_sectors: 100_000, max_dev_sectors: 1000 })).toBe(1000);
    expect(max({ max_hw_sectors: 255, logical_block_size: 4096 })).toBe(248);
  });

  it("FUA needs a write cache; discard's granule is at least a physical block", () => {
    expect(validated({ features: BLK_FEAT_FUA })).toMatchObject({ features: 0 });
    expect(validated({ max_hw_discard_sectors: 100, physical_block_size: 4096 })).toMatchObject({
      discard_granularity: 4096,
      max_discard_sectors: 100,
    });
    expect(validated({ max_hw_discard_sectors: 100, max_user_discard_sectors: 10 })).toMatchObject({
      max_discard_sectors: 10,
    });
  });

  it("validating twice changes nothing", () => {
    const once = validated({
      max_hw_sectors: 1000,
      physical_block_size: 4096,
      max_hw_discard_sectors: 50,
    }) as queue_limits;
    const twice = new queue_limits(once);
    expect(blk_validate_limits(twice)).toBe(0);
    expect(twice).toEqual(once);
  });
});

describe("run-time refusals", () => {
  it("a refused flush takes the write cache away", () => {
    const { queue } = bare_disk({ features: BLK_FEAT_WRITE_CACHE | BLK_FEAT_FUA });
    expect(blk_queue_write_cache_enabled(queue)).toBe(true);
    blk_queue_write_cache(queue, false, false);
    expect([blk_queue_write_cache_enabled(queue), queue.limits.features]).toEqual([false, 0]);
  });

  it("a refused discard takes its limits away", () => {
    const { queue } = bare_disk({ max_hw_discard_sectors: 100, max_secure_erase_sectors: 100 });
    blk_queue_disable_discard(queue);
    expect([queue.limits.max_discard_sectors, queue.limits.max_secure_erase_sectors]).toEqual([0, 100]);
    blk_queue_disable_secure_erase(queue);
    expect(queue.limits.max_secure_erase_sectors).toBe(0);
  });
});

describe("stacking", () => {
  it("a stack is as good as its weakest member, and as coarse as its coarsest", () => {
    const top = new queue_limits();
    blk_set_stacking_limits(top);
    const a = validated({ max_hw_sectors: 1000, max_segments: 10, features: BLK_FEAT_NOWAIT }) as queue_limits;
    const b = validated({
      max_hw_sectors: 88,
      max_segments: 11,
      logical_block_size: 4096,
      features: BLK_FEAT_WRITE_CACHE,
    }) as queue_limits;
    expect(blk_stack_limits(top, a, 0)).toBe(0);
    expect(blk_stack_limits(top, b, 0)).toBe(0);
    expect(top).toMatchObject({
      max_hw_sectors: 88,
      max_segments: 10,
      logical_block_size: 4096,
      features: BLK_FEAT_WRITE_CACHE,
    });
    expect(blk_stack_limits(top, a, 1)).toBe(-1);
  });
});
