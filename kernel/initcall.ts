/** Initcalls: what built-in code wants run at boot, level by level. */
import { EXPORT_SYMBOL } from "xenolith/linux/export";
import type { initcall_t } from "xenolith/linux/module";
import { pr_debug, pr_warn } from "xenolith/linux/printk";
import type { Sleeps } from "xenolith/linux/sched";

/** The levels in the order in which they run. */
export const INITCALL_LEVELS = ["early", "pure", "core", "postcore", "arch", "subsys", "fs", "device", "late"] as const;
type level = (typeof INITCALL_LEVELS)[number];

const initcalls = new Map<level, initcall_t[]>();

function add(name: level, fn: initcall_t): void {
  const calls = initcalls.get(name);
  if (calls === undefined) initcalls.set(name, [fn]);
  else calls.push(fn);
}

/** Runs all initcalls of a level in the order of registration. A failure is logged and does not stop the boot. */
export function* do_initcall_level(name: level): Sleeps<void> {
  for (const fn of initcalls.get(name) ?? []) {
    const started = fn();
    const result = typeof started === "object" ? yield* started : started;
    pr_debug("initcall %s (%s) returned %d\n", fn.name, name, result);
    if (result < 0) pr_warn("initcall %s returned with error code %d\n", fn.name, result);
  }
}

export function early_initcall(fn: initcall_t): void {
  add("early", fn);
}
EXPORT_SYMBOL(early_initcall);

export function pure_initcall(fn: initcall_t): void {
  add("pure", fn);
}
EXPORT_SYMBOL(pure_initcall);

export function core_initcall(fn: initcall_t): void {
  add("core", fn);
}
EXPORT_SYMBOL(core_initcall);

export function postcore_initcall(fn: initcall_t): void {
  add("postcore", fn);
}
EXPORT_SYMBOL(postcore_initcall);

export function arch_initcall(fn: initcall_t): void {
  add("arch", fn);
}
EXPORT_SYMBOL(arch_initcall);

export function subsys_initcall(fn: initcall_t): void {
  add("subsys", fn);
}
EXPORT_SYMBOL(subsys_initcall);

export function fs_initcall(fn: initcall_t): void {
  add("fs", fn);
}
EXPORT_SYMBOL(fs_initcall);

export function device_initcall(fn: initcall_t): void {
  add("device", fn);
}
EXPORT_SYMBOL(device_initcall);

export function late_initcall(fn: initcall_t): void {
  add("late", fn);
}
EXPORT_SYMBOL(late_initcall);
