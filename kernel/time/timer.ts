/**
 * Timers: one binary heap of deadlines per CPU, the hypervisor's one-shot timer behind it.
 *
 *   mod_timer ─► heap ─► CPU goes idle: set_timer_op for the first deadline ─► VIRQ_TIMER, or any return to the scheduler after the deadline
 *             ─► run_expired_timers (softirq) ─► function
 *
 * The hypervisor's timer is set only by an idle CPU: a busy one looks at the clock anyway. It may be early (the timer it was set for is gone),
 * never late.
 */
import { EXPORT_SYMBOL } from "xenolith/linux/export";
import { BUG_ON } from "xenolith/linux/kernel";
import { NSEC_PER_JIFFY } from "xenolith/linux/jiffies";
import { ktime_get_ns } from "xenolith/linux/ktime";
import { IRQ_HANDLED } from "xenolith/linux/interrupt";
import {
  HRTIMER_MODE_REL,
  HRTIMER_RESTART,
  type hrtimer,
  type timer_list,
  type timer_node,
} from "xenolith/linux/timer";
import { clock, hal } from "../../hal/guest/hal";
import { __HYPERVISOR_set_timer_op } from "../../hal/abi/xen";
import { type cpu_info, cpus, this_cpu } from "../sched/cpu";

let last_seq = 0;

function is_before(a: timer_node, b: timer_node): boolean {
  return a.deadline_ns !== b.deadline_ns ? a.deadline_ns < b.deadline_ns : a.seq < b.seq;
}

/** Moves `node` from heap position `index` towards the root. */
function sift_up(heap: timer_node[], node: timer_node, start: number): void {
  let index = start;
  while (index > 0) {
    const above = (index - 1) >> 1;
    if (!is_before(node, heap[above])) break;
    heap[index] = heap[above];
    heap[index].index = index;
    index = above;
  }
  heap[index] = node;
  node.index = index;
}

/** Moves `node` from heap position `index` away from the root. */
function sift_down(heap: timer_node[], node: timer_node, start: number): void {
  let index = start;
  for (let below = 2 * index + 1; below < heap.length; below = 2 * index + 1) {
    if (below + 1 < heap.length && is_before(heap[below + 1], heap[below])) below++;
    if (!is_before(heap[below], node)) break;
    heap[index] = heap[below];
    heap[index].index = index;
    index = below;
  }
  heap[index] = node;
  node.index = index;
}

/** Arms the node, armed or not, on this CPU for virtual time `deadline_ns`. */
export function timer_arm(node: timer_node, deadline_ns: number): void {
  if (node.index >= 0) timer_disarm(node);
  const cpu = this_cpu;
  node.deadline_ns = deadline_ns;
  node.seq = ++last_seq;
  node.cpu = cpu.id;
  cpu.timers.push(node);
  sift_up(cpu.timers, node, cpu.timers.length - 1);
}

/** Takes the node out of its heap. Returns whether it was in one. */
export function timer_disarm(node: timer_node): boolean {
  const index = node.index;
  if (index < 0) return false;
  const heap = cpus[node.cpu].timers;
  const last = heap.pop() as timer_node;
  node.index = -1;
  if (last === node) return true;
  sift_up(heap, last, index);
  sift_down(heap, last, last.index);
  return true;
}

/** Runs what is due on this CPU. In softirq context. */
export function run_expired_timers(cpu: cpu_info): void {
  while (cpu.timers.length > 0) {
    const node = cpu.timers[0];
    if (node.deadline_ns > clock[cpu.clock_index]) return;
    timer_disarm(node);
    if (node.expire !== null) node.expire(node);
  }
}

/** When the first timer of the CPU is due, Infinity if none is armed. */
export function next_deadline(cpu: cpu_info): number {
  return cpu.timers.length > 0 ? cpu.timers[0].deadline_ns : Infinity;
}

/** An idle CPU sets the hypervisor's timer if the deadline is earlier than what it is set to, and clears it if there is none. */
export function timer_set_hardware(cpu: cpu_info, deadline_ns: number): void {
  if (deadline_ns === cpu.programmed_ns || (deadline_ns > cpu.programmed_ns && deadline_ns !== Infinity)) return;
  cpu.programmed_ns = deadline_ns;
  const ns = deadline_ns === Infinity ? 0 : Math.ceil(deadline_ns);
  hal.hypercall(__HYPERVISOR_set_timer_op, ns | 0, Math.floor(ns / 0x100000000) | 0, 0);
}

export function xen_timer_interrupt(_irq: number, _dev_id: unknown): number {
  this_cpu.programmed_ns = Infinity; // the timers that are due run when the interrupt is over
  return IRQ_HANDLED;
}
EXPORT_SYMBOL(xen_timer_interrupt);

function expire_timer_list(node: timer_node): void {
  const timer = node.container as timer_list;
  if (timer.function !== null) timer.function(timer);
}

export function mod_timer(timer: timer_list, expires: number): number {
  const node = timer.node;
  const was_armed = node.index >= 0;
  timer.expires = expires;
  if (node.seq < 0) return 0; // shut down
  BUG_ON(timer.function === null);
  node.expire = expire_timer_list;
  timer_arm(node, expires * NSEC_PER_JIFFY);
  return was_armed ? 1 : 0;
}
EXPORT_SYMBOL(mod_timer);

export function add_timer(timer: timer_list): void {
  BUG_ON(timer.node.index >= 0);
  mod_timer(timer, timer.expires);
}
EXPORT_SYMBOL(add_timer);

export function timer_reduce(timer: timer_list, expires: number): number {
  if (timer.node.index >= 0 && timer.expires <= expires) return 1;
  return mod_timer(timer, expires);
}
EXPORT_SYMBOL(timer_reduce);

export function del_timer(timer: timer_list): number {
  return timer_disarm(timer.node) ? 1 : 0;
}
EXPORT_SYMBOL(del_timer);

export function del_timer_sync(timer: timer_list): number {
  return del_timer(timer);
}
EXPORT_SYMBOL(del_timer_sync);

export function timer_delete(timer: timer_list): number {
  return del_timer(timer);
}
EXPORT_SYMBOL(timer_delete);

export function timer_delete_sync(timer: timer_list): number {
  return del_timer(timer);
}
EXPORT_SYMBOL(timer_delete_sync);

export function timer_shutdown_sync(timer: timer_list): number {
  const was_armed = del_timer(timer);
  timer.node.seq = -1;
  return was_armed;
}
EXPORT_SYMBOL(timer_shutdown_sync);

function expire_hrtimer(node: timer_node): void {
  const timer = node.container as hrtimer;
  const answer = timer.function === null ? 0 : timer.function(timer);
  if (answer === HRTIMER_RESTART && node.index < 0) timer_arm(node, node.deadline_ns);
}

export function hrtimer_start(timer: hrtimer, time: number, mode: number): void {
  timer.node.expire = expire_hrtimer;
  timer_arm(timer.node, mode === HRTIMER_MODE_REL ? ktime_get_ns() + time : time);
}
EXPORT_SYMBOL(hrtimer_start);

export function hrtimer_cancel(timer: hrtimer): number {
  return timer_disarm(timer.node) ? 1 : 0;
}
EXPORT_SYMBOL(hrtimer_cancel);

export function hrtimer_forward_now(timer: hrtimer, interval: number): number {
  const behind = ktime_get_ns() - timer.node.deadline_ns;
  if (behind < 0) return 0;
  const steps = Math.floor(behind / interval) + 1;
  timer.node.deadline_ns += steps * interval;
  return steps;
}
EXPORT_SYMBOL(hrtimer_forward_now);
