import { describe, expect, it } from "vitest";
import { bio_add_page, bio_alloc, bio_put, submit_bio_wait } from "xenolith/linux/bio";
import { BLK_OPEN_READ, REQ_OP_READ, REQ_OP_WRITE } from "xenolith/linux/blk_types";
import {
  all_bdevs,
  bdev_file_open_by_path,
  bdev_fput,
  bdev_name,
  bdev_nr_sectors,
  blkdev_issue_discard,
} from "xenolith/linux/blkdev";
import { alloc_page, nr_allocated_pages, put_page } from "xenolith/linux/mm";
import type { page } from "xenolith/linux/mm_types";
import { memcpy_from_page, memcpy_to_page } from "xenolith/xen/page";
import "../../../drivers/xen/page";
import { brd_exit } from "../../../drivers/block/brd";
import { bootBareKernel } from "../../kit/bare-kernel";
import { Numbers } from "../../kernel/block/fixtures";

const kernel = bootBareKernel({ pages: 4096 });
const pagesBefore = nr_allocated_pages();
kernel.runInitcalls();
const disk = all_bdevs()[0];

function transfer(opf: number, sector: number, offset: number, bytes: Uint8Array): number {
  const pages = [alloc_page(0) as page, alloc_page(0) as page];
  const made = bio_alloc(disk, 2, opf, 0);
  made.bi_iter.bi_sector = sector;
  const first = Math.min(bytes.length, 4096 - offset);
  const rest = bytes.length - first;
  if (opf === REQ_OP_WRITE) {
    memcpy_to_page(pages[0], offset, bytes, 0, first);
    if (rest > 0) memcpy_to_page(pages[1], 0, bytes, first, rest);
  }
  bio_add_page(made, pages[0], first, offset);
  if (rest > 0) bio_add_page(made, pages[1], rest, 0);
  const error = kernel.run(() => submit_bio_wait(made));
  if (opf === REQ_OP_READ) {
    memcpy_from_page(bytes, 0, pages[0], offset, first);
    if (rest > 0) memcpy_from_page(bytes, first, pages[1], 0, rest);
  }
  bio_put(made);
  for (const p of pages) put_page(p);
  return error;
}

describe("brd", () => {
  it("makes rd_nr disks of rd_size", () => {
    expect(all_bdevs().map(bdev_name)).toEqual(["ram0"]);
    expect(bdev_nr_sectors(disk)).toBe(16384 * 2);
  });

  it("holds what was written, at any alignment (seed 3)", () => {
    const numbers = new Numbers(3);
    const model = new Uint8Array(256 * 512);
    for (let round = 0; round < 300; round++) {
      const sectors = 1 + numbers.below(8);
      const sector = numbers.below(256 - sectors);
      const offset = numbers.below(8) * 512;
      const bytes = new Uint8Array(sectors * 512);
      if (numbers.below(2) === 0) {
        bytes.fill(numbers.below(256));
        expect(transfer(REQ_OP_WRITE, sector, offset, bytes)).toBe(0);
        model.set(bytes, sector * 512);
      } else {
        expect(transfer(REQ_OP_READ, sector, offset, bytes)).toBe(0);
        expect(Buffer.compare(bytes, model.subarray(sector * 512, (sector + sectors) * 512))).toBe(0);
      }
    }
  });

  it("what was discarded is zero again, whole pages only", () => {
    const ones = new Uint8Array(8192).fill(1);
    transfer(REQ_OP_WRITE, 1024, 0, ones);
    const before = nr_allocated_pages();
    expect(kernel.run(() => blkdev_issue_discard(disk, 1024, 12, 0))).toBe(0);
    expect(nr_allocated_pages()).toBe(before - 1);
    const read = new Uint8Array(8192);
    transfer(REQ_OP_READ, 1024, 0, read);
    expect([read[0], read[4095], read[4096], read[8191]]).toEqual([0, 0, 1, 1]);
  });

  it("ends beyond its end with an error", () => {
    expect(transfer(REQ_OP_READ, bdev_nr_sectors(disk) - 1, 0, new Uint8Array(1024))).toBe(-5);
  });

  it("gives every page back", () => {
    const file = kernel.run(() => bdev_file_open_by_path("ram0", BLK_OPEN_READ, null, null));
    if (typeof file === "number") throw new Error(`open: ${file}`);
    kernel.run(() => bdev_fput(file));
    kernel.run(brd_exit);
    kernel.runUntilIdle();
    expect([all_bdevs(), nr_allocated_pages()]).toEqual([[], pagesBefore]);
  });
});
