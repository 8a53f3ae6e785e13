/** The event_channel_op hypercall. FIFO channels and physical interrupts are not offered (-ENOSYS). */
import { EEXIST, EFAULT, EINVAL, ENOENT, ENOSPC, ENOSYS, EPERM, ESRCH } from "../../abi/errno";
import {
  EVTCHNOP_alloc_unbound,
  EVTCHNOP_bind_interdomain,
  EVTCHNOP_bind_ipi,
  EVTCHNOP_bind_vcpu,
  EVTCHNOP_bind_virq,
  EVTCHNOP_close,
  EVTCHNOP_reset,
  EVTCHNOP_send,
  EVTCHNOP_status,
  EVTCHNOP_unmask,
  EVTCHNSTAT_closed,
  EVTCHNSTAT_interdomain,
  EVTCHNSTAT_ipi,
  EVTCHNSTAT_unbound,
  EVTCHNSTAT_virq,
  EVTCHN_ALLOC_UNBOUND_DOM,
  EVTCHN_ALLOC_UNBOUND_PORT,
  EVTCHN_ALLOC_UNBOUND_REMOTE_DOM,
  EVTCHN_ALLOC_UNBOUND_SIZE,
  EVTCHN_BIND_INTERDOMAIN_LOCAL_PORT,
  EVTCHN_BIND_INTERDOMAIN_REMOTE_DOM,
  EVTCHN_BIND_INTERDOMAIN_REMOTE_PORT,
  EVTCHN_BIND_INTERDOMAIN_SIZE,
  EVTCHN_BIND_IPI_PORT,
  EVTCHN_BIND_IPI_SIZE,
  EVTCHN_BIND_IPI_VCPU,
  EVTCHN_BIND_VCPU_PORT,
  EVTCHN_BIND_VCPU_SIZE,
  EVTCHN_BIND_VCPU_VCPU,
  EVTCHN_BIND_VIRQ_PORT,
  EVTCHN_BIND_VIRQ_SIZE,
  EVTCHN_BIND_VIRQ_VCPU,
  EVTCHN_BIND_VIRQ_VIRQ,
  EVTCHN_CLOSE_SIZE,
  EVTCHN_RESET_SIZE,
  EVTCHN_SEND_SIZE,
  EVTCHN_STATUS_DOM,
  EVTCHN_STATUS_PORT,
  EVTCHN_STATUS_SIZE,
  EVTCHN_STATUS_STATUS,
  EVTCHN_STATUS_U_INTERDOMAIN_DOM,
  EVTCHN_STATUS_U_INTERDOMAIN_PORT,
  EVTCHN_STATUS_U_UNBOUND_DOM,
  EVTCHN_STATUS_U_VIRQ,
  EVTCHN_STATUS_VCPU,
  EVTCHN_UNMASK_SIZE,
} from "../../abi/event_channel";
import { DOMID_SELF, NR_VIRQS, VIRQ_DEBUG, VIRQ_TIMER, VIRQ_XENOPROF, VIRQ_XENPMU } from "../../abi/xen";
import { charge } from "./clock";
import type { Context } from "./context";
import { queueEvent } from "./event-queue";
import { guestRangeOk, guestWord } from "./guest-memory";
import {
  closeAllPorts,
  closePort,
  findFreePort,
  openPort,
  portInUse,
  PORTS_MAX,
  setPending,
  unmaskPort,
  virqPort,
} from "./ports";
import type { DomainState, VcpuState } from "./state";
import { ECS_INTERDOMAIN, ECS_IPI, ECS_UNBOUND, ECS_VIRQ, ECS_XEN, XEN_PORT_CONSOLE, XEN_PORT_STORE } from "./state";

/** Kinds of queued events that a send to a hypervisor service makes. */
export const EVENT_STORE = "store";
export const EVENT_CONSOLE = "console";

function isPerVcpu(virq: number): boolean {
  return virq === VIRQ_TIMER || virq === VIRQ_DEBUG || virq === VIRQ_XENOPROF || virq === VIRQ_XENPMU;
}

