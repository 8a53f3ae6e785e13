/**
 * The whole state of the hypervisor: one plain object of numbers, strings, arrays, Maps and typed arrays. No closures and no class instances,
 * so `structuredClone` of it, together with a copy of the machine's memory, is a snapshot.
 *
 * Only `hal/host/hypervisor` changes it. Everything that is not here (guests, host disks, services) is looked up by number or name.
 */
import type { TraceState } from "../trace/trace-state";
import { createTraceState } from "../trace/trace-state";
import type { CostTable } from "./costs";
import type { BusyIntervals } from "./locks";
import { createBusyIntervals } from "./locks";

/** Changes when this layout does. */
export const MACHINE_STATE_VERSION = 2;

/** Owners in the frame table that are not domains. */
export const FRAME_FREE = -1;
export const FRAME_XEN = -2;
/** The owner is gone; the frame waits for its last foreign mapping. */
export const FRAME_ORPHAN = -3;

/** One entry per machine frame. */
export interface FrameTable {
  /** A domid, or FRAME_*. */
  owner: Int32Array;
  /** Grant mappings, copies and disk transfers that hold the frame. */
  pins: Uint32Array;
  freeCount: number;
}

export type VcpuRunState = "offline" | "runnable" | "running" | "blocked";

/** One virtual CPU. Whether its domain is paused or shut down is the domain's state. */
export interface VcpuState {
  readonly domid: number;
  readonly id: number;
  state: VcpuRunState;
  /** Set up by VCPUOP_initialise. */
  initialised: boolean;
  /** VCPUOP_down came while it was running. */
  goesDown: boolean;
  /** Virtual nanoseconds up to which it has run; the last clock that was found valid. */
  clock: number;
  /** Runnable: when it may go on. Never before `clock`. */
  wakeAt: number;
  /** Breaks ties between equal times. */
  seq: number;
  /** Absolute deadline of the one-shot timer; Infinity when unset. */
  timerDeadline: number;
  timerSeq: number;
  /** Ports of an open SCHEDOP_poll; null when it does not poll. */
  poll: number[] | null;
  pollUntil: number;
  /** Times it was entered, and how often in a row it yielded with its clock standing still. */
  entries: number;
  stalls: number;
  ranNs: number;
  /** Index of its clock in the machine memory's `f64`, and of its first control word in `u32`. */
  clockIndex: number;
  controlIndex: number;
}

/** Port states of the 2-level event channel table. */
export const ECS_FREE = 0;
export const ECS_UNBOUND = 1;
export const ECS_INTERDOMAIN = 2;
export const ECS_VIRQ = 3;
export const ECS_IPI = 4;
/** The other end is a service of the hypervisor; `remotePort` holds the XEN_PORT_* number. */
export const ECS_XEN = 5;

export const XEN_PORT_STORE = 0;
export const XEN_PORT_CONSOLE = 1;
export const XEN_PORT_DISK = 2;

/** The event channels of one domain, indexed by port. Port 0 is never used. */
export interface PortTable {
  state: Uint8Array;
  vcpu: Uint8Array;
  remoteDomid: Uint16Array;
  remotePort: Uint16Array;
  virq: Uint8Array;
  count: number;
}

/** What this domain's granted entries are really used for; indexed by reference. Grown with the table. */
export interface ActiveGrants {
  /** Four counters of 8 bits: host writable, host read-only, device writable, device read-only. */
  pin: Uint32Array;
  domid: Uint16Array;
  frame: Uint32Array;
}

/** Handles of what this domain has mapped. */
export interface Maptrack {
  /** GNTMAP_* still in force; 0 means the handle is free. */
  flags: Uint8Array;
  ref: Uint32Array;
  domid: Uint16Array;
  /** Generation of the granting domain. */
  generation: Uint32Array;
  frame: Uint32Array;
  /** Page number of the host mapping, or -1. */
  hostPfn: Int32Array;
  /** Free list through handles. */
  next: Int32Array;
  freeHead: number;
  used: number;
}

/** Foreign frames as this domain sees them; made at its first map. */
export interface ForeignFrames {
  /** Mappings of each machine frame, and how many of them are writable. */
  mapped: Uint32Array;
  writable: Uint32Array;
  /** 1 when the engine may hold a view of the frame. */
  aliased: Uint8Array;
  /** Handle mapped at page `nr_pages + index`, or -1. */
  handleAt: Int32Array;
}

export type DomainRunState = "running" | "shutdown" | "dying";

export interface ConsoleLine {
  /** Virtual nanoseconds. */
  at: number;
  text: string;
}

/** The host-disk doorbell of one domain. */
export interface DoorbellState {
  /** Own page of the completion ring, or -1 before setup. */
  pfn: number;
  port: number;
  prod: number;
  inFlight: number;
}

