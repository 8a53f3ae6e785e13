/**
 * Shared rings (Xen public/io/ring.h): a header, then slots, over one or more pages that two domains share.
 *
 *   front end                        the shared page                        back end
 *   fills slot req_prod_pvt, ++  ->  [req_prod]   RING_PUSH_REQUESTS   ->   copies slot req_cons, ++
 *   copies slot rsp_cons, ++     <-  [rsp_prod]   RING_PUSH_RESPONSES  <-   fills slot rsp_prod_pvt, ++
 *
 * Each side keeps its own indices private and only believes the peer's producer index after the matching *_PROD_OVERFLOW test. Indices are
 * u32 and run freely: step them with `(i + 1) >>> 0`, and compare differences, never values. A response goes into the slot of its own index,
 * not into the slot of the request it answers, so the back end steps req_cons before it fills in a response.
 *
 * None of these sleeps. Slots may straddle two pages; `io/blkif.ts` shows how a slot is copied.
 */
import { memset_page, page_read32, page_write32, type shared_page } from "xenolith/xen/page";
import {
  __RING_SIZE,
  SRING_REQ_EVENT_WORD,
  SRING_REQ_PROD_WORD,
  SRING_RSP_EVENT_WORD,
  SRING_RSP_PROD_WORD,
  SRING_SIZE,
} from "../../../../../hal/abi/io/ring";

export * from "../../../../../hal/abi/io/ring";

/** A free-running index, u32. */
export type RING_IDX = number;

/** What both ends know of a ring. */
export class common_ring {
  /** Slots, a power of two; 0 before the ring is initialised. */
  nr_ents = 0;
  /** Words in one slot. */
  readonly slot_words: number;
  /** The first page, which holds the header. */
  sring: shared_page;
  /** All pages in order. */
  pages: readonly shared_page[];
  /** Receives slots that straddle two pages; null for a ring of one page. */
  bounce: shared_page | null = null;

  /** `slot_size` in bytes, a multiple of 4: the larger of request and response. */
  constructor(slot_size: number) {
    this.slot_words = slot_size >>> 2;
    this.sring = NO_PAGE;
    this.pages = [];
  }
}

const NO_PAGE: shared_page = { mfn: -1, words: null, bytes: null, gref: -1 };

/** The front end's side. */
export class front_ring extends common_ring {
  /** Requests filled in, pushed or not. Ours alone. */
  req_prod_pvt: RING_IDX = 0;
  /** Responses taken. Ours alone. */
  rsp_cons: RING_IDX = 0;
}

/** The back end's side. */
export class back_ring extends common_ring {
  /** Responses filled in, pushed or not. Ours alone. */
  rsp_prod_pvt: RING_IDX = 0;
  /** Requests taken. Ours alone. */
  req_cons: RING_IDX = 0;
}

function attach(r: common_ring, pages: readonly shared_page[], size: number): void {
  r.sring = pages[0];
  r.pages = pages;
  r.nr_ents = __RING_SIZE(size, r.slot_words * 4);
  r.bounce = null;
  if (pages.length === 1) return;
  const words = new Uint32Array(r.slot_words);
  r.bounce = { mfn: -1, words, bytes: new Uint8Array(words.buffer), gref: -1 };
}

/** Fills in the shared header: no requests, no responses, both ends want to hear of the first. The front end's, before it publishes the ring. */
export function SHARED_RING_INIT(pages: readonly shared_page[]): void {
  memset_page(pages[0], 0, 0, SRING_SIZE);
  page_write32(pages[0], SRING_REQ_EVENT_WORD, 1);
  page_write32(pages[0], SRING_RSP_EVENT_WORD, 1);
}

/** Attaches the front end at index `i` to the ring in `pages`, `size` bytes in all. */
export function FRONT_RING_ATTACH(r: front_ring, pages: readonly shared_page[], i: RING_IDX, size: number): void {
  attach(r, pages, size);
  r.req_prod_pvt = i;
  r.rsp_cons = i;
}

/** Attaches the front end to a fresh ring. */
export function FRONT_RING_INIT(r: front_ring, pages: readonly shared_page[], size: number): void {
  FRONT_RING_ATTACH(r, pages, 0, size);
}

/** Makes a fresh ring: the shared header and the front end's side. */
export function XEN_FRONT_RING_INIT(r: front_ring, pages: readonly shared_page[], size: number): void {
  SHARED_RING_INIT(pages);
  FRONT_RING_INIT(r, pages, size);
}

/** Attaches the back end at index `i`: the shared rsp_prod, read once by the caller, takes up a ring that has a history. */
export function BACK_RING_ATTACH(r: back_ring, pages: readonly shared_page[], i: RING_IDX, size: number): void {
  attach(r, pages, size);
  r.rsp_prod_pvt = i;
  r.req_cons = i;
}

/** Attaches the back end to a fresh ring. */
export function BACK_RING_INIT(r: back_ring, pages: readonly shared_page[], size: number): void {
  BACK_RING_ATTACH(r, pages, 0, size);
}

