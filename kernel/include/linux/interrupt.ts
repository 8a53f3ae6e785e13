/** `<linux/interrupt.h>`: interrupt handlers and softirqs. Handlers are plain functions and run with interrupts off. */
import type { Sleeps } from "./sched";

export const IRQ_NONE = 0;
export const IRQ_HANDLED = 1;
export const IRQ_WAKE_THREAD = 2;
export type irqreturn_t = number;
/** Not allocated for the interrupt: `dev_id` is what was given to `request_irq`. */
export type irq_handler_t = (irq: number, dev_id: unknown) => irqreturn_t;
export type irq_thread_fn_t = (irq: number, dev_id: unknown) => irqreturn_t | Sleeps<irqreturn_t>;

export const IRQF_SHARED = 0x80;
export const IRQF_PERCPU = 0x400;
export const IRQF_NOBALANCING = 0x800;
export const IRQF_ONESHOT = 0x2000;
export const IRQF_NO_SUSPEND = 0x4000;
export const IRQF_NO_AUTOEN = 0x80000;

/** Installs a handler and starts the interrupt. Returns 0, -EINVAL (no such irq, no handler) or -EBUSY (taken). */
export declare function request_irq(
  irq: number,
  handler: irq_handler_t,
  flags: number,
  name: string,
  dev_id: unknown,
): number;
/** `request_irq` with a function that runs in a thread when `handler` (or none) returns IRQ_WAKE_THREAD. */
export declare function request_threaded_irq(
  irq: number,
  handler: irq_handler_t | null,
  thread_fn: irq_thread_fn_t | null,
  flags: number,
  name: string,
  dev_id: unknown,
): number;
/** Removes the handler of `dev_id`. Returns its name, or null. No handler of it runs afterwards. */
export declare function free_irq(irq: number, dev_id: unknown): string | null;
/** Nested; the interrupt stays pending meanwhile. */
export declare function disable_irq(irq: number): void;
export declare function disable_irq_nosync(irq: number): void;
export declare function enable_irq(irq: number): void;
/** Waits until no handler of `irq` runs: nothing to do here, since handlers run to their end. */
export declare function synchronize_irq(irq: number): void;

export declare function local_irq_disable(): void;
/** Interrupts that came meanwhile are taken in here. */
export declare function local_irq_enable(): void;
/** Turns interrupts off. Returns the flags for `local_irq_restore`. */
export declare function local_irq_save(): number;
export declare function local_irq_restore(flags: number): void;
export declare function irqs_disabled(): boolean;
export declare function local_bh_disable(): void;
export declare function local_bh_enable(): void;

export const HI_SOFTIRQ = 0;
export const TIMER_SOFTIRQ = 1;
export const BLOCK_SOFTIRQ = 2;
export const TASKLET_SOFTIRQ = 3;
export const NR_SOFTIRQS = 4;
/** Names softirq `nr`'s function. Called at boot. */
export declare function open_softirq(nr: number, action: () => void): void;
/** Runs softirq `nr` on this CPU as soon as the interrupt, or the task that raised it, gives way. */
export declare function raise_softirq(nr: number): void;
