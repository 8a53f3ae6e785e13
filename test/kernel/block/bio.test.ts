import { beforeEach, describe, expect, it } from "vitest";
import {
  bio_add_page,
  bio_advance,
  bio_alloc,
  bio_alloc_clone,
  bio_chain,
  bio_endio,
  bio_for_each_segment,
  bio_list,
  bio_list_add,
  bio_list_add_head,
  bio_list_merge,
  bio_list_pop,
  bio_list_size,
  bio_max_segs,
  bio_next_segment,
  bio_put,
  bio_reuse,
  bio_sectors,
  bio_segments,
  bio_split,
  bio_trim,
  blk_status_to_errno,
  errno_to_blk_status,
  fs_bio_set,
  req_iterator,
} from "xenolith/linux/bio";
import {
  BLK_STS_IOERR,
  BLK_STS_OK,
  BLK_STS_TIMEOUT,
  REQ_OP_DISCARD,
  REQ_OP_READ,
  REQ_OP_WRITE,
  op_is_flush,
  op_is_sync,
  op_is_write,
  REQ_FUA,
  REQ_PREFLUSH,
  REQ_SYNC,
} from "xenolith/linux/blk_types";
import type { bio, block_device } from "xenolith/linux/blk_types";
import { bare_disk, bare_page, bio_of } from "./fixtures";

let bdev: block_device;

beforeEach(() => {
  bdev = bare_disk().part0;
});

function segments(of: bio): [number, number, number, number][] {
  const found: [number, number, number, number][] = [];
  const iter = new req_iterator();
  bio_for_each_segment(of, iter);
  while (bio_next_segment(iter)) {
    found.push([iter.bvec.bv_page.pfn, iter.bvec.bv_offset, iter.bvec.bv_len, iter.bi_sector]);
  }
  return found;
}

describe("bio_reuse", () => {
  it("makes an ended bio as it was but for its place and size, and keeps whose it is", () => {
    const made = bio_of(bdev, 40, [
      { page: bare_page(3), length: 4096 },
      { page: bare_page(9), length: 1024, offset: 512 },
    ]);
    let ends = 0;
    made.bi_end_io = () => void ends++;
    made.bi_private = "mine";
    const fresh = segments(made);
    for (let round = 0; round < 3; round++) {
      bio_advance(made, 4096 + 512);
      made.bi_status = BLK_STS_IOERR;
      made.bi_flags |= 1 << 11;
      bio_endio(made);
      bio_reuse(made, REQ_OP_WRITE);
      made.bi_iter.bi_sector = 40;
      made.bi_iter.bi_size = 5120;
      expect(segments(made)).toEqual(fresh);
      expect([made.bi_status, made.bi_flags, made.bi_opf]).toEqual([0, 0, REQ_OP_WRITE]);
      expect([made.bi_private, ends]).toEqual(["mine", round + 1]);
    }
    bio_put(made);
  });
});

describe("bio_add_page", () => {
  it("extends the last vector only if guest and machine memory both go on", () => {
    const cases: { pfn: number; mfn: number; offset: number; merged: boolean }[] = [];
    for (const pfn of [10, 11, 12]) {
      for (const mfn of [50, 51, 52]) {
        for (const offset of [0, 512])
          cases.push({ pfn, mfn, offset, merged: pfn === 11 && mfn === 51 && offset === 0 });
      }
    }
    for (const c of cases) {
      const made = bio_of(bdev, 0, [{ page: bare_page(10, 50), length: 4096 }]);
      const room = bio_add_page(made, bare_page(c.pfn, c.mfn), 512, c.offset);
      expect([room === 512, made.bi_vcnt], JSON.stringify(c)).toEqual([c.merged, 1]);
    }
  });

  it("extends inside a page", () => {
    const page = bare_page(3, 7);
    const made = bio_of(bdev, 0, [{ page, length: 512, offset: 512 }]);
    expect(bio_add_page(made, page, 1024, 1024)).toBe(1024);
    expect(bio_add_page(made, page, 512, 3072)).toBe(0);
    expect([made.bi_vcnt, made.bi_iter.bi_size, made.bi_io_vec[0].bv_len]).toEqual([1, 1536, 1536]);
  });

  it("takes bi_max_vecs vectors and no more", () => {
    const made = bio_alloc(bdev, 2, REQ_OP_READ, 0);
    expect(bio_add_page(made, bare_page(2), 4096, 0)).toBe(4096);
    expect(bio_add_page(made, bare_page(8), 4096, 0)).toBe(4096);
    expect(bio_add_page(made, bare_page(20), 4096, 0)).toBe(0);
  });
});

