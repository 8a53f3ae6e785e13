import { describe, expect, it } from "vitest";
import { BLK_OPEN_EXCL, BLK_OPEN_READ, BLK_OPEN_WRITE } from "xenolith/linux/blk_types";
import type { block_device } from "xenolith/linux/blk_types";
import {
  all_bdevs,
  bdev_file_open_by_dev,
  bdev_file_open_by_path,
  bdev_fput,
  blkdev_issue_discard,
  blkdev_issue_secure_erase,
  blkdev_issue_zeroout,
  file_bdev,
  queue_limits_commit_update,
  queue_limits_start_update,
  register_blkdev,
  set_capacity_and_notify,
  set_disk_ro,
  unregister_blkdev,
} from "xenolith/linux/blkdev";
import { recent_uevents } from "xenolith/linux/kobject";
import { sysfs_lookup, sysfs_read, sysfs_write } from "xenolith/linux/sysfs";
import { REQ_OP_DISCARD, REQ_OP_SECURE_ERASE, REQ_OP_WRITE } from "xenolith/linux/blk_types";
import "../../../kernel/block/blk-sysfs";
import { bootBareKernel } from "../../kit/bare-kernel";
import { TestDisk } from "./test-disk";

const kernel = bootBareKernel();
kernel.runInitcalls();

let names = 0;

function withDisk(limits: Parameters<TestDisk["add"]>[1], body: (test: TestDisk, name: string) => void): void {
  const test = new TestDisk();
  const name = `gd${names++}x`;
  test.immediate = true;
  kernel.run(() => test.add(name, limits));
  body(test, name);
  kernel.run(() => test.remove());
  expect(all_bdevs()).toEqual([]);
  expect(sysfs_lookup(`block/${name}`)).toBe(null);
}

function attribute(path: string): string {
  const node = sysfs_lookup(path);
  const text = node === null ? "(none)" : sysfs_read(node);
  return String(text).replace(/\n$/, "");
}

describe("a disk's life", () => {
  it("appears in /sys/block with its limits, and goes without a trace", () => {
    const limits = {
      max_hw_sectors: 256,
      max_segments: 32,
      max_segment_size: 4096,
      seg_boundary_mask: 4095,
      physical_block_size: 4096,
    };
    withDisk(limits, (test, name) => {
      const queue = (file: string): string => attribute(`block/${name}/queue/${file}`);
      expect(attribute(`block/${name}/size`)).toBe(String(1 << 20));
      expect(attribute(`block/${name}/ro`)).toBe("0");
      expect(queue("max_sectors_kb")).toBe("128");
      expect(queue("max_segments")).toBe("32");
      expect(queue("minimum_io_size")).toBe("4096");
      expect(queue("dma_alignment")).toBe("511");
      expect(queue("write_cache")).toBe("write through");
      expect(queue("discard_granularity")).toBe("0");
      expect(queue("scheduler")).toBe("[none]");
      expect(queue("nr_requests")).toBe("4");
      expect(attribute(`block/${name}/mq/0/nr_tags`)).toBe("4");
      expect(attribute(`block/${name}/stat`)).toMatch(/^( *\d+ ){16} *\d+$/);
      expect(test.disk.part0.bd_device.kobj.name).toBe(name);
    });
  });

  it("max_sectors_kb and write_cache can be written, within bounds", () => {
    withDisk({ max_hw_sectors: 256, features: 1 }, (test, name) => {
      const write = (file: string, text: string): number => {
        const node = sysfs_lookup(`block/${name}/queue/${file}`);
        return node === null ? -2 : kernel.run(() => sysfs_write(node, text));
      };
      expect(write("max_sectors_kb", "64\n")).toBe(3);
      expect(test.disk.queue.limits.max_sectors).toBe(128);
      expect(write("max_sectors_kb", "129\n")).toBe(-22);
      expect(write("write_cache", "write through\n")).toBe(14);
      expect(attribute(`block/${name}/queue/write_cache`)).toBe("write through");
      expect(write("write_cache", "perhaps\n")).toBe(-22);
    });
  });

  it("a new size and a new policy are told, once each", () => {
    withDisk({}, (test) => {
      const told = (): string[] =>
        recent_uevents().flatMap((event) => event.env.filter((v) => /^(RESIZE|DISK_RO)/.test(v)));
      const before = told().length;
      expect(set_capacity_and_notify(test.disk, 1 << 20)).toBe(false);
      expect(set_capacity_and_notify(test.disk, 4096)).toBe(true);
      expect(set_capacity_and_notify(test.disk, 0)).toBe(false);
      expect(set_capacity_and_notify(test.disk, 8192)).toBe(false);
      set_disk_ro(test.disk, true);
      set_disk_ro(test.disk, true);
      set_disk_ro(test.disk, false);
      expect(told().slice(before)).toEqual(["RESIZE=1", "DISK_RO=1", "DISK_RO=0"]);
    });
  });

  it("limits change under their lock", () => {
    withDisk({}, (test) => {
      const commit = (change: object): number =>
        kernel.run(function* () {
          const lim = yield* queue_limits_start_update(test.disk.queue);
          return yield* queue_limits_commit_update(test.disk.queue, Object.assign(lim, change));
        });
      expect(commit({ max_hw_sectors: 64 })).toBe(0);
      expect(test.disk.queue.limits.max_sectors).toBe(64);
      expect(commit({ logical_block_size: 3 })).toBe(-22);
      expect(test.disk.queue.limits.logical_block_size).toBe(512);
    });
  });
});

