/**
 * What the generic irq layer calls to mask, unmask and acknowledge a channel. Three chips, as on Linux.
 */
import { irq_set_chip, irq_set_chip_data, type irq_chip, type irq_desc } from "xenolith/linux/irq";
import { nr_cpu_ids } from "xenolith/linux/smp";
import { VALID_EVTCHN } from "xenolith/xen/events";
import { clear_evtchn, evtchn_2l_bind_to_cpu, evtchn_bind_vcpu, mask_evtchn } from "./events_2l";
import {
  EVT_MASK_REASON_EOI_PENDING,
  EVT_MASK_REASON_EXPLICIT,
  IRQT_EVTCHN,
  for_each_info,
  type irq_info,
} from "./irq_info";
import { do_unmask } from "./lateeoi";

/** Adds a reason for masking, and masks if it is the first. */
export function do_mask(info: irq_info, reason: number): void {
  if (info.mask_reason === 0) mask_evtchn(info.evtchn);
  info.mask_reason |= reason;
}

function info_of(desc: irq_desc): irq_info {
  return desc.chip_data as irq_info;
}

/** The vCPU that has the fewest channels; the lowest of several. */
function select_target_cpu(): number {
  const count = new Array<number>(nr_cpu_ids()).fill(0);
  for_each_info((info) => {
    if (info.type === IRQT_EVTCHN && VALID_EVTCHN(info.evtchn) && info.mask_reason === 0) count[info.cpu]++;
  });
  return count.indexOf(count.reduce((least, n) => Math.min(least, n)));
}

/** Moves a channel that exists to vCPU `cpu`: 0 or a negative errno. */
export function rebind_irq_to_cpu(info: irq_info, cpu: number): number {
  if (cpu === info.cpu) return 0;
  const result = evtchn_bind_vcpu(info.evtchn, cpu);
  if (result < 0) return result;
  evtchn_2l_bind_to_cpu(info.evtchn, cpu, info.cpu);
  info.cpu = cpu;
  return 0;
}

function enable_dynirq(desc: irq_desc): void {
  const info = info_of(desc);
  if (VALID_EVTCHN(info.evtchn)) do_unmask(info, EVT_MASK_REASON_EXPLICIT);
}

function startup_dynirq(desc: irq_desc): void {
  const info = info_of(desc);
  if (nr_cpu_ids() > 1 && VALID_EVTCHN(info.evtchn)) rebind_irq_to_cpu(info, select_target_cpu());
  enable_dynirq(desc);
}

function disable_dynirq(desc: irq_desc): void {
  const info = info_of(desc);
  if (VALID_EVTCHN(info.evtchn)) do_mask(info, EVT_MASK_REASON_EXPLICIT);
}

function ack_dynirq(desc: irq_desc): void {
  const info = info_of(desc);
  if (!VALID_EVTCHN(info.evtchn)) return;
  info.is_active = false;
  clear_evtchn(info.evtchn);
}

/** is_active stays set until the late end. */
function lateeoi_ack_dynirq(desc: irq_desc): void {
  const info = info_of(desc);
  if (!VALID_EVTCHN(info.evtchn)) return;
  do_mask(info, EVT_MASK_REASON_EOI_PENDING);
  clear_evtchn(info.evtchn);
}

const xen_dynamic_chip: irq_chip = {
  name: "xen-dyn",
  irq_startup: startup_dynirq,
  irq_shutdown: disable_dynirq,
  irq_mask: disable_dynirq,
  irq_unmask: enable_dynirq,
  irq_ack: ack_dynirq,
};

const xen_lateeoi_chip: irq_chip = { ...xen_dynamic_chip, name: "xen-dyn-lateeoi", irq_ack: lateeoi_ack_dynirq };

const xen_percpu_chip: irq_chip = { ...xen_dynamic_chip, name: "xen-percpu", irq_startup: enable_dynirq };

/** Gives a new irq the chip for its kind of channel. Explicitly masked until it has a handler. */
export function set_chip(info: irq_info): void {
  const chip = info.lateeoi ? xen_lateeoi_chip : info.type === IRQT_EVTCHN ? xen_dynamic_chip : xen_percpu_chip;
  info.mask_reason = EVT_MASK_REASON_EXPLICIT;
  irq_set_chip(info.irq, chip);
  irq_set_chip_data(info.irq, info);
}
