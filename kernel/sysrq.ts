/** Sysrq keys (Linux `drivers/tty/sysrq.c`): from /proc/sysrq-trigger, and from the toolstack through control/sysrq. */
import { EXPORT_SYMBOL } from "xenolith/linux/export";
import { fs_initcall } from "xenolith/linux/init";
import { panic } from "xenolith/linux/kernel";
import { kthread_run } from "xenolith/linux/kthread";
import { pr_info } from "xenolith/linux/printk";
import { proc_create } from "xenolith/linux/proc_fs";
import { kernel_power_off, kernel_restart } from "xenolith/linux/reboot";
import { type Sleeps, for_each_process, task_state_to_char } from "xenolith/linux/sched";

/** A thread of its own: both sleep, and the one who asks may be in the way of what they wait for. */
function* run_key(act: () => Sleeps<void>): Sleeps<number> {
  yield* act();
  return 0;
}

function show_tasks(): void {
  for (const task of for_each_process()) {
    pr_info("task:%-15s state:%s pid:%-5d\n", task.comm, task_state_to_char(task), task.pid);
  }
}

/** Linux: handle_sysrq. */
export function handle_sysrq(key: string): void {
  if (key === "c") panic("sysrq triggered crash");
  else if (key === "o") kthread_run(run_key, kernel_power_off, "sysrq-poweroff");
  else if (key === "b") kthread_run(run_key, kernel_restart, "sysrq-reboot");
  else if (key === "t") show_tasks();
  else pr_info("sysrq: HELP : reboot(b) crash(c) poweroff(o) show-task-states(t)\n");
}
EXPORT_SYMBOL(handle_sysrq);

/** Linux: write_sysrq_trigger. Only the first key counts. */
function* write_sysrq_trigger(text: string): Sleeps<number> {
  if (text !== "") handle_sysrq(text[0]);
  return text.length;
}

function sysrq_init(): number {
  return proc_create("sysrq-trigger", 0o200, { store: write_sysrq_trigger });
}
fs_initcall(sysrq_init);
