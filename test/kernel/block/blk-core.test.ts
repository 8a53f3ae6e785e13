import { beforeEach, describe, expect, it } from "vitest";
import { bio_add_page, bio_alloc, bio_endio, bio_put, submit_bio_nowait, submit_bio_noacct } from "xenolith/linux/bio";
import {
  BLK_STS_IOERR,
  BLK_STS_NOTSUPP,
  BLK_STS_OK,
  REQ_FUA,
  REQ_NOWAIT,
  REQ_OP_DISCARD,
  REQ_OP_FLUSH,
  REQ_OP_READ,
  REQ_OP_SECURE_ERASE,
  REQ_OP_WRITE,
  REQ_OP_WRITE_ZEROES,
  REQ_PREFLUSH,
} from "xenolith/linux/blk_types";
import type { bio, block_device } from "xenolith/linux/blk_types";
import { blk_mq_freeze_queue, blk_mq_unfreeze_queue } from "xenolith/linux/blk-mq";
import {
  BLK_FEAT_NOWAIT,
  BLK_FEAT_WRITE_CACHE,
  GENHD_FL_NO_PART,
  add_disk,
  blk_alloc_disk,
  blk_mark_disk_dead,
  del_gendisk,
  put_disk,
  queue_limits,
  set_capacity,
  set_disk_ro,
} from "xenolith/linux/blkdev";
import type { gendisk } from "xenolith/linux/blkdev";
import { alloc_page } from "xenolith/linux/mm";
import type { page } from "xenolith/linux/mm_types";
import "../../../kernel/block/blk-sysfs";
import { bootBareKernel } from "../../kit/bare-kernel";
import { TestDisk } from "./test-disk";

const kernel = bootBareKernel();
kernel.runInitcalls();
const data = alloc_page(0) as page;
let names = 0;
let ended: string[] = [];

beforeEach(() => {
  ended = [];
});

function make(bdev: block_device, opf: number, sector: number, bytes = 4096): bio {
  const made = bio_alloc(bdev, 1, opf, 0);
  made.bi_iter.bi_sector = sector;
  if ((opf & 0xff) <= REQ_OP_WRITE && bytes > 0) bio_add_page(made, data, bytes, 0);
  else made.bi_iter.bi_size = bytes;
  made.bi_end_io = (b) => {
    ended.push(`${sector}:${b.bi_status}`);
    bio_put(b);
  };
  return made;
}

/** A bio-based disk. */
function bioDisk(submit: (made: bio) => void, limits: Partial<queue_limits> = {}): gendisk {
  const disk = blk_alloc_disk(new queue_limits(limits), -1);
  if (typeof disk === "number") throw new Error(`disk: ${disk}`);
  disk.disk_name = `core${names++}x`;
  disk.flags |= GENHD_FL_NO_PART;
  disk.fops = { submit_bio: submit };
  set_capacity(disk, 1000);
  kernel.run(() => add_disk(disk));
  return disk;
}

function remove(disk: gendisk): void {
  kernel.run(() => del_gendisk(disk));
  put_disk(disk);
}

describe("what submit_bio refuses", () => {
  it.each([
    ["NOWAIT that the device cannot", {}, REQ_OP_READ | REQ_NOWAIT, 0, 4096, BLK_STS_NOTSUPP],
    ["NOWAIT that it can", { features: BLK_FEAT_NOWAIT }, REQ_OP_READ | REQ_NOWAIT, 0, 4096, BLK_STS_OK],
    ["the last sectors", {}, REQ_OP_READ, 992, 4096, BLK_STS_OK],
    ["one sector beyond the end", {}, REQ_OP_READ, 993, 4096, BLK_STS_IOERR],
    ["a start beyond the end", {}, REQ_OP_READ, 1e15, 512, BLK_STS_IOERR],
    ["a negative start", {}, REQ_OP_READ, -1, 512, BLK_STS_IOERR],
    [
      "an empty bio beyond the end",
      { features: BLK_FEAT_WRITE_CACHE },
      REQ_OP_WRITE | REQ_PREFLUSH,
      5000,
      0,
      BLK_STS_OK,
    ],
    ["PREFLUSH on a read", { features: BLK_FEAT_WRITE_CACHE }, REQ_OP_READ | REQ_PREFLUSH, 0, 4096, BLK_STS_IOERR],
    ["FUA on a read without a cache", {}, REQ_OP_READ | REQ_FUA, 0, 4096, BLK_STS_IOERR],
    ["FLUSH as a bio", { features: BLK_FEAT_WRITE_CACHE }, REQ_OP_FLUSH, 0, 0, BLK_STS_NOTSUPP],
    ["DISCARD without support", {}, REQ_OP_DISCARD, 0, 4096, BLK_STS_NOTSUPP],
    ["DISCARD with support", { max_hw_discard_sectors: 100 }, REQ_OP_DISCARD, 0, 4096, BLK_STS_OK],
    ["SECURE_ERASE without support", {}, REQ_OP_SECURE_ERASE, 0, 4096, BLK_STS_NOTSUPP],
    ["SECURE_ERASE with support", { max_secure_erase_sectors: 100 }, REQ_OP_SECURE_ERASE, 0, 4096, BLK_STS_OK],
    ["WRITE_ZEROES without support", {}, REQ_OP_WRITE_ZEROES, 0, 4096, BLK_STS_NOTSUPP],
    ["a zone operation", {}, 10, 0, 0, BLK_STS_NOTSUPP],
    ["a misaligned start", { logical_block_size: 4096 }, REQ_OP_READ, 1, 4096, BLK_STS_IOERR],
    ["a misaligned length", { logical_block_size: 4096 }, REQ_OP_READ, 0, 512, BLK_STS_IOERR],
  ])("%s", (_name, limits, opf, sector, bytes, status) => {
    const disk = bioDisk((made) => bio_endio(made), limits);
    expect(submit_bio_nowait(make(disk.part0, opf, sector, bytes))).toBe(true);
    expect(ended).toEqual([`${sector}:${status}`]);
    remove(disk);
  });

  it("a write to a read-only disk is told once and goes through", () => {
    const seen: number[] = [];
    const disk = bioDisk((made) => {
      seen.push(made.bi_iter.bi_sector);
      bio_endio(made);
    });
    set_disk_ro(disk, true);
    const before = kernel.log.length;
    for (const sector of [0, 8]) submit_bio_nowait(make(disk.part0, REQ_OP_WRITE, sector));
    expect(seen).toEqual([0, 8]);
    expect(kernel.log.slice(before).filter((line) => line.includes("read-only block-device")).length).toBe(1);
    remove(disk);
  });

  it("flags without a write cache are dropped before the driver sees them", () => {
    const seen: number[] = [];
    const disk = bioDisk((made) => {
      seen.push(made.bi_opf);
      bio_endio(made);
    });
    submit_bio_nowait(make(disk.part0, REQ_OP_WRITE | REQ_PREFLUSH | REQ_FUA, 0));
    submit_bio_nowait(make(disk.part0, REQ_OP_WRITE | REQ_PREFLUSH, 0, 0));
    expect([seen, ended]).toEqual([[REQ_OP_WRITE], ["0:0", "0:0"]]);
    remove(disk);
  });

  it("everything on a dead disk", () => {
    const disk = bioDisk((made) => bio_endio(made));
    blk_mark_disk_dead(disk);
    submit_bio_nowait(make(disk.part0, REQ_OP_READ, 0));
    expect(ended).toEqual([`0:${BLK_STS_IOERR}`]);
    remove(disk);
  });
});