describe("opening", () => {
  const open = (bdev: block_device, mode: number, holder: unknown) =>
    kernel.run(() => bdev_file_open_by_dev(bdev.bd_dev, mode, holder, null));

  it("by number and by name", () => {
    withDisk({}, (test, name) => {
      const file = kernel.run(() => bdev_file_open_by_path(`/dev/${name}`, BLK_OPEN_READ, null, null));
      if (typeof file === "number") throw new Error(`open: ${file}`);
      expect([file_bdev(file), test.disk.part0.bd_openers]).toEqual([test.disk.part0, 1]);
      kernel.run(() => bdev_fput(file));
      expect(test.disk.part0.bd_openers).toBe(0);
      expect(kernel.run(() => bdev_file_open_by_path("/dev/none", BLK_OPEN_READ, null, null))).toBe(-2);
      expect(kernel.run(() => bdev_file_open_by_dev(12345, BLK_OPEN_READ, null, null))).toBe(-6);
    });
  });

  it("a holder keeps other holders out, not other openers", () => {
    withDisk({}, (test) => {
      const bdev = test.disk.part0;
      const mine = open(bdev, BLK_OPEN_READ | BLK_OPEN_EXCL, "me");
      expect(open(bdev, BLK_OPEN_READ | BLK_OPEN_EXCL, "you")).toBe(-16);
      const other = open(bdev, BLK_OPEN_READ, null);
      const again = open(bdev, BLK_OPEN_READ, "me");
      for (const file of [mine, other, again]) {
        if (typeof file === "number") throw new Error(`open: ${file}`);
        kernel.run(() => bdev_fput(file));
      }
      const you = open(bdev, BLK_OPEN_READ, "you");
      if (typeof you === "number") throw new Error(`open: ${you}`);
      kernel.run(() => bdev_fput(you));
      expect([bdev.bd_holder, bdev.bd_openers, bdev.bd_holders]).toEqual([null, 0, 0]);
    });
  });

  it("a read-only device is not opened for writing", () => {
    withDisk({}, (test) => {
      set_disk_ro(test.disk, true);
      expect(open(test.disk.part0, BLK_OPEN_WRITE, null)).toBe(-13);
    });
  });
});

describe("ranges", () => {
  const discard = (test: TestDisk, sector: number, count: number): number =>
    kernel.run(() => blkdev_issue_discard(test.disk.part0, sector, count, 0));

  it("discard: read-only, then unsupported, then the range, then all in one request", () => {
    withDisk({}, (test) => {
      expect(discard(test, 0, 0)).toBe(-95);
      set_disk_ro(test.disk, true);
      expect(discard(test, 0, 8)).toBe(-1);
      set_disk_ro(test.disk, false);
    });
    withDisk({ logical_block_size: 4096, max_hw_discard_sectors: 1 << 20, discard_granularity: 65536 }, (test) => {
      expect([discard(test, 0, 0), discard(test, 1, 8), discard(test, 8, 7)]).toEqual([-22, -22, -22]);
      expect(discard(test, 8, 16)).toBe(0);
      expect(discard(test, 0, 1 << 20)).toBe(0);
      expect(test.seen.map((s) => [s.op, s.sector, s.sectors])).toEqual([
        [REQ_OP_DISCARD, 8, 16],
        [REQ_OP_DISCARD, 0, 1 << 20],
      ]);
    });
  });

  it("secure erase: unsupported, misaligned, done in pieces", () => {
    withDisk({}, (test) => {
      expect(kernel.run(() => blkdev_issue_secure_erase(test.disk.part0, 0, 8, 0))).toBe(-95);
    });
    withDisk({ max_secure_erase_sectors: 16 }, (test) => {
      expect(kernel.run(() => blkdev_issue_secure_erase(test.disk.part0, 0, 40, 0))).toBe(0);
      expect(test.seen.map((s) => [s.op, s.sector, s.sectors])).toEqual([
        [REQ_OP_SECURE_ERASE, 0, 16],
        [REQ_OP_SECURE_ERASE, 16, 16],
        [REQ_OP_SECURE_ERASE, 32, 8],
      ]);
    });
  });

  it("zeros are written where the device cannot do it itself", () => {
    withDisk({}, (test) => {
      expect(kernel.run(() => blkdev_issue_zeroout(test.disk.part0, 4, 20, 0, 0))).toBe(0);
      expect(test.seen.map((s) => [s.op, s.sector, s.sectors])).toEqual([[REQ_OP_WRITE, 4, 20]]);
    });
  });
});

describe("majors", () => {
  it("are claimed once, given out from the top, and given back", () => {
    expect(register_blkdev(202, "xvd")).toBe(0);
    expect(register_blkdev(202, "other")).toBe(-16);
    const any = register_blkdev(0, "any");
    expect(any).toBe(254);
    unregister_blkdev(any, "any");
    unregister_blkdev(202, "other");
    expect(register_blkdev(202, "xvd")).toBe(-16);
    unregister_blkdev(202, "xvd");
    expect(register_blkdev(202, "xvd")).toBe(0);
    expect(register_blkdev(512, "big")).toBe(-22);
  });
});
