/** vcpu_op: bringing vCPUs up and down, and the one-shot timer in its newer form. */
import { EFAULT, EINVAL, ENOENT, ENOSYS, ETIME } from "../../abi/errno";
import {
  VCPU_SET_SINGLESHOT_TIMER_FLAGS,
  VCPU_SET_SINGLESHOT_TIMER_SIZE,
  VCPU_SET_SINGLESHOT_TIMER_TIMEOUT_ABS_NS,
  VCPU_SSHOTTMR_future,
  VCPUOP_down,
  VCPUOP_initialise,
  VCPUOP_is_up,
  VCPUOP_set_singleshot_timer,
  VCPUOP_stop_periodic_timer,
  VCPUOP_stop_singleshot_timer,
  VCPUOP_up,
} from "../../abi/vcpu";
import { charge, lowerSlices } from "./clock";
import type { Context } from "./context";
import { guestRangeOk, guestWord, readU64 } from "./guest-memory";
import type { DomainState, VcpuState } from "./state";
import { setTimer } from "./vcpus";

/** Makes an offline vCPU runnable at the caller's time; one that is up stays as it is. */
function bringUp(context: Context, caller: VcpuState, target: VcpuState): number {
  if (!target.initialised) return -EINVAL;
  if (target.state !== "offline") return 0;
  target.clock = Math.max(target.clock, caller.clock);
  target.state = "runnable";
  target.wakeAt = target.clock;
  target.seq = context.state.nextSeq++;
  lowerSlices(context, target.wakeAt);
  return 0;
}

/** Takes a vCPU down; one that is being entered goes offline when it returns. */
function takeDown(target: VcpuState): number {
  if (target.state === "running") target.goesDown = true;
  else target.state = "offline";
  target.timerDeadline = Infinity;
  return 0;
}

function setSingleshot(
  context: Context,
  domain: DomainState,
  vcpu: VcpuState,
  target: VcpuState,
  address: number,
): number {
  if (target !== vcpu) return -EINVAL;
  if (!guestRangeOk(context, domain, address, VCPU_SET_SINGLESHOT_TIMER_SIZE)) return -EFAULT;
  const word = guestWord(domain, address);
  const timeout = readU64(context.memory, word + (VCPU_SET_SINGLESHOT_TIMER_TIMEOUT_ABS_NS >>> 2));
  const flags = context.memory.u32[word + (VCPU_SET_SINGLESHOT_TIMER_FLAGS >>> 2)];
  charge(context, vcpu, context.state.costs.timerSetNs);
  if ((flags & VCPU_SSHOTTMR_future) !== 0 && timeout < vcpu.clock) return -ETIME;
  setTimer(context, vcpu, Math.max(timeout, vcpu.clock));
  return 0;
}

/** __HYPERVISOR_vcpu_op(cmd, vcpu, address). */
export function vcpuOp(
  context: Context,
  domain: DomainState,
  vcpu: VcpuState,
  command: number,
  id: number,
  address: number,
): number {
  const target = id >= 0 ? domain.vcpus[id] : undefined;
  if (target === undefined) return -ENOENT;
  switch (command) {
    case VCPUOP_initialise:
      target.initialised = true;
      return 0;
    case VCPUOP_up:
      return bringUp(context, vcpu, target);
    case VCPUOP_down:
      return takeDown(target);
    case VCPUOP_is_up:
      return target.state === "offline" ? 0 : 1;
    case VCPUOP_stop_periodic_timer:
      return 0;
    case VCPUOP_set_singleshot_timer:
      return setSingleshot(context, domain, vcpu, target, address);
    case VCPUOP_stop_singleshot_timer:
      setTimer(context, target, Infinity);
      return 0;
    default:
      return -ENOSYS;
  }
}
