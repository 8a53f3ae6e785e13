/**
 * The hypervisor's way in.
 *
 *   enter ─► first entry of this vCPU: its scheduler loop, until it blocks or its slice ends
 *         ─► nested entry of a vCPU that is already inside (the hypervisor explores): an injected interrupt, nothing else
 */
import { CONTROL_VCPU } from "../../../hal/abi/control";
import { control } from "../../../hal/guest/hal";
import { injected_interrupt } from "../../irq/softirq";
import { schedule_loop } from "../../sched/core";
import { cpus, set_this_cpu, this_cpu } from "../../sched/cpu";

/** Runs one slice of the vCPU that the control page names. */
export function enter(): void {
  const interrupted = this_cpu;
  const cpu = cpus[control[CONTROL_VCPU]];
  set_this_cpu(cpu);
  if (cpu.entered) injected_interrupt(cpu);
  else {
    cpu.entered = true;
    schedule_loop(cpu);
    cpu.entered = false;
  }
  set_this_cpu(interrupted);
}
