/**
 * Messages through the xenstore ring page (Linux `drivers/xen/xenbus/xenbus_comms.c`).
 *
 *   xb_send -> queue -> req ring, as far as there is room -> xenstored
 *   xenstored -> rsp ring -> header, then body -> reply to its request, or watch event -> xenbus_xs
 *
 * Both directions move in the interrupt of the page's port, and in xb_send itself; nothing here sleeps. A message may be longer than the ring,
 * so both ends remember how far they are. We write req and req_prod, rsp_cons; xenstored the others. It is trusted, but an index that cannot
 * be is reset and a message that is too long is skipped, so that a restarted one does not take us along.
 */
import {
  XENSTORE_DOMAIN_INTERFACE_REQ,
  XENSTORE_DOMAIN_INTERFACE_REQ_CONS,
  XENSTORE_DOMAIN_INTERFACE_REQ_PROD,
  XENSTORE_DOMAIN_INTERFACE_RSP,
  XENSTORE_DOMAIN_INTERFACE_RSP_CONS,
  XENSTORE_DOMAIN_INTERFACE_RSP_PROD,
  XENSTORE_PAYLOAD_MAX,
  XENSTORE_RING_SIZE,
  XSD_SOCKMSG_LEN,
  XSD_SOCKMSG_REQ_ID,
  XSD_SOCKMSG_SIZE,
  XSD_SOCKMSG_TX_ID,
  XSD_SOCKMSG_TYPE,
} from "../../../hal/abi/xs_wire";
import {
  memcpy_from_page,
  memcpy_to_page,
  page_map_own,
  page_read32,
  page_write32,
  type shared_page,
} from "../../../hal/guest/page";
import { IRQ_HANDLED, type irqreturn_t } from "xenolith/linux/interrupt";
import { pr_warn } from "xenolith/linux/printk";
import { spin_lock_irqsave, spin_unlock_irqrestore, spinlock_t } from "xenolith/linux/spinlock";
import type { evtchn_port_t } from "xenolith/xen/events";
import { bind_evtchn_to_irqhandler, notify_remote_via_evtchn, rebind_evtchn_irq } from "xenolith/xen/events";
import { xen_store_ring } from "../start-info";

const REQ_CONS = XENSTORE_DOMAIN_INTERFACE_REQ_CONS / 4;
const REQ_PROD = XENSTORE_DOMAIN_INTERFACE_REQ_PROD / 4;
const RSP_CONS = XENSTORE_DOMAIN_INTERFACE_RSP_CONS / 4;
const RSP_PROD = XENSTORE_DOMAIN_INTERFACE_RSP_PROD / 4;

/** A message that came in. `body` is the receiver's to keep. */
export interface xs_message {
  readonly type: number;
  readonly req_id: number;
  readonly tx_id: number;
  readonly body: Uint8Array;
}

const intf: shared_page = { mfn: -1, words: null, bytes: null, gref: -1 };
const xb_lock = new spinlock_t("xb_lock");
let xen_store_evtchn: evtchn_port_t = 0;
let xenbus_irq = 0;
let deliver: (message: xs_message) => void = () => {};

/** Whole messages that wait for room; of the first, `write_offset` bytes are in the ring already. */
let write_queue: Uint8Array[] = [];
let write_offset = 0;

/** The message that is coming in. */
const header = new Uint8Array(XSD_SOCKMSG_SIZE);
let header_view = new DataView(header.buffer);
let header_length = 0;
let body: Uint8Array | null = null;
let body_length = 0;
/** Bytes of an overlong message that are still to be thrown away. */
let skip = 0;

/** Makes a message: header and body. */
export function xb_message(type: number, req_id: number, tx_id: number, payload: Uint8Array): Uint8Array {
  const message = new Uint8Array(XSD_SOCKMSG_SIZE + payload.length);
  const view = new DataView(message.buffer);
  view.setUint32(XSD_SOCKMSG_TYPE, type, true);
  view.setUint32(XSD_SOCKMSG_REQ_ID, req_id, true);
  view.setUint32(XSD_SOCKMSG_TX_ID, tx_id, true);
  view.setUint32(XSD_SOCKMSG_LEN, payload.length, true);
  message.set(payload, XSD_SOCKMSG_SIZE);
  return message;
}

/** Sends a message of xb_message, in order. */
export function xb_send(message: Uint8Array): void {
  const flags = spin_lock_irqsave(xb_lock);
  write_queue.push(message);
  const moved = xb_write();
  spin_unlock_irqrestore(xb_lock, flags);
  if (moved) notify_remote_via_evtchn(xen_store_evtchn);
}

/** Moves queued bytes into the ring, as far as there is room. Returns whether any were moved. Called with the lock held. */
function xb_write(): boolean {
  let moved = false;
  while (write_queue.length > 0) {
    const message = write_queue[0];
    const length = xb_write_some(message, write_offset);
    if (length === 0) break;
    moved = true;
    write_offset += length;
    if (write_offset < message.length) continue;
    write_queue.shift();
    write_offset = 0;
  }
  return moved;
}

