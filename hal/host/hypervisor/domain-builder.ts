/**
 * Builds a domain: RAM, control page, vCPUs, the two ports to the hypervisor's services, and the pages that its kernel finds at boot.
 *
 *   page 0 start_info · 1 shared_info · 2 xenstore ring · 3 console ring · 4… grant table · then the kernel's own
 */
import {
  CONTROL_COSTS,
  CONTROL_PREEMPT,
  CONTROL_VCPU_COUNT,
  CONTROL_VCPU_DOUBLES,
  CONTROL_VCPU_WORDS,
  CONTROL_VCPUS_MAX,
} from "../../abi/control";
import {
  GNTTAB_RESERVED_CONSOLE,
  GNTTAB_RESERVED_XENSTORE,
  GRANT_ENTRY_V1_DOMID,
  GRANT_ENTRY_V1_FLAGS,
  GRANT_ENTRY_V1_FRAME,
  GTF_permit_access,
} from "../../abi/grant_table";
import {
  DOMID_FIRST_RESERVED,
  MAX_GUEST_CMDLINE,
  SIF_INITDOMAIN,
  SIF_PRIVILEGED,
  START_INFO_CMD_LINE,
  START_INFO_CONSOLE_DOMU_EVTCHN,
  START_INFO_CONSOLE_DOMU_MFN,
  START_INFO_FLAGS,
  START_INFO_MAGIC,
  START_INFO_MAGIC_XEN_3_0_X86_64,
  START_INFO_NR_PAGES,
  START_INFO_SHARED_INFO,
  START_INFO_STORE_EVTCHN,
  START_INFO_STORE_MFN,
} from "../../abi/xen";
import { TRACE_DOMAIN_CREATED } from "../trace/records";
import { createActiveGrants, grantEntry } from "./active-grants";
import type { Context } from "./context";
import { guestCosts } from "./costs";
import {
  CONSOLE_PFN,
  DOMAIN_PAGES_MIN,
  GRANT_FRAMES_MAX,
  GRANT_TABLE_PFN,
  SHARED_INFO_PFN,
  START_INFO_PFN,
  STORE_PFN,
} from "./domain-layout";
import { allocateFrames, frameOffset, releaseFrames } from "./frames";
import { touchPages, writeU64 } from "./guest-memory";
import { HYPERCALLS_MAX } from "./hypercalls";
import { createBusyIntervals } from "./locks";
import { createMaptrack } from "./maptrack";
import { FRAME_SIZE } from "./memory";
import { createPortTable, findFreePort, openPort } from "./ports";
import type { DomainState, VcpuState } from "./state";
import { ECS_XEN, FRAME_XEN, XEN_PORT_CONSOLE, XEN_PORT_STORE } from "./state";
import { writeWallclock } from "./time-info";

/** Mappings that a domain may have, unless its configuration says otherwise. */
export const MAPTRACK_MAX_DEFAULT = 262144;

/** What a domain is made of. */
export interface DomainConfig {
  /** Default: one above the last, from 1 again when all have been used, as on Xen; dom0 must be asked for. */
  readonly domid?: number;
  readonly name: string;
  /** Pages of RAM. */
  readonly pages: number;
  readonly vcpus: number;
  /** At most 1023 bytes of UTF-8. */
  readonly commandLine: string;
  readonly privileged: boolean;
  /** Handles for mappings, at most. */
  readonly maptrackMax?: number;
  /** Frames of its grant table, at most 32. */
  readonly grantFramesMax?: number;
}

function requireRange(what: string, value: number, low: number, high: number): void {
  if (!Number.isInteger(value) || value < low || value > high) {
    throw new RangeError(`${what}: ${value} is not a whole number in ${low} … ${high}`);
  }
}

