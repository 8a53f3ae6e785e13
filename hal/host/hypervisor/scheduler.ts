/**
 * The event loop. Always runs what is earliest: a queued event, a timer, or a runnable vCPU; among equals the one with the lowest sequence
 * number (or what the explorer's tie-break says).
 *
 *   select ─┬─ event ─► its handler
 *           ├─ timer ─► VIRQ_TIMER, or the end of a poll
 *           └─ vCPU  ─► one slice: control page and time written, guest entered, clock checked, state taken over
 *
 * A slice ends at the guest's first return to its scheduler after the earliest other candidate plus the quantum.
 */
import {
  CONTROL_RAN,
  CONTROL_RAN_BLOCKED,
  CONTROL_RAN_YIELDED,
  CONTROL_SLICE_END,
  CONTROL_SPINLOCKS,
  CONTROL_VCPU,
} from "../../abi/control";
import { VIRQ_TIMER } from "../../abi/xen";
import { takeClock } from "./clock";
import type { Candidate, Context } from "./context";
import { finishDestroy } from "./domains";
import { takeEvent } from "./event-queue";
import { frameOffset } from "./frames";
import { GuestDeath } from "./guest-domain";
import { raiseVirq } from "./ports";
import { pulseEnter, pulseLeave } from "./pulse";
import type { Selection } from "./selection";
import { crashDomain } from "./shutdown";
import type { DomainState, QueuedEvent, VcpuState } from "./state";
import { updateTime } from "./time-info";
import { blockVcpu, mayRun, wakeVcpu } from "./vcpus";

/** No slice is longer, even when nothing else is there to do: the host's input and the watchdog get their turn. */
const SLICE_NS_MAX = 200_000;
/** Entries in a row that may end with the vCPU runnable and its clock where it was. */
const STALLS_MAX = 1000;
/** Slices inside of a slice, when exploring. */
export const NEST_MAX = 3;

function offer(best: Selection, kind: Selection["kind"], at: number, seq: number, index: number): void {
  if (at < best.at || (at === best.at && at !== Infinity && seq < best.seq)) {
    best.kind = kind;
    best.at = at;
    best.seq = seq;
    best.index = index;
  }
}

/** When the vCPU's timer, or the end of its poll, is due. */
function timerOf(vcpu: VcpuState): number {
  return Math.min(vcpu.timerDeadline, vcpu.pollUntil);
}

/** Finds the earliest candidate. `best.at` is Infinity when there is none. Allocates nothing. */
export function select(context: Context, best: Selection): void {
  const { events, vcpus, domains } = context.state;
  best.at = Infinity;
  if (events.length > 0) offer(best, "event", events[0].at, events[0].seq, 0);
  for (let i = 0; i < vcpus.length; i++) {
    const vcpu = vcpus[i];
    const domain = domains[vcpu.domid] as DomainState;
    if (domain.state !== "running") continue;
    const timer = timerOf(vcpu);
    if (timer !== Infinity) offer(best, "timer", timer, vcpu.timerSeq, i);
    if (vcpu.state === "runnable" && domain.pauseCount === 0) offer(best, "vcpu", vcpu.wakeAt, vcpu.seq, i);
  }
}

/** All candidates, in no particular order; for the explorer. */
export function candidates(context: Context): Candidate[] {
  const { events, vcpus, domains } = context.state;
  const all: Candidate[] = events.map(({ domid, at }, index) => ({ kind: "event", domid, vcpu: 0, at, index }));
  vcpus.forEach((vcpu, index) => {
    const domain = domains[vcpu.domid];
    if (domain === undefined || domain.state !== "running") return;
    const who = { domid: vcpu.domid, vcpu: vcpu.id, index };
    if (timerOf(vcpu) !== Infinity) all.push({ kind: "timer", at: timerOf(vcpu), ...who });
    if (vcpu.state === "runnable" && mayRun(domain)) all.push({ kind: "vcpu", at: vcpu.wakeAt, ...who });
  });
  return all;
}