/** One contiguous piece of a message: how many bytes went into the ring. */
function xb_write_some(message: Uint8Array, offset: number): number {
  let prod = page_read32(intf, REQ_PROD);
  const cons = page_read32(intf, REQ_CONS);
  let used = (prod - cons) >>> 0;
  if (used > XENSTORE_RING_SIZE) {
    page_write32(intf, REQ_CONS, 0);
    page_write32(intf, REQ_PROD, 0);
    prod = 0;
    used = 0;
  }
  const start = prod & (XENSTORE_RING_SIZE - 1);
  const room = Math.min(XENSTORE_RING_SIZE - used, XENSTORE_RING_SIZE - start);
  const length = Math.min(room, message.length - offset);
  if (length === 0) return 0;
  memcpy_to_page(intf, XENSTORE_DOMAIN_INTERFACE_REQ + start, message, offset, length);
  page_write32(intf, REQ_PROD, prod + length);
  return length;
}

/** Takes up to `want` bytes from the ring into `to`: how many came. Called with the lock held. */
function xb_read_some(to: Uint8Array, offset: number, want: number): number {
  const cons = page_read32(intf, RSP_CONS);
  const available = (page_read32(intf, RSP_PROD) - cons) >>> 0;
  if (available > XENSTORE_RING_SIZE) {
    page_write32(intf, RSP_CONS, 0);
    page_write32(intf, RSP_PROD, 0);
    return 0;
  }
  const start = cons & (XENSTORE_RING_SIZE - 1);
  const length = Math.min(available, XENSTORE_RING_SIZE - start, want);
  if (length === 0) return 0;
  memcpy_from_page(to, offset, intf, XENSTORE_DOMAIN_INTERFACE_RSP + start, length);
  page_write32(intf, RSP_CONS, cons + length);
  if (available === XENSTORE_RING_SIZE) notify_remote_via_evtchn(xen_store_evtchn);
  return length;
}

/** The header is complete: makes room for the body. */
function start_body(): void {
  const length = header_view.getUint32(XSD_SOCKMSG_LEN, true);
  if (length > XENSTORE_PAYLOAD_MAX) {
    pr_warn("xenbus: message of %u bytes skipped\n", length);
    skip = length;
    header_length = 0;
    return;
  }
  body = new Uint8Array(length);
  body_length = 0;
}

/** The body is complete: hands the message on. */
function finish_message(): void {
  const message = {
    type: header_view.getUint32(XSD_SOCKMSG_TYPE, true),
    req_id: header_view.getUint32(XSD_SOCKMSG_REQ_ID, true),
    tx_id: header_view.getUint32(XSD_SOCKMSG_TX_ID, true),
    body: body as Uint8Array,
  };
  header_length = 0;
  body = null;
  deliver(message);
}

/** One step of reading: false when the ring has no more. */
function process_msg(): boolean {
  if (skip > 0) {
    const length = xb_read_some(
      new Uint8Array(Math.min(skip, XENSTORE_RING_SIZE)),
      0,
      Math.min(skip, XENSTORE_RING_SIZE),
    );
    skip -= length;
    return length > 0;
  }
  if (body === null) {
    const length = xb_read_some(header, header_length, XSD_SOCKMSG_SIZE - header_length);
    header_length += length;
    if (header_length === XSD_SOCKMSG_SIZE) start_body();
    if (body === null) return length > 0;
  }
  const into: Uint8Array = body;
  if (body_length < into.length) {
    const length = xb_read_some(into, body_length, into.length - body_length);
    body_length += length;
    if (length === 0) return false;
  }
  if (body_length === into.length) finish_message();
  return true;
}

/** The port's interrupt: takes in what came and sends what waits. */
function xb_interrupt(_irq: number, _dev_id: unknown): irqreturn_t {
  const flags = spin_lock_irqsave(xb_lock);
  while (process_msg());
  const moved = xb_write();
  spin_unlock_irqrestore(xb_lock, flags);
  if (moved) notify_remote_via_evtchn(xen_store_evtchn);
  return IRQ_HANDLED;
}

function forget_messages(): void {
  header_view = new DataView(header.buffer);
  header_length = 0;
  body = null;
  skip = 0;
  write_queue = [];
  write_offset = 0;
}

/** Opens the ring and binds its port; `receive` is called with every message, in the interrupt. 0, or a negative errno. */
export function xb_init_comms(receive: (message: xs_message) => void): number {
  const ring = xen_store_ring();
  deliver = receive;
  forget_messages();
  page_map_own(intf, ring.pfn);
  xen_store_evtchn = ring.evtchn;
  if (xenbus_irq > 0) {
    rebind_evtchn_irq(ring.evtchn, xenbus_irq);
    return 0;
  }
  const irq = bind_evtchn_to_irqhandler(ring.evtchn, xb_interrupt, 0, "xenbus", intf);
  if (irq < 0) return irq;
  xenbus_irq = irq;
  return 0;
}

/** Forgets the irq of an earlier kernel in the same realm; for tests. */
export function xb_deinit_comms(): void {
  xenbus_irq = 0;
}
