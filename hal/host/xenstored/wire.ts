/**
 * Messages: a 16-byte header and a payload of at most 4096 bytes, and the zero-terminated strings inside.
 *
 * Text is taken byte for byte (one character is one byte), so that nothing that a guest sends is ever lost or invalid. Values stay bytes.
 */
import {
  XSD_SOCKMSG_LEN,
  XSD_SOCKMSG_REQ_ID,
  XSD_SOCKMSG_SIZE,
  XSD_SOCKMSG_TX_ID,
  XSD_SOCKMSG_TYPE,
  XS_CONTROL,
  XS_DIRECTORY,
  XS_DIRECTORY_PART,
  XS_ERROR,
  XS_GET_DOMAIN_PATH,
  XS_GET_PERMS,
  XS_INTRODUCE,
  XS_IS_DOMAIN_INTRODUCED,
  XS_MKDIR,
  XS_READ,
  XS_RELEASE,
  XS_RESET_WATCHES,
  XS_RESUME,
  XS_RM,
  XS_SET_PERMS,
  XS_SET_TARGET,
  XS_TRANSACTION_END,
  XS_TRANSACTION_START,
  XS_UNWATCH,
  XS_WATCH,
  XS_WATCH_EVENT,
  XS_WRITE,
} from "../../abi/xs_wire";

/** An error as it stands in an XS_ERROR message. */
export type XsErrno =
  | "EINVAL"
  | "EACCES"
  | "EEXIST"
  | "EISDIR"
  | "ENOENT"
  | "ENOMEM"
  | "ENOSPC"
  | "EIO"
  | "ENOTEMPTY"
  | "ENOSYS"
  | "EROFS"
  | "EBUSY"
  | "EAGAIN"
  | "EISCONN"
  | "E2BIG"
  | "EPERM";

/** A message's header; the payload is `length` bytes. */
export interface XsHeader {
  type: number;
  reqId: number;
  txId: number;
  length: number;
}

/** A request with its payload. */
export interface XsRequest extends XsHeader {
  payload: Uint8Array;
}

/** Operations by message type, as recordings and logs call them. */
export const OPERATION_NAMES: ReadonlyMap<number, string> = new Map([
  [XS_CONTROL, "CONTROL"],
  [XS_DIRECTORY, "DIRECTORY"],
  [XS_READ, "READ"],
  [XS_GET_PERMS, "GET_PERMS"],
  [XS_WATCH, "WATCH"],
  [XS_UNWATCH, "UNWATCH"],
  [XS_TRANSACTION_START, "TRANSACTION_START"],
  [XS_TRANSACTION_END, "TRANSACTION_END"],
  [XS_INTRODUCE, "INTRODUCE"],
  [XS_RELEASE, "RELEASE"],
  [XS_GET_DOMAIN_PATH, "GET_DOMAIN_PATH"],
  [XS_WRITE, "WRITE"],
  [XS_MKDIR, "MKDIR"],
  [XS_RM, "RM"],
  [XS_SET_PERMS, "SET_PERMS"],
  [XS_WATCH_EVENT, "WATCH_EVENT"],
  [XS_ERROR, "ERROR"],
  [XS_IS_DOMAIN_INTRODUCED, "IS_DOMAIN_INTRODUCED"],
  [XS_RESUME, "RESUME"],
  [XS_SET_TARGET, "SET_TARGET"],
  [XS_RESET_WATCHES, "RESET_WATCHES"],
  [XS_DIRECTORY_PART, "DIRECTORY_PART"],
]);

/** The header in the first 16 bytes. */
export function decodeHeader(bytes: Uint8Array): XsHeader {
  const view = new DataView(bytes.buffer, bytes.byteOffset, XSD_SOCKMSG_SIZE);
  return {
    type: view.getUint32(XSD_SOCKMSG_TYPE, true),
    reqId: view.getUint32(XSD_SOCKMSG_REQ_ID, true),
    txId: view.getUint32(XSD_SOCKMSG_TX_ID, true),
    length: view.getUint32(XSD_SOCKMSG_LEN, true),
  };
}

/** A whole message. */
export function encodeMessage(type: number, reqId: number, txId: number, payload: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(XSD_SOCKMSG_SIZE + payload.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(XSD_SOCKMSG_TYPE, type, true);
  view.setUint32(XSD_SOCKMSG_REQ_ID, reqId, true);
  view.setUint32(XSD_SOCKMSG_TX_ID, txId, true);
  view.setUint32(XSD_SOCKMSG_LEN, payload.length, true);
  bytes.set(payload, XSD_SOCKMSG_SIZE);
  return bytes;
}

/** The bytes of a string whose characters are bytes. */
export function bytesOf(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

/** A string with one character per byte. */
export function textOf(bytes: Uint8Array): string {
  let text = "";
  for (let i = 0; i < bytes.length; i++) text += String.fromCharCode(bytes[i]);
  return text;
}

/** The strings one after the other, each with a zero byte behind it. */
export function joinStrings(strings: Iterable<string>): Uint8Array {
  let text = "";
  for (const string of strings) text += `${string}\0`;
  return bytesOf(text);
}

/** The strings of a payload that consists of zero-terminated strings only; null if the last one is not terminated. Empty for no payload. */
export function splitStrings(payload: Uint8Array): string[] | null {
  if (payload.length === 0) return [];
  if (payload[payload.length - 1] !== 0) return null;
  return textOf(payload.subarray(0, payload.length - 1)).split("\0");
}

/** The string before the first zero byte, and the bytes behind it; null without a zero byte. */
export function splitFirst(payload: Uint8Array): { text: string; rest: Uint8Array } | null {
  const end = payload.indexOf(0);
  return end < 0 ? null : { text: textOf(payload.subarray(0, end)), rest: payload.slice(end + 1) };
}

/** A decimal number from 0 to 2^32 - 1, or -1. */
export function parseDecimal(text: string): number {
  const value = /^(?:0|[1-9][0-9]{0,9})$/.test(text) ? Number(text) : -1;
  return value <= 0xffffffff ? value : -1;
}

/** FNV-1a over the bytes: what the trace says of a payload. */
export function payloadChecksum(bytes: Uint8Array): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < bytes.length; i++) hash = Math.imul(hash ^ bytes[i], 0x01000193);
  return hash >>> 0;
}
