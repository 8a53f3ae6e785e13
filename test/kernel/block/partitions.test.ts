import { describe, expect, it } from "vitest";
import { BLK_OPEN_READ } from "xenolith/linux/blk_types";
import type { bio } from "xenolith/linux/blk_types";
import { bio_endio, bio_for_each_segment, bio_io_error, bio_next_segment, req_iterator } from "xenolith/linux/bio";
import {
  add_disk,
  all_bdevs,
  bdev_file_open_by_path,
  bdev_fput,
  bdev_name,
  blk_alloc_disk,
  del_gendisk,
  disk_scan_partitions,
  put_disk,
  queue_limits,
  set_capacity,
} from "xenolith/linux/blkdev";
import type { gendisk } from "xenolith/linux/blkdev";
import { memcpy_to_page } from "xenolith/xen/page";
import { nr_allocated_pages } from "xenolith/linux/mm";
import "../../../drivers/xen/page";
import "../../../kernel/block/blk-sysfs";
import { efi_crc32 } from "../../../kernel/block/partitions/crc32";
import { bootBareKernel } from "../../kit/bare-kernel";
import { Numbers } from "./fixtures";

const kernel = bootBareKernel();
kernel.runInitcalls();

let disks = 0;
const SECTORS = 4096;

/** What is on the disk, and which reads were made of it. */
class Image {
  readonly bytes: Uint8Array;
  private readonly view: DataView;
  readonly reads: [number, number][] = [];
  failing = -1;

  constructor(readonly sectors = SECTORS, readonly blockSize = 512) {
    this.bytes = new Uint8Array(sectors * 512);
    this.view = new DataView(this.bytes.buffer);
  }

  u32(offset: number, value: number): void {
    this.view.setUint32(offset, value, true);
  }

  u64(offset: number, value: number): void {
    this.u32(offset, value % 0x100000000);
    this.u32(offset + 4, Math.floor(value / 0x100000000));
  }

  /** An entry of the boot record in logical block `record`. */
  entry(record: number, index: number, type: number, start: number, size: number, boot = 0): void {
    const at = record * this.blockSize + 0x1be + index * 16;
    this.bytes[at] = boot;
    this.bytes[at + 4] = type;
    this.u32(at + 8, start);
    this.u32(at + 12, size);
    this.bytes[record * this.blockSize + 510] = 0x55;
    this.bytes[record * this.blockSize + 511] = 0xaa;
  }

  /** A GPT with its copy; entries are [first, last] in logical blocks. */
  gpt(entries: readonly (readonly [number, number])[], last = (this.sectors * 512) / this.blockSize - 1): void {
    this.entry(0, 0, 0xee, 1, last);
    const table = Math.ceil(16384 / this.blockSize);
    for (const [header, at] of [
      [1, 2],
      [last, last - table],
    ]) {
      entries.forEach(([first, end], index) => {
        const place = at * this.blockSize + index * 128;
        this.bytes.fill(index + 1, place, place + 32);
        this.u64(place + 32, first);
        this.u64(place + 40, end);
        this.bytes[place + 56] = 65 + index;
      });
      this.header(header, at, last, table);
    }
  }

  private header(lba: number, at: number, last: number, table: number): void {
    const place = lba * this.blockSize;
    this.bytes.set(new TextEncoder().encode("EFI PART"), place);
    this.u32(place + 8, 0x10000);
    this.u32(place + 12, 92);
    this.u64(place + 24, lba);
    this.u64(place + 40, 2 + table);
    this.u64(place + 48, last - table - 1);
    this.u64(place + 72, at);
    this.u32(place + 80, 128);
    this.u32(place + 84, 128);
    this.u32(place + 88, efi_crc32(this.bytes, at * this.blockSize, at * this.blockSize + 16384));
    this.u32(place + 16, 0);
    this.u32(place + 16, efi_crc32(this.bytes, place, place + 92));
  }

  submit(made: bio): void {
    const iter = new req_iterator();
    this.reads.push([made.bi_iter.bi_sector, made.bi_iter.bi_size / 512]);
    if (made.bi_iter.bi_sector === this.failing) return bio_io_error(made);
    bio_for_each_segment(made, iter);
    while (bio_next_segment(iter)) {
      memcpy_to_page(iter.bvec.bv_page, iter.bvec.bv_offset, this.bytes, iter.bi_sector * 512, iter.bvec.bv_len);
    }
    bio_endio(made);
  }
}

