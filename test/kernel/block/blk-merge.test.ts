import { describe, expect, it } from "vitest";
import { bio_alloc, bio_sectors, bio_split, fs_bio_set } from "xenolith/linux/bio";
import {
  REQ_FUA,
  REQ_NOMERGE,
  REQ_OP_DISCARD,
  REQ_OP_READ,
  REQ_OP_SECURE_ERASE,
  REQ_OP_WRITE,
  REQ_OP_WRITE_ZEROES,
} from "xenolith/linux/blk_types";
import type { bio, block_device } from "xenolith/linux/blk_types";
import { blk_rq_map_sg, request } from "xenolith/linux/blk-mq";
import type { gendisk, queue_limits } from "xenolith/linux/blkdev";
import { sg_alloc } from "xenolith/linux/scatterlist";
import { bio_fit, blk_attempt_bio_merge, fit_segments } from "../../../kernel/block/blk-merge";
import { Numbers, bare_disk, bare_page, bio_of } from "./fixtures";

interface Piece {
  pfn: number;
  mfn: number;
  offset: number;
  length: number;
}

interface ModelSector {
  address: number;
  firstOfVector: boolean;
}

/** The sectors of a bio in order, from its vectors. */
function modelSectors(made: bio): ModelSector[] {
  const sectors: ModelSector[] = [];
  for (let index = 0; index < made.bi_vcnt; index++) {
    const vec = made.bi_io_vec[index];
    for (let at = 0; at < vec.bv_len; at += 512) {
      sectors.push({ address: vec.bv_page.mfn * 4096 + vec.bv_offset + at, firstOfVector: at === 0 });
    }
  }
  return sectors;
}

/** The most sectors a request may have here, found by trying all. */
function modelMost(sector: number, lim: queue_limits): number {
  const physical = lim.physical_block_size / 512;
  const logical = lim.logical_block_size / 512;
  const limit =
    lim.chunk_sectors === 0
      ? lim.max_sectors
      : Math.min(lim.max_sectors, lim.chunk_sectors - (sector % lim.chunk_sectors));
  for (let n = limit; n > 0; n--) if ((sector + n) % physical === 0) return n;
  return limit - (limit % logical);
}

/** How many sectors fit, one sector after the other. */
function modelFit(made: bio, lim: queue_limits): { sectors: number; segments: number } {
  const first = made.bi_io_vec[0];
  // A bio inside one page is never split, so that every queue can rely on a page.
  if (made.bi_vcnt === 1 && first.bv_offset + first.bv_len <= 4096 && lim.chunk_sectors === 0) {
    return { sectors: bio_sectors(made), segments: 1 };
  }
  const most = modelMost(made.bi_iter.bi_sector, lim);
  let segments = 0;
  let start = 0;
  let count = 0;
  for (const sector of modelSectors(made)) {
    const same = (a: number, b: number): boolean =>
      Math.floor(a / (lim.seg_boundary_mask + 1)) === Math.floor(b / (lim.seg_boundary_mask + 1));
    const fresh =
      sector.firstOfVector || !same(start, sector.address) || sector.address + 512 - start > lim.max_segment_size;
    if (count === most || (fresh && segments === lim.max_segments)) break;
    if (fresh) {
      segments++;
      start = sector.address;
    }
    count++;
  }
  if (count < bio_sectors(made)) count -= count % (lim.logical_block_size / 512);
  return { sectors: count, segments };
}

function check(bdev: block_device, sector: number, pieces: readonly Piece[], lim: queue_limits): void {
  const made = bio_of(
    bdev,
    sector,
    pieces.map((p) => ({ page: bare_page(p.pfn, p.mfn), length: p.length, offset: p.offset })),
  );
  const model = modelFit(made, lim);
  const got = { sectors: bio_fit(made, lim) / 512, segments: fit_segments };
  expect(got, JSON.stringify({ sector, pieces, lim })).toEqual(model);
}

