/**
 * The block protocol (Xen public/io/blkif.h): its constants, and how requests and responses get into slots and out of them.
 *
 *   front end: edit a private blkif_request_image ── blkif_put_request ──► slot ── blkif_get_x86_64_req ──► private blkif_request: back end
 *   front end: private blkif_response ◄── blkif_get_response ── slot ◄── blkif_put_response ── back end
 *
 * What comes out of a slot is an allegation, but a stable one: no byte of a slot is read twice. Checking is the driver's. An i386 peer's
 * layout has every word after the first one word earlier, which is all that the two ABIs differ in. Ids are opaque and are two words;
 * sectors are 512 bytes. None of these sleeps or allocates.
 */
import { memcpy_to_page, page_read32, page_write32, page_write8, type shared_page } from "xenolith/xen/page";
import {
  BLKIF_MAX_INDIRECT_PAGES_PER_REQUEST,
  BLKIF_MAX_SEGMENTS_PER_REQUEST,
  BLKIF_OP_DISCARD,
  BLKIF_OP_FLUSH_DISKCACHE,
  BLKIF_OP_INDIRECT,
  BLKIF_SEGS_PER_INDIRECT_FRAME,
  BLKIF_SLOT_SIZE,
} from "../../../../../hal/abi/io/blkif";
import { RING_SLOT_WORD, SRING_SIZE, back_ring, front_ring, type common_ring } from "./ring";

export * from "../../../../../hal/abi/io/blkif";

/** Words in a page, and in the native request. */
const PAGE_WORDS = 1024;
const REQUEST_WORDS = 28;

// Word indices of the native request; for an i386 peer subtract 1, except from 0.
const ID = 2;
const SECTOR_NUMBER = 4;
const SEG = 6;
/** Word indices of a request of one segment, for whoever takes it apart without a copy of the whole. As above for an i386 peer. */
export const BLKIF_REQUEST_WORD_ID = ID;
export const BLKIF_REQUEST_WORD_SECTOR_NUMBER = SECTOR_NUMBER;
export const BLKIF_REQUEST_WORD_GREF = SEG;
export const BLKIF_REQUEST_WORD_SECTS = SEG + 1;
const DISCARD_NR_SECTORS = 6;
const INDIRECT_HANDLE = 6;
const INDIRECT_GREFS = 7;
/** Subtracted for each ABI. */
const X86_64 = 0;
const X86_32 = 1;

/** The front end's side of a block ring. */
export class blkif_front_ring extends front_ring {
  constructor() {
    super(BLKIF_SLOT_SIZE);
  }
}

/** The back end's side; `slot_size` is BLKIF_SLOT_SIZE or BLKIF_X86_32_SLOT_SIZE, by the front end's ABI. */
export class blkif_back_ring extends back_ring {}

// ---- the back end's requests ------------------------------------------------------------------------------------------------------------

/** A request in the back end's private memory. Which fields were filled in depends on `operation`; the others keep what they had. */
export class blkif_request {
  /** BLKIF_OP_*, or anything else. */
  operation = 0;
  /** The id, to be echoed. */
  id_lo = 0;
  id_hi = 0;
  /** All but unknown operations. */
  sector_number_lo = 0;
  sector_number_hi = 0;
  /** Not for a discard. */
  handle = 0;
  /** As the peer wrote it, however large: u8, for INDIRECT u16. Not for a discard. */
  nr_segments = 0;
  /** The first min(11, nr_segments) are filled in; not for INDIRECT. */
  readonly seg_gref = new Uint32Array(BLKIF_MAX_SEGMENTS_PER_REQUEST);
  readonly seg_first_sect = new Uint8Array(BLKIF_MAX_SEGMENTS_PER_REQUEST);
  readonly seg_last_sect = new Uint8Array(BLKIF_MAX_SEGMENTS_PER_REQUEST);
  /** DISCARD: BLKIF_DISCARD_*. */
  flag = 0;
  /** DISCARD. */
  nr_sectors_lo = 0;
  nr_sectors_hi = 0;
  /** INDIRECT: the operation meant, or anything else. */
  indirect_op = 0;
  /** INDIRECT. */
  readonly indirect_grefs = new Uint32Array(BLKIF_MAX_INDIRECT_PAGES_PER_REQUEST);
}

