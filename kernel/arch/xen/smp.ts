/** vCPUs. The boot one is there from the start, the init task brings up the others; one is entered when an event for it is pending. */
import { VCPUOP_initialise, VCPUOP_up } from "../../../hal/abi/vcpu";
import { __HYPERVISOR_vcpu_op } from "../../../hal/abi/xen";
import { hal } from "../../../hal/guest/hal";
import { EXPORT_SYMBOL } from "xenolith/linux/export";
import { IRQ_HANDLED } from "xenolith/linux/interrupt";
import { BUG_ON } from "xenolith/linux/kernel";
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

/** Brings the other vCPUs up: the hypervisor enters them from now on. Called once, by the init task. */
export function smp_init(): void {
  for (let cpu = 1; cpu < cpus.length; cpu++) {
    BUG_ON(hal.hypercall(__HYPERVISOR_vcpu_op, VCPUOP_initialise, cpu, 0) !== 0);
    BUG_ON(hal.hypercall(__HYPERVISOR_vcpu_op, VCPUOP_up, cpu, 0) !== 0);
  }
}

/** Nothing is left to do: the entry that delivered it looks at the run queue anyway. */
export function scheduler_ipi(_irq: number, _dev_id: unknown): number {
  return IRQ_HANDLED;
}
EXPORT_SYMBOL(scheduler_ipi);
