/**
 * The init task: everything of the boot that may sleep, and then what the image wants run.
 *
 *   initcalls, level by level ─► modules of `modules=a,b` ─► late initcalls ─► init processes
 */
import { EXPORT_SYMBOL } from "xenolith/linux/export";
import { request_module } from "xenolith/linux/module";
import { core_param } from "xenolith/linux/moduleparam";
import { kthread_run } from "xenolith/linux/kthread";
import { pr_err, pr_info, pr_warn } from "xenolith/linux/printk";
import type { Sleeps } from "xenolith/linux/sched";
import { ptr } from "xenolith/linux/types";
import { smp_init } from "./arch/xen/smp";
import { do_initcall_level, INITCALL_LEVELS } from "./initcall";

/** `modules=a,b`: what is loaded at boot, in order, with what it depends on. */
const modules = ptr("");
core_param("modules", modules, "charp", 0o444);

const init_processes: { name: string; fn: () => Sleeps<number> }[] = [];

export function register_init_process(name: string, fn: () => Sleeps<number>): void {
  init_processes.push({ name, fn });
}
EXPORT_SYMBOL(register_init_process);

function* load_boot_modules(): Sleeps<void> {
  for (const name of modules.value.split(",").filter((part) => part !== "")) {
    const error = yield* request_module(name);
    if (error !== 0) pr_err("init: module %s: error %d\n", name, error);
  }
}

function* run_init_process(fn: () => Sleeps<number>): Sleeps<number> {
  return yield* fn();
}

/** The body of task 1. */
export function* kernel_init(): Sleeps<number> {
  smp_init();
  for (const level of INITCALL_LEVELS) {
    if (level === "late") yield* load_boot_modules();
    yield* do_initcall_level(level);
  }
  pr_info("Run init\n");
  for (const { name, fn } of init_processes) {
    if (typeof kthread_run(run_init_process, fn, name) === "number") pr_warn("init: cannot start %s\n", name);
  }
  return 0;
}
