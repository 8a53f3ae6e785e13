/**
 * A kernel core without a machine: the real scheduler, allocator, locks and device model over an ordinary ArrayBuffer, with a hypervisor that
 * only knows timers, wake-ups between vCPUs and the console. For unit tests of kernel code; drivers/xen is not started.
 *
 *   const kernel = bootBareKernel();
 *   const result = kernel.run(function* () { yield* msleep(5); return 42; });   // virtual time runs as far as needed
 *
 * The kernel's state is that of the loaded modules, so there is one bare kernel per test file.
 */
import {
  CONTROL_CLOCK,
  CONTROL_COSTS,
  CONTROL_RAN,
  CONTROL_RAN_YIELDED,
  CONTROL_SLICE_END,
  CONTROL_VCPU,
  CONTROL_VCPU_COUNT,
  CONTROL_VCPU_DOUBLES,
  CONTROL_VCPU_WORDS,
} from "../../hal/abi/control";
import type { BundleFactory, Hal } from "../../hal/abi/hal";
import {
  CONSOLEIO_write,
  START_INFO_CMD_LINE,
  VCPU_INFO_SIZE,
  __HYPERVISOR_console_io,
  __HYPERVISOR_set_timer_op,
} from "../../hal/abi/xen";
import { set_hal } from "../../hal/guest/hal";
import "../../kernel/arch/xen/smp";
import "../../kernel/device/dev_printk";
import "../../kernel/lib/kstrtox";
import "../../kernel/lib/refcount";
import "../../kernel/lib/sscanf";
import "../../kernel/module/loader";
import "../../kernel/reboot";
import "../../kernel/workqueue/workqueue";
import { enter } from "../../kernel/arch/xen/entry";
import { saved_command_line, setup_arch } from "../../kernel/arch/xen/setup";
import { devices_init } from "../../kernel/device/devices";
import { early_params } from "../../kernel/early_params";
import { do_initcall_level, INITCALL_LEVELS } from "../../kernel/initcall";
import { set_evtchn_upcall_handler } from "../../kernel/irq/softirq";
import { param_sysfs_init } from "../../kernel/module/sysfs";
import { trap_init } from "../../kernel/panic";
import { parse_args } from "../../kernel/params";
import { sched_init, set_smp_send_reschedule } from "../../kernel/sched/core";
import { cpus } from "../../kernel/sched/cpu";
import { xen_timer_interrupt } from "../../kernel/time/timer";
import { kthread_run } from "xenolith/linux/kthread";
import type { Sleeps, task_struct } from "xenolith/linux/sched";

const PAGE_SIZE = 4096;
const SHARED_INFO_PFN = 1;
/** Rounds of slices after which a test that does not come to rest is stopped. */
const SLICES_MAX = 1_000_000;

/** A module of the pretended image. */
export interface BareModule {
  readonly factory: BundleFactory;
  readonly manifest?: Readonly<Record<string, unknown>>;
}

export interface BareKernelOptions {
  /** RAM in pages; 2048 by default. */
  readonly pages?: number;
  readonly vcpus?: number;
  readonly cmdline?: string;
  /** Length of a slice, virtual nanoseconds; no limit by default. */
  readonly sliceNs?: number;
  /** COST_* in order, nanoseconds; all 0 by default. */
  readonly costs?: readonly number[];
  readonly modules?: Readonly<Record<string, BareModule>>;
  /** Sees every hypercall first; undefined leaves it to the bare hypervisor. */
  readonly hypercall?: (op: number, a0: number, a1: number, a2: number) => number | undefined;
}

export interface BareKernel {
  readonly hal: Hal;
  /** All of RAM. */
  readonly memory: ArrayBuffer;
  /** Lines that went to the console, stacks left out. */
  readonly log: string[];
  /** Hypercalls other than the console's, in order. */
  readonly hypercalls: { readonly op: number; readonly args: readonly [number, number, number] }[];
  /** Virtual time of vCPU 0, nanoseconds. */
  now(): number;
  /** Runs everything that is runnable; virtual time moves only by what is charged. */
  runRunnable(): void;
  /** Moves the virtual clock on by `ns`, firing the timers on the way at their times. */
  advance(ns: number): void;
  /** Runs on, from timer to timer, until nothing is runnable and no timer is armed. */
  runUntilIdle(): void;
  /** Runs `body` as a kernel thread to its end, moving virtual time as needed, and returns its result. */
  run<T>(body: () => Sleeps<T>): T;
  /** Starts `body` as a kernel thread without running it. */
  spawn(body: () => Sleeps<number>, name?: string): task_struct;
  /** Runs the built-in initcalls of everything that was imported. */
  runInitcalls(): void;
  /** Marks an upcall pending on `vcpu`; its next entry calls `handler` with interrupts off, as an event would. */
  interrupt(handler: () => void, vcpu?: number): void;
}