/** The domain that an operation's `dom` field means, or a negative errno. Others than oneself are for the privileged. */
function subject(context: Context, domain: DomainState, domid: number): DomainState | number {
  if (domid === DOMID_SELF || domid === domain.domid) return domain;
  const other = context.state.domains[domid];
  if (other === undefined) return -ESRCH;
  return domain.privileged ? other : -EPERM;
}

function allocUnbound(context: Context, domain: DomainState, word: number): number {
  const { u16, u32 } = context.memory;
  const owner = subject(context, domain, u16[(word << 1) + (EVTCHN_ALLOC_UNBOUND_DOM >>> 1)]);
  if (typeof owner === "number") return owner;
  const port = findFreePort(owner);
  if (port < 0) return -ENOSPC;
  const remote = u16[(word << 1) + (EVTCHN_ALLOC_UNBOUND_REMOTE_DOM >>> 1)];
  openPort(owner, port, ECS_UNBOUND, 0);
  owner.ports.remoteDomid[port] = remote === DOMID_SELF ? domain.domid : remote;
  u32[word + (EVTCHN_ALLOC_UNBOUND_PORT >>> 2)] = port;
  return 0;
}

function bindInterdomain(context: Context, domain: DomainState, vcpu: VcpuState, word: number): number {
  const { u16, u32 } = context.memory;
  const wanted = u16[(word << 1) + (EVTCHN_BIND_INTERDOMAIN_REMOTE_DOM >>> 1)];
  const remotePort = u32[word + (EVTCHN_BIND_INTERDOMAIN_REMOTE_PORT >>> 2)];
  const remote = wanted === DOMID_SELF ? domain : context.state.domains[wanted];
  if (remote === undefined) return -ESRCH;
  const port = findFreePort(domain);
  if (port < 0) return -ENOSPC;
  if (!portInUse(remote, remotePort)) return -EINVAL;
  if (remote.ports.state[remotePort] !== ECS_UNBOUND) return -EINVAL;
  if (remote.ports.remoteDomid[remotePort] !== domain.domid) return -EINVAL;
  openPort(domain, port, ECS_INTERDOMAIN, 0);
  domain.ports.remoteDomid[port] = remote.domid;
  domain.ports.remotePort[port] = remotePort;
  remote.ports.state[remotePort] = ECS_INTERDOMAIN;
  remote.ports.remoteDomid[remotePort] = domain.domid;
  remote.ports.remotePort[remotePort] = port;
  setPending(context, domain, port, vcpu.clock);
  u32[word + (EVTCHN_BIND_INTERDOMAIN_LOCAL_PORT >>> 2)] = port;
  return 0;
}

function bindVirq(context: Context, domain: DomainState, word: number): number {
  const { u32 } = context.memory;
  const virq = u32[word + (EVTCHN_BIND_VIRQ_VIRQ >>> 2)];
  const target = u32[word + (EVTCHN_BIND_VIRQ_VCPU >>> 2)];
  if (virq >= NR_VIRQS) return -EINVAL;
  if (!isPerVcpu(virq) && target !== 0) return -EINVAL;
  if (target >= domain.vcpus.length) return -ENOENT;
  if (virqPort(domain, virq, target) !== 0) return -EEXIST;
  const port = findFreePort(domain);
  if (port < 0) return -ENOSPC;
  openPort(domain, port, ECS_VIRQ, target);
  domain.ports.virq[port] = virq;
  u32[word + (EVTCHN_BIND_VIRQ_PORT >>> 2)] = port;
  return 0;
}

function bindIpi(context: Context, domain: DomainState, word: number): number {
  const { u32 } = context.memory;
  const target = u32[word + (EVTCHN_BIND_IPI_VCPU >>> 2)];
  if (target >= domain.vcpus.length) return -ENOENT;
  const port = findFreePort(domain);
  if (port < 0) return -ENOSPC;
  openPort(domain, port, ECS_IPI, target);
  u32[word + (EVTCHN_BIND_IPI_PORT >>> 2)] = port;
  return 0;
}

