/**
 * Virtual time. Each vCPU has a clock in the control page; the kernel adds to it what it charges itself, the hypervisor what hypercalls cost.
 * Within a domain time never goes back: a reader on a CPU whose clock is behind gets the last time that anybody read.
 */
import { EXPORT_SYMBOL } from "xenolith/linux/export";
import { NSEC_PER_JIFFY } from "xenolith/linux/jiffies";
import { NSEC_PER_SEC } from "xenolith/linux/ktime";
import {
  CONTROL_COST_COUNT,
  CONTROL_COSTS,
  COST_BIO_SUBMIT,
  COST_CLOCK_READ,
  COST_CPU_RELAX,
  COST_REQUEST_DISPATCH,
} from "../../hal/abi/control";
import { clock, control } from "../../hal/guest/hal";
import { this_cpu } from "../sched/cpu";

/** The cost table. Doubles, as the clock is: QuickJS adds a double and an integer three times as slowly as two doubles. */
const costs = new Float64Array(CONTROL_COST_COUNT);
let plain_bio_ns = 0;
let last_read_ns = 0;
/** Nanoseconds between 1970 and the machine's start. */
let epoch_ns = 0;

/** Says what the wall clock showed when the machine was made, from shared_info. Called by boot. */
export function set_wall_clock(seconds: number, nanoseconds: number): void {
  epoch_ns = seconds * NSEC_PER_SEC + nanoseconds;
}

/** Takes the cost table from the hypervisor. Called by boot, before anything is charged. */
export function read_costs(): void {
  for (let cost = 0; cost < CONTROL_COST_COUNT; cost++) costs[cost] = control[CONTROL_COSTS + cost];
  plain_bio_ns = costs[COST_BIO_SUBMIT] + costs[COST_REQUEST_DISPATCH];
}

export function charge(cost: number): void {
  clock[this_cpu.clock_index] += costs[cost];
}
EXPORT_SYMBOL(charge);

export function charge_plain_bio(): number {
  return (clock[this_cpu.clock_index] += plain_bio_ns);
}
EXPORT_SYMBOL(charge_plain_bio);

export function charge_times(cost: number, times: number): void {
  clock[this_cpu.clock_index] += costs[cost] * times;
}
EXPORT_SYMBOL(charge_times);

export function charge_ns(ns: number): void {
  clock[this_cpu.clock_index] += ns;
}
EXPORT_SYMBOL(charge_ns);

/** What costs time even where the cost table says 0: otherwise a loop that waits for the clock would stand still. */
function charge_at_least_1(cost: number): void {
  clock[this_cpu.clock_index] += costs[cost] || 1;
}

export function ktime_get_ns(): number {
  charge_at_least_1(COST_CLOCK_READ);
  const now = clock[this_cpu.clock_index];
  if (now > last_read_ns) last_read_ns = now;
  return last_read_ns;
}
EXPORT_SYMBOL(ktime_get_ns);

export function ktime_get(): number {
  return ktime_get_ns();
}
EXPORT_SYMBOL(ktime_get);

export function ktime_get_coarse_ns(): number {
  return Math.floor(ktime_get_ns() / NSEC_PER_JIFFY) * NSEC_PER_JIFFY;
}
EXPORT_SYMBOL(ktime_get_coarse_ns);

export function ktime_get_real_ns(): number {
  return epoch_ns + ktime_get_ns();
}
EXPORT_SYMBOL(ktime_get_real_ns);

export function ktime_get_real_seconds(): number {
  return Math.floor(ktime_get_real_ns() / NSEC_PER_SEC);
}
EXPORT_SYMBOL(ktime_get_real_seconds);

export function jiffies(): number {
  return Math.floor(ktime_get_ns() / NSEC_PER_JIFFY);
}
EXPORT_SYMBOL(jiffies);

export function local_clock(): number {
  return clock[this_cpu.clock_index];
}
EXPORT_SYMBOL(local_clock);

export function cpu_relax(): void {
  charge_at_least_1(COST_CPU_RELAX);
}
EXPORT_SYMBOL(cpu_relax);

export function ndelay(nsecs: number): void {
  charge_ns(nsecs);
}
EXPORT_SYMBOL(ndelay);

export function udelay(usecs: number): void {
  charge_ns(usecs * 1000);
}
EXPORT_SYMBOL(udelay);

export function mdelay(msecs: number): void {
  charge_ns(msecs * 1_000_000);
}
EXPORT_SYMBOL(mdelay);
