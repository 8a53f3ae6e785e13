/**
 * Late ends of interrupts: how a peer that raises events without reason is slowed down.
 *
 * A lateeoi channel is masked from delivery until its driver reports the end. An end without work done is spurious; beyond the device's
 * threshold each one in a row doubles the time that passes before the channel is unmasked, up to a second. Delayed ends wait in a list per
 * vCPU, ordered by time, and are carried out by delayed work.
 */
import { EXPORT_SYMBOL } from "xenolith/linux/export";
import { local_irq_restore, local_irq_save } from "xenolith/linux/interrupt";
import { HZ, jiffies } from "xenolith/linux/jiffies";
import { list_add, list_del_init, list_empty, list_head } from "xenolith/linux/list";
import { nr_cpu_ids, smp_processor_id } from "xenolith/linux/smp";
import {
  INIT_DELAYED_WORK,
  delayed_work,
  mod_delayed_work_on,
  system_wq,
  to_delayed_work,
  type work_struct,
} from "xenolith/linux/workqueue";
import { VALID_EVTCHN, XEN_EOI_FLAG_SPURIOUS } from "xenolith/xen/events";
import { unmask_evtchn } from "./events_2l";
import { EVT_MASK_REASON_EOI_PENDING, info_for_irq, type irq_info } from "./irq_info";

/** One vCPU's delayed ends. */
class lateeoi_work {
  readonly delayed = new delayed_work(this);
  readonly eoi_list = new list_head();
  /** Counts the vCPU's upcalls: while it stands still, the loop that set a limit is still running. */
  irq_epoch = 0;
  constructor(readonly cpu: number) {}
}

let lateeoi: lateeoi_work[] = [];

/** Makes the lists. Called once, before the first bind. */
export function lateeoi_init(): void {
  lateeoi = Array.from({ length: nr_cpu_ids() }, (_, cpu) => new lateeoi_work(cpu));
  for (const eoi of lateeoi) INIT_DELAYED_WORK(eoi.delayed, xen_irq_lateeoi_worker);
}

/** An upcall of the vCPU is over. */
export function lateeoi_next_epoch(cpu: number): void {
  lateeoi[cpu].irq_epoch++;
}

/** The event loop runs too long: the end of this interrupt must not unmask before jiffy `time`. */
export function lateeoi_defer(info: irq_info, cpu: number, time: number): void {
  info.eoi_cpu = cpu;
  info.irq_epoch = lateeoi[cpu].irq_epoch;
  info.eoi_time = time;
}

function lateeoi_list_add(info: irq_info): void {
  const eoi = lateeoi[info.eoi_cpu];
  let after = eoi.eoi_list.prev;
  while (after !== eoi.eoi_list && (after.container as irq_info).eoi_time > info.eoi_time) after = after.prev;
  list_add(info.eoi_list, after);
  if (eoi.eoi_list.next === info.eoi_list) {
    const delay = Math.max(info.eoi_time - jiffies(), 0);
    mod_delayed_work_on(eoi.cpu, system_wq, eoi.delayed, delay);
  }
}

/** The irq goes away: forgets its delayed end. */
export function lateeoi_list_del(info: irq_info): void {
  if (!list_empty(info.eoi_list)) list_del_init(info.eoi_list);
}

/** Clears a reason for masking, and unmasks if it was the last. */
export function do_unmask(info: irq_info, reason: number): void {
  info.mask_reason &= ~reason;
  if (info.mask_reason === 0) unmask_evtchn(info.evtchn, info.cpu);
}

function lateeoi_finish(info: irq_info): void {
  info.eoi_time = 0;
  info.is_active = false;
  do_unmask(info, EVT_MASK_REASON_EOI_PENDING);
}

/** Counts a spurious end. Returns by how many jiffies it delays the unmasking. */
function lateeoi_spurious(info: irq_info): number {
  const dev = info.dev;
  const threshold = dev !== null ? dev.spurious_threshold : 1;
  if (1 << info.spurious_cnt < HZ << 2) info.spurious_cnt++;
  if (dev !== null) dev.spurious_events++;
  if (info.spurious_cnt <= threshold) return 0;
  const delay = Math.min(1 << (info.spurious_cnt - 1 - threshold), HZ);
  if (info.eoi_time === 0) info.eoi_cpu = smp_processor_id();
  info.eoi_time = jiffies() + delay;
  if (dev !== null) dev.jiffies_eoi_delayed += delay;
  return delay;
}

function xen_irq_lateeoi_locked(info: irq_info, spurious: boolean): void {
  if (!VALID_EVTCHN(info.evtchn) || !list_empty(info.eoi_list)) return;
  let delay = 0;
  if (spurious) delay = lateeoi_spurious(info);
  else info.spurious_cnt = 0;
  if (info.eoi_time !== 0 && (delay !== 0 || info.irq_epoch === lateeoi[info.eoi_cpu].irq_epoch)) {
    lateeoi_list_add(info);
    return;
  }
  lateeoi_finish(info);
}

export function xen_irq_lateeoi(irq: number, eoi_flags: number): void {
  const info = info_for_irq(irq);
  if (info === undefined) return;
  const flags = local_irq_save();
  xen_irq_lateeoi_locked(info, (eoi_flags & XEN_EOI_FLAG_SPURIOUS) !== 0);
  local_irq_restore(flags);
}
EXPORT_SYMBOL(xen_irq_lateeoi);

/** Carries out the ends whose time has come. */
function xen_irq_lateeoi_worker(work: work_struct): void {
  const eoi = to_delayed_work(work).container as lateeoi_work;
  const flags = local_irq_save();
  const now = jiffies();
  while (!list_empty(eoi.eoi_list)) {
    const info = eoi.eoi_list.next.container as irq_info;
    if (now < info.eoi_time) {
      mod_delayed_work_on(eoi.cpu, system_wq, eoi.delayed, info.eoi_time - now);
      break;
    }
    list_del_init(info.eoi_list);
    lateeoi_finish(info);
  }
  local_irq_restore(flags);
}
