/**
 * Interrupt descriptors and handlers: Linux's kernel/irq in one file. drivers/xen/events numbers its channels here and is the chip below.
 *
 *   irq_alloc_desc ─► irq_set_chip ─► request_irq (startup: unmask) ─► generic_handle_irq ... ─► free_irq (shutdown: mask) ─► irq_free_desc
 */
import { EBUSY, EINVAL, ENOSPC } from "xenolith/linux/errno";
import { EXPORT_SYMBOL } from "xenolith/linux/export";
import {
  IRQF_NO_AUTOEN,
  IRQF_SHARED,
  IRQ_NONE,
  IRQ_WAKE_THREAD,
  type irq_handler_t,
  type irq_thread_fn_t,
} from "xenolith/linux/interrupt";
import type { irq_chip, irq_desc, irqaction } from "xenolith/linux/irq";
import { pr_err, vsnprintf } from "xenolith/linux/printk";
import { IS_ERR } from "xenolith/linux/err";
import { kthread_run } from "xenolith/linux/kthread";
import { send_sig, TASK_IDLE, wake_up_process, type Sleeps } from "xenolith/linux/sched";
import { WARN } from "xenolith/linux/kernel";
import { cpus, this_cpu } from "../sched/cpu";

/** Irq numbers, at most. Number 0 is not used, as a port of 0 is none. */
const NR_IRQS = 4352;

const descriptors: (irq_desc | null)[] = [null];

class descriptor implements irq_desc {
  chip: irq_chip | null = null;
  chip_data: unknown = null;
  action: irqaction | null = null;
  depth = 1;
  pending = false;
  readonly kstat_irqs: number[];
  irqs_unhandled = 0;

  constructor(readonly irq: number) {
    this.kstat_irqs = cpus.map(() => 0);
  }
}

export function irq_alloc_desc(): number {
  for (let irq = 1; irq < NR_IRQS; irq++) {
    if (irq < descriptors.length && descriptors[irq] !== null) continue;
    descriptors[irq] = new descriptor(irq);
    return irq;
  }
  return -ENOSPC;
}
EXPORT_SYMBOL(irq_alloc_desc);

export function irq_free_desc(irq: number): void {
  const desc = irq_to_desc(irq);
  if (desc === null) return;
  WARN(desc.action !== null, "Trying to free irq %d that has a handler\n", irq);
  descriptors[irq] = null;
}
EXPORT_SYMBOL(irq_free_desc);

export function irq_to_desc(irq: number): irq_desc | null {
  return irq > 0 && irq < descriptors.length ? descriptors[irq] : null;
}
EXPORT_SYMBOL(irq_to_desc);

export function irq_set_chip(irq: number, chip: irq_chip): void {
  const desc = irq_to_desc(irq);
  if (desc !== null) desc.chip = chip;
}
EXPORT_SYMBOL(irq_set_chip);

export function irq_set_chip_data(irq: number, data: unknown): void {
  const desc = irq_to_desc(irq);
  if (desc !== null) desc.chip_data = data;
}
EXPORT_SYMBOL(irq_set_chip_data);

export function irq_get_chip_data(irq: number): unknown {
  return irq_to_desc(irq)?.chip_data ?? null;
}
EXPORT_SYMBOL(irq_get_chip_data);

export function generic_handle_irq(irq: number): number {
  const desc = descriptors[irq];
  if (desc === undefined || desc === null) return -EINVAL;
  desc.kstat_irqs[this_cpu.id]++;
  if (desc.depth !== 0 || desc.action === null) {
    desc.pending = true;
    return 0;
  }
  const chip = desc.chip;
  if (chip !== null && chip.irq_ack !== undefined) chip.irq_ack(desc);
  handle_actions(desc);
  if (chip !== null && chip.irq_eoi !== undefined) chip.irq_eoi(desc);
  return 0;
}
EXPORT_SYMBOL(generic_handle_irq);

function handle_actions(desc: irq_desc): void {
  let handled = IRQ_NONE;
  for (let action = desc.action; action !== null; action = action.next) {
    const answer = action.handler === null ? IRQ_WAKE_THREAD : action.handler(desc.irq, action.dev_id);
    if (answer === IRQ_WAKE_THREAD) wake_irq_thread(action);
    handled |= answer;
  }
  if (handled === IRQ_NONE) desc.irqs_unhandled++;
}

function wake_irq_thread(action: irqaction): void {
  action.thread_pending = true;
  if (action.thread !== null) wake_up_process(action.thread);
}

interface irq_thread_data {
  readonly irq: number;
  readonly action: irqaction;
}

/** The thread of a threaded interrupt: one run of its function for each time it was woken. */
function* irq_thread(data: irq_thread_data): Sleeps<number> {
  const thread_fn = data.action.thread_fn as irq_thread_fn_t;
  for (;;) {
    while (data.action.thread_pending) {
      data.action.thread_pending = false;
      const answer = thread_fn(data.irq, data.action.dev_id);
      if (typeof answer === "object") yield* answer;
    }
    if (this_cpu.curr.pending_signals !== 0) return 0;
    this_cpu.curr.state = TASK_IDLE;
    yield;
  }
}

