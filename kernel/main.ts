/** The kernel's beginning. What runs when, in order. */
import "virtual:initcalls";
import { kthread_run } from "xenolith/linux/kthread";
import { pr_info, pr_notice } from "xenolith/linux/printk";
import { num_online_cpus } from "xenolith/linux/smp";
import type { Hal } from "../hal/abi/hal";
import { set_hal } from "../hal/guest/hal";
import { saved_command_line, setup_arch } from "./arch/xen/setup";
import { devices_init } from "./device/devices";
import { early_params } from "./early_params";
import { kernel_init } from "./init";
import { add_device_randomness } from "./lib/random";
import { nr_free_pages, totalram_pages } from "./mm/page_alloc";
import { param_sysfs_init } from "./module/sysfs";
import { trap_init } from "./panic";
import { init_args, parse_args } from "./params";
import { sched_init } from "./sched/core";

export { enter } from "./arch/xen/entry";

/** Boots the kernel on vCPU 0. Nothing sleeps here: the rest of the boot is the init task's, from the first `enter` on. */
export function boot(hal: Hal): void {
  set_hal(hal);
  start_kernel(hal.domid);
}

function start_kernel(domid: number): void {
  sched_init(); //                       run queues; current() works
  setup_arch(); //                       start_info, shared_info, page allocator; printk reaches the console
  trap_init(); //                        page faults become oopses
  pr_notice("Xenolith (Xen PV domain %d, %d vCPUs)\n", domid, num_online_cpus());
  pr_info("Command line: %s\n", saved_command_line());
  early_params(); //                     names of the kernel's own parameters
  parse_args(saved_command_line()); //   set them
  if (init_args().length > 0) pr_info('Unknown kernel command line parameters "%s"\n', init_args().join(" "));
  pr_info("Memory: %dK/%dK available\n", nr_free_pages() * 4, totalram_pages() * 4);
  add_device_randomness(domid); //       until random.seed= says more
  devices_init(); //                     /sys/devices, /sys/bus, /sys/class
  param_sysfs_init(); //                 /sys/module
  kthread_run(kernel_init, undefined, "init"); // initcalls, modules, programs
}
