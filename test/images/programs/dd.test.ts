import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { set_disk_ro } from "xenolith/linux/blkdev";
import { nr_allocated_pages } from "xenolith/linux/mm";
import { main as dd } from "../../../images/programs/dd";
import { pattern, sameBytes } from "../../kernel/fs/files";
import { MemoryDisk } from "../../kernel/fs/memory-disk";
import { bootWorld } from "./world";

const { kernel, run } = bootWorld();
let disk: MemoryDisk;
let pages = 0;

beforeEach(() => {
  pages = nr_allocated_pages();
  disk = new MemoryDisk("xvdc", { bytes: 1 << 20, writeCache: true });
  kernel.run(() => disk.add());
  disk.data.set(pattern(1 << 20));
});
afterEach(() => {
  kernel.run(() => disk.remove());
  expect(nr_allocated_pages()).toBe(pages);
});

describe("copying", () => {
  it.each([
    ["if=/dev/xvdc of=/dev/null bs=512 count=1 iflag=direct", ["READ 0+1"]],
    ["if=/dev/xvdc of=/dev/null bs=4k count=3 skip=7 iflag=direct", ["READ 56+8", "READ 64+8", "READ 72+8"]],
    ["if=/dev/xvdc of=/dev/null bs=48k count=1 iflag=direct", ["READ 0+88", "READ 88+8"]],
    ["if=/dev/xvdc of=/dev/null bs=7168 count=2 skip=1 iflag=direct", ["READ 14+14", "READ 28+14"]],
    ["if=/dev/zero of=/dev/xvdc bs=4k count=1 oflag=direct", ["WRITE 0+8"]],
    ["if=/dev/urandom of=/dev/xvdc bs=64k count=1 seek=3 oflag=direct", ["WRITE 384+88", "WRITE 472+40"]],
    ["if=/dev/zero of=/dev/xvdc bs=4k count=1 oflag=direct,sync", ["WRITE 0+8", "FLUSH", "FLUSH"]],
    ["if=/dev/zero of=/dev/xvdc bs=4k count=1 seek=101 oflag=direct conv=fsync", ["WRITE 808+8", "FLUSH"]],
  ])("dd %s", (words, requests) => {
    expect(run(dd, "dd", ...words.split(" "), "status=none")).toEqual({ status: 0, out: "", err: "" });
    expect(disk.take()).toEqual(requests);
  });

  it("a whole disk onto itself at another place, with blocks that do not divide it", () => {
    expect(run(dd, "dd", "if=/dev/xvdc", "of=/dev/xvdc", "bs=100000", "count=5", "seek=5").status).toBe(0);
    expect(sameBytes(disk.data.slice(500000, 1000000), pattern(1 << 20).slice(0, 500000))).toBe(true);
    expect(sameBytes(disk.data.slice(1000000), pattern(1 << 20).slice(1000000))).toBe(true);
  });

  it("the last, partial block of a direct copy goes through the cache and is flushed", () => {
    const { status, err } = run(dd, "dd", "if=/dev/xvdc", "of=/dev/xvdc", "bs=3000", "skip=349", "oflag=direct");
    expect(status).toBe(0);
    expect(err).toContain("0+1 records out\n1576 bytes (1.6 kB, 1.5 KiB) copied, ");
    expect(disk.take()).toContain("FLUSH");
    expect(sameBytes(disk.data.slice(0, 1576), pattern(1 << 20).slice(349 * 3000))).toBe(true);
  });
});