/** A u64 sector number or count from its words; -1 from 2^53 up, which is beyond the end of any disk. */
export function blkif_sector(lo: number, hi: number): number {
  return hi < 0x20_0000 ? hi * 0x1_0000_0000 + lo : -1;
}

/** Pages of descriptors that `nr_segments` segments need. */
export function BLKIF_INDIRECT_PAGES(nr_segments: number): number {
  return (nr_segments + BLKIF_SEGS_PER_INDIRECT_FRAME - 1) >>> 9;
}

/** Copies a slot that straddles two pages, each word once, and returns the copy. */
function gather(r: common_ring, first: number): shared_page {
  const bounce = r.bounce as shared_page;
  for (let k = 0; k < r.slot_words; k++) {
    const word = first + k;
    page_write32(bounce, k, page_read32(r.pages[word >>> 10], word & (PAGE_WORDS - 1)));
  }
  return bounce;
}

/**
 * Copies request `i` of a 64-bit front end's ring (a native one's too) into `dst`; of an indirect request's grefs no more than
 * `max_indirect_pages`. Linux blkif_get_x86_64_req.
 */
export function blkif_get_x86_64_req(dst: blkif_request, r: back_ring, i: number, max_indirect_pages: number): void {
  get_req(dst, r, i, X86_64, max_indirect_pages);
}

/** The same for an i386 front end. Linux blkif_get_x86_32_req. */
export function blkif_get_x86_32_req(dst: blkif_request, r: back_ring, i: number, max_indirect_pages: number): void {
  get_req(dst, r, i, X86_32, max_indirect_pages);
}

function get_req(dst: blkif_request, r: back_ring, i: number, abi: number, max_indirect_pages: number): void {
  const first = RING_SLOT_WORD(r, i);
  let page = r.pages[first >>> 10];
  let slot = first & (PAGE_WORDS - 1);
  if (slot + r.slot_words > PAGE_WORDS) {
    page = gather(r, first);
    slot = 0;
  }
  blkif_get_req_from(dst, page, slot, page_read32(page, slot), abi, max_indirect_pages);
}

/**
 * Copies the request at word `slot` of `page`, which it does not straddle, into `dst`. Its first word has been read already and is `word`; `abi`
 * is 0 for a 64-bit front end and 1 for an i386 one.
 */
export function blkif_get_req_from(
  dst: blkif_request,
  page: shared_page,
  slot: number,
  word: number,
  abi: number,
  max_indirect_pages: number,
): void {
  slot -= abi;
  const operation = word & 0xff;
  dst.operation = operation;
  dst.id_lo = page_read32(page, slot + ID);
  dst.id_hi = page_read32(page, slot + ID + 1);
  if (operation <= BLKIF_OP_FLUSH_DISKCACHE) get_rw(dst, page, slot, word);
  else if (operation === BLKIF_OP_DISCARD) get_discard(dst, page, slot, word);
  else if (operation === BLKIF_OP_INDIRECT) get_indirect(dst, page, slot, word, max_indirect_pages);
}

/** What `blkif_get_req_from` makes of a READ or WRITE of one segment, whose words have been read already. */
export function blkif_set_one_segment(
  dst: blkif_request,
  word: number,
  id_lo: number,
  id_hi: number,
  sector_number_lo: number,
  sector_number_hi: number,
  gref: number,
  sects: number,
): void {
  dst.operation = word & 0xff;
  dst.nr_segments = (word >>> 8) & 0xff;
  dst.handle = word >>> 16;
  dst.id_lo = id_lo;
  dst.id_hi = id_hi;
  dst.sector_number_lo = sector_number_lo;
  dst.sector_number_hi = sector_number_hi;
  dst.seg_gref[0] = gref;
  dst.seg_first_sect[0] = sects;
  dst.seg_last_sect[0] = sects >>> 8;
}