/** Slots. */
export function RING_SIZE(r: common_ring): number {
  return r.nr_ents;
}

/** Offset of slot `i` from the start of the ring, words. Page `>>> 10` of `r.pages`, word `& 1023` in it. */
export function RING_SLOT_WORD(r: common_ring, i: RING_IDX): number {
  return (SRING_SIZE >>> 2) + r.slot_words * (i & (r.nr_ents - 1));
}

/** Requests that still fit. Front end. */
export function RING_FREE_REQUESTS(r: front_ring): number {
  return (r.nr_ents - (r.req_prod_pvt - r.rsp_cons)) >>> 0;
}

/** Whether no further request fits. Front end. */
export function RING_FULL(r: front_ring): boolean {
  return (r.req_prod_pvt - r.rsp_cons) >>> 0 === r.nr_ents;
}

/** Responses that the back end says are there. Front end; an allegation. */
export function RING_HAS_UNCONSUMED_RESPONSES(r: front_ring): number {
  return (page_read32(r.sring, SRING_RSP_PROD_WORD) - r.rsp_cons) >>> 0;
}

/** Requests that may be taken: those that the front end says are there, as far as there is room to answer them. Back end. */
export function RING_HAS_UNCONSUMED_REQUESTS(r: back_ring): number {
  const req = (page_read32(r.sring, SRING_REQ_PROD_WORD) - r.req_cons) >>> 0;
  const rsp = (r.nr_ents - (r.req_cons - r.rsp_prod_pvt)) >>> 0;
  return req < rsp ? req : rsp;
}

/** Whether taking request `cons` would leave more requests open than there are slots. Ends the back end's loop. */
export function RING_REQUEST_CONS_OVERFLOW(r: back_ring, cons: RING_IDX): boolean {
  return (cons - r.rsp_prod_pvt) >>> 0 >= r.nr_ents;
}

/** Whether `prod`, read once from the front end, is impossible. The ring is broken then. Back end. */
export function RING_REQUEST_PROD_OVERFLOW(r: back_ring, prod: RING_IDX): boolean {
  return (prod - r.rsp_prod_pvt) >>> 0 > r.nr_ents;
}

/** Whether `prod`, read once from the back end, is impossible. The device is broken then. Front end. */
export function RING_RESPONSE_PROD_OVERFLOW(r: front_ring, prod: RING_IDX): boolean {
  return (prod - r.rsp_cons) >>> 0 > r.nr_ents;
}

/** Publishes the requests that were filled in. */
export function RING_PUSH_REQUESTS(r: front_ring): void {
  page_write32(r.sring, SRING_REQ_PROD_WORD, r.req_prod_pvt);
}

/** Publishes the responses that were filled in. */
export function RING_PUSH_RESPONSES(r: back_ring): void {
  page_write32(r.sring, SRING_RSP_PROD_WORD, r.rsp_prod_pvt);
}

/** Publishes requests; true when the back end asked to be notified of one of them. The event is read after the index is out. */
export function RING_PUSH_REQUESTS_AND_CHECK_NOTIFY(r: front_ring): boolean {
  const old = page_read32(r.sring, SRING_REQ_PROD_WORD);
  const prod = r.req_prod_pvt;
  page_write32(r.sring, SRING_REQ_PROD_WORD, prod);
  return (prod - page_read32(r.sring, SRING_REQ_EVENT_WORD)) >>> 0 < (prod - old) >>> 0;
}

/** Publishes responses; true when the front end asked to be notified of one of them. */
export function RING_PUSH_RESPONSES_AND_CHECK_NOTIFY(r: back_ring): boolean {
  const old = page_read32(r.sring, SRING_RSP_PROD_WORD);
  const prod = r.rsp_prod_pvt;
  page_write32(r.sring, SRING_RSP_PROD_WORD, prod);
  return (prod - page_read32(r.sring, SRING_RSP_EVENT_WORD)) >>> 0 < (prod - old) >>> 0;
}

/**
 * Before the back end goes idle: asks to be notified of the next request, then looks once more, since it may have come in between. Returns
 * how many requests are there; go on if it is not 0.
 */
export function RING_FINAL_CHECK_FOR_REQUESTS(r: back_ring): number {
  const work_to_do = RING_HAS_UNCONSUMED_REQUESTS(r);
  if (work_to_do !== 0) return work_to_do;
  page_write32(r.sring, SRING_REQ_EVENT_WORD, r.req_cons + 1);
  return RING_HAS_UNCONSUMED_REQUESTS(r);
}

/** The same for the front end and responses. */
export function RING_FINAL_CHECK_FOR_RESPONSES(r: front_ring): number {
  const work_to_do = RING_HAS_UNCONSUMED_RESPONSES(r);
  if (work_to_do !== 0) return work_to_do;
  page_write32(r.sring, SRING_RSP_EVENT_WORD, r.rsp_cons + 1);
  return RING_HAS_UNCONSUMED_RESPONSES(r);
}
