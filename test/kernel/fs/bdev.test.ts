import { EBADF, EBUSY, EINVAL, EIO, ENOSPC, EOPNOTSUPP, EPERM } from "xenolith/linux/errno";
import { set_capacity, set_disk_ro, sync_blockdev } from "xenolith/linux/blkdev";
import {
  BLKDISCARD,
  BLKFLSBUF,
  BLKGETSIZE64,
  BLKROGET,
  BLKROSET,
  BLKSSZGET,
  O_DIRECT,
  O_DSYNC,
  O_EXCL,
  O_RDONLY,
  O_RDWR,
  O_SYNC,
  O_WRONLY,
  filp_close,
  filp_open,
  vfs_fsync,
  vfs_ioctl,
} from "xenolith/linux/fs";
import { nr_allocated_pages } from "xenolith/linux/mm";
import { ptr } from "xenolith/linux/types";
import type { Sleeps } from "xenolith/linux/sched";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { bootBareKernel } from "../../kit/bare-kernel";
import { open, pattern, pread, pwrite, sameBytes, with_file } from "./files";
import { MemoryDisk, type MemoryDiskOptions } from "./memory-disk";

const kernel = bootBareKernel({ pages: 16384 });
kernel.runInitcalls();

let disk: MemoryDisk;
let pages = 0;

function useDisk(options: MemoryDiskOptions = {}): void {
  disk = new MemoryDisk("xvdc", options);
  kernel.run(() => disk.add());
}

function run<T>(body: () => Sleeps<T>): T {
  return kernel.run(body);
}

beforeEach(() => void (pages = nr_allocated_pages()));
afterEach(() => {
  run(() => disk.remove());
  expect(nr_allocated_pages()).toBe(pages);
});

