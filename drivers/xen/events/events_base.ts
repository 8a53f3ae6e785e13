/**
 * Event channels as interrupts (Linux `drivers/xen/events/events_base.c`): binding and unbinding.
 *
 *   bind:      port (given, or from a hypercall) -> irq number -> irq_info -> chip -> request_irq unmasks it
 *   upcall:    every pending port of this vCPU -> is_active -> generic_handle_irq -> chip acks, handlers run
 *   end:       dynamic channels: with the ack; lateeoi channels: `xen_irq_lateeoi`
 *   unbind:    free_irq masks it -> the last bind closes the port -> the irq number goes back
 *
 * Everything here is plain and may be called with interrupts off, from a handler too. A peer decides when events come and how many; it
 * cannot make a handler run twice at once, nor keep other ports from being served.
 */
import {
  EVTCHNOP_alloc_unbound,
  EVTCHNOP_bind_interdomain,
  EVTCHNOP_bind_ipi,
  EVTCHNOP_bind_virq,
  EVTCHNOP_close,
  EVTCHN_2L_NR_CHANNELS,
  EVTCHN_ALLOC_UNBOUND_PORT,
  EVTCHN_BIND_INTERDOMAIN_LOCAL_PORT,
  EVTCHN_BIND_IPI_PORT,
  EVTCHN_BIND_VIRQ_PORT,
} from "../../../hal/abi/event_channel";
import { DOMID_SELF, NR_VIRQS } from "../../../hal/abi/xen";
import { EINVAL } from "xenolith/linux/errno";
import { EXPORT_SYMBOL } from "xenolith/linux/export";
import { free_irq, request_irq, type irq_handler_t } from "xenolith/linux/interrupt";
import { irq_alloc_desc, irq_free_desc } from "xenolith/linux/irq";
import { WARN_ON } from "xenolith/linux/kernel";
import { nr_cpu_ids } from "xenolith/linux/smp";
import type { Ptr } from "xenolith/linux/types";
import { VALID_EVTCHN, type evtchn_port_t } from "xenolith/xen/events";
import type { xenbus_device } from "xenolith/xen/xenbus";
import {
  HYPERVISOR_event_channel_op,
  hypercall_paddr,
  hypercall_slot_get,
  hypercall_slot_put,
  hypercall_words,
} from "../hypercall";
import { rebind_irq_to_cpu, set_chip } from "./chips";
import {
  clear_evtchn,
  evtchn_2l_bind_to_cpu,
  evtchn_2l_remove,
  evtchn_2l_resume,
  set_evtchn,
  test_evtchn,
} from "./events_2l";
import {
  EVT_MASK_REASON_EXPLICIT,
  IRQT_EVTCHN,
  IRQT_IPI,
  IRQT_VIRQ,
  evtchn_to_irq,
  for_each_info,
  info_for_irq,
  irq_info,
  set_info_for_irq,
} from "./irq_info";
import { do_unmask, lateeoi_list_del } from "./lateeoi";
import { notify_remote_via_irq } from "./upcall";

/** Inter-processor interrupts that a vCPU may have. */
const XEN_NR_IPIS = 4;
/** For each vCPU, the irq of each virtual irq and of each IPI, -1 for none. */
let virq_to_irq: Int32Array[] = [];
let ipi_to_irq: Int32Array[] = [];

/** Forgets all virtual irqs and IPIs. Called once, before the first bind. */
export function percpu_irqs_init(): void {
  virq_to_irq = Array.from({ length: nr_cpu_ids() }, () => new Int32Array(NR_VIRQS).fill(-1));
  ipi_to_irq = Array.from({ length: nr_cpu_ids() }, () => new Int32Array(XEN_NR_IPIS).fill(-1));
}

export function xen_evtchn_nr_channels(): number {
  return EVTCHN_2L_NR_CHANNELS;
}
EXPORT_SYMBOL(xen_evtchn_nr_channels);

// ---- hypercalls -------------------------------------------------------------------------------------------------------------------------