describe("the report", () => {
  it.each([
    ["bs=1M count=1", "1+0 records in\n1+0 records out\n1048576 bytes (1.0 MB, 1.0 MiB) copied, "],
    ["bs=512 count=1", "1+0 records in\n1+0 records out\n512 bytes copied, "],
    ["bs=1 count=1", "1+0 records in\n1+0 records out\n1 byte copied, "],
    ["bs=1000 count=1", "1+0 records in\n1+0 records out\n1000 bytes (1.0 kB) copied, "],
    ["bs=700k count=9", "1+1 records in\n1+1 records out\n1048576 bytes (1.0 MB, 1.0 MiB) copied, "],
    ["bs=64k count=0", "0+0 records in\n0+0 records out\n0 bytes copied, "],
  ])("dd %s", (words, report) => {
    const { err } = run(dd, "dd", "if=/dev/xvdc", "of=/dev/null", ...words.split(" "));
    expect(err.slice(0, report.length)).toBe(report);
    expect(err.slice(report.length)).toMatch(/^\d+\.\d{9} s, (Infinity B|\d+(\.\d)? [kMGT]?B)\/s\n$/);
  });
});

describe("what is refused", () => {
  it.each([
    ["if=/dev/zero of=/dev/null bs=0", "dd: invalid number: '0'\n"],
    ["if=/dev/zero of=/dev/null bs=4iB", "dd: invalid number: '4iB'\n"],
    ["if=/dev/zero of=/dev/null bs=4Q", "dd: invalid number: '4Q'\n"],
    ["if=/dev/zero of=/dev/null count=-1", "dd: invalid number: '-1'\n"],
    ["if=/dev/zero of=/dev/null iflag=fast", "dd: invalid input flag: 'fast'\n"],
    ["if=/dev/zero of=/dev/null oflag=direct,toString", "dd: invalid output flag: 'direct,toString'\n"],
    ["if=/dev/zero of=/dev/null conv=ebcdic", "dd: invalid conversion: 'ebcdic'\n"],
    ["if=/dev/zero of=/dev/null status=loud", "dd: invalid status level: 'loud'\n"],
    ["if=/dev/zero of=/dev/null speed=1", "dd: unrecognized operand 'speed=1'\n"],
    ["fast", "dd: unrecognized operand 'fast'\n"],
  ])("dd %s", (words, err) => {
    expect(run(dd, "dd", ...words.split(" "))).toEqual({ status: 1, out: "", err });
  });

  it.each([
    ["if=/dev/xvdz of=/dev/null", "dd: failed to open '/dev/xvdz': No such file or directory\n"],
    ["if=/dev/zero of=/dev", "dd: failed to open '/dev': Is a directory\n"],
    ["if=/dev/xvdc of=/dev/full count=1", "dd: error writing '/dev/full': No space left on device\n"],
    ["if=/dev/zero of=/dev/xvdc bs=64k", "dd: error writing '/dev/xvdc': No space left on device\n"],
    ["if=/dev/xvdc of=/dev/null bs=100 iflag=direct", "dd: error reading '/dev/xvdc': Invalid argument\n"],
    ["if=/dev/zero of=/dev/null bs=1G count=1", "dd: memory exhausted by input buffer of size 1073741824 bytes\n"],
  ])("dd %s", (words, message) => {
    const { status, err } = run(dd, "dd", ...words.split(" "));
    expect(status).toBe(1);
    expect(err.slice(0, message.length)).toBe(message);
  });

  it("a read-only device refuses the write, and nothing reaches the driver", () => {
    set_disk_ro(disk.disk, true);
    const { status, err } = run(dd, "dd", "if=/dev/zero", "of=/dev/xvdc", "bs=4k", "count=4", "oflag=direct");
    expect(status).toBe(1);
    expect(err).toMatch(
      /^dd: error writing '\/dev\/xvdc': Operation not permitted\n1\+0 records in\n0\+0 records out\n/,
    );
    expect(disk.take()).toEqual([]);
  });

  it("a bad sector stops the copy where it is", () => {
    disk.bad.add(16);
    const { status, err } = run(dd, "dd", "if=/dev/xvdc", "of=/dev/null", "bs=4k");
    expect(status).toBe(1);
    expect(err).toMatch(
      /^dd: error reading '\/dev\/xvdc': Input\/output error\n2\+0 records in\n2\+0 records out\n8192 bytes/,
    );
  });
});
