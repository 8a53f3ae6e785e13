/**
 * Access to memory that another domain can see: the accessors of `hal/guest/page.ts`, for kernel code, drivers and modules.
 *
 * Words are unsigned 32-bit and indexed by word; bytes, halves and lengths are in bytes. An access through a page whose mapping is gone is
 * a page fault, which kills the domain. None of these sleeps. Nothing here checks what a peer wrote: copy once, then check the copy.
 */
import type { shared_page } from "../../../hal/guest/page";

export type { shared_page };

/** Bytes in a page. Xen's page and the kernel's are the same size. */
export const XEN_PAGE_SIZE = 4096;
export const XEN_PAGE_SHIFT = 12;
/** Kernel pages in one Xen page and the other way round. */
export const XEN_PFN_PER_PAGE = 1;

/** READ_ONCE of the 32-bit word `index`. */
export declare function page_read32(page: shared_page, index: number): number;
/** WRITE_ONCE of the 32-bit word `index`. */
export declare function page_write32(page: shared_page, index: number, value: number): void;
/** READ_ONCE of the byte at `offset`. */
export declare function page_read8(page: shared_page, offset: number): number;
/** WRITE_ONCE of the byte at `offset`. */
export declare function page_write8(page: shared_page, offset: number, value: number): void;
/** READ_ONCE of the 16-bit half at the even byte `offset`. */
export declare function page_read16(page: shared_page, offset: number): number;
/** Stores the 16-bit half at the even byte `offset`. */
export declare function page_write16(page: shared_page, offset: number, value: number): void;
/** Copies `length` bytes out of the page. */
export declare function memcpy_from_page(
  to: Uint8Array,
  to_offset: number,
  page: shared_page,
  offset: number,
  length: number,
): void;
/** Copies `length` bytes into the page. */
export declare function memcpy_to_page(
  page: shared_page,
  offset: number,
  from: Uint8Array,
  from_offset: number,
  length: number,
): void;
/** Copies `length` bytes from page to page; the ranges may overlap. */
export declare function memcpy_page(
  to: shared_page,
  to_offset: number,
  from: shared_page,
  from_offset: number,
  length: number,
): void;
/** Sets `length` bytes to `value`. */
export declare function memset_page(page: shared_page, offset: number, value: number, length: number): void;
/** Compares `length` bytes of two pages: 0 when equal, else the sign of the first difference. */
export declare function memcmp_page(
  a: shared_page,
  a_offset: number,
  b: shared_page,
  b_offset: number,
  length: number,
): number;
/** Atomic compare-and-exchange of word `index`: returns what was there; the store happened if that equals `expected`. */
export declare function page_cmpxchg32(page: shared_page, index: number, expected: number, desired: number): number;
/** Atomic exchange of word `index`: returns what was there. */
export declare function page_xchg32(page: shared_page, index: number, value: number): number;
/** Atomic `word &= ~bits`: returns what was there. */
export declare function page_clear_bits32(page: shared_page, index: number, bits: number): number;
/** Atomic `word |= bits`: returns what was there. */
export declare function page_set_bits32(page: shared_page, index: number, bits: number): number;