/** An event channel operation of up to three words; returns the word at `out`, or a negative errno. */
function evtchn_op(cmd: number, first: number, second: number, out: number): number {
  const slot = hypercall_slot_get();
  const words = hypercall_words();
  words[slot] = first;
  words[slot + 1] = second;
  const result = HYPERVISOR_event_channel_op(cmd, hypercall_paddr(slot));
  const answer = words[slot + out / 4];
  hypercall_slot_put(slot);
  return result < 0 ? result : answer;
}

export function xen_evtchn_close(port: evtchn_port_t): number {
  return Math.min(evtchn_op(EVTCHNOP_close, port, 0, 0), 0);
}
EXPORT_SYMBOL(xen_evtchn_close);

export function xen_evtchn_alloc_unbound(remote_domid: number, port: Ptr<evtchn_port_t>): number {
  const answer = evtchn_op(EVTCHNOP_alloc_unbound, DOMID_SELF | (remote_domid << 16), 0, EVTCHN_ALLOC_UNBOUND_PORT);
  if (answer < 0) return answer;
  port.value = answer;
  return 0;
}
EXPORT_SYMBOL(xen_evtchn_alloc_unbound);

// ---- irq <-> port -----------------------------------------------------------------------------------------------------------------------

/** Gives a port an irq and a chip: the irq or a negative errno. */
function bind_port(port: evtchn_port_t, type: number, cpu: number, eoi: "lateeoi" | "edge"): number {
  const irq = irq_alloc_desc();
  if (irq < 0) return irq;
  const info = new irq_info(irq);
  info.type = type;
  info.lateeoi = eoi === "lateeoi";
  set_info_for_irq(irq, info);
  attach_port(info, port, cpu);
  set_chip(info);
  return irq;
}

function attach_port(info: irq_info, port: evtchn_port_t, cpu: number): void {
  info.evtchn = port;
  info.cpu = cpu;
  evtchn_to_irq[port] = info.irq;
  evtchn_2l_bind_to_cpu(port, cpu, cpu);
}

function bind_evtchn(evtchn: evtchn_port_t, dev: xenbus_device | null, eoi: "lateeoi" | "edge"): number {
  if (evtchn < 1 || evtchn >= EVTCHN_2L_NR_CHANNELS) return -EINVAL;
  let irq = evtchn_to_irq[evtchn];
  if (irq < 0) irq = bind_port(evtchn, IRQT_EVTCHN, 0, eoi);
  if (irq < 0) return irq;
  const info = info_for_irq(irq) as irq_info;
  info.refcnt++;
  if (dev !== null && info.dev === null) {
    info.dev = dev;
    dev.event_channels++;
  }
  return irq;
}

export function bind_evtchn_to_irq(evtchn: evtchn_port_t): number {
  return bind_evtchn(evtchn, null, "edge");
}
EXPORT_SYMBOL(bind_evtchn_to_irq);

export function bind_evtchn_to_irq_lateeoi(evtchn: evtchn_port_t): number {
  return bind_evtchn(evtchn, null, "lateeoi");
}
EXPORT_SYMBOL(bind_evtchn_to_irq_lateeoi);

export function bind_interdomain_evtchn_to_irq_lateeoi(dev: xenbus_device, remote_port: evtchn_port_t): number {
  const local = evtchn_op(EVTCHNOP_bind_interdomain, dev.otherend_id, remote_port, EVTCHN_BIND_INTERDOMAIN_LOCAL_PORT);
  if (local < 0) return local;
  const irq = bind_evtchn(local, dev, "lateeoi");
  if (irq < 0) xen_evtchn_close(local);
  return irq;
}
EXPORT_SYMBOL(bind_interdomain_evtchn_to_irq_lateeoi);

/** A bind whose port comes from a hypercall and whose irq is kept in a table of the vCPU. */
function bind_percpu(table: Int32Array, type: number, vector: number, cpu: number): number {
  let irq = table[vector];
  if (irq < 0) {
    const port =
      type === IRQT_VIRQ
        ? evtchn_op(EVTCHNOP_bind_virq, vector, cpu, EVTCHN_BIND_VIRQ_PORT)
        : evtchn_op(EVTCHNOP_bind_ipi, cpu, 0, EVTCHN_BIND_IPI_PORT);
    if (port < 0) return port;
    irq = bind_port(port, type, cpu, "edge");
    if (irq < 0) {
      xen_evtchn_close(port);
      return irq;
    }
    (info_for_irq(irq) as irq_info).vector = vector;
    table[vector] = irq;
  }
  (info_for_irq(irq) as irq_info).refcnt++;
  return irq;
}

