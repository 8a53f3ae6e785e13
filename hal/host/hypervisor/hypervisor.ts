/**
 * The hypervisor of one machine: what the toolstack, the engines, the services and the explorer call.
 *
 *   createDomain ─► attach(engine) ─► step/runUntil … ─► destroyDomain
 *
 * Whatever changes the machine from outside (creating, pausing, destroying, input) may be called between slices only. Two machines with equal
 * states, memories and inputs do the same.
 */
import { CONTROL_PREEMPT } from "../../abi/control";
import { HOSTDISKS_MAX } from "../../abi/hostdisk";
import type { HostDisk } from "../disks/disk";
import { Trace } from "../trace/trace";
import type { Candidate, Context, EventHandler, Observer, PreemptHook, TieBreak } from "./context";
import type { CostTable } from "./costs";
import { costTable } from "./costs";
import { createDomain, type DomainConfig } from "./domain-builder";
import { destroyDomain, EVENT_DESTROYED, pauseDomain, unpauseDomain } from "./domains";
import { EVENT_CONSOLE, EVENT_STORE } from "./event-channel-op";
import { queueEvent } from "./event-queue";
import { frameOffset, hasRoom } from "./frames";
import type { GuestDomain } from "./guest-domain";
import { touchPages } from "./guest-memory";
import {
  announceDisks,
  completeRequest,
  createDiskState,
  DISK_TIMING_DEFAULT,
  EVENT_DISK,
  freeDiskIndex,
  retireDisk,
} from "./hostdisk-service";
import { hypercall } from "./hypercalls";
import { ledger, type Ledger } from "./ledger";
import type { MachineMemory } from "./memory";
import { setPending } from "./ports";
import { createPulse } from "./pulse";
import { nextBelow, nextWord, stream } from "./rng";
import { candidates, nest, select, step } from "./scheduler";
import { createSelection } from "./selection";
import { crashDomain, EVENT_SHUTDOWN } from "./shutdown";
import type { DiskTiming, DomainState, InputRecord, MachineState } from "./state";
import { createMachineState } from "./state";

export interface HypervisorOptions {
  readonly memory: MachineMemory;
  readonly seed: string;
  /** Default: the "xen" preset. */
  readonly costs?: CostTable;
  readonly quantumNs?: number;
  /** Seconds since 1970 at virtual time 0. */
  readonly wallclockSec?: number;
  /** A state to go on from instead of an empty machine; it is taken over, not copied. */
  readonly state?: MachineState;
  readonly trace?: "hash" | "keep" | "off";
  /** Where the machine shows that it lives (`pulse.ts`), for a watcher in another thread. */
  readonly pulse?: Float64Array;
}

/** The hypervisor's own ends of a domain's two service ports. Called as queued events. */
export interface Services {
  /** The domain rang its xenstore port. */
  store?(domid: number, at: number): void;
  /** The domain rang its console port. */
  console?(domid: number, at: number): void;
  /** The domain shut down, or crashed (then with a report). `reason` is SHUTDOWN_*. */
  shutdown?(domid: number, reason: number, report: string | null): void;
  /** The domain is gone. */
  destroyed?(domid: number, generation: number): void;
}

/** One machine's hypervisor. */
export class Hypervisor {
  readonly context: Context;

  constructor(options: HypervisorOptions) {
    const { memory, seed, costs = costTable(), quantumNs, wallclockSec } = options;
    const fresh = { seed, costs, quantumNs, wallclockSec, frameCount: memory.frameCount };
    const state = options.state ?? createMachineState(fresh);
    if (options.trace !== undefined) {
      state.trace.enabled = options.trace !== "off";
      state.trace.keep = options.trace === "keep";
    }
    this.context = {
      state,
      memory,
      trace: new Trace(state.trace),
      guests: new Map(),
      disks: [],
      handlers: new Map(),
      selection: createSelection(),
      preempt: null,
      tieBreak: null,
      observer: {},
      pulse: options.pulse ?? createPulse(),
    };
    this.on(EVENT_DISK, (event) => completeRequest(this.context, event));
    this.setServices({});
  }

  get state(): MachineState {
    return this.context.state;
  }

  get trace(): Trace {
    return this.context.trace;
  }

  /** Virtual time of what was dispatched last, ns. */
  get now(): number {
    return this.context.state.now;
  }

  /** Goes on from another state, for example a structuredClone of `state` taken earlier; memory and engines are the caller's to restore. */
  restore(state: MachineState): void {
    this.requireBetweenSlices("restore");
    this.context.state = state;
    this.context.trace.attach(state.trace);
  }

  /** What goes with a restored state, instead of what there is: engines by domid, disks by index (null: taken away). Nobody is told. */
  adopt(guests: ReadonlyMap<number, GuestDomain>, disks: readonly (HostDisk | null)[]): void {
    const { context } = this;
    context.guests.clear();
    for (const [domid, guest] of guests) context.guests.set(domid, guest);
    context.disks.splice(0, context.disks.length, ...disks);
    this.setPreempt(context.preempt);
  }

  // ---- domains