describe("bio_fit", () => {
  it("agrees with a sector-by-sector model in every combination of small limits", () => {
    for (const max_hw_sectors of [8, 9, 16, 24, 255]) {
      for (const max_segments of [1, 2, 3, 128]) {
        for (const max_segment_size of [4096, 8192, 65536]) {
          for (const seg_boundary_mask of [4095, 8191, 0xffffffff]) {
            for (const physical_block_size of [512, 4096]) {
              const disk = bare_disk({
                max_hw_sectors,
                max_segments,
                max_segment_size,
                seg_boundary_mask,
                physical_block_size,
              });
              for (const sector of [0, 3, 8]) {
                check(disk.part0, sector, wholePages(5, "contiguous"), disk.queue.limits);
                check(disk.part0, sector, wholePages(5, "scattered"), disk.queue.limits);
                check(disk.part0, sector, [{ pfn: 1, mfn: 9, offset: 512, length: 2048 }], disk.queue.limits);
              }
            }
          }
        }
      }
    }
  });

  it("agrees with the model for random vectors and limits (seed 1)", () => {
    const numbers = new Numbers(1);
    for (let round = 0; round < 3000; round++) {
      const logical = numbers.pick([512, 512, 1024, 4096]);
      const disk = bare_disk({
        logical_block_size: logical,
        physical_block_size: numbers.pick([logical, 4096, 8192]),
        max_hw_sectors: numbers.pick([8, 16, 88, 255]),
        max_segments: 1 + numbers.below(12),
        max_segment_size: numbers.pick([4096, 8192, 65536]),
        seg_boundary_mask: numbers.pick([4095, 16383, 0xffffffff]),
        chunk_sectors: numbers.pick([0, 0, 64]),
      });
      const step = logical / 512;
      const pieces: Piece[] = [];
      for (let i = 1 + numbers.below(20); i > 0; i--) {
        const offset = numbers.below(8 / step) * logical;
        const pfn = numbers.below(1000);
        pieces.push({
          pfn,
          mfn: pfn + numbers.below(2),
          offset,
          length: logical * (1 + numbers.below((4096 - offset) / logical)),
        });
      }
      check(disk.part0, numbers.below(100) * step, pieces, disk.queue.limits);
    }
  });

  it("the shapes of requests that real front ends send", () => {
    // [max_segments, kilobytes of one read, requests]: reference measurements of 44, 48, 128 and 1024 KiB reads.
    const cases = [
      [11, 1024, 24],
      [32, 1024, 8],
      [256, 1024, 1],
      [11, 128, 3],
      [11, 48, 2],
      [11, 44, 1],
      [32, 132, 2],
    ];
    for (const [max_segments, kilobytes, requests] of cases) {
      const limits = {
        max_segments,
        max_hw_sectors: max_segments * 8,
        max_segment_size: 4096,
        seg_boundary_mask: 4095,
      };
      const disk = bare_disk({ ...limits, physical_block_size: 4096 });
      const made = bio_of(
        disk.part0,
        0,
        wholePages(kilobytes / 4, "scattered").map((p) => ({ page: bare_page(p.pfn, p.mfn), length: 4096 })),
      );
      let count = 1;
      for (let bytes = bio_fit(made, disk.queue.limits); bytes < made.bi_iter.bi_size; count++) {
        bio_split(made, bytes / 512, 0, fs_bio_set);
        bytes = bio_fit(made, disk.queue.limits);
      }
      expect(count, `${kilobytes} KiB with ${max_segments} segments`).toBe(requests);
    }
  });

  it("discards end on a granule, counted from the alignment", () => {
    for (const granularity of [512, 4096, 65536]) {
      for (const alignment of [0, 4096]) {
        for (const most of [128, 200, 1024]) {
          const disk = bare_disk({
            max_hw_discard_sectors: most,
            discard_granularity: granularity,
            discard_alignment: alignment,
          });
          for (const sector of [0, 1, 7, 129]) expect_discard(disk, sector, granularity / 512, alignment / 512, most);
        }
      }
    }
  });

  it("secure erase and write zeroes have limits of their own", () => {
    const disk = bare_disk({ max_secure_erase_sectors: 16, max_write_zeroes_sectors: 24, max_hw_discard_sectors: 8 });
    const fit = (op: number): number => {
      const made = bio_alloc(disk.part0, 0, op, 0);
      made.bi_iter.bi_size = 100 * 512;
      return bio_fit(made, disk.queue.limits) / 512;
    };
    expect([fit(REQ_OP_SECURE_ERASE), fit(REQ_OP_WRITE_ZEROES), fit(REQ_OP_DISCARD)]).toEqual([16, 24, 8]);
  });
});

function expect_discard(disk: gendisk, sector: number, granule: number, alignment: number, most: number): void {
  const made = bio_alloc(disk.part0, 0, REQ_OP_DISCARD, 0);
  made.bi_iter.bi_sector = sector;
  made.bi_iter.bi_size = 5000 * 512;
  const sectors = bio_fit(made, disk.queue.limits) / 512;
  expect(sectors).toBeGreaterThan(0);
  expect(sectors).toBeLessThanOrEqual(most);
  if (most >= 2 * granule) expect((sector + sectors - (alignment % granule)) % granule).toBe(0);
}

function wholePages(count: number, how: "contiguous" | "scattered"): Piece[] {
  return Array.from({ length: count }, (_, i) => {
    const pfn = how === "contiguous" ? 100 + i : 100 + i * 2;
    return { pfn, mfn: pfn + 7, offset: 0, length: 4096 };
  });
}

