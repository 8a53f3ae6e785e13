/**
 * The Xen console's ring (Linux `drivers/tty/hvc/hvc_xen.c`): bytes out and in. The terminal over it is a module, `drivers/tty/hvc_xen`, that is
 * loaded when somebody opens /dev/hvc0.
 *
 *   out ring: we write bytes and out_prod, the console daemon out_cons
 *   in ring:  the daemon writes bytes and in_prod, we in_cons
 *
 * The daemon is trusted with the indices as far as they make sense; what is typed is only text.
 */
import {
  XENCONS_INTERFACE_IN,
  XENCONS_INTERFACE_IN_CONS,
  XENCONS_INTERFACE_IN_PROD,
  XENCONS_INTERFACE_OUT,
  XENCONS_INTERFACE_OUT_CONS,
  XENCONS_INTERFACE_OUT_PROD,
  XENCONS_IN_SIZE,
  XENCONS_OUT_SIZE,
} from "../../hal/abi/io/console";
import {
  memcpy_from_page,
  memcpy_to_page,
  page_map_own,
  page_read32,
  page_write32,
  type shared_page,
} from "../../hal/guest/page";
import { ENODEV } from "xenolith/linux/errno";
import { EXPORT_SYMBOL } from "xenolith/linux/export";
import { device_initcall } from "xenolith/linux/init";
import { IRQ_HANDLED, type irqreturn_t } from "xenolith/linux/interrupt";
import { HZ } from "xenolith/linux/jiffies";
import { pr_err } from "xenolith/linux/printk";
import type { Sleeps } from "xenolith/linux/sched";
import { wait_event_timeout, wait_queue_head, wake_up } from "xenolith/linux/wait";
import {
  bind_evtchn_to_irqhandler_lateeoi,
  notify_remote_via_evtchn,
  rebind_evtchn_irq,
  xen_irq_lateeoi,
  type evtchn_port_t,
} from "xenolith/xen/events";
import { xen_console_ring } from "./start-info";

const IN_CONS = XENCONS_INTERFACE_IN_CONS / 4;
const IN_PROD = XENCONS_INTERFACE_IN_PROD / 4;
const OUT_CONS = XENCONS_INTERFACE_OUT_CONS / 4;
const OUT_PROD = XENCONS_INTERFACE_OUT_PROD / 4;
/** Jiffies after which a writer looks again, should the daemon have forgotten to tell of the room that it made. */
const FULL_POLL = HZ / 100;

const intf: shared_page = { mfn: -1, words: null, bytes: null, gref: -1 };
const waitq = new wait_queue_head();
let evtchn: evtchn_port_t = 0;
let hvc_irq = 0;

export function hvc_exists(): boolean {
  return evtchn !== 0;
}
EXPORT_SYMBOL(hvc_exists);

// ---- out --------------------------------------------------------------------------------------------------------------------------------

function out_room(): number {
  const used = (page_read32(intf, OUT_PROD) - page_read32(intf, OUT_CONS)) >>> 0;
  return used > XENCONS_OUT_SIZE ? 0 : XENCONS_OUT_SIZE - used;
}

/** Puts bytes from `start` on into the ring: how many fitted. */
function put_chars(bytes: Uint8Array, start: number): number {
  const total = Math.min(out_room(), bytes.length - start);
  let prod = page_read32(intf, OUT_PROD);
  for (let done = 0; done < total; ) {
    const at = prod & (XENCONS_OUT_SIZE - 1);
    const length = Math.min(total - done, XENCONS_OUT_SIZE - at);
    memcpy_to_page(intf, XENCONS_INTERFACE_OUT + at, bytes, start + done, length);
    done += length;
    prod = (prod + length) >>> 0;
  }
  page_write32(intf, OUT_PROD, prod);
  if (total > 0) notify_remote_via_evtchn(evtchn);
  return total;
}

export function hvc_put_chars(bytes: Uint8Array): number {
  return hvc_exists() ? put_chars(bytes, 0) : 0;
}
EXPORT_SYMBOL(hvc_put_chars);

export function* hvc_write(bytes: Uint8Array): Sleeps<number> {
  if (!hvc_exists()) return -ENODEV;
  let done = put_chars(bytes, 0);
  while (done < bytes.length) {
    yield* wait_event_timeout(waitq, () => out_room() > 0, FULL_POLL);
    done += put_chars(bytes, done);
  }
  return done;
}
EXPORT_SYMBOL(hvc_write);

// ---- in ---------------------------------------------------------------------------------------------------------------------------------

function in_available(): number {
  const available = (page_read32(intf, IN_PROD) - page_read32(intf, IN_CONS)) >>> 0;
  return available > XENCONS_IN_SIZE ? 0 : available;
}

export function hvc_get_chars(buffer: Uint8Array): number {
  if (!hvc_exists()) return 0;
  const total = Math.min(in_available(), buffer.length);
  let cons = page_read32(intf, IN_CONS);
  for (let done = 0; done < total; ) {
    const at = cons & (XENCONS_IN_SIZE - 1);
    const length = Math.min(total - done, XENCONS_IN_SIZE - at);
    memcpy_from_page(buffer, done, intf, XENCONS_INTERFACE_IN + at, length);
    done += length;
    cons = (cons + length) >>> 0;
  }
  page_write32(intf, IN_CONS, cons);
  if (total > 0) notify_remote_via_evtchn(evtchn);
  return total;
}
EXPORT_SYMBOL(hvc_get_chars);

/** Whoever is told that there is input, or room. */
let receive: (() => void) | null = null;

export function hvc_set_receiver(fn: (() => void) | null): void {
  receive = fn;
}
EXPORT_SYMBOL(hvc_set_receiver);

// ---- start ------------------------------------------------------------------------------------------------------------------------------

/** The daemon made room or brought input. */
function hvc_interrupt(irq: number, _dev_id: unknown): irqreturn_t {
  wake_up(waitq);
  if (receive !== null) receive();
  xen_irq_lateeoi(irq, 0);
  return IRQ_HANDLED;
}

function xen_hvc_init(): number {
  evtchn = 0;
  const ring = xen_console_ring();
  if (ring.pfn < 0) return 0;
  page_map_own(intf, ring.pfn);
  const irq = bind_evtchn_to_irqhandler_lateeoi(ring.evtchn, hvc_interrupt, 0, "hvc_console", intf);
  if (irq < 0) {
    pr_err("hvc_xen: cannot bind the console's port: %d\n", irq);
    return irq;
  }
  hvc_irq = irq;
  evtchn = ring.evtchn;
  return 0;
}
device_initcall(xen_hvc_init);

/** After a resume start_info names a new port. */
export function xen_console_resume(): void {
  const ring = xen_console_ring();
  if (!hvc_exists() || ring.pfn < 0) return;
  page_map_own(intf, ring.pfn);
  evtchn = ring.evtchn;
  rebind_evtchn_irq(evtchn, hvc_irq);
}
