/**
 * What the parts of the hypervisor share: the state, and the host objects that the state refers to by number or name.
 *
 * The parts are files of plain functions `(context, domain, …)`; `hypervisor.ts` owns the one Context of a machine.
 */
import type { HostDisk } from "../disks/disk";
import type { Trace } from "../trace/trace";
import type { GuestDomain } from "./guest-domain";
import type { MachineMemory } from "./memory";
import type { Selection } from "./selection";
import type { MachineState, QueuedEvent } from "./state";

/** Runs a queued event. Called between slices, or nested at a preemption point; never inside a hypercall's work. */
export type EventHandler = (event: QueuedEvent) => void;

/** Called at every hypercall and every preemption point of a debug build, before the call does anything. May run other vCPUs (`nest`). */
export type PreemptHook = (domid: number, vcpu: number, point: number) => void;

/** A candidate of the event loop: a queued event, a timer, or a runnable vCPU. */
export interface Candidate {
  readonly kind: Selection["kind"];
  readonly domid: number;
  readonly vcpu: number;
  readonly at: number;
  /** Where the scheduler finds it again; valid until the machine runs on. */
  readonly index: number;
}

/** Chooses among candidates of equal time; returns an index. */
export type TieBreak = (candidates: readonly Candidate[]) => number;

/** Told about what happened, for people; must not change the machine. */
export interface Observer {
  logLine?(domid: number, at: number, text: string): void;
  shutdown?(domid: number, reason: number, report: string | null): void;
  /** A host disk has done something: HOSTDISK_*, and for reads and writes that went well the bytes, which are the guest's memory. */
  disk?(index: number, op: number, sector: number, data: Uint8Array | null): void;
}

export interface Context {
  state: MachineState;
  readonly memory: MachineMemory;
  readonly trace: Trace;
  /** Running engines by domid. */
  readonly guests: Map<number, GuestDomain>;
  /** Host disks by index; null where one was removed. */
  readonly disks: (HostDisk | null)[];
  readonly handlers: Map<string, EventHandler>;
  /** The scheduler's scratch. */
  readonly selection: Selection;
  preempt: PreemptHook | null;
  tieBreak: TieBreak | null;
  observer: Observer;
  /** What a watcher in another thread sees (`pulse.ts`). Nothing here reads it. */
  readonly pulse: Float64Array;
}
