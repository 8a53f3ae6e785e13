/**
 * The texts of /proc, in Linux's formats (Linux fs/proc, block/genhd.c, kernel/module/procfs.c), so that what parses those parses these.
 *
 * Each is made when the file is opened, from what the kernel knows at that moment.
 */
import { all_bdevs, bdev_name, blkdev_majors } from "xenolith/linux/blkdev";
import type { block_device } from "xenolith/linux/blk_types";
import { chrdev_majors, vfs_mounts } from "xenolith/linux/fs";
import { fs_initcall } from "xenolith/linux/init";
import { for_each_irq_desc, show_interrupts } from "xenolith/linux/irq";
import { NSEC_PER_SEC, ktime_get_ns, ktime_get_real_seconds } from "xenolith/linux/ktime";
import { MEM_MAJOR } from "xenolith/linux/major";
import { nr_free_pages, totalram_pages } from "xenolith/linux/mm";
import {
  MODULE_STATE_COMING,
  MODULE_STATE_GOING,
  MODULE_STATE_LIVE,
  type module,
  for_each_module,
} from "xenolith/linux/module";
import { kasprintf } from "xenolith/linux/printk";
import { proc_create_single } from "xenolith/linux/proc_fs";
import { TASK_RUNNING, TASK_UNINTERRUPTIBLE, for_each_process } from "xenolith/linux/sched";
import { num_online_cpus } from "xenolith/linux/smp";
import { MAJOR, MINOR } from "xenolith/linux/types";
import { UTS_RELEASE, UTS_SYSNAME } from "xenolith/linux/utsname";
import { saved_command_line } from "../arch/xen/setup";
import { part_stat_fields } from "../block/blk-stat";
import { symbols_of } from "../module/ksymtab";
import { nr_cached_pages, nr_dirty_pages, nr_writeback_pages } from "./mapping";

/** Ticks of a second in /proc/stat. */
const USER_HZ = 100;

function sum<T>(items: Iterable<T>, value: (item: T) => number): number {
  let total = 0;
  for (const item of items) total += value(item);
  return total;
}

// Processors and time.

/** Nanoseconds that tasks have run; those of ended tasks count as idle time. */
function busy_ns(cpu: number): number {
  return sum(for_each_process(), (task) => (task.cpu === cpu ? task.utime : 0));
}

function idle_ns(cpu: number, now: number): number {
  return Math.max(0, now - busy_ns(cpu));
}

function cpu_numbers(): number[] {
  return Array.from({ length: num_online_cpus() }, (_, cpu) => cpu);
}

/** `12.34` seconds. */
function seconds(ns: number): string {
  const hundredths = Math.floor(ns / (NSEC_PER_SEC / 100));
  return kasprintf("%d.%02d", Math.floor(hundredths / 100), hundredths % 100);
}

function uptime(): string {
  const now = ktime_get_ns();
  return `${seconds(now)} ${seconds(sum(cpu_numbers(), (cpu) => idle_ns(cpu, now)))}\n`;
}

function cpuinfo(): string {
  const lines = (cpu: number): string =>
    `processor\t: ${cpu}\nvendor_id\t: ${UTS_SYSNAME}\nmodel name\t: virtual CPU\n\n`;
  return cpu_numbers().map(lines).join("");
}

/** user, nice, system, idle, iowait, irq, softirq, steal, guest, guest_nice; everything that runs here is the kernel. */
function stat_cpu(name: string, system: number, idle: number): string {
  const ticks = (ns: number): number => Math.floor(ns / (NSEC_PER_SEC / USER_HZ));
  return `${name} 0 0 ${ticks(system)} ${ticks(idle)} 0 0 0 0 0 0\n`;
}

function stat(): string {
  const now = ktime_get_ns();
  const cpus = cpu_numbers();
  const tasks = [...for_each_process()];
  const irqs = [...for_each_irq_desc()];
  const in_state = (state: number): number => tasks.filter((task) => task.state === state).length;
  let text = stat_cpu(
    "cpu ",
    sum(cpus, busy_ns),
    sum(cpus, (cpu) => idle_ns(cpu, now)),
  );
  for (const cpu of cpus) text += stat_cpu(`cpu${cpu}`, busy_ns(cpu), idle_ns(cpu, now));
  text += `intr ${sum(irqs, ({ kstat_irqs }) => sum(kstat_irqs, (count) => count))}\n`;
  text += `btime ${ktime_get_real_seconds() - Math.floor(now / NSEC_PER_SEC)}\n`;
  return `${text}procs_running ${in_state(TASK_RUNNING)}\nprocs_blocked ${in_state(TASK_UNINTERRUPTIBLE)}\n`;
}