describe("direct I/O", () => {
  it.each([
    [512, 0, ["READ 0+1"]],
    [4096, 0, ["READ 0+8"]],
    [44 << 10, 0, ["READ 0+88"]],
    [48 << 10, 0, ["READ 0+88", "READ 88+8"]],
    [128 << 10, 0, ["READ 0+88", "READ 88+88", "READ 176+80"]],
    [132 << 10, 0, ["READ 0+88", "READ 88+88", "READ 176+88"]],
    [7168, 7168, ["READ 14+14"]],
  ])("a read of %i bytes at %i makes the requests that Linux makes", (bytes, at, requests) => {
    useDisk();
    disk.data.set(pattern(256 << 10));
    const got = run(() => with_file("/dev/xvdc", O_RDONLY | O_DIRECT, (file) => pread(file, bytes, at)));
    expect(sameBytes(got, disk.data.slice(at, at + bytes))).toBe(true);
    expect(disk.take()).toEqual(requests);
  });

  it("a read of 1 MiB is 24 requests with 11 segments, and 8 with 32", () => {
    for (const [segments, count] of [
      [11, 24],
      [32, 8],
    ]) {
      useDisk({ max_segments: segments, max_hw_sectors: segments * 8 });
      run(() => with_file("/dev/xvdc", O_RDONLY | O_DIRECT, (file) => pread(file, 1 << 20, 0)));
      expect(disk.take()).toHaveLength(count);
      if (count === 24) run(() => disk.remove());
    }
  });

  it("oflag=direct,sync: WRITE FLUSH FLUSH with a write cache, WRITE alone without", () => {
    useDisk({ writeCache: true });
    const write = (flags: number) => () =>
      with_file("/dev/xvdc", O_WRONLY | O_DIRECT | flags, (f) => pwrite(f, pattern(4096), 0));
    expect(run(write(O_SYNC))).toBe(4096);
    expect(disk.take()).toEqual(["WRITE 0+8", "FLUSH", "FLUSH"]);
    expect(run(write(O_DSYNC))).toBe(4096);
    expect(disk.take()).toEqual(["WRITE 0+8", "FLUSH", "FLUSH"]);
    run(() => disk.remove());
    useDisk();
    expect(run(write(O_SYNC))).toBe(4096);
    expect(disk.take()).toEqual(["WRITE 0+8"]);
    expect(sameBytes(disk.data.slice(0, 4096), pattern(4096))).toBe(true);
  });

  it("place, length and memory must be aligned", () => {
    useDisk({ logical_block_size: 4096, physical_block_size: 4096 });
    const answers = run(() =>
      with_file("/dev/xvdc", O_RDWR | O_DIRECT, function* (file) {
        return [
          yield* pread(file, 4096, 512),
          yield* pread(file, 512, 0),
          yield* pwrite(file, pattern(4096), 0, 100),
          yield* pwrite(file, pattern(4096), 0, 512),
        ];
      }),
    );
    expect(answers).toEqual([-EINVAL, -EINVAL, -EINVAL, 4096]);
    expect(sameBytes(disk.data.slice(0, 4096), pattern(4096))).toBe(true);
    expect(disk.take()).toEqual(["WRITE 0+8"]);
  });

  it("ends at the end of the device: short, then 0 for reads and ENOSPC for writes", () => {
    useDisk({ bytes: 8192 });
    const answers = run(() =>
      with_file("/dev/xvdc", O_RDWR | O_DIRECT, function* (file) {
        const short = yield* pread(file, 8192, 4096);
        return [
          (short as Uint8Array).length,
          ((yield* pread(file, 4096, 8192)) as Uint8Array).length,
          yield* pwrite(file, pattern(8192), 4096),
          yield* pwrite(file, pattern(4096), 8192),
          yield* pwrite(file, pattern(4096), 1 << 20),
        ];
      }),
    );
    expect(answers).toEqual([4096, 0, 4096, -ENOSPC, -ENOSPC]);
  });

  it("a failing sector makes the transfer fail with EIO", () => {
    useDisk();
    disk.bad.add(100);
    const answers = run(() =>
      with_file("/dev/xvdc", O_RDWR | O_DIRECT, function* (file) {
        return [yield* pread(file, 128 << 10, 0), yield* pwrite(file, pattern(4096), 96 * 512)];
      }),
    );
    expect(answers).toEqual([-EIO, -EIO]);
  });
});

describe("direct and buffered I/O on the same range", () => {
  it("a direct read sees what was written into the cache, and writes back that range only", () => {
    useDisk();
    const got = run(function* () {
      const buffered = yield* open("/dev/xvdc", O_RDWR);
      yield* pwrite(buffered, pattern(4096), 0);
      yield* pwrite(buffered, pattern(4096, 7), 1 << 20);
      disk.take();
      const read = yield* with_file("/dev/xvdc", O_RDONLY | O_DIRECT, (file) => pread(file, 4096, 0));
      const requests = disk.take();
      yield* filp_close(buffered);
      return { read, requests };
    });
    expect(sameBytes(got.read, pattern(4096))).toBe(true);
    expect(got.requests).toEqual(["WRITE 0+8", "READ 0+8"]);
    expect(disk.take()).toEqual(["WRITE 2048+8"]);
  });

  it("a buffered read after a direct write sees the new bytes, though the old ones were cached before", () => {
    useDisk();
    const got = run(function* () {
      const buffered = yield* open("/dev/xvdc", O_RDWR);
      yield* pread(buffered, 4096, 0);
      yield* with_file("/dev/xvdc", O_WRONLY | O_DIRECT, (file) => pwrite(file, pattern(4096, 3), 0));
      const after = yield* pread(buffered, 4096, 0);
      yield* filp_close(buffered);
      return after;
    });
    expect(sameBytes(got, pattern(4096, 3))).toBe(true);
  });

  it("nor do old bytes stay that somebody read while the direct write was under way", () => {
    useDisk();
    const buffered = run(() => open("/dev/xvdc", O_RDWR));
    disk.holding = true;
    kernel.spawn(function* () {
      return yield* with_file("/dev/xvdc", O_WRONLY | O_DIRECT, (file) => pwrite(file, pattern(4096, 3), 0));
    });
    kernel.runRunnable();
    disk.holding = false;
    expect(
      sameBytes(
        run(() => pread(buffered, 4096, 0)),
        new Uint8Array(4096),
      ),
    ).toBe(true);
    disk.release();
    kernel.runRunnable();
    expect(
      sameBytes(
        run(() => pread(buffered, 4096, 0)),
        pattern(4096, 3),
      ),
    ).toBe(true);
    run(() => filp_close(buffered));
  });

  it("a direct write of half a page keeps the dirty other half", () => {
    useDisk();
    run(function* () {
      const buffered = yield* open("/dev/xvdc", O_RDWR);
      yield* pwrite(buffered, pattern(512, 1), 0);
      yield* with_file("/dev/xvdc", O_WRONLY | O_DIRECT, (file) => pwrite(file, pattern(512, 2), 512));
      yield* filp_close(buffered);
    });
    expect(sameBytes(disk.data.slice(0, 512), pattern(512, 1))).toBe(true);
    expect(sameBytes(disk.data.slice(512, 1024), pattern(512, 2))).toBe(true);
  });
});

