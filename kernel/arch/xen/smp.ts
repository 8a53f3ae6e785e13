/** vCPUs. All of them are online from the start: the hypervisor enters a vCPU when an event for it is pending. */
import { EXPORT_SYMBOL } from "xenolith/linux/export";
import { IRQ_HANDLED } from "xenolith/linux/interrupt";
import { cpus, this_cpu } from "../../sched/cpu";

export function smp_processor_id(): number {
  return this_cpu.id;
}
EXPORT_SYMBOL(smp_processor_id);

export function raw_smp_processor_id(): number {
  return this_cpu.id;
}
EXPORT_SYMBOL(raw_smp_processor_id);

export function num_online_cpus(): number {
  return cpus.length;
}
EXPORT_SYMBOL(num_online_cpus);

export function num_possible_cpus(): number {
  return cpus.length;
}
EXPORT_SYMBOL(num_possible_cpus);

export function nr_cpu_ids(): number {
  return cpus.length;
}
EXPORT_SYMBOL(nr_cpu_ids);

/** Nothing is left to do: the entry that delivered it looks at the run queue anyway. */
export function scheduler_ipi(_irq: number, _dev_id: unknown): number {
  return IRQ_HANDLED;
}
EXPORT_SYMBOL(scheduler_ipi);
