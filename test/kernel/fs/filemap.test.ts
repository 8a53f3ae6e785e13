import { EIO } from "xenolith/linux/errno";
import { invalidate_bdev } from "xenolith/linux/blkdev";
import { BLKFLSBUF, O_DIRECT, O_RDONLY, O_RDWR, O_WRONLY, filp_close, vfs_ioctl } from "xenolith/linux/fs";
import { nr_allocated_pages, nr_free_pages, totalram_pages } from "xenolith/linux/mm";
import type { Sleeps } from "xenolith/linux/sched";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { nr_cached_pages, nr_dirty_pages } from "../../../kernel/fs/mapping";
import { bootBareKernel } from "../../kit/bare-kernel";
import { open, pattern, pread, pwrite, sameBytes, with_file } from "./files";
import { MemoryDisk } from "./memory-disk";

/** 4 MiB: less than the disk has. */
const kernel = bootBareKernel({ pages: 1024 });
kernel.runInitcalls();

const LIMITS = { max_segments: 256, max_hw_sectors: 2048 };
let disk: MemoryDisk;
let pages = 0;

function run<T>(body: () => Sleeps<T>): T {
  return kernel.run(body);
}

beforeEach(() => {
  pages = nr_allocated_pages();
  disk = new MemoryDisk("xvdc", LIMITS);
  run(() => disk.add());
  disk.data.set(pattern(1 << 20));
});
afterEach(() => {
  run(() => disk.remove());
  expect(nr_allocated_pages()).toBe(pages);
  expect(nr_cached_pages()).toBe(0);
});

/** Reads `count` times `bytes` bytes, one after the other, through one file. Returns the requests. */
function sequential(bytes: number, count: number, start = 0): string[] {
  run(() =>
    with_file("/dev/xvdc", O_RDONLY, function* (file) {
      for (let i = 0; i < count; i++) yield* pread(file, bytes, start + i * bytes);
      return 0;
    }),
  );
  return disk.take();
}

describe("read-ahead", () => {
  it("a reader from the beginning, a page at a time: windows of 4, 8, 16 and then 32 pages, each asked for when the one before is begun", () => {
    expect(sequential(4096, 1)).toEqual(["READ 0+32"]);
    expect(sequential(4096, 2)).toEqual(["READ 0+32", "READ 32+64"]);
    expect(sequential(4096, 5)).toEqual(["READ 0+32", "READ 32+64", "READ 96+128"]);
    expect(sequential(4096, 13)).toEqual(["READ 0+32", "READ 32+64", "READ 96+128", "READ 224+256"]);
    expect(sequential(4096, 29)).toEqual(["READ 0+32", "READ 32+64", "READ 96+128", "READ 224+256", "READ 480+256"]);
  });

  it("a reader who jumps about gets what it asks for", () => {
    run(() =>
      with_file("/dev/xvdc", O_RDONLY, function* (file) {
        for (const block of [100, 50, 200, 7]) yield* pread(file, 4096, block * 4096);
        return 0;
      }),
    );
    expect(disk.take()).toEqual(["READ 800+8", "READ 400+8", "READ 1600+8", "READ 56+8"]);
  });

  it("a reader who skips to the end of its window gets the next two as one", () => {
    run(() =>
      with_file("/dev/xvdc", O_RDONLY, function* (file) {
        yield* pread(file, 4096, 0);
        yield* pread(file, 4096, 4 * 4096);
        return 0;
      }),
    );
    expect(disk.take()).toEqual(["READ 0+32", "READ 32+192"]);
  });

  it("stops at the end of the device", () => {
    expect(sequential(4096, 1, (16 << 20) - 4096)).toEqual([`READ ${32768 - 8}+8`]);
    expect(sequential(128 << 10, 1, (16 << 20) - (128 << 10))).toEqual([`READ ${32768 - 256}+256`]);
  });

  it("a bad sector ahead of the reader is none of its business until it gets there", () => {
    disk.bad.add(24);
    const answers = run(() =>
      with_file("/dev/xvdc", O_RDONLY, function* (file) {
        return [yield* pread(file, 12288, 0), yield* pread(file, 4096, 12288), yield* pread(file, 4096, 16384)];
      }),
    );
    expect(sameBytes(answers[0], pattern(1 << 20).slice(0, 12288))).toBe(true);
    expect(answers[1]).toBe(-EIO);
    expect(sameBytes(answers[2], pattern(1 << 20).slice(16384, 20480))).toBe(true);
  });
});

