/**
 * The header of every shared ring, and how many slots fit (Xen public/io/ring.h).
 *
 * The header starts the first page; slots follow it without a gap and go on across page boundaries. The front end writes req_prod and
 * rsp_event, the back end rsp_prod and req_event.
 */
import { struct } from "../layout";

/** Before the first slot; all slot types and both ABIs have it. */
export const sring = /* @__PURE__ */ struct("sring", {
  size: 64,
  align: 4,
  fields: { req_prod: [0, "u32"], req_event: [4, "u32"], rsp_prod: [8, "u32"], rsp_event: [12, "u32"], pvt: [16, 4] },
});
export const SRING_SIZE = 64;
export const SRING_REQ_PROD = 0;
export const SRING_REQ_EVENT = 4;
export const SRING_RSP_PROD = 8;
export const SRING_RSP_EVENT = 12;
export const SRING_PVT = 16;

// The same as word indices into the first page.
export const SRING_REQ_PROD_WORD = 0;
export const SRING_REQ_EVENT_WORD = 1;
export const SRING_RSP_PROD_WORD = 2;
export const SRING_RSP_EVENT_WORD = 3;

/** The largest power of two that is not above `x`; 0 for 0. */
export function __RD32(x: number): number {
  return x === 0 ? 0 : (0x8000_0000 >>> Math.clz32(x)) >>> 0;
}

/** Slots of `slot_size` bytes in a ring of `size` bytes. */
export function __RING_SIZE(size: number, slot_size: number): number {
  return __RD32(Math.floor((size - SRING_SIZE) / slot_size));
}