export interface DomainState {
  readonly domid: number;
  /** Distinguishes successive domains of one domid; never 0. */
  readonly generation: number;
  readonly name: string;
  readonly privileged: boolean;
  readonly firstFrame: number;
  readonly pageCount: number;
  readonly ramBytes: number;
  /** Byte offset of own page 0 in the machine memory's views. */
  readonly ramBase: number;
  readonly controlFrame: number;
  /** Byte offset of shared_info. */
  readonly sharedInfo: number;
  readonly commandLine: string;
  readonly createdAt: number;
  state: DomainRunState;
  shutdownReason: number;
  /** Why it crashed, for the user; null when it did not. */
  report: string | null;
  pauseCount: number;
  /** Its kernel has been evaluated. */
  booted: boolean;
  /** Entries of this domain on the host's stack. */
  depth: number;
  vcpus: VcpuState[];
  ports: PortTable;
  storePort: number;
  consolePort: number;
  /** Frames of the grant table in use, and at most. */
  grantFrames: number;
  grantFramesMax: number;
  active: ActiveGrants;
  grantLock: BusyIntervals;
  maptrack: Maptrack;
  maptrackMax: number;
  foreign: ForeignFrames | null;
  doorbell: DoorbellState;
  log: ConsoleLine[];
  partialLine: string;
  logDropped: number;
  /** Calls by hypercall number. */
  hypercalls: Float64Array;
  counters: DomainCounters;
}

export interface DomainCounters {
  eventsSent: number;
  upcalls: number;
  grantMaps: number;
  grantUnmaps: number;
  grantCopies: number;
  diskRequests: number;
  diskBytes: number;
}

/** Something that will happen at a virtual time; `kind` names the handler. */
export interface QueuedEvent {
  at: number;
  seq: number;
  kind: string;
  domid: number;
  /** Generation of the domain, or 0 when the event is nobody's. */
  generation: number;
  arg: number;
}

export interface DiskSegment {
  sector: number;
  frame: number;
  offset: number;
  length: number;
}

/** One request between the doorbell and its completion. */
export interface DiskRequest {
  id: number;
  domid: number;
  generation: number;
  disk: number;
  op: number;
  tag: number;
  segments: DiskSegment[];
  /** Discard only. */
  sector: number;
  sectorCount: number;
  /** Not 0: refused at the doorbell with this errno, the disk is not touched. */
  refused: number;
}

/** The service times of one host disk. */
export interface DiskTiming {
  baseNs: number;
  /** Nanoseconds per 1024 bytes. */
  perKibNs: number;
  flushNs: number;
  /** Requests served at once. */
  parallelism: number;
}

export interface DiskState {
  timing: DiskTiming;
  /** When each of `parallelism` servers is free. */
  freeAt: Float64Array;
  present: boolean;
  /** Taken away: domains whose driver has not looked since, as domid and generation. */
  unseen: { domid: number; generation: number }[];
  requests: number;
  bytes: number;
}

/** Something that came from outside of the machine. */
export interface InputRecord {
  number: number;
  at: number;
  kind: string;
  data: string;
}

export interface MachineState {
  version: number;
  seed: string;
  /** Virtual time of what was dispatched last, nanoseconds. */
  now: number;
  nextSeq: number;
  nextDomid: number;
  nextGeneration: number;
  nextDiskRequest: number;
  /** Seconds since 1970 at virtual time 0. */
  wallclockSec: number;
  quantumNs: number;
  costs: CostTable;
  frames: FrameTable;
  /** Indexed by domid. */
  domains: (DomainState | undefined)[];
  /** vCPUs of all domains, in order of creation. */
  vcpus: VcpuState[];
  /** Who is on the host's stack, innermost last. Empty between slices. */
  running: { domid: number; vcpu: number }[];
  /** Binary heap by (at, seq). */
  events: QueuedEvent[];
  tlbLock: BusyIntervals;
  disks: DiskState[];
  diskGeneration: number;
  diskRequests: Map<number, DiskRequest>;
  streams: Record<string, Uint32Array>;
  inputs: InputRecord[];
  trace: TraceState;
}

export interface MachineStateOptions {
  seed: string;
  costs: CostTable;
  frameCount: number;
  quantumNs?: number;
  wallclockSec?: number;
}

/** 2026-01-01T00:00:00Z. */
const WALLCLOCK_SEC_DEFAULT = 1767225600;
/** How far one vCPU may run ahead of the others. */
export const QUANTUM_NS_DEFAULT = 2000;

/** A machine with nothing in it, at time 0. */
export function createMachineState(options: MachineStateOptions): MachineState {
  return {
    version: MACHINE_STATE_VERSION,
    seed: options.seed,
    now: 0,
    nextSeq: 1,
    nextDomid: 1,
    nextGeneration: 1,
    nextDiskRequest: 1,
    wallclockSec: options.wallclockSec ?? WALLCLOCK_SEC_DEFAULT,
    quantumNs: options.quantumNs ?? QUANTUM_NS_DEFAULT,
    costs: { ...options.costs },
    frames: {
      owner: new Int32Array(options.frameCount).fill(FRAME_FREE),
      pins: new Uint32Array(options.frameCount),
      freeCount: options.frameCount,
    },
    domains: [],
    vcpus: [],
    running: [],
    events: [],
    tlbLock: createBusyIntervals(),
    disks: [],
    diskGeneration: 1,
    diskRequests: new Map(),
    streams: {},
    inputs: [],
    trace: createTraceState(),
  };
}
