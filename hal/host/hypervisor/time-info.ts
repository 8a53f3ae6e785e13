/** Time as Xen tells it in shared_info: the vCPU's clock at its last entry, and the wall clock at virtual time 0. */
import {
  SHARED_INFO_WC_NSEC,
  SHARED_INFO_WC_SEC,
  SHARED_INFO_WC_SEC_HI,
  SHARED_INFO_WC_VERSION,
  VCPU_INFO_TIME,
  VCPU_TIME_INFO_SYSTEM_TIME,
  VCPU_TIME_INFO_TSC_SHIFT,
  VCPU_TIME_INFO_TSC_TIMESTAMP,
  VCPU_TIME_INFO_TSC_TO_SYSTEM_MUL,
  VCPU_TIME_INFO_VERSION,
} from "../../abi/xen";
import type { Context } from "./context";
import { writeU64 } from "./guest-memory";
import type { DomainState, VcpuState } from "./state";
import { vcpuInfo } from "./vcpus";

/** The time stamp counter counts nanoseconds: ((tsc << 1) * 2^31) >> 32. */
const TSC_TO_SYSTEM_MUL = 0x80000000;
const TSC_SHIFT = 1;

/** Writes the vCPU's time record. No reader can be in between: the version only goes from even to even. */
export function updateTime(context: Context, domain: DomainState, vcpu: VcpuState): void {
  const { memory } = context;
  const time = vcpuInfo(domain, vcpu.id) + VCPU_INFO_TIME;
  writeU64(memory, (time + VCPU_TIME_INFO_TSC_TIMESTAMP) >>> 2, Math.floor(vcpu.clock));
  writeU64(memory, (time + VCPU_TIME_INFO_SYSTEM_TIME) >>> 2, Math.floor(vcpu.clock));
  memory.u32[(time + VCPU_TIME_INFO_TSC_TO_SYSTEM_MUL) >>> 2] = TSC_TO_SYSTEM_MUL;
  memory.u8[time + VCPU_TIME_INFO_TSC_SHIFT] = TSC_SHIFT;
  memory.u32[(time + VCPU_TIME_INFO_VERSION) >>> 2] = ((vcpu.entries * 2) >>> 0) & ~1;
}

/** Writes the wall clock; once, when the domain is built. */
export function writeWallclock(context: Context, sharedInfo: number): void {
  const { memory, state } = context;
  memory.u32[(sharedInfo + SHARED_INFO_WC_SEC) >>> 2] = state.wallclockSec;
  memory.u32[(sharedInfo + SHARED_INFO_WC_SEC_HI) >>> 2] = Math.floor(state.wallclockSec / 0x100000000);
  memory.u32[(sharedInfo + SHARED_INFO_WC_NSEC) >>> 2] = 0;
  memory.u32[(sharedInfo + SHARED_INFO_WC_VERSION) >>> 2] = 2;
}
