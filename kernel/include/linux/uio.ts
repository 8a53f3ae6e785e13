/** `<linux/uio.h>`: where a read puts its data and a write takes it from: a run of bytes over pages of the caller. */
import type { page } from "xenolith/linux/mm_types";
import { memcpy_from_page, memcpy_page, memcpy_to_page, memset_page } from "xenolith/xen/page";

/** What is left of a run of bytes; each copy moves it on. */
export class iov_iter {
  readonly pages: readonly page[];
  /** Bytes from the beginning of the first page. */
  iov_offset: number;
  /** Bytes left. */
  count: number;

  constructor(pages: readonly page[], offset: number, count: number) {
    this.pages = pages;
    this.iov_offset = offset;
    this.count = count;
  }
}

/** The page that the next byte is in. */
export function iov_iter_page(iter: iov_iter): page {
  return iter.pages[iter.iov_offset >>> 12];
}

/** Bytes left in that page, at most `count`. */
export function iov_iter_single_seg_count(iter: iov_iter): number {
  return Math.min(4096 - (iter.iov_offset & 4095), iter.count);
}

/** Skips `bytes` bytes. */
export function iov_iter_advance(iter: iov_iter, bytes: number): void {
  iter.iov_offset += bytes;
  iter.count -= bytes;
}

/** Copies bytes to the run. Returns how many fitted. */
export function copy_to_iter(from: Uint8Array, offset: number, length: number, iter: iov_iter): number {
  let done = 0;
  while (done < length && iter.count > 0) {
    const piece = Math.min(iov_iter_single_seg_count(iter), length - done);
    memcpy_to_page(iov_iter_page(iter), iter.iov_offset & 4095, from, offset + done, piece);
    iov_iter_advance(iter, piece);
    done += piece;
  }
  return done;
}

/** Copies bytes from the run. Returns how many there were. */
export function copy_from_iter(to: Uint8Array, offset: number, length: number, iter: iov_iter): number {
  let done = 0;
  while (done < length && iter.count > 0) {
    const piece = Math.min(iov_iter_single_seg_count(iter), length - done);
    memcpy_from_page(to, offset + done, iov_iter_page(iter), iter.iov_offset & 4095, piece);
    iov_iter_advance(iter, piece);
    done += piece;
  }
  return done;
}

/** Copies from a page to the run. Returns how many bytes fitted. */
export function copy_page_to_iter(from: page, offset: number, length: number, iter: iov_iter): number {
  let done = 0;
  while (done < length && iter.count > 0) {
    const piece = Math.min(iov_iter_single_seg_count(iter), length - done);
    memcpy_page(iov_iter_page(iter), iter.iov_offset & 4095, from, offset + done, piece);
    iov_iter_advance(iter, piece);
    done += piece;
  }
  return done;
}

/** Copies from the run to a page. Returns how many bytes there were. */
export function copy_page_from_iter(to: page, offset: number, length: number, iter: iov_iter): number {
  let done = 0;
  while (done < length && iter.count > 0) {
    const piece = Math.min(iov_iter_single_seg_count(iter), length - done);
    memcpy_page(to, offset + done, iov_iter_page(iter), iter.iov_offset & 4095, piece);
    iov_iter_advance(iter, piece);
    done += piece;
  }
  return done;
}

/** Fills the run with zeros, at most `length` bytes. Returns how many. */
export function iov_iter_zero(length: number, iter: iov_iter): number {
  let done = 0;
  while (done < length && iter.count > 0) {
    const piece = Math.min(iov_iter_single_seg_count(iter), length - done);
    memset_page(iov_iter_page(iter), iter.iov_offset & 4095, 0, piece);
    iov_iter_advance(iter, piece);
    done += piece;
  }
  return done;
}