/** Adds a disk with the image, returns its partitions as "name start size" and takes it away. */
function scan(image: Image, during?: (disk: gendisk) => void): string[] {
  const pages = nr_allocated_pages();
  const disk = blk_alloc_disk(new queue_limits({ logical_block_size: image.blockSize }), -1);
  if (typeof disk === "number") throw new Error(`disk: ${disk}`);
  disk.disk_name = `part${disks++}x`;
  disk.fops = { submit_bio: (made) => image.submit(made) };
  set_capacity(disk, image.sectors);
  expect(kernel.run(() => add_disk(disk))).toBe(0);
  const found = all_bdevs()
    .filter((bdev) => bdev.bd_partno !== 0)
    .map((bdev) => `${bdev.bd_partno} ${bdev.bd_start_sect} ${bdev.bd_nr_sectors}`);
  during?.(disk);
  kernel.run(() => del_gendisk(disk));
  put_disk(disk);
  expect(all_bdevs()).toEqual([]);
  expect(nr_allocated_pages()).toBe(pages);
  return found;
}

describe("a disk without table", () => {
  it("is read at sectors 0, 8 and 24, eight sectors each, one after the other", () => {
    const image = new Image();
    expect(scan(image)).toEqual([]);
    expect(image.reads).toEqual([
      [0, 8],
      [8, 8],
      [24, 8],
    ]);
  });

  it("may be tiny, empty or broken", () => {
    for (const sectors of [1, 7, 8, 9, 24]) expect(scan(new Image(sectors))).toEqual([]);
    const broken = new Image();
    broken.failing = 0;
    expect(scan(broken)).toEqual([]);
    expect(kernel.log.at(-1)).toContain("unable to read partition table");
  });

  it("may be a FAT file system", () => {
    const image = new Image();
    image.entry(0, 0, 0x20, 7, 7, 0x41);
    image.bytes[14] = 1;
    image.bytes[16] = 2;
    image.bytes[21] = 0xf8;
    expect(scan(image)).toEqual([]);
    expect(image.reads).toEqual([[0, 8]]);
  });
});

describe("MBR", () => {
  it("primary and logical partitions", () => {
    const image = new Image();
    image.entry(0, 0, 0x83, 64, 100, 0x80);
    image.entry(0, 2, 0x83, 200, 50);
    image.entry(0, 3, 0x05, 1000, 2000);
    image.entry(1000, 0, 0x83, 10, 90);
    image.entry(1000, 1, 0x05, 500, 300);
    image.entry(1500, 0, 0x82, 20, 280);
    expect(scan(image)).toEqual(["1 64 100", "3 200 50", "4 1000 2", "5 1010 90", "6 1520 280"]);
    expect(
      kernel.log.some((line) => /part\d+x: part\d+x1 part\d+x3 part\d+x4 < part\d+x5 part\d+x6 >/.test(line)),
    ).toBe(true);
  });

  it("with 4096-byte blocks", () => {
    const image = new Image(SECTORS, 4096);
    image.entry(0, 0, 0x83, 2, 5);
    image.entry(0, 1, 0x0f, 100, 50);
    image.entry(100, 0, 0x83, 1, 9);
    expect(scan(image)).toEqual(["1 16 40", "2 800 8", "5 808 72"]);
  });

  it("beyond the end is ignored, across it is cut", () => {
    const image = new Image();
    image.entry(0, 0, 0x83, SECTORS, 10);
    image.entry(0, 1, 0x83, SECTORS - 5, 10);
    image.entry(0, 2, 0x83, 0xffffffff, 0xffffffff);
    expect(scan(image)).toEqual([`2 ${SECTORS - 5} 5`]);
  });

  it("a chain that is a circle comes to an end", () => {
    const image = new Image();
    image.entry(0, 0, 0x05, 100, 1000);
    image.entry(100, 1, 0x05, 0, 1000);
    expect(scan(image)).toEqual(["1 100 2"]);
    const filled = new Image();
    filled.entry(0, 0, 0x05, 100, 1000);
    filled.entry(100, 0, 0x83, 1, 1);
    filled.entry(100, 1, 0x05, 0, 1000);
    expect(scan(filled).length).toBe(1 + 256 - 5);
  });
});