describe("bio pools", () => {
  it("a recycled bio is as a fresh one", () => {
    const first = bio_of(bdev, 77, [{ page: bare_page(1), length: 4096 }], REQ_OP_WRITE);
    first.bi_private = "mine";
    first.bi_status = BLK_STS_IOERR;
    bio_put(first);
    const second = bio_alloc(bdev, 1, REQ_OP_READ, 0);
    expect(second).toBe(first);
    expect([second.bi_iter.bi_sector, second.bi_iter.bi_size, second.bi_vcnt, second.bi_status]).toEqual([0, 0, 0, 0]);
    expect([second.bi_private, second.bi_end_io, second.__bi_remaining, second.__bi_cnt]).toEqual([null, null, 1, 1]);
  });

  it("bio_max_segs", () => {
    expect([bio_max_segs(0), bio_max_segs(256), bio_max_segs(257)]).toEqual([0, 256, 256]);
  });
});

describe("walking", () => {
  it("a vector over several pages comes page by page", () => {
    const made = bio_alloc(bdev, 1, REQ_OP_READ, 0);
    made.bi_iter.bi_sector = 100;
    bio_add_page(made, bare_page(5), 4096 - 512, 512);
    expect(segments(made)).toEqual([[5, 512, 3584, 100]]);
    expect(bio_segments(made)).toBe(1);
  });

  it("advance, trim and split agree with a list of sectors", () => {
    const pieces = [1024, 4096, 512, 2048].map((length, i) => ({ page: bare_page(i * 10 + 1), length }));
    const sectorsOf = (b: bio): string[] =>
      segments(b).flatMap(([pfn, offset, length]) =>
        Array.from({ length: length / 512 }, (_, i) => `${pfn}:${offset + i * 512}`),
      );
    const all = sectorsOf(bio_of(bdev, 0, pieces));
    for (let from = 0; from < all.length; from++) {
      const advanced = bio_of(bdev, 0, pieces);
      bio_advance(advanced, from * 512);
      expect(sectorsOf(advanced)).toEqual(all.slice(from));
      for (let count = 1; from + count <= all.length; count++) {
        const trimmed = bio_of(bdev, 0, pieces);
        bio_trim(trimmed, from, count);
        expect(sectorsOf(trimmed)).toEqual(all.slice(from, from + count));
        if (count === all.length - from) continue;
        const rest = bio_of(bdev, 0, pieces);
        bio_advance(rest, from * 512);
        const front = bio_split(rest, count, 0, fs_bio_set);
        expect([sectorsOf(front), sectorsOf(rest)]).toEqual([all.slice(from, from + count), all.slice(from + count)]);
        expect([front.bi_iter.bi_sector, rest.bi_iter.bi_sector]).toEqual([from, from + count]);
      }
    }
  });

  it("a discard has sectors and no segments", () => {
    const made = bio_alloc(bdev, 0, REQ_OP_DISCARD, 0);
    made.bi_iter.bi_size = 8 * 512;
    expect([bio_sectors(made), bio_segments(made)]).toEqual([8, 0]);
    bio_advance(made, 1024);
    expect([bio_sectors(made), made.bi_iter.bi_sector]).toEqual([6, 2]);
  });
});