describe("flushing", () => {
  it("64 buffered writes of 4 KiB and fsync: requests of 11, 11, 11, 11, 11 and 9 pages, then one flush", () => {
    useDisk({ writeCache: true });
    run(() =>
      with_file("/dev/xvdc", O_WRONLY, function* (file) {
        for (let i = 0; i < 64; i++) yield* pwrite(file, pattern(4096, i), i * 4096);
        expect(disk.take()).toEqual([]);
        expect(yield* vfs_fsync(file, 0)).toBe(0);
        return 0;
      }),
    );
    expect(disk.take()).toEqual([
      "WRITE 0+88",
      "WRITE 88+88",
      "WRITE 176+88",
      "WRITE 264+88",
      "WRITE 352+88",
      "WRITE 440+72",
      "FLUSH",
    ]);
    for (let i = 0; i < 64; i++)
      expect(sameBytes(disk.data.slice(i * 4096, i * 4096 + 4096), pattern(4096, i))).toBe(true);
  });

  it.each([
    [11, 187],
    [32, 64],
  ])("8 MiB buffered and fsync with %i segments: %i requests, as recorded", (segments, count) => {
    useDisk({ max_segments: segments, max_hw_sectors: segments * 8 });
    run(() =>
      with_file("/dev/xvdc", O_WRONLY, function* (file) {
        for (let i = 0; i < 128; i++) yield* pwrite(file, pattern(65536, i), i * 65536);
        return yield* vfs_fsync(file, 0);
      }),
    );
    const requests = disk.take();
    expect(sameBytes(disk.data.slice(127 * 65536, 128 * 65536), pattern(65536, 127))).toBe(true);
    expect(requests).toHaveLength(count);
  });

  it("blockdev --flushbufs with nothing dirty puts nothing on the ring, and the last close writes what is dirty", () => {
    useDisk({ writeCache: true });
    run(() => with_file("/dev/xvdc", O_RDONLY, (file) => vfs_ioctl(file, BLKFLSBUF, null)));
    expect(disk.take()).toEqual([]);
    run(() => with_file("/dev/xvdc", O_WRONLY, (file) => pwrite(file, pattern(100), 10)));
    expect(disk.take()).toEqual(["READ 0+8", "WRITE 0+8"]);
    expect(sameBytes(disk.data.slice(10, 110), pattern(100))).toBe(true);
  });

  it("fsync waits for a write-back that somebody else began", () => {
    useDisk();
    const order: string[] = [];
    run(function* () {
      const file = yield* open("/dev/xvdc", O_RDWR);
      yield* pwrite(file, pattern(4096), 0);
      disk.holding = true;
      kernel.spawn(function* () {
        yield* sync_blockdev(disk.bdev);
        order.push("sync");
        return 0;
      });
      kernel.spawn(function* () {
        yield* vfs_fsync(file, 0);
        order.push("fsync");
        yield* filp_close(file);
        return 0;
      });
    });
    kernel.runRunnable();
    expect(order).toEqual([]);
    disk.release();
    kernel.runRunnable();
    expect(order.sort()).toEqual(["fsync", "sync"]);
  });

  it("a page that is written while it is written back is written again, after the first write", () => {
    useDisk();
    run(function* () {
      const file = yield* open("/dev/xvdc", O_RDWR);
      yield* pwrite(file, pattern(4096, 1), 0);
      disk.holding = true;
      kernel.spawn(() => sync_blockdev(disk.bdev));
      kernel.spawn(function* () {
        yield* pwrite(file, pattern(4096, 2), 0);
        yield* sync_blockdev(disk.bdev);
        return yield* filp_close(file);
      });
    });
    kernel.runRunnable();
    expect(disk.take()).toEqual(["WRITE 0+8"]);
    disk.release();
    kernel.runRunnable();
    expect(disk.take()).toEqual(["WRITE 0+8"]);
    expect(sameBytes(disk.data.slice(0, 4096), pattern(4096, 2))).toBe(true);
  });

  it("a failed write-back is told to the next fsync of every open file, once", () => {
    useDisk();
    disk.bad.add(0);
    const answers = run(function* () {
      const [one, two] = [yield* open("/dev/xvdc", O_RDWR), yield* open("/dev/xvdc", O_RDWR)];
      yield* pwrite(one, pattern(4096), 0);
      const results = [yield* sync_blockdev(disk.bdev), yield* vfs_fsync(one, 0), yield* vfs_fsync(one, 0)];
      const late = yield* open("/dev/xvdc", O_RDWR);
      results.push(yield* vfs_fsync(two, 0), yield* vfs_fsync(late, 0));
      for (const file of [one, two, late]) yield* filp_close(file);
      return results;
    });
    expect(answers).toEqual([-EIO, -EIO, 0, -EIO, 0]);
  });
});

