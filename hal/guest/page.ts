/**
 * The one access path to memory that another domain can see.
 *
 * A page is a window on one machine frame: the domain's own, or a foreign one for as long as a grant keeps it mapped. Every access says which
 * page it goes through; an access through a page whose mapping is gone is a page fault, which kills the domain. In a debug build every access
 * is also a preemption point. A release build replaces the word and byte accessors by plain loads and stores (`build/linker.ts`); there the
 * missing view itself makes the fault.
 *
 * Words are 32-bit and unsigned, indexed by word; bytes, halves and lengths are in bytes. Nothing here checks what a peer wrote: the caller
 * copies once, then checks the copy.
 */
import { CONTROL_ALIAS_EPOCH, CONTROL_PREEMPT } from "../abi/control";
import { control, hal } from "./hal";

/** Bytes in a page. */
export const PAGE_SIZE = 4096;
/** Words in a page. */
export const PAGE_WORDS = 1024;
/** log2(PAGE_SIZE). */
export const PAGE_SHIFT = 12;
const HYPERVISOR_PREEMPT = 54; // __HYPERVISOR_arch_6

/** What the accessors need of a `struct page`. */
export interface shared_page {
  /** Machine frame behind the page, or -1. */
  mfn: number;
  /** Views over the frame; null when nothing is mapped. */
  words: Uint32Array | null;
  bytes: Uint8Array | null;
  /** The grant reference that is or was mapped here, or -1 for own RAM and where nothing ever was. */
  gref: number;
}

/** What is needed of a page that foreign frames are mapped at: who shut its window last, for the message of the fault that comes after. */
export interface foreign_page extends shared_page {
  unmapped_comm: string;
  unmapped_pid: number;
  /** Virtual time, nanoseconds. */
  unmapped_ns: number;
  /** Debug builds, if that was asked for; else empty. */
  unmapped_stack: string;
}

let fault_handler: (message: string) => never = (message) => {
  throw new Error(message);
};

/** Where a page fault goes: the kernel's oops. */
export function set_page_fault_handler(handler: (message: string) => never): void {
  fault_handler = handler;
}

function page_fault(page: shared_page, what: string, offset: number): never {
  const where = `${what} at offset ${offset} of mfn ${page.mfn}, gref ${page.gref}`;
  throw fault_handler(`unable to handle page fault: ${where}; ${history_of(page)}`);
}

/** What became of the page's mapping. Only foreign pages ever have a grant reference and no window. */
function history_of(page: shared_page): string {
  if (page.bytes !== null) return "mapped, but not so far";
  return page.gref < 0 ? "never mapped" : `unmapped ${last_unmap(page as foreign_page)}`;
}

function last_unmap(page: foreign_page): string {
  const micros = Math.floor(page.unmapped_ns / 1000);
  const seconds = `${Math.floor(micros / 1e6)}`.padStart(5);
  const at = `[${seconds}.${`${micros % 1e6}`.padStart(6, "0")}]`;
  const from = page.unmapped_stack === "" ? " (page_owner=on says from where)" : ` from\n${page.unmapped_stack}`;
  return `at ${at} by ${page.unmapped_comm}/${page.unmapped_pid}${from}`;
}

function preemption_point(): void {
  hal.hypercall(HYPERVISOR_PREEMPT, 0, 0, 0);
}

function words_of(page: shared_page, what: string, offset: number): Uint32Array {
  if (page.words === null) page_fault(page, what, offset);
  if (__DEBUG__ && control[CONTROL_PREEMPT] !== 0) preemption_point();
  return page.words;
}

/** The page's bytes, of which `length` from `offset` on are touched. Written out into every caller: it is small on purpose. */
function bytes_of(page: shared_page, what: string, offset: number, length: number): Uint8Array {
  const bytes = page.bytes;
  if (bytes === null || (offset | length) < 0 || offset + length > PAGE_SIZE) bad_bytes(page, what, offset, length);
  if (__DEBUG__ && control[CONTROL_PREEMPT] !== 0) preemption_point();
  return bytes;
}

function bad_bytes(page: shared_page, what: string, offset: number, length: number): never {
  return page_fault(page, page.bytes === null ? what : `${what} of ${length} bytes`, offset);
}

/** READ_ONCE of the 32-bit word `index`, unsigned. */
export function page_read32(page: shared_page, index: number): number {
  return words_of(page, "read", index * 4)[index];
}

/** WRITE_ONCE of the 32-bit word `index`. */
export function page_write32(page: shared_page, index: number, value: number): void {
  words_of(page, "write", index * 4)[index] = value;
}

/** READ_ONCE of the byte at `offset`. */
export function page_read8(page: shared_page, offset: number): number {
  return bytes_of(page, "read", offset, 1)[offset];
}

/** WRITE_ONCE of the byte at `offset`. */
export function page_write8(page: shared_page, offset: number, value: number): void {
  bytes_of(page, "write", offset, 1)[offset] = value;
}