describe("completion", () => {
  it("a chain ends its parent once, last, with the first error, in any order of completion", () => {
    const orders = [
      [0, 1, 2],
      [0, 2, 1],
      [1, 0, 2],
      [1, 2, 0],
      [2, 0, 1],
      [2, 1, 0],
    ];
    for (const order of orders) {
      const ended: number[] = [];
      const parent = bio_alloc(bdev, 0, REQ_OP_READ, 0);
      parent.bi_end_io = (b) => ended.push(b.bi_status);
      const children = [0, 1].map(() => bio_alloc_clone(bdev, parent, 0, fs_bio_set));
      for (const child of children) bio_chain(child, parent);
      children[1].bi_status = BLK_STS_TIMEOUT;
      const all = [...children, parent];
      order.forEach((index, step) => {
        expect(ended).toEqual([]);
        bio_endio(all[index]);
        if (step < 2) expect(ended).toEqual([]);
      });
      expect(ended).toEqual([BLK_STS_TIMEOUT]);
    }
  });

  it("a chain of ten thousand parts does not need the stack", () => {
    let ended = 0;
    const last = bio_alloc(bdev, 0, REQ_OP_READ, 0);
    last.bi_end_io = () => ended++;
    const first = bio_alloc(bdev, 0, REQ_OP_READ, 0);
    let child = first;
    for (let i = 0; i < 10_000; i++) {
      const parent = i === 9_999 ? last : bio_alloc(bdev, 0, REQ_OP_READ, 0);
      bio_chain(child, parent);
      bio_endio(parent);
      child = parent;
    }
    expect(ended).toBe(0);
    bio_endio(first);
    expect(ended).toBe(1);
  });
});

describe("bio_list", () => {
  it("is first in, first out, with merging and a head insertion", () => {
    const make = (sector: number): bio => bio_of(bdev, sector, []);
    const a = new bio_list();
    const b = new bio_list();
    for (const sector of [1, 2]) bio_list_add(a, make(sector));
    for (const sector of [3, 4]) bio_list_add(b, make(sector));
    bio_list_merge(a, b);
    bio_list_add_head(a, make(0));
    expect(bio_list_size(a)).toBe(5);
    const sectors: number[] = [];
    for (let p = bio_list_pop(a); p !== null; p = bio_list_pop(a)) sectors.push(p.bi_iter.bi_sector);
    expect(sectors).toEqual([0, 1, 2, 3, 4]);
    expect([a.head, a.tail]).toEqual([null, null]);
  });
});

describe("status codes", () => {
  it("every status has its errno and comes back from it", () => {
    const pairs = [
      [0, 0],
      [1, -95],
      [2, -110],
      [3, -28],
      [4, -67],
      [5, -121],
      [6, -52],
      [7, -61],
      [8, -84],
      [9, -12],
      [10, -5],
      [12, -11],
      [13, -16],
      [16, -19],
      [17, -62],
      [19, -22],
    ];
    for (const [status, errno] of pairs) {
      expect(blk_status_to_errno(status)).toBe(errno);
      expect(errno_to_blk_status(errno)).toBe(status);
    }
  });

  it("unknown ones are I/O errors", () => {
    expect([blk_status_to_errno(99), errno_to_blk_status(-9999)]).toEqual([-5, BLK_STS_IOERR]);
    expect(blk_status_to_errno(BLK_STS_OK)).toBe(0);
  });

  it("operations and flags", () => {
    expect([op_is_write(REQ_OP_READ), op_is_write(REQ_OP_WRITE), op_is_write(REQ_OP_DISCARD)]).toEqual([
      false,
      true,
      true,
    ]);
    expect([op_is_flush(REQ_OP_WRITE), op_is_flush(REQ_FUA), op_is_flush(REQ_PREFLUSH)]).toEqual([false, true, true]);
    expect([op_is_sync(REQ_OP_READ), op_is_sync(REQ_OP_WRITE), op_is_sync(REQ_OP_WRITE | REQ_SYNC)]).toEqual([
      true,
      false,
      true,
    ]);
  });
});