export function bind_virq_to_irq(virq: number, cpu: number, _percpu: boolean): number {
  if (virq < 0 || virq >= NR_VIRQS || cpu < 0 || cpu >= nr_cpu_ids()) return -EINVAL;
  return bind_percpu(virq_to_irq[cpu], IRQT_VIRQ, virq, cpu);
}
EXPORT_SYMBOL(bind_virq_to_irq);

/** Drops one bind; the last one closes the port and frees the irq. */
function unbind_from_irq(irq: number): void {
  const info = info_for_irq(irq);
  if (info === undefined) return;
  info.refcnt--;
  if (info.refcnt > 0) return;
  if (VALID_EVTCHN(info.evtchn)) detach_port(info);
  lateeoi_list_del(info);
  if (info.dev !== null) info.dev.event_channels--;
  set_info_for_irq(irq, undefined);
  irq_free_desc(irq);
}

function detach_port(info: irq_info): void {
  if (info.type === IRQT_VIRQ) virq_to_irq[info.cpu][info.vector] = -1;
  if (info.type === IRQT_IPI) ipi_to_irq[info.cpu][info.vector] = -1;
  evtchn_to_irq[info.evtchn] = -1;
  evtchn_2l_remove(info.evtchn, info.cpu);
  WARN_ON(xen_evtchn_close(info.evtchn) !== 0);
  info.evtchn = 0;
}

// ---- with a handler ---------------------------------------------------------------------------------------------------------------------

/** Installs the handler of a bound irq; unbinds it if that fails. */
function with_handler(irq: number, handler: irq_handler_t, irqflags: number, devname: string, dev_id: unknown): number {
  if (irq < 0) return irq;
  const result = request_irq(irq, handler, irqflags, devname, dev_id);
  if (result === 0) return irq;
  unbind_from_irq(irq);
  return result;
}

export function bind_evtchn_to_irqhandler(
  evtchn: evtchn_port_t,
  handler: irq_handler_t,
  irqflags: number,
  devname: string,
  dev_id: unknown,
): number {
  return with_handler(bind_evtchn(evtchn, null, "edge"), handler, irqflags, devname, dev_id);
}
EXPORT_SYMBOL(bind_evtchn_to_irqhandler);

export function bind_evtchn_to_irqhandler_lateeoi(
  evtchn: evtchn_port_t,
  handler: irq_handler_t,
  irqflags: number,
  devname: string,
  dev_id: unknown,
): number {
  return with_handler(bind_evtchn(evtchn, null, "lateeoi"), handler, irqflags, devname, dev_id);
}
EXPORT_SYMBOL(bind_evtchn_to_irqhandler_lateeoi);

export function bind_interdomain_evtchn_to_irqhandler_lateeoi(
  dev: xenbus_device,
  remote_port: evtchn_port_t,
  handler: irq_handler_t,
  irqflags: number,
  devname: string,
  dev_id: unknown,
): number {
  return with_handler(bind_interdomain_evtchn_to_irq_lateeoi(dev, remote_port), handler, irqflags, devname, dev_id);
}
EXPORT_SYMBOL(bind_interdomain_evtchn_to_irqhandler_lateeoi);

export function bind_virq_to_irqhandler(
  virq: number,
  cpu: number,
  handler: irq_handler_t,
  irqflags: number,
  devname: string,
  dev_id: unknown,
): number {
  return with_handler(bind_virq_to_irq(virq, cpu, true), handler, irqflags, devname, dev_id);
}
EXPORT_SYMBOL(bind_virq_to_irqhandler);

export function bind_ipi_to_irqhandler(
  ipi: number,
  cpu: number,
  handler: irq_handler_t,
  irqflags: number,
  devname: string,
  dev_id: unknown,
): number {
  if (ipi < 0 || ipi >= XEN_NR_IPIS || cpu < 0 || cpu >= nr_cpu_ids()) return -EINVAL;
  return with_handler(bind_percpu(ipi_to_irq[cpu], IRQT_IPI, ipi, cpu), handler, irqflags, devname, dev_id);
}
EXPORT_SYMBOL(bind_ipi_to_irqhandler);

