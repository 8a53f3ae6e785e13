/**
 * Where a hypercall arrives. Everything a guest passes is an allegation, in the V8 engine even its JavaScript type: whatever it is, the answer is
 * an int32, nothing throws, and nothing outside of the domain's own RAM (and what it was granted) changes.
 */
import { EINVAL, ENOSYS, ESRCH } from "../../abi/errno";
import {
  __HYPERVISOR_arch_6,
  __HYPERVISOR_arch_7,
  __HYPERVISOR_console_io,
  __HYPERVISOR_event_channel_op,
  __HYPERVISOR_grant_table_op,
  __HYPERVISOR_memory_op,
  __HYPERVISOR_sched_op,
  __HYPERVISOR_set_timer_op,
  __HYPERVISOR_vcpu_op,
  __HYPERVISOR_xen_version,
} from "../../abi/xen";
import { charge, takeClock } from "./clock";
import { consoleIo, isStack } from "./console-io";
import type { Context } from "./context";
import { eventChannelOp } from "./event-channel-op";
import { grantTableOp } from "./grant-table-op";
import { hostdiskOp } from "./hostdisk";
import { memoryOp } from "./memory-op";
import { PULSE_CALL, PULSE_NO_CALL } from "./pulse";
import { schedOp, setTimerOp } from "./sched-op";
import { crashDomain } from "./shutdown";
import type { DomainState, VcpuState } from "./state";
import { vcpuOp } from "./vcpu-op";
import { xenVersion } from "./xen-version";

/** Hypercall numbers are below this. */
export const HYPERCALLS_MAX = 64;

/** Whether it is a whole number that fits 32 bits, signed or unsigned. Does not run guest code (no coercion of objects). */
function isWord(value: unknown): value is number {
  return typeof value === "number" && ((value | 0) === value || value >>> 0 === value);
}

function dispatch(
  context: Context,
  domain: DomainState,
  vcpu: VcpuState,
  op: number,
  a0: number,
  a1: number,
  a2: number,
): number {
  switch (op) {
    case __HYPERVISOR_grant_table_op:
      return grantTableOp(context, domain, vcpu, a0, a1, a2);
    case __HYPERVISOR_event_channel_op:
      return eventChannelOp(context, domain, vcpu, a0, a1);
    case __HYPERVISOR_arch_7:
      return hostdiskOp(context, domain, vcpu, a0, a1, a2);
    case __HYPERVISOR_set_timer_op:
      return setTimerOp(context, vcpu, a0, a1);
    case __HYPERVISOR_sched_op:
      return schedOp(context, domain, vcpu, a0, a1);
    case __HYPERVISOR_console_io:
      return consoleIo(context, domain, vcpu, a0, a1, a2);
    case __HYPERVISOR_vcpu_op:
      return vcpuOp(context, domain, vcpu, a0, a1, a2);
    case __HYPERVISOR_memory_op:
      return memoryOp(context, domain, a0, a1);
    case __HYPERVISOR_xen_version:
      return xenVersion(context, domain, a0, a1);
    default:
      return -ENOSYS;
  }
}

/**
 * A hypercall of `domid` on the vCPU that the hypervisor has entered. 0 or more, or a negative errno: -ESRCH when the domain may make none any
 * more, -EINVAL for arguments that are not 32-bit numbers, -ENOSYS for calls that this machine does not have.
 */
export function hypercall(
  context: Context,
  domid: number,
  vcpuId: number,
  op: number,
  a0: number,
  a1: number,
  a2: number,
): number {
  const domain = context.state.domains[domid];
  if (domain === undefined) return -ESRCH;
  const vcpu = domain.vcpus[vcpuId];
  if (vcpu === undefined || vcpu.state !== "running") return -ESRCH;
  if (context.preempt !== null && domain.state === "running") {
    context.preempt(domid, vcpuId, isWord(op) ? op : -1);
  }
  if (domain.state !== "running") return -ESRCH;
  if (op === __HYPERVISOR_arch_6) return 0;
  if (!takeClock(context, vcpu)) {
    crashDomain(context, domain, "the guest's clock is not a number or went back", vcpu.clock);
    return -ESRCH;
  }
  charge(context, vcpu, context.state.costs.hypercallNs);
  if (!isWord(op) || !isWord(a0) || !isWord(a1) || !isWord(a2)) return isWord(op) ? -EINVAL : -ENOSYS;
  // How long a stack is depends on the engine, so that much of it is left out.
  const a1Traced = op === __HYPERVISOR_console_io && isStack(context, domain, a1, a2) ? 0 : a1;
  context.pulse[PULSE_CALL] = op;
  const result = dispatch(context, domain, vcpu, op, a0 | 0, a1 | 0, a2 | 0);
  context.pulse[PULSE_CALL] = PULSE_NO_CALL;
  if (op >= 0 && op < HYPERCALLS_MAX) domain.hypercalls[op]++;
  context.trace.hypercall(domid, vcpuId, op, a0, a1Traced, a2, result);
  return result;
}