describe("GPT", () => {
  it("partitions with their numbers, names and GUIDs", () => {
    const image = new Image();
    image.gpt([
      [100, 199],
      [300, 300],
      [1000, 2000],
    ]);
    const found = scan(image, () => {
      const second = all_bdevs().find((bdev) => bdev.bd_partno === 2);
      expect(second?.bd_meta_info).toEqual({ uuid: "02020202-0202-0202-0202-020202020202", volname: "B" });
    });
    expect(found).toEqual(["1 100 100", "2 300 1", "3 1000 1001"]);
  });

  it("with 4096-byte blocks", () => {
    const image = new Image(SECTORS, 4096);
    image.gpt([[20, 29]]);
    expect(scan(image)).toEqual(["1 160 80"]);
  });

  it("every single broken byte of the first header is answered by the copy", () => {
    for (const offset of [0, 8, 12, 16, 24, 40, 48, 72, 80, 84, 88, 1024 + 32 - 512]) {
      const image = new Image();
      image.gpt([[100, 199]]);
      image.bytes[512 + offset] ^= 0xff;
      expect(scan(image), `byte ${offset}`).toEqual(["1 100 100"]);
    }
  });

  it("with both copies broken there are no partitions", () => {
    const image = new Image();
    image.gpt([[100, 199]]);
    image.bytes[512 + 20 + 20] ^= 1;
    image.bytes[(SECTORS - 1) * 512 + 40] ^= 1;
    expect(scan(image)).toEqual([]);
  });

  it("entries outside the usable blocks are left out", () => {
    const image = new Image();
    image.gpt([
      [1, 5],
      [200, 100],
      [100, SECTORS],
      [100, 101],
    ]);
    expect(scan(image)).toEqual(["4 100 2"]);
  });
});

describe("hostile tables", () => {
  it("random sectors never break anything (seeds 1 to 60)", () => {
    for (let seed = 1; seed <= 60; seed++) {
      const numbers = new Numbers(seed * 31337);
      const image = new Image(256);
      for (let i = 0; i < image.bytes.length; i += 4) image.u32(i, numbers.below(0xffffffff));
      for (let record = 0; record < 256; record++) {
        image.bytes[record * 512 + 510] = 0x55;
        image.bytes[record * 512 + 511] = 0xaa;
        for (let index = 0; index < 4; index++) {
          const at = record * 512 + 0x1be + index * 16;
          image.bytes[at] = 0;
          image.bytes[at + 4] = numbers.pick([0, 0x05, 0x0f, 0x83, 0x83]);
          image.u32(at + 8, numbers.below(300));
          image.u32(at + 12, numbers.below(300));
        }
      }
      for (const line of scan(image)) {
        const [, start, size] = line.split(" ").map(Number);
        expect(start + size, `seed ${seed}`).toBeLessThanOrEqual(256);
      }
    }
  });
});

describe("partitions as devices", () => {
  it("keep the table from being read again while open; a new table replaces the old one", () => {
    const image = new Image();
    image.entry(0, 0, 0x83, 64, 100);
    scan(image, (disk) => {
      const name = bdev_name(all_bdevs()[1]);
      const file = kernel.run(() => bdev_file_open_by_path(name, BLK_OPEN_READ, null, null));
      if (typeof file === "number") throw new Error(`open: ${file}`);
      expect(kernel.run(() => disk_scan_partitions(disk, BLK_OPEN_READ))).toBe(-16);
      kernel.run(() => bdev_fput(file));
      image.entry(0, 0, 0x83, 8, 8);
      image.entry(0, 1, 0x83, 16, 8);
      expect(kernel.run(() => disk_scan_partitions(disk, BLK_OPEN_READ))).toBe(0);
      expect(all_bdevs().map((bdev) => bdev.bd_start_sect)).toEqual([0, 8, 16]);
    });
  });
});

describe("efi_crc32", () => {
  it("has the well-known check value", () => {
    const bytes = new TextEncoder().encode("123456789");
    expect(efi_crc32(bytes, 0, 9)).toBe(0xcbf43926);
    expect(efi_crc32(bytes, 4, 9, efi_crc32(bytes, 0, 4))).toBe(0xcbf43926);
  });
});