/** A notification to a service: it looks at the ring a little later. */
function sendToService(context: Context, domain: DomainState, vcpu: VcpuState, service: number): void {
  const at = vcpu.clock + context.state.costs.serviceNs;
  if (service === XEN_PORT_STORE) queueEvent(context, at, EVENT_STORE, domain.domid, domain.generation, 0);
  if (service === XEN_PORT_CONSOLE) queueEvent(context, at, EVENT_CONSOLE, domain.domid, domain.generation, 0);
}

/** Notifies the other end of `port`. 0, also when nobody is there; -EINVAL for a port that cannot be sent to. */
function send(context: Context, domain: DomainState, vcpu: VcpuState, port: number): number {
  if (!portInUse(domain, port)) return -EINVAL;
  const { costs, domains } = context.state;
  const { ports } = domain;
  charge(context, vcpu, costs.eventSendNs);
  switch (ports.state[port]) {
    case ECS_INTERDOMAIN: {
      const peer = domains[ports.remoteDomid[port]];
      if (peer !== undefined) setPending(context, peer, ports.remotePort[port], vcpu.clock + costs.eventDeliveryNs);
      break;
    }
    case ECS_IPI:
      setPending(context, domain, port, vcpu.clock + costs.eventDeliveryNs);
      break;
    case ECS_XEN:
      sendToService(context, domain, vcpu, ports.remotePort[port]);
      break;
    case ECS_UNBOUND:
      break;
    default:
      return -EINVAL;
  }
  domain.counters.eventsSent++;
  return 0;
}

const STATUS_OF: readonly number[] = [
  EVTCHNSTAT_closed,
  EVTCHNSTAT_unbound,
  EVTCHNSTAT_interdomain,
  EVTCHNSTAT_virq,
  EVTCHNSTAT_ipi,
  EVTCHNSTAT_interdomain,
];

function status(context: Context, domain: DomainState, word: number): number {
  const { u16, u32 } = context.memory;
  const half = word << 1;
  const owner = subject(context, domain, u16[half + (EVTCHN_STATUS_DOM >>> 1)]);
  if (typeof owner === "number") return owner;
  const port = u32[word + (EVTCHN_STATUS_PORT >>> 2)];
  const { ports } = owner;
  if (port === 0 || port >= ports.state.length) {
    if (port === 0 || port >= PORTS_MAX) return -EINVAL;
    u32[word + (EVTCHN_STATUS_STATUS >>> 2)] = EVTCHNSTAT_closed;
    return 0;
  }
  u32[word + (EVTCHN_STATUS_STATUS >>> 2)] = STATUS_OF[ports.state[port]];
  u32[word + (EVTCHN_STATUS_VCPU >>> 2)] = ports.vcpu[port];
  statusUnion(context, owner, port, word);
  return 0;
}

function statusUnion(context: Context, owner: DomainState, port: number, word: number): void {
  const { u16, u32 } = context.memory;
  const { ports } = owner;
  switch (ports.state[port]) {
    case ECS_UNBOUND:
      u16[(word << 1) + (EVTCHN_STATUS_U_UNBOUND_DOM >>> 1)] = ports.remoteDomid[port];
      break;
    case ECS_INTERDOMAIN:
      u16[(word << 1) + (EVTCHN_STATUS_U_INTERDOMAIN_DOM >>> 1)] = ports.remoteDomid[port];
      u32[word + (EVTCHN_STATUS_U_INTERDOMAIN_PORT >>> 2)] = ports.remotePort[port];
      break;
    case ECS_XEN:
      u16[(word << 1) + (EVTCHN_STATUS_U_INTERDOMAIN_DOM >>> 1)] = 0;
      u32[word + (EVTCHN_STATUS_U_INTERDOMAIN_PORT >>> 2)] = 0;
      break;
    case ECS_VIRQ:
      u32[word + (EVTCHN_STATUS_U_VIRQ >>> 2)] = ports.virq[port];
      break;
  }
}

