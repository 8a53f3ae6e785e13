/**
 * What the event channel layer knows of each irq and each port.
 *
 *   port --evtchn_to_irq--> irq --info_for_irq--> irq_info --.evtchn--> port
 */
import { EVTCHN_2L_NR_CHANNELS } from "../../../hal/abi/event_channel";
import { list_head } from "xenolith/linux/list";
import type { evtchn_port_t } from "xenolith/xen/events";
import type { xenbus_device } from "xenolith/xen/xenbus";

export const IRQT_UNBOUND = 0;
export const IRQT_VIRQ = 1;
export const IRQT_IPI = 2;
export const IRQT_EVTCHN = 3;

// Why a channel is masked; it is unmasked when no reason is left.
export const EVT_MASK_REASON_EXPLICIT = 1;
export const EVT_MASK_REASON_TEMPORARY = 2;
export const EVT_MASK_REASON_EOI_PENDING = 4;

export class irq_info {
  /** In a vCPU's list of delayed ends of interrupts. */
  readonly eoi_list = new list_head(this);
  /** IRQT_*. */
  type = IRQT_UNBOUND;
  evtchn: evtchn_port_t = 0;
  /** The vCPU that the channel is bound to. */
  cpu = 0;
  /** Number of the virtual irq or IPI. */
  vector = -1;
  /** How many binds share the irq. */
  refcnt = 0;
  /** EVT_MASK_REASON_* bits. */
  mask_reason = 0;
  /** Being handled, up to the end of the interrupt; never entered twice. */
  is_active = false;
  lateeoi = false;
  /** How many spurious ends in a row. */
  spurious_cnt = 0;
  /** Jiffy before which a late end must not unmask; 0 when there is no such limit. */
  eoi_time = 0;
  /** The vCPU whose list and epoch count. */
  eoi_cpu = 0;
  /** That vCPU's upcall epoch when the loop protection set in. */
  irq_epoch = 0;
  /** The device that counts the events. */
  dev: xenbus_device | null = null;

  constructor(readonly irq: number) {}
}

const infos: (irq_info | undefined)[] = [];
/** The irq of each port, -1 for none. */
export const evtchn_to_irq = new Int32Array(EVTCHN_2L_NR_CHANNELS).fill(-1);

/** What is known of an irq; undefined for one that is not ours. */
export function info_for_irq(irq: number): irq_info | undefined {
  return infos[irq];
}

/** All that are bound, by irq. */
export function for_each_info(fn: (info: irq_info) => void): void {
  for (const info of infos) if (info !== undefined) fn(info);
}

export function set_info_for_irq(irq: number, info: irq_info | undefined): void {
  while (infos.length <= irq) infos.push(undefined);
  infos[irq] = info;
}

/** Forgets everything. Called once, before the first bind. */
export function reset_irq_info(): void {
  infos.length = 0;
  evtchn_to_irq.fill(-1);
}