export function unbind_from_irqhandler(irq: number, dev_id: unknown): void {
  if (WARN_ON(info_for_irq(irq) === undefined)) return;
  free_irq(irq, dev_id);
  unbind_from_irq(irq);
}
EXPORT_SYMBOL(unbind_from_irqhandler);

// ---- enquiries and small services -------------------------------------------------------------------------------------------------------

export function evtchn_from_irq(irq: number): evtchn_port_t {
  return info_for_irq(irq)?.evtchn ?? 0;
}
EXPORT_SYMBOL(evtchn_from_irq);

export function irq_from_evtchn(evtchn: evtchn_port_t): number {
  return evtchn_to_irq[evtchn];
}
EXPORT_SYMBOL(irq_from_evtchn);

export function irq_from_virq(cpu: number, virq: number): number {
  return virq_to_irq[cpu][virq];
}
EXPORT_SYMBOL(irq_from_virq);

export function xen_send_IPI_one(cpu: number, vector: number): void {
  const irq = ipi_to_irq[cpu][vector];
  if (irq >= 0) notify_remote_via_irq(irq);
}
EXPORT_SYMBOL(xen_send_IPI_one);

export function irq_set_affinity_evtchn(irq: number, cpu: number): number {
  const info = info_for_irq(irq);
  if (info === undefined || info.type !== IRQT_EVTCHN || !VALID_EVTCHN(info.evtchn)) return -EINVAL;
  if (cpu < 0 || cpu >= nr_cpu_ids()) return -EINVAL;
  return rebind_irq_to_cpu(info, cpu);
}
EXPORT_SYMBOL(irq_set_affinity_evtchn);

export function xen_set_irq_pending(irq: number): void {
  const port = evtchn_from_irq(irq);
  if (VALID_EVTCHN(port)) set_evtchn(port);
}
EXPORT_SYMBOL(xen_set_irq_pending);

export function xen_clear_irq_pending(irq: number): void {
  const port = evtchn_from_irq(irq);
  if (VALID_EVTCHN(port)) clear_evtchn(port);
}
EXPORT_SYMBOL(xen_clear_irq_pending);

export function xen_test_irq_pending(irq: number): boolean {
  const port = evtchn_from_irq(irq);
  return VALID_EVTCHN(port) && test_evtchn(port);
}
EXPORT_SYMBOL(xen_test_irq_pending);

// ---- resume -----------------------------------------------------------------------------------------------------------------------------

/** Unmasks a port that has just been attached again, unless its irq is disabled. */
function restart_port(info: irq_info): void {
  info.is_active = false;
  info.eoi_time = 0;
  info.mask_reason &= EVT_MASK_REASON_EXPLICIT;
  do_unmask(info, 0);
}

export function rebind_evtchn_irq(evtchn: evtchn_port_t, irq: number): void {
  const info = info_for_irq(irq);
  if (WARN_ON(info === undefined) || info === undefined) return;
  lateeoi_list_del(info);
  attach_port(info, evtchn, 0);
  restart_port(info);
}
EXPORT_SYMBOL(rebind_evtchn_irq);

/** Asks for the port of a virtual irq or IPI anew. */
function restore_percpu(info: irq_info): void {
  const cpu = info.cpu;
  const port =
    info.type === IRQT_VIRQ
      ? evtchn_op(EVTCHNOP_bind_virq, info.vector, cpu, EVTCHN_BIND_VIRQ_PORT)
      : evtchn_op(EVTCHNOP_bind_ipi, cpu, 0, EVTCHN_BIND_IPI_PORT);
  if (WARN_ON(port < 0)) return;
  attach_port(info, port, cpu);
  restart_port(info);
}

export function xen_irq_resume(): void {
  evtchn_2l_resume();
  evtchn_to_irq.fill(-1);
  for_each_info((info) => {
    info.evtchn = 0;
    lateeoi_list_del(info);
  });
  for_each_info((info) => {
    if (info.type === IRQT_VIRQ || info.type === IRQT_IPI) restore_percpu(info);
  });
}
EXPORT_SYMBOL(xen_irq_resume);