function get_rw(dst: blkif_request, page: shared_page, slot: number, word: number): void {
  const nr_segments = (word >>> 8) & 0xff;
  dst.nr_segments = nr_segments;
  dst.handle = word >>> 16;
  dst.sector_number_lo = page_read32(page, slot + SECTOR_NUMBER);
  dst.sector_number_hi = page_read32(page, slot + SECTOR_NUMBER + 1);
  const n = nr_segments < BLKIF_MAX_SEGMENTS_PER_REQUEST ? nr_segments : BLKIF_MAX_SEGMENTS_PER_REQUEST;
  blkif_get_segments(dst.seg_gref, dst.seg_first_sect, dst.seg_last_sect, 0, page, slot + SEG, n);
}

function get_discard(dst: blkif_request, page: shared_page, slot: number, word: number): void {
  dst.flag = (word >>> 8) & 0xff;
  dst.sector_number_lo = page_read32(page, slot + SECTOR_NUMBER);
  dst.sector_number_hi = page_read32(page, slot + SECTOR_NUMBER + 1);
  dst.nr_sectors_lo = page_read32(page, slot + DISCARD_NR_SECTORS);
  dst.nr_sectors_hi = page_read32(page, slot + DISCARD_NR_SECTORS + 1);
}

function get_indirect(
  dst: blkif_request,
  page: shared_page,
  slot: number,
  word: number,
  max_indirect_pages: number,
): void {
  dst.indirect_op = (word >>> 8) & 0xff;
  dst.nr_segments = word >>> 16;
  dst.sector_number_lo = page_read32(page, slot + SECTOR_NUMBER);
  dst.sector_number_hi = page_read32(page, slot + SECTOR_NUMBER + 1);
  dst.handle = page_read32(page, slot + INDIRECT_HANDLE) & 0xffff;
  const pages = Math.min(
    max_indirect_pages,
    BLKIF_MAX_INDIRECT_PAGES_PER_REQUEST,
    BLKIF_INDIRECT_PAGES(dst.nr_segments),
  );
  for (let k = 0; k < pages; k++) dst.indirect_grefs[k] = page_read32(page, slot + INDIRECT_GREFS + k);
}

/** Copies `count` segment descriptors from word `from` of a page (a slot or an indirect page) to index `at` of three arrays. */
export function blkif_get_segments(
  gref: Uint32Array,
  first_sect: Uint8Array,
  last_sect: Uint8Array,
  at: number,
  page: shared_page,
  from: number,
  count: number,
): void {
  for (let k = 0; k < count; k++) {
    gref[at + k] = page_read32(page, from + 2 * k);
    const sects = page_read32(page, from + 2 * k + 1);
    first_sect[at + k] = sects;
    last_sect[at + k] = sects >>> 8;
  }
}

// ---- the front end's requests -----------------------------------------------------------------------------------------------------------

/**
 * A request in the front end's private memory, as the bytes of a native slot. It is not cleared between uses: bytes that an operation does
 * not define keep the values of an earlier one, and go onto the ring with the rest.
 */
export class blkif_request_image {
  readonly words = new Uint32Array(REQUEST_WORDS);
  /** The same memory. */
  readonly bytes = new Uint8Array(this.words.buffer);
}

/** Sets the id. Ours are small numbers. */
export function blkif_req_set_id(req: blkif_request_image, id: number): void {
  req.words[ID] = id;
  req.words[ID + 1] = 0;
}

/** Sets what READ, WRITE, WRITE_BARRIER and FLUSH_DISKCACHE have. `sector_number` -1 is all ones: an empty flush has no position. */
export function blkif_req_set_rw(
  req: blkif_request_image,
  operation: number,
  nr_segments: number,
  handle: number,
  sector_number: number,
): void {
  req.words[0] = operation | (nr_segments << 8) | (handle << 16);
  set_u64(req.words, SECTOR_NUMBER, sector_number);
}

/** Sets segment `i` of such a request. */
export function blkif_req_set_seg(
  req: blkif_request_image,
  i: number,
  gref: number,
  first_sect: number,
  last_sect: number,
): void {
  const words = req.words;
  const at = SEG + 2 * i;
  words[at] = gref;
  words[at + 1] = (words[at + 1] & 0xffff_0000) | first_sect | (last_sect << 8);
}