describe("opening and refusing", () => {
  it("a read-only device opens for writing; writes fail with EPERM and nothing reaches the driver", () => {
    useDisk();
    set_disk_ro(disk.disk, true);
    const answers = run(function* () {
      const results: unknown[] = [];
      for (const flags of [0, O_DIRECT, O_DIRECT | O_SYNC]) {
        results.push(yield* with_file("/dev/xvdc", O_WRONLY | flags, (file) => pwrite(file, pattern(4096), 0)));
      }
      results.push(yield* with_file("/dev/xvdc", O_RDWR, (file) => vfs_ioctl(file, BLKDISCARD, [0, 4096])));
      return results;
    });
    expect(answers).toEqual([-EPERM, -EPERM, -EPERM, -EOPNOTSUPP]);
    expect(disk.take()).toEqual([]);
    expect(disk.bdev.bd_writers).toBe(0);
  });

  it("O_EXCL keeps other exclusive openers out", () => {
    useDisk();
    const answers = run(function* () {
      const mine = yield* open("/dev/xvdc", O_RDWR | O_EXCL);
      const second = yield* filp_open("/dev/xvdc", O_RDWR | O_EXCL, 0);
      const plain = yield* open("/dev/xvdc", O_RDONLY);
      yield* filp_close(plain);
      yield* filp_close(mine);
      const third = yield* open("/dev/xvdc", O_RDWR | O_EXCL);
      yield* filp_close(third);
      return second;
    });
    expect(answers).toBe(-EBUSY);
    expect(disk.bdev.bd_openers).toBe(0);
  });

  it("reading needs a file that is open for reading, writing one for writing", () => {
    useDisk();
    const answers = run(function* () {
      return [
        yield* with_file("/dev/xvdc", O_WRONLY, (file) => pread(file, 512, 0)),
        yield* with_file("/dev/xvdc", O_RDONLY, (file) => pwrite(file, pattern(512), 0)),
        yield* with_file("/dev/xvdc", O_RDONLY, (file) => vfs_ioctl(file, BLKDISCARD, [0, 4096])),
      ];
    });
    expect(answers).toEqual([-EBADF, -EBADF, -EBADF]);
  });

  it("the questions: size, block size, read-only", () => {
    useDisk({ bytes: 1 << 20 });
    const answers = run(() =>
      with_file("/dev/xvdc", O_RDONLY, function* (file) {
        const [size, block, ro] = [ptr(0), ptr(0), ptr(0)];
        yield* vfs_ioctl(file, BLKGETSIZE64, size);
        yield* vfs_ioctl(file, BLKSSZGET, block);
        yield* vfs_ioctl(file, BLKROSET, ptr(1));
        yield* vfs_ioctl(file, BLKROGET, ro);
        yield* vfs_ioctl(file, BLKROSET, ptr(0));
        return [size.value, block.value, ro.value];
      }),
    );
    expect(answers).toEqual([1 << 20, 512, 1]);
  });
});

