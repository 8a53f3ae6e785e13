/**
 * Locked instructions on memory that another domain can see.
 *
 * Each begins with one read, which is the access check and, in a debug build, the preemption point. From there to the store nothing else
 * runs: domains share one thread, and control leaves a domain only in a hypercall or in an accessor. So read and store are one step.
 */
import { page_read32, type shared_page } from "./page";

/** LOCK CMPXCHG: stores `desired` in word `index` if `expected` is there; returns what was there, unsigned. */
export function page_cmpxchg32(page: shared_page, index: number, expected: number, desired: number): number {
  const before = page_read32(page, index);
  if (before === expected >>> 0) (page.words as Uint32Array)[index] = desired;
  return before;
}

/** XCHG: stores `value` in word `index`; returns what was there, unsigned. */
export function page_xchg32(page: shared_page, index: number, value: number): number {
  const before = page_read32(page, index);
  (page.words as Uint32Array)[index] = value;
  return before;
}

/** LOCK AND with the complement: clears `bits` in word `index`; returns what was there, unsigned. */
export function page_clear_bits32(page: shared_page, index: number, bits: number): number {
  const before = page_read32(page, index);
  (page.words as Uint32Array)[index] = before & ~bits;
  return before;
}

/** A loop of LOCK CMPXCHG: clears the bits of word `index` that are not in `keep`, unless one of `unless` is set. Whether it did. */
export function page_try_keep_bits32(page: shared_page, index: number, unless: number, keep: number): boolean {
  const before = page_read32(page, index);
  if ((before & unless) !== 0) return false;
  (page.words as Uint32Array)[index] = before & keep;
  return true;
}

/** LOCK OR: sets `bits` in word `index`; returns what was there, unsigned. */
export function page_set_bits32(page: shared_page, index: number, bits: number): number {
  const before = page_read32(page, index);
  (page.words as Uint32Array)[index] = before | bits;
  return before;
}