/** Makes it a DISCARD; `flag` is 0 or BLKIF_DISCARD_SECURE. The handle's bytes are left alone. */
export function blkif_req_set_discard(
  req: blkif_request_image,
  flag: number,
  sector_number: number,
  nr_sectors: number,
): void {
  req.words[0] = (req.words[0] & 0xffff_0000) | BLKIF_OP_DISCARD | (flag << 8);
  set_u64(req.words, SECTOR_NUMBER, sector_number);
  set_u64(req.words, DISCARD_NR_SECTORS, nr_sectors);
}

/** Makes it an INDIRECT one for `indirect_op`, READ or WRITE. */
export function blkif_req_set_indirect(
  req: blkif_request_image,
  indirect_op: number,
  nr_segments: number,
  handle: number,
  sector_number: number,
): void {
  const words = req.words;
  words[0] = BLKIF_OP_INDIRECT | (indirect_op << 8) | (nr_segments << 16);
  set_u64(words, SECTOR_NUMBER, sector_number);
  words[INDIRECT_HANDLE] = (words[INDIRECT_HANDLE] & 0xffff_0000) | handle;
}

/** Sets the gref of page `i` of descriptors. */
export function blkif_req_set_indirect_gref(req: blkif_request_image, i: number, gref: number): void {
  req.words[INDIRECT_GREFS + i] = gref;
}

/** Writes descriptor `i` of an indirect page, padding as 0. */
export function blkif_put_segment(
  page: shared_page,
  i: number,
  gref: number,
  first_sect: number,
  last_sect: number,
): void {
  page_write32(page, 2 * i, gref);
  page_write32(page, 2 * i + 1, first_sect | (last_sect << 8));
}

function set_u64(words: Uint32Array, at: number, value: number): void {
  words[at] = value;
  words[at + 1] = value >= 0 && value < 0x1_0000_0000 ? 0 : Math.floor(value / 0x1_0000_0000);
}

/** Copies the whole request into slot `i`. */
export function blkif_put_request(r: front_ring, i: number, req: blkif_request_image): void {
  const first = RING_SLOT_WORD(r, i);
  const slot = first & (PAGE_WORDS - 1);
  if (slot + REQUEST_WORDS <= PAGE_WORDS) {
    memcpy_to_page(r.pages[first >>> 10], slot * 4, req.bytes, 0, REQUEST_WORDS * 4);
    return;
  }
  for (let k = 0; k < REQUEST_WORDS; k++) put_word(r, first + k, req.words[k]);
}

/**
 * Fills in the next slot of a native ring, without an image: a READ or WRITE of one segment. `sects` is its first sector and, from bit 8 on, its last.
 * What such a request does not define keeps what the slot held.
 */
export function blkif_put_page_request(
  r: front_ring,
  operation: number,
  handle: number,
  id: number,
  sector_number: number,
  gref: number,
  sects: number,
): void {
  const head = operation | (1 << 8) | (handle << 16);
  const high = sector_number <= 0x7fff_ffff ? 0 : sector_number / 0x1_0000_0000;
  const first = (SRING_SIZE >>> 2) + REQUEST_WORDS * (r.req_prod_pvt & (r.nr_ents - 1));
  let page = r.sring;
  let slot = first;
  if (r.bounce !== null) {
    const straddles = (first & (PAGE_WORDS - 1)) + (SEG + 2) > PAGE_WORDS;
    page = straddles ? r.bounce : r.pages[first >>> 10];
    slot = straddles ? 0 : first & (PAGE_WORDS - 1);
  }
  page_write32(page, slot, head);
  page_write32(page, slot + ID, id);
  page_write32(page, slot + (ID + 1), 0);
  page_write32(page, slot + SECTOR_NUMBER, sector_number);
  page_write32(page, slot + (SECTOR_NUMBER + 1), high);
  page_write32(page, slot + SEG, gref);
  page_write32(page, slot + (SEG + 1), sects);
  if (r.bounce !== null && page === r.bounce) scatter(r, first);
}