export function request_irq(irq: number, handler: irq_handler_t, flags: number, name: string, dev_id: unknown): number {
  return request_threaded_irq(irq, handler, null, flags, name, dev_id);
}
EXPORT_SYMBOL(request_irq);

export function request_threaded_irq(
  irq: number,
  handler: irq_handler_t | null,
  thread_fn: irq_thread_fn_t | null,
  flags: number,
  name: string,
  dev_id: unknown,
): number {
  const desc = irq_to_desc(irq);
  if (desc === null || (handler === null && thread_fn === null)) return -EINVAL;
  if ((flags & IRQF_SHARED) !== 0 && dev_id === null) return -EINVAL;
  if (desc.action !== null && (desc.action.flags & flags & IRQF_SHARED) === 0) return -EBUSY;
  const action: irqaction = {
    handler,
    thread_fn,
    flags,
    name,
    dev_id,
    thread: null,
    thread_pending: false,
    next: null,
  };
  if (thread_fn !== null) {
    const thread = kthread_run(irq_thread, { irq, action }, "irq/%d-%s", irq, name);
    if (IS_ERR(thread)) return thread;
    action.thread = thread;
  }
  install(desc, action);
  return 0;
}
EXPORT_SYMBOL(request_threaded_irq);

function install(desc: irq_desc, action: irqaction): void {
  const is_first = desc.action === null;
  if (is_first) desc.action = action;
  else last_action(desc).next = action;
  if (!is_first) return;
  desc.depth = (action.flags & IRQF_NO_AUTOEN) !== 0 ? 1 : 0;
  if (desc.depth === 0) desc.chip?.irq_startup?.(desc);
}

function last_action(desc: irq_desc): irqaction {
  let action = desc.action as irqaction;
  while (action.next !== null) action = action.next;
  return action;
}

export function free_irq(irq: number, dev_id: unknown): string | null {
  const desc = irq_to_desc(irq);
  let previous: irqaction | null = null;
  let action = desc === null ? null : desc.action;
  while (action !== null && action.dev_id !== dev_id) {
    previous = action;
    action = action.next;
  }
  if (desc === null || action === null) {
    WARN(true, "Trying to free already-free IRQ %d\n", irq);
    return null;
  }
  if (previous === null) desc.action = action.next;
  else previous.next = action.next;
  if (desc.action === null) {
    desc.depth = 1;
    desc.chip?.irq_shutdown?.(desc);
  }
  if (action.thread !== null) send_sig(15, action.thread, 1);
  if (action.thread !== null) wake_up_process(action.thread);
  return action.name;
}
EXPORT_SYMBOL(free_irq);

export function disable_irq_nosync(irq: number): void {
  const desc = irq_to_desc(irq);
  if (desc !== null && desc.depth++ === 0) desc.chip?.irq_mask?.(desc);
}
EXPORT_SYMBOL(disable_irq_nosync);

export function disable_irq(irq: number): void {
  disable_irq_nosync(irq);
}
EXPORT_SYMBOL(disable_irq);

export function enable_irq(irq: number): void {
  const desc = irq_to_desc(irq);
  if (desc === null) return;
  if (desc.depth === 0) {
    WARN(true, "Unbalanced enable for IRQ %d\n", irq);
    return;
  }
  if (--desc.depth !== 0) return;
  desc.chip?.irq_unmask?.(desc);
  if (!desc.pending) return;
  desc.pending = false;
  generic_handle_irq(irq);
}
EXPORT_SYMBOL(enable_irq);

export function synchronize_irq(irq: number): void {
  if (irq_to_desc(irq) === null) pr_err("synchronize_irq: no irq %d\n", irq);
}
EXPORT_SYMBOL(synchronize_irq);

export function* for_each_irq_desc(): Generator<irq_desc, void, void> {
  for (const desc of descriptors) if (desc !== null && desc.action !== null) yield desc;
}
EXPORT_SYMBOL(for_each_irq_desc);

export function show_interrupts(): string {
  let text = "    " + cpus.map((cpu) => vsnprintf("%11s", [`CPU${cpu.id}`])).join("") + "\n";
  for (const desc of for_each_irq_desc()) {
    const names: string[] = [];
    for (let action = desc.action; action !== null; action = action.next) names.push(action.name);
    const counts = desc.kstat_irqs.map((count) => vsnprintf("%11u", [count])).join("");
    text += vsnprintf("%3d:%s   %-12s  %s\n", [desc.irq, counts, desc.chip?.name ?? "none", names.join(", ")]);
  }
  return text;
}
EXPORT_SYMBOL(show_interrupts);
