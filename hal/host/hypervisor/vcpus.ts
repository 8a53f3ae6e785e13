/**
 * Virtual CPUs: who may run when, and timers.
 *
 *   offline ──VCPUOP_up──► runnable ──entered──► running ──► runnable (slice over)
 *                             ▲                     └──────► blocked ──event, timer──► runnable
 */
import {
  SHARED_INFO_VCPU_INFO,
  VCPU_INFO_EVTCHN_UPCALL_MASK,
  VCPU_INFO_EVTCHN_UPCALL_PENDING,
  VCPU_INFO_SIZE,
} from "../../abi/xen";
import { lowerSlices } from "./clock";
import type { Context } from "./context";
import type { DomainState, VcpuState } from "./state";

/** Byte offset in machine memory of the vCPU's part of shared_info. */
export function vcpuInfo(domain: DomainState, vcpu: number): number {
  return domain.sharedInfo + SHARED_INFO_VCPU_INFO + vcpu * VCPU_INFO_SIZE;
}

/** Whether the domain's vCPUs may be entered. */
export function mayRun(domain: DomainState): boolean {
  return domain.state === "running" && domain.pauseCount === 0;
}

/** Makes a blocked vCPU runnable from `at` on; one that is runnable later becomes so earlier. */
export function wakeVcpu(context: Context, vcpu: VcpuState, at: number): void {
  const from = Math.max(vcpu.clock, at);
  if (vcpu.state !== "blocked" && !(vcpu.state === "runnable" && from < vcpu.wakeAt)) return;
  vcpu.state = "runnable";
  vcpu.wakeAt = from;
  vcpu.seq = context.state.nextSeq++;
  vcpu.poll = null;
  vcpu.pollUntil = Infinity;
  lowerSlices(context, from);
}

/** Whether an upcall is pending and allowed. */
export function upcallPending(context: Context, domain: DomainState, vcpu: VcpuState): boolean {
  const info = vcpuInfo(domain, vcpu.id);
  const { u8 } = context.memory;
  return u8[info + VCPU_INFO_EVTCHN_UPCALL_PENDING] !== 0 && u8[info + VCPU_INFO_EVTCHN_UPCALL_MASK] === 0;
}

/** The vCPU has nothing to do: allows upcalls, as SCHEDOP_block does, and blocks unless one is pending. */
export function blockVcpu(context: Context, domain: DomainState, vcpu: VcpuState): void {
  if (vcpu.poll === null) context.memory.u8[vcpuInfo(domain, vcpu.id) + VCPU_INFO_EVTCHN_UPCALL_MASK] = 0;
  vcpu.state = "blocked";
  if (upcallPending(context, domain, vcpu)) wakeVcpu(context, vcpu, vcpu.clock);
}

/** Sets the one-shot timer; Infinity cancels it. */
export function setTimer(context: Context, vcpu: VcpuState, deadline: number): void {
  vcpu.timerDeadline = deadline;
  vcpu.timerSeq = context.state.nextSeq++;
  if (deadline !== Infinity) lowerSlices(context, deadline);
}