describe("the short way to a driver without requests", () => {
  it("is closed while the queue is frozen and for a dead disk, and open otherwise", () => {
    const seen: number[] = [];
    const disk = bioDisk((made) => {
      seen.push(made.bi_iter.bi_sector);
      bio_endio(made);
    });
    const q = disk.queue;
    expect(q.plain_submit).not.toBeNull();
    kernel.run(() => blk_mq_freeze_queue(q));
    const waiting = make(disk.part0, REQ_OP_READ, 8);
    expect(submit_bio_nowait(waiting)).toBe(false);
    blk_mq_unfreeze_queue(q, 0);
    expect(submit_bio_nowait(waiting)).toBe(true);
    expect([seen, ended, q.q_usage]).toEqual([[8], ["8:0"], 0]);
    blk_mark_disk_dead(disk);
    submit_bio_nowait(make(disk.part0, REQ_OP_READ, 16));
    expect([seen, ended[1]]).toEqual([[8], `16:${BLK_STS_IOERR}`]);
    remove(disk);
  });

  it("takes sectors of 512 bytes only", () => {
    const seen: number[] = [];
    const disk = bioDisk((made) => void (seen.push(made.bi_iter.bi_size), bio_endio(made)), {
      logical_block_size: 4096,
    });
    for (const bytes of [4096, 512]) submit_bio_nowait(make(disk.part0, REQ_OP_READ, 0, bytes));
    expect([seen, ended]).toEqual([[4096], ["0:0", `0:${BLK_STS_IOERR}`]]);
    remove(disk);
  });
});

describe("recursion", () => {
  it("what a driver submits is done after it returns, in order", () => {
    const order: string[] = [];
    const lower = bioDisk((made) => {
      order.push(`lower ${made.bi_iter.bi_sector}`);
      bio_endio(made);
    });
    const upper = bioDisk((made) => {
      order.push("upper begins");
      for (const sector of [1, 2]) submit_bio_noacct(make(lower.part0, REQ_OP_READ, sector, 512));
      order.push("upper ends");
      bio_endio(made);
    });
    submit_bio_nowait(make(upper.part0, REQ_OP_READ, 0));
    expect(order).toEqual(["upper begins", "upper ends", "lower 1", "lower 2"]);
    remove(upper);
    remove(lower);
  });

  it("an end_io that submits the next bio does not use the stack", () => {
    const disk = bioDisk((made) => bio_endio(made));
    let left = 100_000;
    const next = (): void => {
      const made = make(disk.part0, REQ_OP_READ, 0);
      made.bi_end_io = (b) => {
        bio_put(b);
        if (--left > 0) next();
      };
      submit_bio_nowait(made);
    };
    next();
    expect(left).toBe(0);
    remove(disk);
  });

  it("what would have to wait is finished by a worker", () => {
    const lower = new TestDisk();
    kernel.run(() => lower.add(`low${names++}x`, {}, { queue_depth: 2 }));
    const upper = bioDisk((made) => {
      for (let i = 0; i < 6; i++) submit_bio_noacct(make(lower.disk.part0, REQ_OP_READ, i * 16));
      bio_endio(made);
    });
    expect(submit_bio_nowait(make(upper.part0, REQ_OP_READ, 500))).toBe(true);
    expect([ended, lower.held.length]).toEqual([["500:0"], 2]);
    for (kernel.runRunnable(); lower.held.length > 0; kernel.runRunnable()) lower.end();
    expect(ended.slice(1).sort()).toEqual(["0:0", "16:0", "32:0", "48:0", "64:0", "80:0"]);
    remove(upper);
    kernel.run(() => lower.remove());
  });
});