function runEvent(context: Context, event: QueuedEvent): void {
  const handler = context.handlers.get(event.kind);
  if (handler === undefined) throw new Error(`no handler for queued events of kind "${event.kind}"`);
  handler(event);
}

function runTimer(context: Context, vcpu: VcpuState, at: number): void {
  const domain = context.state.domains[vcpu.domid] as DomainState;
  if (vcpu.pollUntil <= at) {
    vcpu.pollUntil = Infinity;
    wakeVcpu(context, vcpu, at);
  }
  if (vcpu.timerDeadline <= at) {
    vcpu.timerDeadline = Infinity;
    raiseVirq(context, domain, VIRQ_TIMER, vcpu.id, at);
  }
}

/** What a slice that begins now may run until, were nothing to happen meanwhile. */
function sliceEnd(context: Context, vcpu: VcpuState): number {
  const best = context.selection;
  select(context, best);
  return Math.min(best.at + context.state.quantumNs, vcpu.clock + SLICE_NS_MAX);
}

function controlWord(context: Context, domain: DomainState, word: number): number {
  return (frameOffset(context, domain.controlFrame) >>> 2) + word;
}

function prepareEntry(context: Context, domain: DomainState, vcpu: VcpuState): void {
  const { memory, state } = context;
  vcpu.state = "running";
  vcpu.clock = Math.max(vcpu.clock, vcpu.wakeAt);
  vcpu.poll = null;
  vcpu.pollUntil = Infinity;
  vcpu.entries++;
  state.running.push({ domid: domain.domid, vcpu: vcpu.id });
  domain.depth++;
  memory.u32[controlWord(context, domain, CONTROL_VCPU)] = vcpu.id;
  memory.u32[vcpu.controlIndex + CONTROL_RAN] = CONTROL_RAN_YIELDED;
  memory.f64[vcpu.clockIndex] = vcpu.clock;
  memory.f64[vcpu.clockIndex + CONTROL_SLICE_END] = sliceEnd(context, vcpu);
  updateTime(context, domain, vcpu);
  pulseEnter(context.pulse, domain.domid, vcpu.id, vcpu.clock);
  context.trace.sliceEnter(domain.domid, vcpu.id, vcpu.clock);
}

/** Enters the guest: true unless it died. Whatever is not a guest's death is our own fault and goes up. */
function enterGuest(context: Context, domain: DomainState, vcpu: VcpuState): boolean {
  const guest = context.guests.get(domain.domid);
  if (guest === undefined) throw new Error(`domain ${domain.domid} has no engine`);
  try {
    if (domain.booted) guest.enter();
    else {
      domain.booted = true;
      guest.start();
      context.memory.u32[vcpu.controlIndex + CONTROL_RAN] = CONTROL_RAN_YIELDED;
    }
    return true;
  } catch (error) {
    if (!(error instanceof GuestDeath)) throw error;
    crashDomain(context, domain, error.report, vcpu.clock);
    return false;
  } finally {
    leave(context, domain);
  }
}

function leave(context: Context, domain: DomainState): void {
  const { running } = context.state;
  running.pop();
  domain.depth--;
  const outer = running.at(-1);
  if (outer === undefined) pulseLeave(context.pulse);
  else pulseEnter(context.pulse, outer.domid, outer.vcpu, context.state.now);
  for (let i = running.length - 1; i >= 0; i--) {
    if (running[i].domid !== domain.domid) continue;
    context.memory.u32[controlWord(context, domain, CONTROL_VCPU)] = running[i].vcpu;
    return;
  }
}

function stalled(context: Context, domain: DomainState, vcpu: VcpuState, entryClock: number): boolean {
  const still = vcpu.state === "runnable" && vcpu.wakeAt === entryClock;
  vcpu.stalls = still ? vcpu.stalls + 1 : 0;
  if (vcpu.stalls <= STALLS_MAX) return false;
  crashDomain(context, domain, `soft lockup: vCPU ${vcpu.id} returns without any progress`, vcpu.clock);
  return true;
}

