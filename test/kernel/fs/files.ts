/** A bare kernel with the file system layer, and what tests of it do with files. */
import "../../../kernel/fs/devtmpfs";
import "../../../kernel/fs/open";
import "../../../kernel/fs/proc-entries";
import "../../../kernel/fs/sysfs";
import "../../../kernel/block/blk-sysfs";
import "../../../kernel/block/genhd";
import { type file, filp_close, filp_open, vfs_iter_read, vfs_iter_write } from "xenolith/linux/fs";
import { GFP_KERNEL } from "xenolith/linux/gfp";
import { __free_page, alloc_page } from "xenolith/linux/mm";
import type { page } from "xenolith/linux/mm_types";
import type { Sleeps } from "xenolith/linux/sched";
import { iov_iter } from "xenolith/linux/uio";
import { memcpy_from_page, memcpy_to_page } from "xenolith/xen/page";

/** Opens a file that must be there. */
export function* open(path: string, flags: number): Sleeps<file> {
  const opened = yield* filp_open(path, flags, 0);
  if (typeof opened === "number") throw new Error(`${path}: ${opened}`);
  return opened;
}

function* with_pages<T>(bytes: number, body: (pages: page[]) => Sleeps<T>): Sleeps<T> {
  const pages: page[] = [];
  while (pages.length * 4096 < bytes) {
    const fresh = alloc_page(GFP_KERNEL);
    if (fresh === null) throw new Error("no memory for a test's buffer");
    pages.push(fresh);
  }
  const result = yield* body(pages);
  for (const used of pages) __free_page(used);
  return result;
}

/** Writes bytes at a position; `offset` is where they begin in the first page. Returns what the write did. */
export function* pwrite(to: file, data: Uint8Array, position: number, offset = 0): Sleeps<number> {
  return yield* with_pages(offset + data.length, function* (pages) {
    for (let done = 0; done < data.length; ) {
      const at = offset + done;
      const length = Math.min(4096 - (at & 4095), data.length - done);
      memcpy_to_page(pages[at >>> 12], at & 4095, data, done, length);
      done += length;
    }
    return yield* vfs_iter_write(to, new iov_iter(pages, offset, data.length), { value: position });
  });
}

/** Reads bytes at a position. Returns them, or a negative errno. */
export function* pread(from: file, count: number, position: number, offset = 0): Sleeps<Uint8Array | number> {
  return yield* with_pages(offset + count, function* (pages) {
    const got = yield* vfs_iter_read(from, new iov_iter(pages, offset, count), { value: position });
    if (got < 0) return got;
    const data = new Uint8Array(got);
    for (let done = 0; done < got; ) {
      const at = offset + done;
      const length = Math.min(4096 - (at & 4095), got - done);
      memcpy_from_page(data, done, pages[at >>> 12], at & 4095, length);
      done += length;
    }
    return data;
  });
}

/** Opens, does something, closes. */
export function* with_file<T>(path: string, flags: number, body: (opened: file) => Sleeps<T>): Sleeps<T> {
  const opened = yield* open(path, flags);
  const result = yield* body(opened);
  yield* filp_close(opened);
  return result;
}

/** Bytes that differ from place to place: a multiplicative hash of their position. */
export function pattern(length: number, seed = 1): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => Math.imul(i + seed, 2654435761) >>> 24);
}

/** Compares bytes, much faster than `toEqual` does. */
export function sameBytes(one: Uint8Array | number, other: Uint8Array): boolean {
  return typeof one !== "number" && Buffer.compare(one, other) === 0;
}