function checkConfig(context: Context, config: DomainConfig, domid: number): void {
  requireRange("domid", domid, 0, DOMID_FIRST_RESERVED - 1);
  requireRange("vcpus", config.vcpus, 1, CONTROL_VCPUS_MAX);
  requireRange("pages", config.pages, DOMAIN_PAGES_MIN, context.memory.frameCount);
  requireRange("grantFramesMax", config.grantFramesMax ?? GRANT_FRAMES_MAX, 1, GRANT_FRAMES_MAX);
  requireRange("maptrackMax", config.maptrackMax ?? MAPTRACK_MAX_DEFAULT, 0, 1 << 24);
  if (context.state.domains[domid] !== undefined) throw new RangeError(`domid ${domid} is in use`);
  const bytes = Buffer.byteLength(config.commandLine, "utf8");
  if (bytes >= MAX_GUEST_CMDLINE) {
    throw new RangeError(
      `the command line of "${config.name}" has ${bytes} bytes; at most ${MAX_GUEST_CMDLINE - 1} fit`,
    );
  }
}

function takeDomid(context: Context, config: DomainConfig): number {
  const { state } = context;
  if (config.domid === undefined) {
    if (state.nextDomid >= DOMID_FIRST_RESERVED) state.nextDomid = 1;
    while (state.domains[state.nextDomid] !== undefined) state.nextDomid++;
  }
  const domid = config.domid ?? state.nextDomid;
  checkConfig(context, config, domid);
  if (domid >= state.nextDomid) state.nextDomid = domid + 1;
  return domid;
}

/** RAM and a control page, or RangeError when the machine has no room; then nothing is taken. */
function takeFrames(context: Context, domid: number, config: DomainConfig): { ram: number; control: number } {
  const ram = allocateFrames(context, domid, config.pages);
  const control = ram < 0 ? -1 : allocateFrames(context, FRAME_XEN, 1);
  if (control >= 0) return { ram, control };
  if (ram >= 0) releaseFrames(context, ram, config.pages);
  const free = context.state.frames.freeCount;
  throw new RangeError(
    `no room for "${config.name}": it needs ${config.pages + 1} frames in one piece, ${free} are free`,
  );
}

function createVcpu(context: Context, domain: DomainState, id: number): VcpuState {
  const control = frameOffset(context, domain.controlFrame);
  return {
    domid: domain.domid,
    id,
    state: id === 0 ? "runnable" : "offline",
    initialised: id === 0,
    goesDown: false,
    clock: context.state.now,
    wakeAt: context.state.now,
    seq: context.state.nextSeq++,
    timerDeadline: Infinity,
    timerSeq: 0,
    poll: null,
    pollUntil: Infinity,
    entries: 0,
    stalls: 0,
    ranNs: 0,
    clockIndex: (control >>> 3) + id * CONTROL_VCPU_DOUBLES,
    controlIndex: (control >>> 2) + id * CONTROL_VCPU_WORDS,
  };
}

function createState(
  context: Context,
  domid: number,
  config: DomainConfig,
  frames: { ram: number; control: number },
): DomainState {
  const ramBase = frameOffset(context, frames.ram);
  return {
    domid,
    generation: context.state.nextGeneration++,
    name: config.name,
    privileged: config.privileged,
    firstFrame: frames.ram,
    pageCount: config.pages,
    ramBytes: config.pages * FRAME_SIZE,
    ramBase,
    controlFrame: frames.control,
    sharedInfo: ramBase + SHARED_INFO_PFN * FRAME_SIZE,
    commandLine: config.commandLine,
    createdAt: context.state.now,
    state: "running",
    shutdownReason: -1,
    report: null,
    pauseCount: 0,
    booted: false,
    depth: 0,
    vcpus: [],
    ports: createPortTable(),
    storePort: 0,
    consolePort: 0,
    grantFrames: 1,
    grantFramesMax: config.grantFramesMax ?? GRANT_FRAMES_MAX,
    active: createActiveGrants(1, null),
    grantLock: createBusyIntervals(),
    maptrack: createMaptrack(),
    maptrackMax: config.maptrackMax ?? MAPTRACK_MAX_DEFAULT,
    foreign: null,
    doorbell: { pfn: -1, port: 0, prod: 0, inFlight: 0 },
    log: [],
    partialLine: "",
    logDropped: 0,
    hypercalls: new Float64Array(HYPERCALLS_MAX),
    counters: {
      eventsSent: 0,
      upcalls: 0,
      grantMaps: 0,
      grantUnmaps: 0,
      grantCopies: 0,
      diskRequests: 0,
      diskBytes: 0,
    },
  };
}