  /** Builds a domain. Nothing of it runs before `attach`. Throws RangeError on a configuration that cannot be. */
  createDomain(config: DomainConfig): DomainState {
    this.requireBetweenSlices("createDomain");
    const domain = createDomain(this.context, config);
    domain.pauseCount = 1;
    return domain;
  }

  /** Whether there is room for a domain of so many pages, in one piece. */
  hasRoom(pages: number): boolean {
    return hasRoom(this.context, pages);
  }

  /** Gives a domain its engine and lets it run: its kernel starts as the domain's first slice. */
  attach(domid: number, guest: GuestDomain): void {
    const domain = this.domain(domid);
    if (this.context.guests.has(domid)) throw new RangeError(`domain ${domid} has an engine already`);
    this.context.guests.set(domid, guest);
    unpauseDomain(this.context, domain);
  }

  /** Gives a domain of a restored state its engine again; unlike `attach` it starts nothing. */
  reattach(domid: number, guest: GuestDomain): void {
    this.domain(domid);
    this.context.guests.set(domid, guest);
  }

  /** The domain's state. Throws RangeError when there is none. */
  domain(domid: number): DomainState {
    const domain = this.context.state.domains[domid];
    if (domain === undefined) throw new RangeError(`there is no domain ${domid}`);
    return domain;
  }

  /** All domains, by domid. */
  domains(): DomainState[] {
    return this.context.state.domains.filter((domain): domain is DomainState => domain !== undefined);
  }

  pauseDomain(domid: number): void {
    pauseDomain(this.context, this.domain(domid));
  }

  unpauseDomain(domid: number): void {
    unpauseDomain(this.context, this.domain(domid));
  }

  /** Stops a domain for good as a crash; it stays until it is destroyed. */
  crashDomain(domid: number, report: string): void {
    crashDomain(this.context, this.domain(domid), report, this.context.state.now);
  }

  /** Ends a domain and gives back all that it held. From inside one of its own slices: when that has returned. */
  destroyDomain(domid: number): void {
    destroyDomain(this.context, this.domain(domid));
  }

  // ---- what engines call

  /** A hypercall from inside of a guest. Returns an int32 and never throws, unless the fault is our own. */
  hypercall(domid: number, vcpu: number, op: number, a0: number, a1: number, a2: number): number {
    return hypercall(this.context, domid, vcpu, op, a0, a1, a2);
  }

  /** The vCPU of the domain that was entered last and has not returned, or -1. */
  currentVcpu(domid: number): number {
    const { running } = this.context.state;
    for (let i = running.length - 1; i >= 0; i--) if (running[i].domid === domid) return running[i].vcpu;
    return -1;
  }

  /** Whether the domain has the foreign frame mapped by a grant now. */
  mayAccess(domid: number, frame: number): boolean {
    const foreign = this.context.state.domains[domid]?.foreign;
    return foreign !== undefined && foreign !== null && foreign.mapped[frame] > 0;
  }

  /** Whether the domain gets no more time: its hypercalls are refused. */
  isDying(domid: number): boolean {
    return this.context.state.domains[domid]?.state !== "running";
  }

  // ---- services and events

  /** Handles queued events of `kind`. Handlers are named, not stored, so that a restored state finds them again. */
  on(kind: string, handler: EventHandler): void {
    this.context.handlers.set(kind, handler);
  }

  /** Sets who serves the domains' store and console ports. */
  setServices(services: Services): void {
    const alive = (domid: number, generation: number) => this.state.domains[domid]?.generation === generation;
    this.on(EVENT_STORE, (e) => void (alive(e.domid, e.generation) && services.store?.(e.domid, e.at)));
    this.on(EVENT_CONSOLE, (e) => void (alive(e.domid, e.generation) && services.console?.(e.domid, e.at)));
    this.on(EVENT_SHUTDOWN, (e) => {
      if (!alive(e.domid, e.generation)) return;
      const { report } = this.domain(e.domid);
      this.context.observer.shutdown?.(e.domid, e.arg, report);
      services.shutdown?.(e.domid, e.arg, report);
    });
    this.on(EVENT_DESTROYED, (e) => services.destroyed?.(e.domid, e.generation));
  }

  /** Queues an event for a handler, at virtual time `at` (not before now). */
  queue(at: number, kind: string, domid: number, arg: number): void {
    const generation = this.context.state.domains[domid]?.generation ?? 0;
    queueEvent(this.context, Math.max(at, this.now), kind, domid, generation, arg);
  }

  /** A service notifies a domain: its xenstore port becomes pending, at `at` for whoever that wakes. Nothing if it closed the port. */
  notifyStore(domid: number, at: number): void {
    const domain = this.domain(domid);
    if (domain.storePort !== 0) setPending(this.context, domain, domain.storePort, this.deliveryTime(at));
  }

  /** As `notifyStore`, the console port. */
  notifyConsole(domid: number, at: number): void {
    const domain = this.domain(domid);
    if (domain.consolePort !== 0) setPending(this.context, domain, domain.consolePort, this.deliveryTime(at));
  }