function request_of(disk: gendisk, made: bio): request {
  const rq = new request(0);
  rq.q = disk.queue;
  rq.tag = 0;
  rq.cmd_flags = made.bi_opf;
  rq.part = made.bi_bdev;
  rq.bio = made;
  rq.biotail = made;
  rq.__sector = made.bi_iter.bi_sector;
  rq.__data_len = made.bi_iter.bi_size;
  bio_fit(made, disk.queue.limits);
  rq.nr_phys_segments = fit_segments;
  return rq;
}

describe("blk_attempt_bio_merge", () => {
  const page = (n: number) => [{ page: bare_page(n * 3), length: 4096 }];

  it("joins neighbours at the back and at the front", () => {
    const disk = bare_disk();
    const rq = request_of(disk, bio_of(disk.part0, 8, page(1)));
    expect(blk_attempt_bio_merge(rq, bio_of(disk.part0, 16, page(2)), 1)).toBe(true);
    expect(blk_attempt_bio_merge(rq, bio_of(disk.part0, 0, page(3)), 1)).toBe(true);
    expect([rq.__sector, rq.__data_len, rq.nr_phys_segments]).toEqual([0, 3 * 4096, 3]);
    const order: number[] = [];
    for (let b = rq.bio; b !== null; b = b.bi_next) order.push(b.bi_iter.bi_sector);
    expect(order).toEqual([0, 8, 16]);
  });

  it("refuses what is not adjacent, of another operation, marked, or beyond the limits", () => {
    const disk = bare_disk({ max_hw_sectors: 16, max_segments: 2 });
    const other = bare_disk();
    const make = (): request => request_of(disk, bio_of(disk.part0, 8, page(1)));
    expect(blk_attempt_bio_merge(make(), bio_of(disk.part0, 17, page(2)), 1)).toBe(false);
    expect(blk_attempt_bio_merge(make(), bio_of(disk.part0, 16, page(2), REQ_OP_WRITE), 1)).toBe(false);
    expect(blk_attempt_bio_merge(make(), bio_of(disk.part0, 16, page(2), REQ_OP_READ | REQ_NOMERGE), 1)).toBe(false);
    expect(blk_attempt_bio_merge(make(), bio_of(disk.part0, 16, page(2), REQ_OP_READ | REQ_FUA), 1)).toBe(false);
    expect(blk_attempt_bio_merge(make(), bio_of(other.part0, 16, page(2)), 1)).toBe(false);
    expect(blk_attempt_bio_merge(make(), bio_of(disk.part0, 16, page(2)), 2)).toBe(false);
    const full = make();
    expect(blk_attempt_bio_merge(full, bio_of(disk.part0, 16, page(2)), 1)).toBe(true);
    expect(blk_attempt_bio_merge(full, bio_of(disk.part0, 24, page(3)), 1)).toBe(false);
  });
});

describe("blk_rq_map_sg", () => {
  it("entries keep the bytes, the limits and the machine's contiguity (seed 2)", () => {
    const numbers = new Numbers(2);
    for (let round = 0; round < 500; round++) {
      const disk = bare_disk({
        max_segment_size: numbers.pick([4096, 8192, 65536]),
        seg_boundary_mask: numbers.pick([4095, 8191, 0xffffffff]),
        max_hw_sectors: 2048,
      });
      const pieces = Array.from({ length: 1 + numbers.below(12) }, (_, i) => {
        const pfn = 100 + i;
        return {
          page: bare_page(pfn, pfn + (numbers.below(3) === 0 ? 1000 : 0)),
          length: numbers.pick([4096, 4096, 2048]),
        };
      });
      // The bytes of a page must end where the next begins for them to be joined.
      const first = request_of(disk, bio_of(disk.part0, 0, pieces));
      const sgl = sg_alloc(64);
      // Only vectors inside one page need no struct pages behind them.
      if ((first.bio as bio).bi_io_vec.slice(0, (first.bio as bio).bi_vcnt).some((v) => v.bv_offset + v.bv_len > 4096))
        continue;
      const count = blk_rq_map_sg(first, sgl);
      const lim = disk.queue.limits;
      const bytes = sgl.slice(0, count).reduce((sum, sg) => sum + sg.length, 0);
      expect(bytes).toBe(first.__data_len);
      expect(sgl.slice(0, count).map((sg) => sg.end)).toEqual(Array.from({ length: count }, (_, i) => i === count - 1));
      for (const sg of sgl.slice(0, count)) {
        const start = (sg.page?.mfn ?? 0) * 4096 + sg.offset;
        const boundary = lim.seg_boundary_mask + 1;
        expect(sg.length).toBeLessThanOrEqual(lim.max_segment_size);
        expect(Math.floor(start / boundary)).toBe(Math.floor((start + sg.length - 1) / boundary));
      }
    }
  });
});