/** Copies such a request from the bounce page to a slot that straddles two pages, from word `first` of the ring on. */
function scatter(r: common_ring, first: number): void {
  const bounce = r.bounce as shared_page;
  for (let k = 0; k < SEG + 2; k++) if (k !== 1) put_word(r, first + k, page_read32(bounce, k));
}

/** The same in the layout of an i386 front end, for a ring whose slots are that: a native domain never needs it, a test of the other ABI does. */
export function blkif_put_x86_32_request(r: front_ring, i: number, req: blkif_request_image): void {
  const first = RING_SLOT_WORD(r, i);
  put_word(r, first, req.words[0]);
  for (let k = ID; k < REQUEST_WORDS; k++) put_word(r, first + k - X86_32, req.words[k]);
}

function put_word(r: common_ring, word: number, value: number): void {
  page_write32(r.pages[word >>> 10], word & (PAGE_WORDS - 1), value);
}

// ---- responses --------------------------------------------------------------------------------------------------------------------------

/** A response in the front end's private memory. */
export class blkif_response {
  id_lo = 0;
  id_hi = 0;
  operation = 0;
  /** BLKIF_RSP_*, or any other s16. */
  status = 0;
}

/** Copies response `i` into `dst`. The same in both ABIs. */
export function blkif_get_response(dst: blkif_response, r: front_ring, i: number): void {
  const page = blkif_response_page(r, i);
  const word = blkif_response_word(r, i, page);
  const id_lo = blkif_response_id_lo(page, word);
  const id_hi = blkif_response_id_hi(page, word);
  blkif_set_response(dst, id_lo, id_hi, blkif_response_result(page, word));
}

// The same in parts, for a loop that keeps the three words of a response to itself.

/** The page that holds response `i`: one of the ring's, or a copy. */
export function blkif_response_page(r: front_ring, i: number): shared_page {
  return r.bounce === null ? r.sring : response_page(r, RING_SLOT_WORD(r, i));
}

function response_page(r: front_ring, first: number): shared_page {
  return (first & (PAGE_WORDS - 1)) + 3 > PAGE_WORDS ? gather(r, first) : r.pages[first >>> 10];
}

/** Its first word in that page. */
export function blkif_response_word(r: front_ring, i: number, page: shared_page): number {
  const first = RING_SLOT_WORD(r, i);
  if (r.bounce === null) return first;
  return page === r.bounce ? 0 : first & (PAGE_WORDS - 1);
}

// Each of its words is to be read once.

export function blkif_response_id_lo(page: shared_page, word: number): number {
  return page_read32(page, word);
}

export function blkif_response_id_hi(page: shared_page, word: number): number {
  return page_read32(page, word + 1);
}

/** Operation and status. */
export function blkif_response_result(page: shared_page, word: number): number {
  return page_read32(page, word + 2);
}

/** Takes the three words apart. */
export function blkif_set_response(dst: blkif_response, id_lo: number, id_hi: number, result: number): void {
  dst.id_lo = id_lo;
  dst.id_hi = id_hi;
  dst.operation = result & 0xff;
  dst.status = (result | 0) >> 16;
}

/** Whether the result says that `operation` ended with BLKIF_RSP_OKAY. */
export function blkif_response_is_okay(result: number, operation: number): boolean {
  // ~0xff00 is an int32, 0xffff00ff is not: QuickJS would leave its fast path.
  return (result & ~0xff00) === operation;
}

/** Fills in response `i`, field by field and straight in the slot: its padding keeps the request's bytes, and none of ours get there. @inline */
export function blkif_put_response(
  r: back_ring,
  i: number,
  id_lo: number,
  id_hi: number,
  operation: number,
  status: number,
): void {
  let page = r.sring;
  let last = RING_SLOT_WORD(r, i) + 2;
  if (r.bounce !== null) {
    put_word(r, last - 2, id_lo);
    put_word(r, last - 1, id_hi);
    page = r.pages[last >>> 10];
    last &= PAGE_WORDS - 1;
  } else {
    page_write32(page, last - 2, id_lo);
    page_write32(page, last - 1, id_hi);
  }
  const at = last * 4;
  page_write8(page, at, operation);
  page_write8(page, at + 2, status);
  page_write8(page, at + 3, status >>> 8);
}
