/**
 * The ways this kernel complains about itself: WARN goes on, BUG and panic end the domain.
 *
 *   panic ─► message and stack to the console ─► SCHEDOP_shutdown(SHUTDOWN_crash): the hypervisor refuses the domain from here on
 *         ─► `kernel_panic` is thrown, and unwinds to the engine
 *
 * Stacks are for people: they go to the console, never into the trace, because the engines word them differently.
 */
import { EXPORT_SYMBOL } from "xenolith/linux/export";
import { pr_crit, pr_emerg, pr_err, pr_warn, vsnprintf } from "xenolith/linux/printk";
import { SHUTDOWN_crash } from "../hal/abi/sched";
import { set_page_fault_handler } from "../hal/guest/page";
import { HYPERVISOR_shutdown } from "./arch/xen/hypercall";
import { console_stack } from "./printk/console";
import { this_cpu } from "./sched/cpu";

/** What unwinds a dead domain's stack. The engine expects it; nobody else catches it. */
export class kernel_panic extends Error {
  override readonly name = "kernel_panic";
}

let warnings = 0;
let is_dead = false;
const warned = new Set<string>();

/** How many WARNs fired since boot. */
export function warning_count(): number {
  return warnings;
}

function die(message: string): never {
  if (!is_dead) {
    is_dead = true;
    console_stack();
    pr_emerg("---[ end Kernel panic - not syncing: %s ]---\n", message);
    HYPERVISOR_shutdown(SHUTDOWN_crash);
  }
  throw new kernel_panic(message);
}

export function panic(fmt: string, ...args: unknown[]): never {
  const message = vsnprintf(fmt, args);
  if (!is_dead) pr_emerg("Kernel panic - not syncing: %s\n", message);
  return die(message);
}
EXPORT_SYMBOL(panic);

export function BUG(): never {
  pr_crit("------------[ cut here ]------------\n");
  pr_crit("kernel BUG! comm: %s pid: %d\n", this_cpu.curr.comm, this_cpu.curr.pid);
  return die("Fatal exception");
}
EXPORT_SYMBOL(BUG);

export function BUG_ON(condition: boolean): void {
  if (condition) BUG();
}
EXPORT_SYMBOL(BUG_ON);

/** An access through a page whose mapping is gone. */
function page_fault(message: string): never {
  pr_crit("BUG: %s\n", message);
  return die("Fatal exception");
}

/** From here on page faults and panics go through this file. */
export function trap_init(): void {
  set_page_fault_handler(page_fault);
}

function warn(message: string): void {
  warnings++;
  pr_warn("------------[ cut here ]------------\n");
  if (message !== "") pr_warn("%s", message);
  pr_warn("WARNING: CPU: %d PID: %d Comm: %s\n", this_cpu.id, this_cpu.curr.pid, this_cpu.curr.comm);
  console_stack();
  pr_warn("---[ end trace ]---\n");
}

export function WARN_ON(condition: boolean): boolean {
  if (condition) warn("");
  return condition;
}
EXPORT_SYMBOL(WARN_ON);

export function WARN(condition: boolean, fmt: string, ...args: unknown[]): boolean {
  if (condition) warn(vsnprintf(fmt, args));
  return condition;
}
EXPORT_SYMBOL(WARN);

function once(key: string): boolean {
  if (warned.has(key)) return false;
  warned.add(key);
  return true;
}

export function WARN_ONCE(condition: boolean, fmt: string, ...args: unknown[]): boolean {
  if (condition && once(fmt)) warn(vsnprintf(fmt, args));
  return condition;
}
EXPORT_SYMBOL(WARN_ONCE);

export function WARN_ON_ONCE(condition: boolean, where = ""): boolean {
  if (condition && once(where === "" ? call_site() : where)) warn(where === "" ? "" : `${where}\n`);
  return condition;
}
EXPORT_SYMBOL(WARN_ON_ONCE);

/** The line of the stack that called WARN_ON_ONCE: unlike its wording, whether two are equal does not depend on the engine. */
function call_site(): string {
  const lines = (new Error().stack ?? "").split("\n").filter((line) => line.includes("at "));
  return lines[2] ?? "";
}

export function dump_stack(): void {
  pr_err("CPU: %d PID: %d Comm: %s\n", this_cpu.id, this_cpu.curr.pid, this_cpu.curr.comm);
  console_stack();
}
EXPORT_SYMBOL(dump_stack);

export function might_sleep(): void {
  const cpu = this_cpu;
  if (cpu.preempt_count === 0 && cpu.irqs_off === 0) return;
  panic(
    "BUG: sleeping function called from invalid context: in_atomic(): %d, irqs_disabled(): %d, pid: %d, name: %s",
    cpu.preempt_count === 0 ? 0 : 1,
    cpu.irqs_off,
    cpu.curr.pid,
    cpu.curr.comm,
  );
}
EXPORT_SYMBOL(might_sleep);