describe("several tasks", () => {
  it("who finds a page that is being read waits for it", () => {
    const got: (Uint8Array | number)[] = [];
    disk.holding = true;
    const file = run(() => open("/dev/xvdc", O_RDWR));
    for (let i = 0; i < 2; i++) {
      kernel.spawn(function* () {
        got.push(yield* pread(file, 4096, 4096));
        return 0;
      });
    }
    kernel.spawn(function* () {
      yield* pwrite(file, pattern(10, 99), 4096);
      return 0;
    });
    kernel.runRunnable();
    expect(got).toEqual([]);
    expect(disk.take()).toEqual(["READ 8+8"]);
    disk.release();
    kernel.runRunnable();
    expect(got).toHaveLength(2);
    const after = run(() => pread(file, 4096, 4096)) as Uint8Array;
    expect(sameBytes(after.slice(0, 10), pattern(10, 99))).toBe(true);
    expect(sameBytes(after.slice(10), pattern(1 << 20).slice(4106, 8192))).toBe(true);
    run(() => filp_close(file));
  });

  it("a page that is dropped while it is being read is freed when the read ends, and read again", () => {
    const got: (Uint8Array | number)[] = [];
    disk.holding = true;
    const file = run(() => open("/dev/xvdc", O_RDONLY));
    kernel.spawn(function* () {
      got.push(yield* pread(file, 4096, 4096));
      return 0;
    });
    kernel.runRunnable();
    const held = nr_allocated_pages();
    invalidate_bdev(disk.bdev);
    expect(nr_allocated_pages()).toBe(held);
    expect(nr_cached_pages()).toBe(0);
    disk.release();
    kernel.runRunnable();
    expect(sameBytes(got[0], pattern(1 << 20).slice(4096, 8192))).toBe(true);
    expect(disk.take()).toEqual(["READ 8+8", "READ 8+8"]);
    run(() => filp_close(file));
  });
});

describe("memory", () => {
  it("reading four times as much as there is RAM keeps half of it free", () => {
    const least: number[] = [];
    run(() =>
      with_file("/dev/xvdc", O_RDONLY, function* (file) {
        for (let at = 0; at < 16 << 20; at += 65536) {
          expect(yield* pread(file, 65536, at)).toHaveLength(65536);
          least.push(nr_free_pages());
        }
        return 0;
      }),
    );
    expect(Math.min(...least)).toBeGreaterThan(totalram_pages() / 2 - 150);
    expect(disk.take().join(" ")).not.toContain("+8 ");
  });

  it("writing four times as much as there is RAM writes back on the way, and loses nothing", () => {
    const data = pattern(65536, 3);
    run(() =>
      with_file("/dev/xvdc", O_WRONLY, function* (file) {
        for (let at = 0; at < 16 << 20; at += 65536) {
          expect(yield* pwrite(file, data, at)).toBe(65536);
          expect(nr_dirty_pages()).toBeLessThanOrEqual(totalram_pages() / 5);
        }
        return 0;
      }),
    );
    for (let at = 0; at < 16 << 20; at += 65536) expect(sameBytes(disk.data.slice(at, at + 65536), data)).toBe(true);
  });

  it("a page that is used again and again outlives those that are used once", () => {
    const requests = run(() =>
      with_file("/dev/xvdc", O_RDONLY, function* (file) {
        for (let block = 0; block < 2000; block += 2) {
          yield* pread(file, 4096, 4096 * 4001);
          yield* pread(file, 4096, 4096 * ((block * 7) % 4000));
        }
        return disk.take();
      }),
    );
    expect(requests.filter((request) => request === `READ ${4001 * 8}+8`)).toHaveLength(1);
  });
});

it("buffered bytes anywhere: what is read is what was written, in the cache and on the disk (seed 1)", () => {
  const model = pattern(1 << 20);
  let state = 1;
  const below = (limit: number): number => {
    state = Math.imul(state, 1664525) + 1013904223;
    return (state >>> 8) % limit;
  };
  run(function* () {
    const file = yield* open("/dev/xvdc", O_RDWR);
    const direct = yield* open("/dev/xvdc", O_RDWR | O_DIRECT);
    for (let i = 0; i < 300; i++) {
      const at = below((1 << 20) - 9000);
      const length = 1 + below(9000);
      const what = below(5);
      const aligned = at - (at % 512);
      if (what === 0) {
        const data = pattern(length, i);
        expect(yield* pwrite(file, data, at, below(4096))).toBe(length);
        model.set(data, at);
      } else if (what === 1) {
        const got = yield* pread(file, length, at, below(4096));
        expect(sameBytes(got, model.slice(at, at + length))).toBe(true);
      } else if (what === 2) {
        const data = pattern(4608, i);
        expect(yield* pwrite(direct, data, aligned, 512 * below(8))).toBe(4608);
        model.set(data, aligned);
      } else if (what === 3) {
        const got = yield* pread(direct, 4608, aligned, 512 * below(8));
        expect(sameBytes(got, model.slice(aligned, aligned + 4608))).toBe(true);
      } else yield* vfs_ioctl(file, BLKFLSBUF, null);
    }
    yield* filp_close(direct);
    yield* filp_close(file);
  });
  expect(sameBytes(disk.data.slice(0, 1 << 20), model)).toBe(true);
});