/** READ_ONCE of the 16-bit half at the even byte `offset`, unsigned. */
export function page_read16(page: shared_page, offset: number): number {
  const word = page_read32(page, offset >>> 2);
  return (offset & 2) === 0 ? word & 0xffff : word >>> 16;
}

/** Stores the 16-bit half at the even byte `offset`; the other half of the word keeps its value. */
export function page_write16(page: shared_page, offset: number, value: number): void {
  const bytes = bytes_of(page, "write", offset, 2);
  bytes[offset] = value;
  bytes[offset + 1] = value >>> 8;
}

/** Copies `length` bytes out of the page. */
export function memcpy_from_page(
  to: Uint8Array,
  to_offset: number,
  page: shared_page,
  offset: number,
  length: number,
): void {
  const bytes = bytes_of(page, "read", offset, length);
  to.set(offset === 0 && length === PAGE_SIZE ? bytes : bytes.subarray(offset, offset + length), to_offset);
}

/** Copies `length` bytes into the page. */
export function memcpy_to_page(
  page: shared_page,
  offset: number,
  from: Uint8Array,
  from_offset: number,
  length: number,
): void {
  const bytes = bytes_of(page, "write", offset, length);
  const whole = from_offset === 0 && length === from.length;
  bytes.set(whole ? from : from.subarray(from_offset, from_offset + length), offset);
}

/** Copies `length` bytes from page to page; the ranges may overlap. */
export function memcpy_page(
  to: shared_page,
  to_offset: number,
  from: shared_page,
  from_offset: number,
  length: number,
): void {
  const source = bytes_of(from, "read", from_offset, length);
  const target = bytes_of(to, "write", to_offset, length);
  const whole = from_offset === 0 && length === PAGE_SIZE;
  target.set(whole ? source : source.subarray(from_offset, from_offset + length), to_offset);
}

/** Sets `length` bytes to `value`. */
export function memset_page(page: shared_page, offset: number, value: number, length: number): void {
  bytes_of(page, "write", offset, length).fill(value, offset, offset + length);
}

/** Compares `length` bytes of two pages: 0 when equal, else negative or positive as the first differing byte is lower or higher in `a`. */
export function memcmp_page(
  a: shared_page,
  a_offset: number,
  b: shared_page,
  b_offset: number,
  length: number,
): number {
  const left = bytes_of(a, "read", a_offset, length);
  const right = bytes_of(b, "read", b_offset, length);
  for (let i = 0; i < length; i++) {
    const difference = left[a_offset + i] - right[b_offset + i];
    if (difference !== 0) return difference;
  }
  return 0;
}

/** Opens the window of own RAM page `pfn`. */
export function page_map_own(page: shared_page, pfn: number): void {
  page.mfn = hal.mfn_base + pfn;
  page.gref = -1;
  page.words = hal.page(pfn);
  page.bytes = new Uint8Array(page.words.buffer, page.words.byteOffset, PAGE_SIZE);
}

interface frame_view {
  words: Uint32Array;
  bytes: Uint8Array;
}

/** Views of foreign frames, by frame; kept over unmaps, thrown away when the hypervisor reuses frames. */
let frame_views: (frame_view | undefined)[] = [];
let frame_views_epoch = 0;

function make_frame_view(mfn: number): frame_view {
  if (control[CONTROL_ALIAS_EPOCH] !== frame_views_epoch) {
    frame_views = [];
    frame_views_epoch = control[CONTROL_ALIAS_EPOCH];
  }
  while (frame_views.length <= mfn) frame_views.push(undefined);
  const words = hal.frame(mfn);
  const view = { words, bytes: new Uint8Array(words.buffer, words.byteOffset, PAGE_SIZE) };
  frame_views[mfn] = view;
  return view;
}

/** Opens the window on foreign frame `mfn`, which GNTTABOP_map_grant_ref has just mapped by `gref`. */
export function page_map_foreign(page: shared_page, mfn: number, gref: number): void {
  const known = control[CONTROL_ALIAS_EPOCH] === frame_views_epoch ? frame_views[mfn] : undefined;
  const view = known ?? make_frame_view(mfn);
  page.mfn = mfn;
  page.gref = gref;
  page.words = view.words;
  page.bytes = view.bytes;
}

/**
 * Shuts the window; any later access through it is a page fault. `mfn` and `gref` stay for the fault's message, with the task that did it
 * and the time, in nanoseconds: three stores, so that they need not be asked for.
 */
export function page_unmap_foreign(page: foreign_page, comm: string, pid: number, now_ns: number): void {
  page.words = null;
  page.bytes = null;
  page.unmapped_comm = comm;
  page.unmapped_pid = pid;
  page.unmapped_ns = now_ns;
  if (__DEBUG__) page.unmapped_stack = record_unmaps ? new Error().stack ?? "" : "";
}

let record_unmaps = false;

/** Debug builds: whether every unmap records its stack (slow). The kernel's `page_owner=on`. */
export function set_record_unmaps(on: boolean): void {
  record_unmaps = on;
}