describe("discard", () => {
  it("drops the range from cache and disk; what is dirty beside it survives", () => {
    useDisk({ max_hw_discard_sectors: 0xffff, discard_granularity: 512 });
    disk.data.fill(0xff);
    const after = run(() =>
      with_file("/dev/xvdc", O_RDWR, function* (file) {
        yield* pwrite(file, pattern(3 * 4096), 0);
        expect(yield* vfs_ioctl(file, BLKDISCARD, [512, 8192])).toBe(0);
        return yield* pread(file, 3 * 4096, 0);
      }),
    );
    const expected = pattern(3 * 4096).fill(0, 512, 512 + 8192);
    expect(sameBytes(after, expected)).toBe(true);
    expect(sameBytes(disk.data.slice(0, 3 * 4096), expected)).toBe(true);
    expect(disk.take()).toContain("DISCARD 1+16");
  });

  it.each([[[0, 0]], [[100, 4096]], [[0, 100]], [[0, 32 << 20]]])("%j is EINVAL", (range) => {
    useDisk({ max_hw_discard_sectors: 0xffff, discard_granularity: 512 });
    expect(run(() => with_file("/dev/xvdc", O_RDWR, (file) => vfs_ioctl(file, BLKDISCARD, range)))).toBe(-EINVAL);
    expect(disk.take()).toEqual([]);
  });
});

describe("a device that changes its size", () => {
  it("a page at the old end is read again when the device grows", () => {
    useDisk({ bytes: 8192 });
    const got = run(() =>
      with_file("/dev/xvdc", O_RDWR, function* (file) {
        set_capacity(disk.disk, 9);
        yield* pread(file, 8192, 0);
        yield* pwrite(file, pattern(512, 5), 4096);
        set_capacity(disk.disk, 16);
        disk.data.set(pattern(512, 9), 7680);
        return yield* pread(file, 4096, 4096);
      }),
    );
    expect(sameBytes((got as Uint8Array).slice(0, 512), pattern(512, 5))).toBe(true);
    expect(sameBytes((got as Uint8Array).slice(3584), pattern(512, 9))).toBe(true);
  });

  it("what is dirty beyond a new, nearer end is lost with EIO at fsync", () => {
    useDisk({ bytes: 8192 });
    const answers = run(() =>
      with_file("/dev/xvdc", O_RDWR, function* (file) {
        yield* pwrite(file, pattern(8192), 0);
        set_capacity(disk.disk, 8);
        return [yield* vfs_fsync(file, 0), yield* vfs_fsync(file, 0)];
      }),
    );
    expect(answers).toEqual([-EIO, 0]);
    expect(sameBytes(disk.data.slice(0, 4096), pattern(4096))).toBe(true);
  });
});