function openServicePort(domain: DomainState, service: number): number {
  const port = findFreePort(domain);
  openPort(domain, port, ECS_XEN, 0);
  domain.ports.remotePort[port] = service;
  return port;
}

/** Lets dom0 at a service ring, as the toolstack does on Xen. */
function grantRing(context: Context, domain: DomainState, ref: number, pfn: number): void {
  const entry = grantEntry(domain, ref);
  context.memory.u16[(entry + GRANT_ENTRY_V1_DOMID) >>> 1] = 0;
  context.memory.u32[(entry + GRANT_ENTRY_V1_FRAME) >>> 2] = domain.firstFrame + pfn;
  context.memory.u16[(entry + GRANT_ENTRY_V1_FLAGS) >>> 1] = GTF_permit_access;
}

function writeText(context: Context, at: number, text: string): void {
  context.memory.u8.set(Buffer.from(text, "utf8"), at);
}

function writeStartInfo(context: Context, domain: DomainState): void {
  const { memory } = context;
  const info = domain.ramBase + START_INFO_PFN * FRAME_SIZE;
  writeText(context, info + START_INFO_MAGIC, START_INFO_MAGIC_XEN_3_0_X86_64);
  writeU64(memory, (info + START_INFO_NR_PAGES) >>> 2, domain.pageCount);
  writeU64(memory, (info + START_INFO_SHARED_INFO) >>> 2, (domain.firstFrame + SHARED_INFO_PFN) * FRAME_SIZE);
  writeU64(memory, (info + START_INFO_STORE_MFN) >>> 2, domain.firstFrame + STORE_PFN);
  memory.u32[(info + START_INFO_STORE_EVTCHN) >>> 2] = domain.storePort;
  writeU64(memory, (info + START_INFO_CONSOLE_DOMU_MFN) >>> 2, domain.firstFrame + CONSOLE_PFN);
  memory.u32[(info + START_INFO_CONSOLE_DOMU_EVTCHN) >>> 2] = domain.consolePort;
  const privileged = domain.privileged ? SIF_PRIVILEGED : 0;
  memory.u32[(info + START_INFO_FLAGS) >>> 2] = privileged | (domain.domid === 0 ? SIF_INITDOMAIN : 0);
  writeText(context, info + START_INFO_CMD_LINE, domain.commandLine);
}

function writeControlPage(context: Context, domain: DomainState): void {
  const control = frameOffset(context, domain.controlFrame) >>> 2;
  const { u32 } = context.memory;
  u32[control + CONTROL_VCPU_COUNT] = domain.vcpus.length;
  u32[control + CONTROL_PREEMPT] = context.preempt === null ? 0 : 1;
  u32.set(guestCosts(context.state.costs), control + CONTROL_COSTS);
}

/** Makes a domain; nothing of it runs before it has an engine and is unpaused. Throws RangeError on a configuration that cannot be. */
export function createDomain(context: Context, config: DomainConfig): DomainState {
  const domid = takeDomid(context, config);
  const domain = createState(context, domid, config, takeFrames(context, domid, config));
  for (let id = 0; id < config.vcpus; id++) domain.vcpus.push(createVcpu(context, domain, id));
  domain.storePort = openServicePort(domain, XEN_PORT_STORE);
  domain.consolePort = openServicePort(domain, XEN_PORT_CONSOLE);
  context.state.domains[domid] = domain;
  context.state.vcpus.push(...domain.vcpus);
  touchPages(context, domain, 0, GRANT_TABLE_PFN + domain.grantFramesMax);
  writeStartInfo(context, domain);
  writeWallclock(context, domain.sharedInfo);
  writeControlPage(context, domain);
  if (domid !== 0) {
    grantRing(context, domain, GNTTAB_RESERVED_CONSOLE, CONSOLE_PFN);
    grantRing(context, domain, GNTTAB_RESERVED_XENSTORE, STORE_PFN);
  }
  context.trace.domain(domid, TRACE_DOMAIN_CREATED, config.pages, context.state.now);
  return domain;
}