/** Takes over what the guest left: its clock, and whether it blocked. */
function finishEntry(context: Context, domain: DomainState, vcpu: VcpuState, entryClock: number): void {
  if (!takeClock(context, vcpu)) {
    vcpu.state = "runnable";
    crashDomain(context, domain, "the guest's clock is not a number or went back", vcpu.clock);
    return;
  }
  const ran = context.memory.u32[vcpu.controlIndex + CONTROL_RAN];
  context.trace.sliceExit(domain.domid, vcpu.id, vcpu.clock, ran);
  vcpu.ranNs += vcpu.clock - entryClock;
  vcpu.state = "runnable";
  vcpu.wakeAt = vcpu.clock;
  vcpu.seq = context.state.nextSeq++;
  if (vcpu.goesDown) {
    vcpu.goesDown = false;
    vcpu.state = "offline";
  } else if (ran === CONTROL_RAN_BLOCKED) blockVcpu(context, domain, vcpu);
  stalled(context, domain, vcpu, entryClock);
}

/** One slice of a runnable vCPU. */
function runSlice(context: Context, vcpu: VcpuState): void {
  const domain = context.state.domains[vcpu.domid] as DomainState;
  prepareEntry(context, domain, vcpu);
  const entryClock = vcpu.clock;
  const alive = enterGuest(context, domain, vcpu);
  if (alive && domain.state === "running") finishEntry(context, domain, vcpu, entryClock);
  else vcpu.state = "blocked";
  if (domain.state === "dying" && domain.depth === 0) finishDestroy(context, domain);
}

function dispatch(context: Context, kind: Selection["kind"], index: number, at: number): void {
  const { state } = context;
  if (kind === "event") runEvent(context, takeEvent(state.events, index));
  else if (kind === "timer") runTimer(context, state.vcpus[index], at);
  else runSlice(context, state.vcpus[index]);
}

/** Lets the tie-break choose among the candidates of the earliest time. */
function chosen(context: Context, best: Selection): void {
  if (context.tieBreak === null) return;
  const equal = candidates(context).filter((candidate) => candidate.at === best.at);
  const choice = equal[context.tieBreak(equal)];
  if (choice === undefined) throw new RangeError("the tie-break chose a candidate that there is not");
  best.kind = choice.kind;
  best.index = choice.index;
}

/** Runs the earliest candidate; false when there is none up to `deadline`. Called between slices only. */
export function step(context: Context, deadline: number): boolean {
  const best = context.selection;
  select(context, best);
  if (best.at === Infinity || best.at > deadline) return false;
  chosen(context, best);
  context.state.now = Math.max(context.state.now, best.at);
  dispatch(context, best.kind, best.index, best.at);
  return true;
}

/** Whether the vCPU may be entered now, inside of the slices that are under way. */
function mayNest(context: Context, candidate: Candidate): boolean {
  const { state, memory } = context;
  if (candidate.kind !== "vcpu") return true;
  const domain = state.domains[candidate.domid];
  if (domain === undefined || !mayRun(domain) || domain.vcpus[candidate.vcpu].state !== "runnable") return false;
  if (state.running.length > NEST_MAX) return false;
  return domain.depth === 0 || memory.u32[controlWord(context, domain, CONTROL_SPINLOCKS)] === 0;
}

/** Runs a candidate at a preemption point, inside of the running slice. False when the rules of nesting forbid it. */
export function nest(context: Context, candidate: Candidate): boolean {
  if (!mayNest(context, candidate)) return false;
  const { state } = context;
  const now = state.now;
  state.now = Math.max(now, candidate.at);
  dispatch(context, candidate.kind, candidate.index, candidate.at);
  state.now = now;
  return true;
}
