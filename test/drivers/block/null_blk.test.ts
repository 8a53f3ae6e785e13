import { describe, expect, it } from "vitest";
import { bio_add_page, bio_alloc, bio_put, submit_bio } from "xenolith/linux/bio";
import { REQ_OP_READ } from "xenolith/linux/blk_types";
import { all_bdevs, bdev_name, bdev_nr_sectors } from "xenolith/linux/blkdev";
import { alloc_page } from "xenolith/linux/mm";
import type { page } from "xenolith/linux/mm_types";
import { completion_nsec, irqmode, null_exit, null_init, queue_mode } from "../../../drivers/block/null_blk";
import { bootBareKernel } from "../../kit/bare-kernel";

const kernel = bootBareKernel();
kernel.runInitcalls();
const data = alloc_page(0) as page;

/** Removes the disks and makes them anew with other parameters. */
function reload(mode: number, irq: number): number {
  kernel.run(null_exit);
  queue_mode.value = mode;
  irqmode.value = irq;
  return kernel.run(null_init);
}

/** Sends `count` reads and returns how many ended after `ns`. */
function reads(count: number, ns: number): number {
  let ended = 0;
  kernel.spawn(function* () {
    for (let i = 0; i < count; i++) {
      const made = bio_alloc(all_bdevs()[0], 1, REQ_OP_READ, 0);
      made.bi_iter.bi_sector = i * 16;
      bio_add_page(made, data, 4096, 0);
      made.bi_end_io = (b) => {
        ended++;
        bio_put(b);
      };
      yield* submit_bio(made);
    }
    return 0;
  });
  kernel.advance(ns);
  return ended;
}

describe("null_blk", () => {
  it("makes one disk of 250 GB that ends everything", () => {
    expect(all_bdevs().map(bdev_name)).toEqual(["nullb0"]);
    expect(bdev_nr_sectors(all_bdevs()[0])).toBe(250 * 2 * 1024 * 1024);
    expect(reads(1000, 0)).toBe(1000);
  });

  it("by a timer: each request takes completion_nsec, hw_queue_depth at a time", () => {
    expect(reload(2, 2)).toBe(0);
    expect(reads(100, completion_nsec.value - 1)).toBe(0);
    kernel.advance(1);
    expect(reads(0, 0)).toBe(0);
    kernel.advance(2 * completion_nsec.value);
    expect(reads(64, 2 * completion_nsec.value)).toBe(64);
  });

  it("at once, and bio based", () => {
    expect(reload(2, 0)).toBe(0);
    expect(reads(200, 0)).toBe(200);
    expect(reload(0, 0)).toBe(0);
    expect(reads(200, 0)).toBe(200);
  });

  it("refuses modes that it does not have", () => {
    expect(reload(1, 0)).toBe(-22);
    expect(reload(2, 3)).toBe(-22);
    expect(all_bdevs()).toEqual([]);
  });
});
