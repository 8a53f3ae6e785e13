/**
 * The event channel table of a domain and the delivery of events (2-level ABI).
 *
 *   free ──alloc_unbound──► unbound ──peer binds──► interdomain ──peer closes──► unbound
 *   free ──bind_virq, bind_ipi──► virq, ipi         any ──close──► free
 *
 * The pending and mask words lie in shared_info, where the guest changes them too: they decide only what is delivered to that guest.
 */
import { EVTCHN_2L_NR_CHANNELS } from "../../abi/event_channel";
import {
  SHARED_INFO_EVTCHN_MASK,
  SHARED_INFO_EVTCHN_PENDING,
  VCPU_INFO_EVTCHN_PENDING_SEL,
  VCPU_INFO_EVTCHN_UPCALL_MASK,
  VCPU_INFO_EVTCHN_UPCALL_PENDING,
} from "../../abi/xen";
import type { Context } from "./context";
import type { DomainState, PortTable } from "./state";
import { ECS_FREE, ECS_INTERDOMAIN, ECS_UNBOUND, ECS_VIRQ } from "./state";
import { vcpuInfo, wakeVcpu } from "./vcpus";

/** Port 0 is never used, so one less can be. */
export const PORTS_MAX = EVTCHN_2L_NR_CHANNELS;

const PORTS_INITIAL = 64;

function portArrays(size: number): PortTable {
  return {
    state: new Uint8Array(size),
    vcpu: new Uint8Array(size),
    remoteDomid: new Uint16Array(size),
    remotePort: new Uint16Array(size),
    virq: new Uint8Array(size),
    count: 0,
  };
}

/** A table without ports. */
export function createPortTable(): PortTable {
  return portArrays(PORTS_INITIAL);
}

function growPorts(domain: DomainState): void {
  const old = domain.ports;
  const table = portArrays(Math.min(PORTS_MAX, old.state.length * 2));
  for (const name of ["state", "vcpu", "remoteDomid", "remotePort", "virq"] as const) table[name].set(old[name]);
  table.count = old.count;
  domain.ports = table;
}

/** The lowest free port, grown into if need be, or -1. It stays free until its state is set with `openPort`. */
export function findFreePort(domain: DomainState): number {
  for (let port = 1; port < PORTS_MAX; port++) {
    if (port >= domain.ports.state.length) growPorts(domain);
    if (domain.ports.state[port] === ECS_FREE) return port;
  }
  return -1;
}

/** Puts a free port to use. `vcpu` gets its events. */
export function openPort(domain: DomainState, port: number, state: number, vcpu: number): void {
  const { ports } = domain;
  ports.state[port] = state;
  ports.vcpu[port] = vcpu;
  ports.remoteDomid[port] = 0;
  ports.remotePort[port] = 0;
  ports.virq[port] = 0;
  ports.count++;
}

/** Whether `port` (any u32) is in use. */
export function portInUse(domain: DomainState, port: number): boolean {
  return port < domain.ports.state.length && domain.ports.state[port] !== ECS_FREE;
}

function pendingWord(domain: DomainState, port: number): number {
  return ((domain.sharedInfo + SHARED_INFO_EVTCHN_PENDING) >>> 2) + (port >>> 5);
}

function maskWord(domain: DomainState, port: number): number {
  return ((domain.sharedInfo + SHARED_INFO_EVTCHN_MASK) >>> 2) + (port >>> 5);
}

export function isPending(context: Context, domain: DomainState, port: number): boolean {
  return (context.memory.u32[pendingWord(domain, port)] & (1 << (port & 31))) !== 0;
}

/** Sets the port's selector bit; on its 0→1 edge asks for an upcall, and wakes the vCPU if upcalls are allowed. */
function select(context: Context, domain: DomainState, port: number, at: number): void {
  const { u32, u8 } = context.memory;
  const vcpu = domain.vcpus[domain.ports.vcpu[port]];
  const info = vcpuInfo(domain, vcpu.id);
  const selector = ((info + VCPU_INFO_EVTCHN_PENDING_SEL) >>> 2) + (port >>> 11);
  const bit = 1 << ((port >>> 6) & 31);
  if ((u32[selector] & bit) !== 0) return;
  u32[selector] |= bit;
  if (u8[info + VCPU_INFO_EVTCHN_UPCALL_PENDING] !== 0) return;
  u8[info + VCPU_INFO_EVTCHN_UPCALL_PENDING] = 1;
  domain.counters.upcalls++;
  if (u8[info + VCPU_INFO_EVTCHN_UPCALL_MASK] === 0) wakeVcpu(context, vcpu, at);
}

