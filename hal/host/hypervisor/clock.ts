/**
 * The clock of a running vCPU: a double in its domain's control page, which the guest adds to as well. What the guest left there is an
 * allegation: it is checked at every hypercall and after every entry.
 */
import { CONTROL_SLICE_END } from "../../abi/control";
import type { Context } from "./context";
import type { BusyIntervals } from "./locks";
import { acquire } from "./locks";
import type { VcpuState } from "./state";

/** Clocks stay below this (104 days), where a double counts single nanoseconds exactly. */
export const CLOCK_NS_MAX = 0x20000000000000;

/** Takes over the guest's clock. False when it is not a number, went back or is absurd: the domain must die. */
export function takeClock(context: Context, vcpu: VcpuState): boolean {
  const clock = context.memory.f64[vcpu.clockIndex];
  if (!(clock >= vcpu.clock && clock < CLOCK_NS_MAX)) return false;
  vcpu.clock = clock;
  return true;
}

/** Adds to the clock of a running vCPU. */
export function charge(context: Context, vcpu: VcpuState, ns: number): void {
  vcpu.clock += ns;
  context.memory.f64[vcpu.clockIndex] = vcpu.clock;
}

/** Waits for a lock, holds it for `holdNs`, and charges both. */
export function chargeLock(context: Context, vcpu: VcpuState, lock: BusyIntervals, holdNs: number): void {
  charge(context, vcpu, acquire(lock, vcpu.clock, holdNs) + holdNs - vcpu.clock);
}

/** Makes every vCPU that is on the stack return by `at` plus the quantum. */
export function lowerSlices(context: Context, at: number): void {
  const { running, domains, quantumNs } = context.state;
  const end = at + quantumNs;
  for (let i = 0; i < running.length; i++) {
    const vcpu = domains[running[i].domid]?.vcpus[running[i].vcpu];
    if (vcpu === undefined) continue;
    const index = vcpu.clockIndex + CONTROL_SLICE_END;
    if (!(context.memory.f64[index] <= end)) context.memory.f64[index] = end;
  }
}