  /** A view of `count` pages of a domain's own RAM as bytes. Valid until a guest runs. */
  pages(domid: number, pfn: number, count = 1): Uint8Array {
    const domain = this.domain(domid);
    if (pfn < 0 || count < 0 || pfn + count > domain.pageCount) throw new RangeError(`page ${pfn} is beyond the RAM`);
    touchPages(this.context, domain, pfn, pfn + count);
    const start = domain.ramBase + pfn * 4096;
    return this.context.memory.u8.subarray(start, start + count * 4096);
  }

  // ---- host disks

  /** Adds a disk; its index is what a hostdisk driver names. Drivers are told. Throws RangeError when there are too many. */
  addDisk(disk: HostDisk, timing: Partial<DiskTiming> = {}): number {
    this.requireBetweenSlices("addDisk");
    const index = freeDiskIndex(this.context);
    if (index >= HOSTDISKS_MAX) throw new RangeError(`there are ${HOSTDISKS_MAX} host disks already`);
    this.context.disks[index] = disk;
    this.state.disks[index] = createDiskState({ ...DISK_TIMING_DEFAULT, ...timing });
    announceDisks(this.context);
    return index;
  }

  /** Gives a disk of a restored state its backing again; nobody is told. */
  reattachDisk(index: number, disk: HostDisk): void {
    if (this.state.disks[index]?.present !== true) throw new RangeError(`there is no disk ${index}`);
    this.context.disks[index] = disk;
  }

  /** Takes a disk away: what is in flight fails with -ENODEV. The caller closes it. Its index is used again once all drivers know. */
  removeDisk(index: number): void {
    this.requireBetweenSlices("removeDisk");
    this.context.disks[index] = null;
    retireDisk(this.context, index);
    announceDisks(this.context);
  }

  /** A disk's size changed: drivers are told. */
  diskChanged(): void {
    announceDisks(this.context);
  }

  // ---- running

  /** Runs what is earliest: one event, timer or slice. False when there is nothing, ever, without input from outside. */
  step(): boolean {
    this.requireBetweenSlices("step");
    return step(this.context, Infinity);
  }

  /** Virtual time of what `step` would run; Infinity when there is nothing. */
  nextAt(): number {
    const best = createSelection();
    select(this.context, best);
    return best.at;
  }

  /** Whether nothing will ever happen without input from outside. */
  isIdle(): boolean {
    return this.nextAt() === Infinity;
  }

  /**
   * Runs until `done` says so (asked before every step), or until virtual time would pass `deadlineNs`, or nothing is left to run. Returns whether
   * `done` was reached.
   */
  runUntil(done: () => boolean, deadlineNs = Infinity): boolean {
    this.requireBetweenSlices("runUntil");
    while (!done()) if (!step(this.context, deadlineNs)) return false;
    return true;
  }

  /** Runs all that happens up to and at virtual time `at`, and sets the machine's time to it. */
  runTo(at: number): void {
    this.requireBetweenSlices("runTo");
    while (step(this.context, at));
    this.state.now = Math.max(this.state.now, at);
  }

  /** Records input from outside in the log and the trace, at the machine's time. Called before the change itself is made. */
  input(kind: string, data: string): InputRecord {
    this.requireBetweenSlices("input");
    const record = { number: this.state.inputs.length + 1, at: this.now, kind, data };
    this.state.inputs.push(record);
    this.trace.input(record.number, record.at, Buffer.from(`${kind} ${data}`, "utf8"));
    return record;
  }

  // ---- exploring

  /** Sets the hook of every hypercall and shared access; null costs nothing. */
  setPreempt(hook: PreemptHook | null): void {
    this.context.preempt = hook;
    for (const { controlFrame } of this.domains()) {
      const control = frameOffset(this.context, controlFrame) >>> 2;
      this.context.memory.u32[control + CONTROL_PREEMPT] = hook === null ? 0 : 1;
    }
  }

  setTieBreak(tieBreak: TieBreak | null): void {
    this.context.tieBreak = tieBreak;
  }

  setObserver(observer: Observer): void {
    this.context.observer = observer;
  }

  /** Everything that could run, also later than the earliest; indices are valid until the machine runs on. */
  candidates(): Candidate[] {
    return candidates(this.context);
  }

  /** From inside the preemption hook: runs a candidate nested in the running slice. False when the rules of nesting forbid it. */
  nest(candidate: Candidate): boolean {
    return nest(this.context, candidate);
  }

  /** 32 bits of the machine's random stream `name`. */
  random(name: string): number {
    return nextWord(stream(this.state, name));
  }

  /** A number in [0, bound) of the machine's random stream `name`. */
  randomBelow(name: string, bound: number): number {
    return nextBelow(stream(this.state, name), bound);
  }

  ledger(): Ledger {
    return ledger(this.context);
  }

  private deliveryTime(at: number): number {
    return Math.max(at, this.now) + this.state.costs.eventDeliveryNs;
  }

  private requireBetweenSlices(what: string): void {
    if (this.context.state.running.length !== 0) throw new Error(`${what} is called inside of a slice`);
  }
}
