/**
 * Starting the event channel layer: tables, the upcall, and the two channels that every vCPU has.
 */
import { VIRQ_TIMER } from "../../../hal/abi/xen";
import { EXPORT_SYMBOL } from "xenolith/linux/export";
import { early_initcall } from "xenolith/linux/init";
import { IRQF_NOBALANCING, IRQF_PERCPU } from "xenolith/linux/interrupt";
import { set_evtchn_upcall_handler, xen_timer_interrupt } from "xenolith/linux/irq";
import { BUG_ON } from "xenolith/linux/kernel";
import { nr_cpu_ids, scheduler_ipi, set_smp_send_reschedule } from "xenolith/linux/smp";
import { hypercall_init } from "../hypercall";
import { bind_ipi_to_irqhandler, bind_virq_to_irqhandler, percpu_irqs_init, xen_send_IPI_one } from "./events_base";
import { evtchn_2l_init } from "./events_2l";
import { reset_irq_info } from "./irq_info";
import { lateeoi_init } from "./lateeoi";
import { evtchn_upcall, upcall_init } from "./upcall";

const XEN_RESCHEDULE_VECTOR = 0;

export function xen_init_IRQ(): void {
  hypercall_init();
  reset_irq_info();
  percpu_irqs_init();
  evtchn_2l_init();
  lateeoi_init();
  upcall_init();
  set_evtchn_upcall_handler(evtchn_upcall);
}
EXPORT_SYMBOL(xen_init_IRQ);

export function xen_evtchn_init_cpu(cpu: number): void {
  const flags = IRQF_PERCPU | IRQF_NOBALANCING;
  BUG_ON(bind_virq_to_irqhandler(VIRQ_TIMER, cpu, xen_timer_interrupt, flags, `timer${cpu}`, null) < 0);
  if (nr_cpu_ids() === 1) return;
  BUG_ON(bind_ipi_to_irqhandler(XEN_RESCHEDULE_VECTOR, cpu, scheduler_ipi, flags, `resched${cpu}`, null) < 0);
}
EXPORT_SYMBOL(xen_evtchn_init_cpu);

function xen_events_init(): number {
  xen_init_IRQ();
  for (let cpu = 0; cpu < nr_cpu_ids(); cpu++) xen_evtchn_init_cpu(cpu);
  if (nr_cpu_ids() > 1) set_smp_send_reschedule((cpu) => xen_send_IPI_one(cpu, XEN_RESCHEDULE_VECTOR));
  return 0;
}
early_initcall(xen_events_init);
