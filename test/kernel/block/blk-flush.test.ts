import { describe, expect, it } from "vitest";
import { bio_add_page, bio_alloc, bio_put, submit_bio_nowait } from "xenolith/linux/bio";
import {
  BLK_STS_IOERR,
  BLK_STS_NOTSUPP,
  BLK_STS_OK,
  REQ_FUA,
  REQ_OP_FLUSH,
  REQ_OP_READ,
  REQ_OP_WRITE,
  REQ_PREFLUSH,
} from "xenolith/linux/blk_types";
import { BLK_FEAT_FUA, BLK_FEAT_WRITE_CACHE, blkdev_issue_flush } from "xenolith/linux/blkdev";
import { alloc_page } from "xenolith/linux/mm";
import type { page } from "xenolith/linux/mm_types";
import "../../../kernel/block/blk-sysfs";
import { bootBareKernel } from "../../kit/bare-kernel";
import { Numbers } from "./fixtures";
import { TestDisk } from "./test-disk";

const kernel = bootBareKernel();
kernel.runInitcalls();
const data = alloc_page(0) as page;
let names = 0;

interface World {
  disk: TestDisk;
  ended: number[];
}

function world(features: number): World {
  const disk = new TestDisk();
  kernel.run(() => disk.add(`flush${names++}x`, { features }, { queue_depth: 32 }));
  return { disk, ended: [] };
}

function send(w: World, opf: number, bytes: number, sector = 0): void {
  const made = bio_alloc(w.disk.disk.part0, 1, opf, 0);
  made.bi_iter.bi_sector = sector;
  if (bytes > 0) bio_add_page(made, data, bytes, 0);
  made.bi_end_io = (b) => {
    w.ended.push(b.bi_status);
    bio_put(b);
  };
  expect(submit_bio_nowait(made)).toBe(true);
  kernel.runRunnable();
}

/** Lets the driver end one request after the other and returns what it saw. */
function run(w: World): string[] {
  for (kernel.runRunnable(); w.disk.held.length > 0; kernel.runRunnable()) w.disk.end();
  return w.disk.seen.map((s) => {
    if (s.op === REQ_OP_FLUSH) return s.sector === -1 && s.sectors === 0 ? "flush" : "bad flush";
    return `write${(s.flags & REQ_FUA) !== 0 ? "+fua" : ""}${(s.flags & REQ_PREFLUSH) !== 0 ? "+preflush" : ""}`;
  });
}

function remove(w: World): void {
  kernel.run(() => w.disk.remove());
}

describe("what the driver sees", () => {
  const N = 0;
  const C = BLK_FEAT_WRITE_CACHE;
  const F = BLK_FEAT_WRITE_CACHE | BLK_FEAT_FUA;
  const P = REQ_PREFLUSH;
  const U = REQ_FUA;
  it.each([
    ["no cache, plain data", N, 0, 4096, ["write"]],
    ["no cache, PREFLUSH and data", N, P, 4096, ["write"]],
    ["no cache, FUA and data", N, U, 4096, ["write"]],
    ["no cache, both and data", N, P | U, 4096, ["write"]],
    ["no cache, PREFLUSH alone", N, P, 0, []],
    ["no cache, both without data", N, P | U, 0, []],
    ["cache, plain data", C, 0, 4096, ["write"]],
    ["cache, PREFLUSH and data", C, P, 4096, ["flush", "write"]],
    ["cache, FUA and data", C, U, 4096, ["write", "flush"]],
    ["cache, both and data", C, P | U, 4096, ["flush", "write", "flush"]],
    ["cache, PREFLUSH alone", C, P, 0, ["flush"]],
    ["cache, both without data", C, P | U, 0, ["flush"]],
    ["cache and FUA, plain data", F, 0, 4096, ["write"]],
    ["cache and FUA, PREFLUSH and data", F, P, 4096, ["flush", "write"]],
    ["cache and FUA, FUA and data", F, U, 4096, ["write+fua"]],
    ["cache and FUA, both and data", F, P | U, 4096, ["flush", "write+fua"]],
    ["cache and FUA, PREFLUSH alone", F, P, 0, ["flush"]],
    ["cache and FUA, both without data", F, P | U, 0, ["flush"]],
  ])("%s", (_name, features, flags, bytes, expected) => {
    const w = world(features);
    send(w, REQ_OP_WRITE | flags, bytes);
    expect(run(w)).toEqual(expected);
    expect(w.ended).toEqual([BLK_STS_OK]);
    remove(w);
  });

  it("flags on a read are refused, and so is a bare FLUSH", () => {
    const w = world(BLK_FEAT_WRITE_CACHE);
    send(w, REQ_OP_READ | REQ_PREFLUSH, 4096);
    send(w, REQ_OP_FLUSH, 0);
    expect([w.ended, run(w)]).toEqual([[BLK_STS_IOERR, BLK_STS_NOTSUPP], []]);
    remove(w);
  });

  it("blkdev_issue_flush waits for the flush", () => {
    const w = world(BLK_FEAT_WRITE_CACHE);
    w.disk.immediate = true;
    expect(kernel.run(() => blkdev_issue_flush(w.disk.disk.part0))).toBe(0);
    expect(run(w)).toEqual(["flush"]);
    remove(w);
  });
});