// Memory.

function meminfo(): string {
  const row = (name: string, pages: number): string => kasprintf("%-16s%8d kB\n", `${name}:`, pages * 4);
  const clean = nr_cached_pages() - nr_dirty_pages() - nr_writeback_pages();
  return (
    row("MemTotal", totalram_pages()) +
    row("MemFree", nr_free_pages()) +
    row("MemAvailable", nr_free_pages() + Math.max(0, clean)) +
    row("Buffers", nr_cached_pages()) +
    row("Dirty", nr_dirty_pages()) +
    row("Writeback", nr_writeback_pages())
  );
}

function vmstat(): string {
  return (
    `nr_free_pages ${nr_free_pages()}\nnr_file_pages ${nr_cached_pages()}\n` +
    `nr_dirty ${nr_dirty_pages()}\nnr_writeback ${nr_writeback_pages()}\n`
  );
}

// Modules.

const MODULE_STATES: Readonly<Record<number, string>> = {
  [MODULE_STATE_LIVE]: "Live",
  [MODULE_STATE_COMING]: "Loading",
  [MODULE_STATE_GOING]: "Unloading",
};

/** Name, size, references, users, state, address. Linux: m_show. */
function module_line(mod: module): string {
  const users = mod.used_by.length === 0 ? "-" : mod.used_by.map(({ name }) => `${name},`).join("");
  return `${mod.name} ${mod.size} ${mod.refcnt} ${users} ${
    MODULE_STATES[mod.state] ?? "Unformed"
  } 0x0000000000000000\n`;
}

function modules(): string {
  return [...for_each_module()].map(module_line).join("");
}

/** Exported symbols; there are no addresses to tell. */
function kallsyms(): string {
  const lines = (owner: module | null, suffix: string): string =>
    symbols_of(owner)
      .sort()
      .map((name) => `0000000000000000 T ${name}${suffix}\n`)
      .join("");
  return lines(null, "") + [...for_each_module()].map((mod) => lines(mod, `\t[${mod.name}]`)).join("");
}

// Block devices.

/** Block devices by number, as the kernel's tables list them. */
function sorted_bdevs(): block_device[] {
  return [...all_bdevs()].sort((a, b) => a.bd_dev - b.bd_dev);
}

function partitions(): string {
  const rows = sorted_bdevs()
    .filter((bdev) => bdev.bd_nr_sectors > 0)
    .map((bdev) =>
      kasprintf(
        "%4d  %7d %10d %s\n",
        MAJOR(bdev.bd_dev),
        MINOR(bdev.bd_dev),
        Math.floor(bdev.bd_nr_sectors / 2),
        bdev_name(bdev),
      ),
    );
  return `major minor  #blocks  name\n\n${rows.join("")}`;
}

function diskstats(): string {
  const row = (bdev: block_device): string =>
    kasprintf("%4d %7d %s ", MAJOR(bdev.bd_dev), MINOR(bdev.bd_dev), bdev_name(bdev)) +
    `${part_stat_fields(bdev).join(" ")}\n`;
  return sorted_bdevs().map(row).join("");
}

function devices(): string {
  const row = (major: number, name: string): string => kasprintf("%3d %s\n", major, name);
  const chars =
    row(MEM_MAJOR, "mem") +
    chrdev_majors()
      .map(({ major, name }) => row(major, name))
      .join("");
  const blocks = blkdev_majors().map(({ major, name }) => row(major, name));
  return `Character devices:\n${chars}\nBlock devices:\n${blocks.join("")}`;
}

// File systems.

function sorted_mounts(): readonly { readonly path: string; readonly type: string }[] {
  return [...vfs_mounts()].sort((a, b) => (a.path < b.path ? -1 : 1));
}

function filesystems(): string {
  return sorted_mounts()
    .map(({ type }) => `nodev\t${type}\n`)
    .join("");
}

function mounts(): string {
  return sorted_mounts()
    .map(({ path, type }) => `${type} ${path} ${type} rw 0 0\n`)
    .join("");
}

const ENTRIES: Readonly<Record<string, () => string>> = {
  cmdline: () => `${saved_command_line()}\n`,
  cpuinfo,
  devices,
  diskstats,
  filesystems,
  interrupts: show_interrupts,
  kallsyms,
  meminfo,
  modules,
  mounts,
  partitions,
  stat,
  uptime,
  version: () => `${UTS_SYSNAME} version ${UTS_RELEASE}\n`,
  vmstat,
};

fs_initcall(() => {
  for (const name of Object.keys(ENTRIES)) {
    const error = proc_create_single(name, ENTRIES[name]);
    if (error !== 0) return error;
  }
  return 0;
});
