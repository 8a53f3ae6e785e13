/**
 * From the hypervisor's upcall to the handlers, and the way out to other domains.
 */
import { EVTCHNOP_send } from "../../../hal/abi/event_channel";
import { __HYPERVISOR_event_channel_op } from "../../../hal/abi/xen";
import { hal } from "../../../hal/guest/hal";
import { EXPORT_SYMBOL } from "xenolith/linux/export";
import { IRQ_HANDLED, type irqreturn_t } from "xenolith/linux/interrupt";
import { generic_handle_irq } from "xenolith/linux/irq";
import { jiffies } from "xenolith/linux/jiffies";
import { BUG_ON } from "xenolith/linux/kernel";
import { alloc_page } from "xenolith/linux/mm";
import type { page } from "xenolith/linux/mm_types";
import { builtin_param_named } from "xenolith/linux/moduleparam";
import { nr_cpu_ids, smp_processor_id } from "xenolith/linux/smp";
import { ptr } from "xenolith/linux/types";
import type { evtchn_port_t } from "xenolith/xen/events";
import {
  HYPERVISOR_event_channel_op,
  hypercall_paddr,
  hypercall_slot_get,
  hypercall_slot_put,
  hypercall_words,
} from "../hypercall";
import { evtchn_2l_clear_upcall, evtchn_2l_handle_events, evtchn_2l_upcall_pending } from "./events_2l";
import { evtchn_to_irq, info_for_irq } from "./irq_info";
import { lateeoi_defer, lateeoi_next_epoch } from "./lateeoi";

/** Jiffies that one upcall may go on before late ends are delayed, and by how many they are then. */
const event_loop_timeout = ptr(2);
const event_eoi_delay = ptr(10);
builtin_param_named("xen", "event_loop_timeout", event_loop_timeout, "uint", 0o644);
builtin_param_named("xen", "event_eoi_delay", event_eoi_delay, "uint", 0o644);

/** Events between two looks at the clock, less one. */
const CLOCK_MASK = 0xff;

/** One vCPU's upcall in progress. */
class evtchn_loop_ctrl {
  count = 0;
  /** Jiffy at which the loop has gone on too long; 0 before the first look at the clock. */
  timeout = 0;
  defer_eoi = false;
}

let loops: evtchn_loop_ctrl[] = [];

/** Prepares the loop state. Called once, before the first upcall. */
export function upcall_init(): void {
  loops = Array.from({ length: nr_cpu_ids() }, () => new evtchn_loop_ctrl());
  make_port_page();
}

function check_loop_time(loop: evtchn_loop_ctrl): void {
  const now = jiffies();
  if (loop.timeout === 0) loop.timeout = now + event_loop_timeout.value;
  else if (now >= loop.timeout) loop.defer_eoi = true;
}

function handle_irq_for_port(port: evtchn_port_t): void {
  const irq = evtchn_to_irq[port];
  if (irq < 0) return;
  const cpu = smp_processor_id();
  const loop = loops[cpu];
  loop.count++;
  if ((loop.count & CLOCK_MASK) === 0 && !loop.defer_eoi) check_loop_time(loop);
  const info = info_for_irq(irq);
  if (info === undefined || info.is_active) return;
  info.is_active = true;
  if (info.dev !== null) info.dev.events++;
  if (loop.defer_eoi) lateeoi_defer(info, cpu, jiffies() + event_eoi_delay.value);
  generic_handle_irq(irq);
}

/** Runs the handlers of all that is pending for vCPU `cpu`, which is this one. Called with interrupts off. */
export function evtchn_upcall(cpu: number): void {
  const loop = loops[cpu];
  loop.count = 0;
  loop.timeout = 0;
  loop.defer_eoi = false;
  do {
    evtchn_2l_clear_upcall(cpu);
    evtchn_2l_handle_events(cpu, handle_irq_for_port);
  } while (evtchn_2l_upcall_pending(cpu));
  lateeoi_next_epoch(cpu);
}

export function xen_evtchn_do_upcall(): irqreturn_t {
  evtchn_upcall(smp_processor_id());
  return IRQ_HANDLED;
}
EXPORT_SYMBOL(xen_evtchn_do_upcall);

// ---- notify -----------------------------------------------------------------------------------------------------------------------------

/** Ports whose argument struct is ready: word `port` of a page holds `port`, so that a notification writes nothing. */
const READY_PORTS = 1024;
let port_page_paddr = 0;

function make_port_page(): void {
  const own = alloc_page(0);
  BUG_ON(own === null);
  const pfn = (own as page).pfn;
  const words = hal.page(pfn);
  for (let port = 0; port < READY_PORTS; port++) words[port] = port;
  port_page_paddr = pfn * 4096;
}

export function notify_remote_via_evtchn(port: evtchn_port_t): void {
  if (port < READY_PORTS) {
    hal.hypercall(__HYPERVISOR_event_channel_op, EVTCHNOP_send, port_page_paddr + port * 4, 0);
    return;
  }
  const slot = hypercall_slot_get();
  hypercall_words()[slot] = port;
  HYPERVISOR_event_channel_op(EVTCHNOP_send, hypercall_paddr(slot));
  hypercall_slot_put(slot);
}
EXPORT_SYMBOL(notify_remote_via_evtchn);

export function notify_remote_via_irq(irq: number): void {
  const info = info_for_irq(irq);
  if (info !== undefined && info.evtchn !== 0) notify_remote_via_evtchn(info.evtchn);
}
EXPORT_SYMBOL(notify_remote_via_irq);