/** Boots the core. Once per test file. */
export function bootBareKernel(options: BareKernelOptions = {}): BareKernel {
  if (cpus.length > 0) throw new Error("one bare kernel per test file: its state is in the loaded modules");
  const machine = new BareMachine(options);
  set_hal(machine.hal);
  sched_init();
  setup_arch();
  trap_init();
  early_params();
  parse_args(saved_command_line());
  devices_init();
  param_sysfs_init();
  set_evtchn_upcall_handler((vcpu) => machine.deliver(vcpu));
  if ((options.vcpus ?? 1) > 1) set_smp_send_reschedule((vcpu) => machine.interrupt(() => undefined, vcpu));
  return machine;
}

class BareMachine implements BareKernel {
  readonly memory: ArrayBuffer;
  readonly hal: Hal;
  readonly log: string[] = [];
  readonly hypercalls: BareKernel["hypercalls"] = [];
  private readonly control = new Uint32Array(new ArrayBuffer(PAGE_SIZE));
  private readonly clock = new Float64Array(this.control.buffer);
  private readonly timers: number[];
  private readonly handlers: (() => void)[][];
  private readonly vcpus: number;

  constructor(private readonly options: BareKernelOptions) {
    const pages = options.pages ?? 2048;
    this.vcpus = options.vcpus ?? 1;
    this.memory = new ArrayBuffer(pages * PAGE_SIZE);
    this.timers = Array.from({ length: this.vcpus }, () => Infinity);
    this.handlers = Array.from({ length: this.vcpus }, () => []);
    this.control[CONTROL_VCPU_COUNT] = this.vcpus;
    (options.costs ?? []).forEach((cost, index) => (this.control[CONTROL_COSTS + index] = cost));
    new Uint8Array(this.memory, START_INFO_CMD_LINE, 1024).set(new TextEncoder().encode(options.cmdline ?? ""));
    this.hal = this.makeHal(pages);
  }

  private makeHal(pages: number): Hal {
    const modules = this.options.modules ?? {};
    return {
      domid: 1,
      control: this.control,
      clock: this.clock,
      mfn_base: 1000,
      nr_pages: pages,
      page: (pfn) => new Uint32Array(this.memory, pfn * PAGE_SIZE, PAGE_SIZE / 4),
      frame: (mfn) => new Uint32Array(this.memory, (mfn - 1000) * PAGE_SIZE, PAGE_SIZE / 4),
      hypercall: (op, a0, a1, a2) => this.hypercall(op, a0, a1, a2),
      load: (kind, name) => (kind === "modules" ? modules[name]?.factory ?? null : null),
      manifest: (_kind, name) => (name in modules ? JSON.stringify(modules[name].manifest ?? {}) : null),
      list: (kind) => (kind === "modules" ? Object.keys(modules).sort() : []),
    };
  }

  private hypercall(op: number, a0: number, a1: number, a2: number): number {
    const answer = this.options.hypercall?.(op, a0, a1, a2);
    if (op === __HYPERVISOR_console_io && a0 === CONSOLEIO_write) return this.console(a1, a2);
    this.hypercalls.push({ op, args: [a0, a1, a2] });
    if (op === __HYPERVISOR_set_timer_op) {
      const deadline = (a0 >>> 0) + (a1 >>> 0) * 0x100000000;
      this.timers[this.control[CONTROL_VCPU]] = deadline === 0 ? Infinity : deadline;
    }
    return answer ?? 0;
  }

  private console(length: number, address: number): number {
    const text = new TextDecoder().decode(new Uint8Array(this.memory, address, length));
    if (!text.startsWith("<s>")) this.log.push(...text.split("\n").filter((line) => line !== ""));
    return 0;
  }

  private clockIndex(vcpu: number): number {
    return vcpu * CONTROL_VCPU_DOUBLES + CONTROL_CLOCK;
  }

