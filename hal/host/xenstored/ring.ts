/**
 * The ring page that one domain shares with xenstored: bytes of requests in one direction, of replies and events in the other.
 *
 *   guest:      req[] ---- req_prod (guest writes) ---> xenstored     req_cons (we write)
 *   xenstored:  rsp[] ---- rsp_prod (we write) -------> guest         rsp_cons (guest writes)
 *
 * The guest can write every byte of the page at any time. Its two indices are read once per step and checked; our two are kept in our own state
 * and only published. Nothing outside of the page's rings and words is ever touched.
 */
import {
  MASK_XENSTORE_IDX,
  XENSTORE_CONNECTED,
  XENSTORE_DOMAIN_INTERFACE_CONNECTION,
  XENSTORE_DOMAIN_INTERFACE_ERROR,
  XENSTORE_DOMAIN_INTERFACE_REQ,
  XENSTORE_DOMAIN_INTERFACE_REQ_CONS,
  XENSTORE_DOMAIN_INTERFACE_REQ_PROD,
  XENSTORE_DOMAIN_INTERFACE_RSP,
  XENSTORE_DOMAIN_INTERFACE_RSP_CONS,
  XENSTORE_DOMAIN_INTERFACE_RSP_PROD,
  XENSTORE_DOMAIN_INTERFACE_SERVER_FEATURES,
  XENSTORE_ERROR_NONE,
  XENSTORE_RECONNECT,
  XENSTORE_RING_SIZE,
  XENSTORE_SERVER_FEATURE_ERROR,
  XENSTORE_SERVER_FEATURE_RECONNECTION,
} from "../../abi/xs_wire";
import type { XsConnection } from "./state";

/** The machine's memory, as somebody outside of the hypervisor sees it. */
export interface FrameMemory {
  u8: Uint8Array;
  u32: Uint32Array;
  /** Byte offset of frame 0. */
  base: number;
}

/** What the ring functions answer when the guest's index is impossible. */
export const RING_BROKEN = -1;

const FRAME_SIZE = 4096;

/** Whether the memory has such a frame. */
export function hasFrame(memory: FrameMemory, mfn: number): boolean {
  return Number.isInteger(mfn) && mfn >= 0 && memory.base + (mfn + 1) * FRAME_SIZE <= memory.u8.length;
}

function wordIndex(memory: FrameMemory, mfn: number, offset: number): number {
  return (memory.base + mfn * FRAME_SIZE + offset) >>> 2;
}

/** Reads one of the page's words. */
export function readPageWord(memory: FrameMemory, mfn: number, offset: number): number {
  return memory.u32[wordIndex(memory, mfn, offset)];
}

/** Writes one of the page's words. */
export function writePageWord(memory: FrameMemory, mfn: number, offset: number, value: number): void {
  memory.u32[wordIndex(memory, mfn, offset)] = value;
}

/** Says in the page what this server can do, and that it listens. */
export function announceServer(memory: FrameMemory, mfn: number): void {
  const features = XENSTORE_SERVER_FEATURE_RECONNECTION | XENSTORE_SERVER_FEATURE_ERROR;
  writePageWord(memory, mfn, XENSTORE_DOMAIN_INTERFACE_SERVER_FEATURES, features);
  writePageWord(memory, mfn, XENSTORE_DOMAIN_INTERFACE_ERROR, XENSTORE_ERROR_NONE);
  writePageWord(memory, mfn, XENSTORE_DOMAIN_INTERFACE_CONNECTION, XENSTORE_CONNECTED);
}

/** Leaves the reason for parking where the guest can see it. */
export function announceError(memory: FrameMemory, mfn: number, error: number): void {
  writePageWord(memory, mfn, XENSTORE_DOMAIN_INTERFACE_ERROR, error);
}

/** Whether the guest has asked for a fresh connection. */
export function wantsReconnect(memory: FrameMemory, mfn: number): boolean {
  return readPageWord(memory, mfn, XENSTORE_DOMAIN_INTERFACE_CONNECTION) === XENSTORE_RECONNECT;
}

/** Empties both rings. */
export function clearIndices(memory: FrameMemory, mfn: number): void {
  writePageWord(memory, mfn, XENSTORE_DOMAIN_INTERFACE_REQ_CONS, 0);
  writePageWord(memory, mfn, XENSTORE_DOMAIN_INTERFACE_REQ_PROD, 0);
  writePageWord(memory, mfn, XENSTORE_DOMAIN_INTERFACE_RSP_CONS, 0);
  writePageWord(memory, mfn, XENSTORE_DOMAIN_INTERFACE_RSP_PROD, 0);
}

/** Request bytes that wait in the ring, or RING_BROKEN. */
function waitingRequestBytes(memory: FrameMemory, connection: XsConnection): number {
  const produced = readPageWord(memory, connection.mfn, XENSTORE_DOMAIN_INTERFACE_REQ_PROD);
  const count = (produced - connection.reqCons) >>> 0;
  return count > XENSTORE_RING_SIZE ? RING_BROKEN : count;
}

/** Reply bytes that the guest has not read, or RING_BROKEN. */
function unreadReplyBytes(memory: FrameMemory, connection: XsConnection): number {
  const consumed = readPageWord(memory, connection.mfn, XENSTORE_DOMAIN_INTERFACE_RSP_CONS);
  const count = (connection.rspProd - consumed) >>> 0;
  return count > XENSTORE_RING_SIZE ? RING_BROKEN : count;
}

/** Whether both of the guest's indices are possible. */
export function isSound(memory: FrameMemory, connection: XsConnection): boolean {
  const requests = waitingRequestBytes(memory, connection);
  return requests !== RING_BROKEN && unreadReplyBytes(memory, connection) !== RING_BROKEN;
}

/** Takes up to `max` request bytes into `dst` at `offset`. Returns how many, or RING_BROKEN. */
export function takeRequestBytes(
  memory: FrameMemory,
  connection: XsConnection,
  dst: Uint8Array,
  offset: number,
  max: number,
): number {
  const count = Math.min(waitingRequestBytes(memory, connection), max);
  if (count <= 0) return count;
  const ring = memory.base + connection.mfn * FRAME_SIZE + XENSTORE_DOMAIN_INTERFACE_REQ;
  for (let i = 0; i < count; i++) dst[offset + i] = memory.u8[ring + MASK_XENSTORE_IDX(connection.reqCons + i)];
  connection.reqCons = (connection.reqCons + count) >>> 0;
  writePageWord(memory, connection.mfn, XENSTORE_DOMAIN_INTERFACE_REQ_CONS, connection.reqCons);
  return count;
}

/** Puts bytes of `src` from `offset` on into the reply ring, as many as fit. Returns how many, or RING_BROKEN. */
export function putReplyBytes(memory: FrameMemory, connection: XsConnection, src: Uint8Array, offset: number): number {
  const unread = unreadReplyBytes(memory, connection);
  if (unread === RING_BROKEN) return RING_BROKEN;
  const count = Math.min(XENSTORE_RING_SIZE - unread, src.length - offset);
  const ring = memory.base + connection.mfn * FRAME_SIZE + XENSTORE_DOMAIN_INTERFACE_RSP;
  for (let i = 0; i < count; i++) memory.u8[ring + MASK_XENSTORE_IDX(connection.rspProd + i)] = src[offset + i];
  connection.rspProd = (connection.rspProd + count) >>> 0;
  writePageWord(memory, connection.mfn, XENSTORE_DOMAIN_INTERFACE_RSP_PROD, connection.rspProd);
  return count;
}