describe("sharing", () => {
  it("flushes that come while one runs share the next", () => {
    const w = world(BLK_FEAT_WRITE_CACHE);
    for (let i = 0; i < 5; i++) send(w, REQ_OP_WRITE | REQ_PREFLUSH, 0);
    expect(w.disk.held.length).toBe(1);
    expect(run(w)).toEqual(["flush", "flush"]);
    expect(w.ended).toEqual([0, 0, 0, 0, 0]);
    remove(w);
  });

  it("a flush waits for data on its way, but not for ever", () => {
    const w = world(BLK_FEAT_WRITE_CACHE);
    send(w, REQ_OP_WRITE | REQ_FUA, 4096, 0);
    send(w, REQ_OP_WRITE | REQ_FUA, 4096, 64);
    w.disk.end();
    kernel.runRunnable();
    // The first one's flush waits for the second one's data, and then serves both.
    expect(w.disk.seen.length).toBe(2);
    expect(run(w)).toEqual(["write", "write", "flush"]);
    remove(w);
    const late = world(BLK_FEAT_WRITE_CACHE);
    send(late, REQ_OP_WRITE | REQ_FUA, 4096, 0);
    send(late, REQ_OP_WRITE | REQ_FUA, 4096, 64);
    late.disk.end();
    kernel.advance(6_000_000_000);
    send(late, REQ_OP_WRITE | REQ_PREFLUSH, 0);
    expect(late.disk.seen.map((s) => s.op)).toEqual([REQ_OP_WRITE, REQ_OP_WRITE, REQ_OP_FLUSH]);
    run(late);
    expect(late.ended).toEqual([0, 0, 0]);
    remove(late);
  });
});

describe("errors", () => {
  it("a step that fails ends the sequence with its status", () => {
    for (const failing of [0, 1, 2]) {
      const w = world(BLK_FEAT_WRITE_CACHE);
      send(w, REQ_OP_WRITE | REQ_PREFLUSH | REQ_FUA, 4096);
      for (let step = 0; w.disk.held.length > 0; step++) {
        w.disk.end(step === failing ? BLK_STS_IOERR : BLK_STS_OK);
        kernel.runRunnable();
      }
      expect([w.ended, w.disk.seen.length]).toEqual([[BLK_STS_IOERR], failing + 1]);
      remove(w);
    }
  });
});

describe("random mixtures", () => {
  it("every bio ends once, no data step starts before its flush, at most one flush runs (seeds 1 to 20)", () => {
    for (let seed = 1; seed <= 20; seed++) {
      const numbers = new Numbers(seed * 104729);
      const w = world(numbers.pick([BLK_FEAT_WRITE_CACHE, BLK_FEAT_WRITE_CACHE | BLK_FEAT_FUA]));
      let sent = 0;
      for (let step = 0; step < 300; step++) {
        if (numbers.below(2) === 0 && sent - w.ended.length < 20) {
          const bytes = numbers.pick([0, 4096]);
          send(
            w,
            REQ_OP_WRITE | numbers.pick([REQ_PREFLUSH, REQ_PREFLUSH | REQ_FUA, bytes > 0 ? REQ_FUA : REQ_PREFLUSH]),
            bytes,
            sent * 16,
          );
          sent++;
        } else if (w.disk.held.length > 0) {
          w.disk.end(numbers.below(10) === 0 ? BLK_STS_IOERR : BLK_STS_OK, numbers.below(w.disk.held.length));
          kernel.runRunnable();
        }
        const flushes = w.disk.held.filter((rq) => (rq.cmd_flags & 0xff) === REQ_OP_FLUSH).length;
        expect(flushes).toBeLessThanOrEqual(1);
      }
      run(w);
      expect(w.ended.length, `seed ${seed}`).toBe(sent);
      remove(w);
    }
  });
});