function wakePollers(context: Context, domain: DomainState, port: number, at: number): void {
  for (let i = 0; i < domain.vcpus.length; i++) {
    const { poll } = domain.vcpus[i];
    if (poll !== null && poll.includes(port)) wakeVcpu(context, domain.vcpus[i], at);
  }
}

/** Makes a port in use pending, at virtual time `at` for whoever it wakes. An event that is pending already is one with it. */
export function setPending(context: Context, domain: DomainState, port: number, at: number): void {
  const { u32 } = context.memory;
  const word = pendingWord(domain, port);
  const bit = 1 << (port & 31);
  if ((u32[word] & bit) !== 0) return;
  u32[word] |= bit;
  context.trace.event(domain.domid, port, at);
  wakePollers(context, domain, port, at);
  if ((u32[maskWord(domain, port)] & bit) === 0) select(context, domain, port, at);
}

/** Clears the port's mask bit and delivers again what is pending. */
export function unmaskPort(context: Context, domain: DomainState, port: number, at: number): void {
  const { u32 } = context.memory;
  const word = maskWord(domain, port);
  const bit = 1 << (port & 31);
  if ((u32[word] & bit) === 0) return;
  u32[word] &= ~bit;
  if (isPending(context, domain, port)) select(context, domain, port, at);
}

/** Frees a port in use. An interdomain peer's port becomes unbound again, reserved for this domain. */
export function closePort(context: Context, domain: DomainState, port: number): void {
  const { ports } = domain;
  if (ports.state[port] === ECS_INTERDOMAIN) {
    const peer = context.state.domains[ports.remoteDomid[port]];
    if (peer !== undefined) {
      const remote = ports.remotePort[port];
      peer.ports.state[remote] = ECS_UNBOUND;
      peer.ports.remoteDomid[remote] = domain.domid;
      peer.ports.remotePort[remote] = 0;
    }
  }
  context.memory.u32[pendingWord(domain, port)] &= ~(1 << (port & 31));
  ports.state[port] = ECS_FREE;
  ports.count--;
  if (port === domain.storePort) domain.storePort = 0;
  if (port === domain.consolePort) domain.consolePort = 0;
  if (port === domain.doorbell.port) {
    domain.doorbell.port = 0;
    // With nothing in flight the completion page is the guest's own again.
    if (domain.doorbell.inFlight === 0) domain.doorbell.pfn = -1;
  }
}

/** Closes all ports of a domain. */
export function closeAllPorts(context: Context, domain: DomainState): void {
  for (let port = 1; port < domain.ports.state.length; port++) {
    if (domain.ports.state[port] !== ECS_FREE) closePort(context, domain, port);
  }
}

/** The port to which `virq` of `vcpu` is bound, or 0. */
export function virqPort(domain: DomainState, virq: number, vcpu: number): number {
  const { ports } = domain;
  for (let port = 1; port < ports.state.length; port++) {
    if (ports.state[port] === ECS_VIRQ && ports.virq[port] === virq && ports.vcpu[port] === vcpu) return port;
  }
  return 0;
}

/** Raises a per-vCPU virtual interrupt, if it is bound. */
export function raiseVirq(context: Context, domain: DomainState, virq: number, vcpu: number, at: number): void {
  const port = virqPort(domain, virq, vcpu);
  if (port !== 0) setPending(context, domain, port, at);
}

/** Raises a virtual interrupt of the whole domain, on whatever vCPU it is now. */
export function raiseGlobalVirq(context: Context, domain: DomainState, virq: number, at: number): void {
  const { ports } = domain;
  for (let port = 1; port < ports.state.length; port++) {
    if (ports.state[port] === ECS_VIRQ && ports.virq[port] === virq) setPending(context, domain, port, at);
  }
}