/** Moves the events of a port; per-vCPU interrupts and IPIs stay where they are. */
function bindVcpu(context: Context, domain: DomainState, word: number): number {
  const { u32 } = context.memory;
  const port = u32[word + (EVTCHN_BIND_VCPU_PORT >>> 2)];
  const target = u32[word + (EVTCHN_BIND_VCPU_VCPU >>> 2)];
  if (target >= domain.vcpus.length) return -ENOENT;
  if (!portInUse(domain, port)) return -EINVAL;
  const { ports } = domain;
  if (ports.state[port] === ECS_IPI) return -EINVAL;
  if (ports.state[port] === ECS_VIRQ && isPerVcpu(ports.virq[port])) return -EINVAL;
  ports.vcpu[port] = target;
  return 0;
}

function close(context: Context, domain: DomainState, port: number): number {
  if (!portInUse(domain, port)) return -EINVAL;
  closePort(context, domain, port);
  return 0;
}

function unmask(context: Context, domain: DomainState, vcpu: VcpuState, port: number): number {
  if (!portInUse(domain, port)) return -EINVAL;
  unmaskPort(context, domain, port, vcpu.clock);
  return 0;
}

function reset(context: Context, domain: DomainState, word: number): number {
  const owner = subject(context, domain, context.memory.u16[word << 1]);
  if (typeof owner === "number") return owner;
  closeAllPorts(context, owner);
  return 0;
}

/** Bytes of the argument, or 0 when there is no such operation. */
function argumentSize(command: number): number {
  switch (command) {
    case EVTCHNOP_alloc_unbound:
      return EVTCHN_ALLOC_UNBOUND_SIZE;
    case EVTCHNOP_bind_interdomain:
      return EVTCHN_BIND_INTERDOMAIN_SIZE;
    case EVTCHNOP_bind_virq:
      return EVTCHN_BIND_VIRQ_SIZE;
    case EVTCHNOP_bind_ipi:
      return EVTCHN_BIND_IPI_SIZE;
    case EVTCHNOP_bind_vcpu:
      return EVTCHN_BIND_VCPU_SIZE;
    case EVTCHNOP_close:
      return EVTCHN_CLOSE_SIZE;
    case EVTCHNOP_send:
      return EVTCHN_SEND_SIZE;
    case EVTCHNOP_status:
      return EVTCHN_STATUS_SIZE;
    case EVTCHNOP_unmask:
      return EVTCHN_UNMASK_SIZE;
    case EVTCHNOP_reset:
      return EVTCHN_RESET_SIZE;
    default:
      return 0;
  }
}

/** __HYPERVISOR_event_channel_op(cmd, address). 0 or a negative errno of section 5.6. */
export function eventChannelOp(
  context: Context,
  domain: DomainState,
  vcpu: VcpuState,
  command: number,
  address: number,
): number {
  const size = argumentSize(command);
  if (size === 0) return -ENOSYS;
  if (!guestRangeOk(context, domain, address, size)) return -EFAULT;
  const word = guestWord(domain, address);
  const first = context.memory.u32[word];
  switch (command) {
    case EVTCHNOP_send:
      return send(context, domain, vcpu, first);
    case EVTCHNOP_unmask:
      return unmask(context, domain, vcpu, first);
    case EVTCHNOP_close:
      return close(context, domain, first);
    case EVTCHNOP_alloc_unbound:
      return allocUnbound(context, domain, word);
    case EVTCHNOP_bind_interdomain:
      return bindInterdomain(context, domain, vcpu, word);
    case EVTCHNOP_bind_virq:
      return bindVirq(context, domain, word);
    case EVTCHNOP_bind_ipi:
      return bindIpi(context, domain, word);
    case EVTCHNOP_bind_vcpu:
      return bindVcpu(context, domain, word);
    case EVTCHNOP_status:
      return status(context, domain, word);
    default:
      return reset(context, domain, word);
  }
}