  private pendingByte(vcpu: number): Uint8Array {
    return new Uint8Array(this.memory, SHARED_INFO_PFN * PAGE_SIZE + vcpu * VCPU_INFO_SIZE, 1);
  }

  interrupt(handler: () => void, vcpu = 0): void {
    this.handlers[vcpu].push(handler);
    this.pendingByte(vcpu)[0] = 1;
  }

  /** What the event channel layer would do: clears the pending byte and runs the handlers. */
  deliver(vcpu: number): void {
    this.pendingByte(vcpu)[0] = 0;
    for (let handler = this.handlers[vcpu].shift(); handler !== undefined; handler = this.handlers[vcpu].shift()) {
      handler();
    }
  }

  now(): number {
    return this.clock[this.clockIndex(0)];
  }

  /** Enters a vCPU once. Returns whether it has more to do. */
  private enterVcpu(vcpu: number): boolean {
    const slice = this.options.sliceNs ?? Infinity;
    this.clock[vcpu * CONTROL_VCPU_DOUBLES + CONTROL_SLICE_END] = this.clock[this.clockIndex(vcpu)] + slice;
    this.control[CONTROL_VCPU] = vcpu;
    enter();
    return this.control[vcpu * CONTROL_VCPU_WORDS + CONTROL_RAN] === CONTROL_RAN_YIELDED;
  }

  runRunnable(): void {
    let runnable = Array.from({ length: this.vcpus }, () => true);
    for (let rounds = 0; rounds < SLICES_MAX; rounds++) {
      runnable = runnable.map((is, vcpu) => (is || this.pendingByte(vcpu)[0] !== 0) && this.enterVcpu(vcpu));
      if (!runnable.some((is, vcpu) => is || this.pendingByte(vcpu)[0] !== 0)) return;
    }
    throw new Error(`the kernel did not come to rest in ${SLICES_MAX} rounds`);
  }

  /** The vCPU whose timer is due first, at `limit` at the latest; -1 if there is none. */
  private nextTimer(limit: number): number {
    let first = -1;
    for (let vcpu = 0; vcpu < this.vcpus; vcpu++) {
      if (this.timers[vcpu] <= limit && (first < 0 || this.timers[vcpu] < this.timers[first])) first = vcpu;
    }
    return first;
  }

  private fire(vcpu: number): void {
    const deadline = this.timers[vcpu];
    this.timers[vcpu] = Infinity;
    for (let i = 0; i < this.vcpus; i++)
      this.clock[this.clockIndex(i)] = Math.max(this.clock[this.clockIndex(i)], deadline);
    this.interrupt(() => void xen_timer_interrupt(0, null), vcpu);
    this.runRunnable();
  }

  advance(ns: number): void {
    const limit = this.now() + ns;
    this.runRunnable();
    for (let vcpu = this.nextTimer(limit); vcpu >= 0; vcpu = this.nextTimer(limit)) this.fire(vcpu);
    for (let i = 0; i < this.vcpus; i++)
      this.clock[this.clockIndex(i)] = Math.max(this.clock[this.clockIndex(i)], limit);
    this.runRunnable();
  }

  runUntilIdle(): void {
    this.runRunnable();
    for (let vcpu = this.nextTimer(Number.MAX_VALUE); vcpu >= 0; vcpu = this.nextTimer(Number.MAX_VALUE))
      this.fire(vcpu);
  }

  spawn(body: () => Sleeps<number>, name = "test"): task_struct {
    const task = kthread_run(body, undefined, name);
    if (typeof task === "number") throw new Error(`kthread_run: ${task}`);
    return task;
  }

  run<T>(body: () => Sleeps<T>): T {
    const outcome: { result: T }[] = [];
    this.spawn(function* () {
      outcome.push({ result: yield* body() });
      return 0;
    });
    this.runRunnable();
    while (outcome.length === 0) {
      const vcpu = this.nextTimer(Number.MAX_VALUE);
      if (vcpu < 0) throw new Error(`the task sleeps for ever\n${this.log.join("\n")}`);
      this.fire(vcpu);
    }
    return outcome[0].result;
  }

  runInitcalls(): void {
    this.run(function* () {
      for (const level of INITCALL_LEVELS) yield* do_initcall_level(level);
      return 0;
    });
  }
}
