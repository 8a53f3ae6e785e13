/**
 * sched_op and set_timer_op. A guest gives its vCPU up by returning from its entry, so block and yield only prepare that: block allows upcalls,
 * poll notes for what the vCPU waits.
 */
import { EFAULT, EINVAL, ENOSYS, EPERM, ESRCH } from "../../abi/errno";
import {
  SCHED_POLL_NR_PORTS,
  SCHED_POLL_PORTS,
  SCHED_POLL_SIZE,
  SCHED_POLL_TIMEOUT,
  SCHED_REMOTE_SHUTDOWN_DOMAIN_ID,
  SCHED_REMOTE_SHUTDOWN_REASON,
  SCHED_REMOTE_SHUTDOWN_SIZE,
  SCHED_SHUTDOWN_SIZE,
  SCHEDOP_block,
  SCHEDOP_poll,
  SCHEDOP_remote_shutdown,
  SCHEDOP_shutdown,
  SCHEDOP_yield,
  SHUTDOWN_MAX,
} from "../../abi/sched";
import { VCPU_INFO_EVTCHN_UPCALL_MASK } from "../../abi/xen";
import { charge, lowerSlices } from "./clock";
import type { Context } from "./context";
import { guestRangeOk, guestWord, readU64 } from "./guest-memory";
import { isPending, PORTS_MAX, portInUse } from "./ports";
import { shutdownDomain } from "./shutdown";
import type { DomainState, VcpuState } from "./state";
import { setTimer, vcpuInfo } from "./vcpus";

/** Ports of one poll, at most. */
const POLL_PORTS_MAX = 128;

function shutdown(context: Context, domain: DomainState, vcpu: VcpuState, reason: number): number {
  if (reason > SHUTDOWN_MAX) return -EINVAL;
  shutdownDomain(context, domain, reason, vcpu.clock);
  return 0;
}

function remoteShutdown(context: Context, domain: DomainState, vcpu: VcpuState, address: number): number {
  if (!guestRangeOk(context, domain, address, SCHED_REMOTE_SHUTDOWN_SIZE)) return -EFAULT;
  if (!domain.privileged) return -EPERM;
  const { memory, state } = context;
  const word = guestWord(domain, address);
  const target = state.domains[memory.u16[(word << 1) + (SCHED_REMOTE_SHUTDOWN_DOMAIN_ID >>> 1)]];
  if (target === undefined) return -ESRCH;
  const reason = memory.u32[word + (SCHED_REMOTE_SHUTDOWN_REASON >>> 2)];
  return shutdown(context, target, vcpu, reason);
}

/** Waits for one of some ports, masked or not. Every port is checked before it is looked at. */
function poll(context: Context, domain: DomainState, vcpu: VcpuState, address: number): number {
  if (!guestRangeOk(context, domain, address, SCHED_POLL_SIZE)) return -EFAULT;
  const { memory } = context;
  const word = guestWord(domain, address);
  const count = memory.u32[word + (SCHED_POLL_NR_PORTS >>> 2)];
  const list = memory.u32[word + (SCHED_POLL_PORTS >>> 2)];
  const timeout = readU64(memory, word + (SCHED_POLL_TIMEOUT >>> 2));
  if (count > POLL_PORTS_MAX) return -EINVAL;
  if (memory.u32[word + (SCHED_POLL_PORTS >>> 2) + 1] !== 0 || !guestRangeOk(context, domain, list, count * 4))
    return -EFAULT;
  const ports: number[] = [];
  for (let i = 0; i < count; i++) {
    const port = memory.u32[guestWord(domain, list) + i];
    if (port >= PORTS_MAX || !portInUse(domain, port)) return -EINVAL;
    if (isPending(context, domain, port)) return 0;
    ports.push(port);
  }
  vcpu.poll = ports;
  vcpu.pollUntil = timeout === 0 ? Infinity : Math.max(timeout, vcpu.clock);
  if (timeout !== 0) lowerSlices(context, vcpu.pollUntil);
  return 0;
}

/** __HYPERVISOR_sched_op(cmd, address). */
export function schedOp(
  context: Context,
  domain: DomainState,
  vcpu: VcpuState,
  command: number,
  address: number,
): number {
  switch (command) {
    case SCHEDOP_yield:
      return 0;
    case SCHEDOP_block:
      context.memory.u8[vcpuInfo(domain, vcpu.id) + VCPU_INFO_EVTCHN_UPCALL_MASK] = 0;
      return 0;
    case SCHEDOP_shutdown:
      if (!guestRangeOk(context, domain, address, SCHED_SHUTDOWN_SIZE)) return -EFAULT;
      return shutdown(context, domain, vcpu, context.memory.u32[guestWord(domain, address)]);
    case SCHEDOP_poll:
      return poll(context, domain, vcpu, address);
    case SCHEDOP_remote_shutdown:
      return remoteShutdown(context, domain, vcpu, address);
    default:
      return -ENOSYS;
  }
}

/** __HYPERVISOR_set_timer_op(low, high): VIRQ_TIMER at this absolute time, at once if it is over; 0 cancels. */
export function setTimerOp(context: Context, vcpu: VcpuState, low: number, high: number): number {
  const deadline = (low >>> 0) + (high >>> 0) * 0x100000000;
  charge(context, vcpu, context.state.costs.timerSetNs);
  setTimer(context, vcpu, deadline === 0 ? Infinity : Math.max(deadline, vcpu.clock));
  return 0;
}
