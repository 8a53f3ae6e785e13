/**
 * Interrupts on their way in, and what they leave for later.
 *
 *   event ─► evtchn_upcall_pending ─► upcall (interrupts off, hard interrupt) ─► handlers ─► softirqs (interrupts on) ─► back to the task
 *
 * An upcall happens at the next of: return to the scheduler, interrupts switched on again, an interrupt that the hypervisor injects at a preemption
 * point. The flag word is the one in shared_info, as on Xen; the hypervisor reads the mask, the guest reads and clears the pending byte.
 */
import { EXPORT_SYMBOL } from "xenolith/linux/export";
import { NR_SOFTIRQS } from "xenolith/linux/interrupt";
import { panic } from "xenolith/linux/kernel";
import { charge } from "xenolith/linux/ktime";
import type { page } from "xenolith/linux/mm_types";
import { page_read8, page_write8 } from "../../hal/guest/page";
import { COST_IRQ_ENTRY } from "../../hal/abi/control";
import { clock } from "../../hal/guest/hal";
import { run_expired_timers } from "../time/timer";
import { type cpu_info, HARDIRQ_MASK, HARDIRQ_OFFSET, SOFTIRQ_MASK, SOFTIRQ_OFFSET, this_cpu } from "../sched/cpu";

const NO_SOFTIRQ = (): void => undefined;
const actions: (() => void)[] = Array.from({ length: NR_SOFTIRQS }, () => NO_SOFTIRQ);
/** A softirq that raises itself again gives way after this many rounds. */
const SOFTIRQ_ROUNDS_MAX = 10;

let shared_info: page;
let upcall_handler: (vcpu: number) => void = () => undefined;

/** Where the upcall flags are. Called once by boot. */
export function set_shared_info(page: page): void {
  shared_info = page;
}

export function set_evtchn_upcall_handler(handler: (vcpu: number) => void): void {
  upcall_handler = handler;
}
EXPORT_SYMBOL(set_evtchn_upcall_handler);

/** Turns interrupts off on this CPU. */
export function irqs_off(cpu: cpu_info): void {
  cpu.irqs_off = 1;
  page_write8(shared_info, cpu.mask_offset, 1);
}

/** Turns interrupts on and takes in those that came meanwhile. */
export function irqs_on(cpu: cpu_info): void {
  cpu.irqs_off = 0;
  page_write8(shared_info, cpu.mask_offset, 0);
  if (page_read8(shared_info, cpu.pending_offset) !== 0) upcall(cpu);
}

/** The hypervisor's upcall: runs the handlers of all pending events, then softirqs. Interrupts are on when it is called. */
export function upcall(cpu: cpu_info): void {
  do {
    cpu.irqs_off = 1;
    page_write8(shared_info, cpu.mask_offset, 1);
    cpu.preempt_count += HARDIRQ_OFFSET;
    const count = cpu.preempt_count;
    charge(COST_IRQ_ENTRY);
    upcall_handler(cpu.id);
    if (cpu.preempt_count !== count)
      panic("BUG: an interrupt handler returned with preempt_count %08x", cpu.preempt_count);
    cpu.preempt_count -= HARDIRQ_OFFSET;
    cpu.irqs_off = 0;
    page_write8(shared_info, cpu.mask_offset, 0);
  } while (page_read8(shared_info, cpu.pending_offset) !== 0);
  if (cpu.softirq_pending !== 0 && (cpu.preempt_count & (SOFTIRQ_MASK | HARDIRQ_MASK)) === 0) do_softirq(cpu);
}

/** Between two tasks: pending events, due timers, softirqs. */
export function take_interrupts(cpu: cpu_info): void {
  if (page_read8(shared_info, cpu.pending_offset) !== 0) upcall(cpu);
  if (cpu.timers.length > 0 && cpu.timers[0].deadline_ns <= clock[cpu.clock_index]) {
    cpu.preempt_count += SOFTIRQ_OFFSET;
    run_expired_timers(cpu);
    cpu.preempt_count -= SOFTIRQ_OFFSET;
  }
  if (cpu.softirq_pending !== 0) do_softirq(cpu);
}

/** An entry while this CPU is already inside: the hypervisor injects an interrupt at a preemption point. */
export function injected_interrupt(cpu: cpu_info): void {
  if (cpu.irqs_off === 0 && page_read8(shared_info, cpu.pending_offset) !== 0) upcall(cpu);
}

function do_softirq(cpu: cpu_info): void {
  cpu.preempt_count += SOFTIRQ_OFFSET;
  for (let round = 0; cpu.softirq_pending !== 0 && round < SOFTIRQ_ROUNDS_MAX; round++) {
    const pending = cpu.softirq_pending;
    cpu.softirq_pending = 0;
    for (let nr = 0; nr < NR_SOFTIRQS; nr++) if ((pending & (1 << nr)) !== 0) actions[nr]();
  }
  cpu.preempt_count -= SOFTIRQ_OFFSET;
}

export function open_softirq(nr: number, action: () => void): void {
  actions[nr] = action;
}
EXPORT_SYMBOL(open_softirq);

export function raise_softirq(nr: number): void {
  this_cpu.softirq_pending |= 1 << nr;
}
EXPORT_SYMBOL(raise_softirq);

export function local_irq_disable(): void {
  irqs_off(this_cpu);
}
EXPORT_SYMBOL(local_irq_disable);

export function local_irq_enable(): void {
  if (this_cpu.irqs_off !== 0) irqs_on(this_cpu);
}
EXPORT_SYMBOL(local_irq_enable);

export function local_irq_save(): number {
  const flags = this_cpu.irqs_off;
  if (flags === 0) irqs_off(this_cpu);
  return flags;
}
EXPORT_SYMBOL(local_irq_save);

export function local_irq_restore(flags: number): void {
  if (flags === 0 && this_cpu.irqs_off !== 0) irqs_on(this_cpu);
}
EXPORT_SYMBOL(local_irq_restore);

export function irqs_disabled(): boolean {
  return this_cpu.irqs_off !== 0;
}
EXPORT_SYMBOL(irqs_disabled);

export function local_bh_disable(): void {
  this_cpu.preempt_count += SOFTIRQ_OFFSET;
}
EXPORT_SYMBOL(local_bh_disable);

export function local_bh_enable(): void {
  const cpu = this_cpu;
  cpu.preempt_count -= SOFTIRQ_OFFSET;
  const busy = (cpu.preempt_count & (SOFTIRQ_MASK | HARDIRQ_MASK)) !== 0;
  if (cpu.softirq_pending !== 0 && !busy && cpu.irqs_off === 0) do_softirq(cpu);
}
EXPORT_SYMBOL(local_bh_enable);
