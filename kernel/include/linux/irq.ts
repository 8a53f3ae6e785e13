/** `<linux/irq.h>`: interrupt descriptors and the chip below them; for drivers/xen/events, which numbers the event channels. */
import type { irq_handler_t, irq_thread_fn_t } from "./interrupt";
import type { task_struct } from "./sched";

/** What an interrupt controller does to one of its lines. Each function may be left out. */
export interface irq_chip {
  readonly name: string;
  /** First handler installed: unmask. */
  irq_startup?(desc: irq_desc): void;
  /** Last handler removed: mask, close. */
  irq_shutdown?(desc: irq_desc): void;
  irq_mask?(desc: irq_desc): void;
  irq_unmask?(desc: irq_desc): void;
  /** Before the handlers. */
  irq_ack?(desc: irq_desc): void;
  /** After the handlers. */
  irq_eoi?(desc: irq_desc): void;
}

export interface irqaction {
  readonly handler: irq_handler_t | null;
  readonly thread_fn: irq_thread_fn_t | null;
  readonly flags: number;
  readonly name: string;
  readonly dev_id: unknown;
  thread: task_struct | null;
  thread_pending: boolean;
  next: irqaction | null;
}

export interface irq_desc {
  readonly irq: number;
  chip: irq_chip | null;
  /** The chip's own. */
  chip_data: unknown;
  action: irqaction | null;
  /** Nested `disable_irq`s; 1 while no handler is installed. */
  depth: number;
  /** Came while it was disabled. */
  pending: boolean;
  /** How often each CPU took it. */
  readonly kstat_irqs: number[];
  /** How often nobody wanted it. */
  irqs_unhandled: number;
}

/** A free irq number with a descriptor, or -ENOSPC. */
export declare function irq_alloc_desc(): number;
export declare function irq_free_desc(irq: number): void;
/** The descriptor, or null. */
export declare function irq_to_desc(irq: number): irq_desc | null;
export declare function irq_set_chip(irq: number, chip: irq_chip): void;
export declare function irq_set_chip_data(irq: number, data: unknown): void;
export declare function irq_get_chip_data(irq: number): unknown;
/** Runs the handlers of `irq`. Called by the upcall. Returns 0, or -EINVAL for a number without descriptor. */
export declare function generic_handle_irq(irq: number): number;
/** All descriptors that have a handler, in order: for /proc/interrupts. */
export declare function for_each_irq_desc(): Generator<irq_desc, void, void>;
/** The text of /proc/interrupts. */
export declare function show_interrupts(): string;

/**
 * The event channel layer registers how pending events are scanned. The arch entry calls it with interrupts off, `vcpu` being this CPU, after it
 * found `evtchn_upcall_pending` set; the handler clears it.
 */
export declare function set_evtchn_upcall_handler(handler: (vcpu: number) => void): void;
/** The handler of VIRQ_TIMER, bound once per vCPU by the event channel layer: runs the timers that are due. */
export declare function xen_timer_interrupt(irq: number, dev_id: unknown): number;
