/**
 * What the kernel keeps per CPU. One CPU is one vCPU; it runs on nobody's behalf but the one that the hypervisor entered (`this_cpu`).
 *
 *   enter ─► this_cpu = cpus[CONTROL_VCPU] ─► upcalls, softirqs, tasks ─► return ─► this_cpu = the one before (entries nest when exploring)
 *
 * Only code of this CPU writes its fields, except that others append to its run queue.
 */
import type { task_struct } from "xenolith/linux/sched";
import type { spinlock_t } from "xenolith/linux/spinlock";
import type { timer_node } from "xenolith/linux/timer";
import { CONTROL_CLOCK, CONTROL_SLICE_END, CONTROL_VCPU_DOUBLES, CONTROL_VCPU_WORDS } from "../../hal/abi/control";
import { VCPU_INFO_EVTCHN_UPCALL_MASK, VCPU_INFO_EVTCHN_UPCALL_PENDING, VCPU_INFO_SIZE } from "../../hal/abi/xen";

/** One softirq in progress, in `preempt_count`. */
export const SOFTIRQ_OFFSET = 0x100;
export const SOFTIRQ_MASK = 0xff00;
/** One hard interrupt in progress, in `preempt_count`. */
export const HARDIRQ_OFFSET = 0x10000;
export const HARDIRQ_MASK = 0xff0000;

export class cpu_info {
  readonly id: number;
  /** Index of its clock and of its slice's end in the control page's doubles. */
  readonly clock_index: number;
  readonly slice_index: number;
  /** Index of its first word in the control page. */
  readonly words_index: number;
  /** Offsets of its upcall flags in shared_info, bytes. */
  readonly pending_offset: number;
  readonly mask_offset: number;

  /** The task on this CPU; `idle` when there is none. */
  curr: task_struct;
  readonly idle: task_struct;
  /** The task that ran last: resuming it again costs no switch. */
  last: task_struct;
  /** Runnable tasks in order, linked by `rq_next`. */
  rq_head: task_struct | null = null;
  rq_tail: task_struct | null = null;
  /** Tasks that live here, asleep or not: for placing new ones. */
  nr_tasks = 0;
  /** It is inside `enter`. */
  entered = false;
  /** It told the hypervisor that it has nothing to do. */
  blocked = true;

  /** Spinlocks and `preempt_disable`s in the low byte, softirqs, hard interrupts. */
  preempt_count = 0;
  /** 1 while interrupts are off. */
  irqs_off = 0;
  /** One bit for each raised softirq. */
  softirq_pending = 0;
  /** Debug builds: spinlocks that are held, in order. */
  readonly held_locks: spinlock_t[] = [];

  /** Armed timers, a binary heap by deadline. */
  readonly timers: timer_node[] = [];
  /** What the hypervisor's timer is set to, nanoseconds; Infinity when it is off. */
  programmed_ns = Infinity;

  constructor(id: number, idle: task_struct) {
    this.id = id;
    this.idle = idle;
    this.curr = idle;
    this.last = idle;
    this.clock_index = id * CONTROL_VCPU_DOUBLES + CONTROL_CLOCK;
    this.slice_index = id * CONTROL_VCPU_DOUBLES + CONTROL_SLICE_END;
    this.words_index = id * CONTROL_VCPU_WORDS;
    this.pending_offset = id * VCPU_INFO_SIZE + VCPU_INFO_EVTCHN_UPCALL_PENDING;
    this.mask_offset = id * VCPU_INFO_SIZE + VCPU_INFO_EVTCHN_UPCALL_MASK;
  }
}

/** By number; filled once by `sched_init`. */
export const cpus: cpu_info[] = [];
/** The CPU that runs this code. */
export let this_cpu: cpu_info;

/** Says which CPU runs from here on. Only `sched_init` and the entry path call it. */
export function set_this_cpu(cpu: cpu_info): void {
  this_cpu = cpu;
}
