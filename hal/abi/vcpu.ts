/**
 * Operations on one vCPU (Xen public/vcpu.h).
 */
import { struct } from "./layout";

// Operations.
export const VCPUOP_initialise = 0;
export const VCPUOP_up = 1;
export const VCPUOP_down = 2;
export const VCPUOP_is_up = 3;
export const VCPUOP_get_runstate_info = 4;
export const VCPUOP_register_runstate_memory_area = 5;
export const VCPUOP_set_periodic_timer = 6;
export const VCPUOP_stop_periodic_timer = 7;
export const VCPUOP_set_singleshot_timer = 8;
export const VCPUOP_stop_singleshot_timer = 9;
export const VCPUOP_register_vcpu_info = 10;
export const VCPUOP_send_nmi = 11;
export const VCPUOP_get_physid = 12;
export const VCPUOP_register_vcpu_time_memory_area = 13;

// vcpu_runstate_info.state.
export const RUNSTATE_running = 0;
export const RUNSTATE_runnable = 1;
export const RUNSTATE_blocked = 2;
export const RUNSTATE_offline = 3;

/** How long a vCPU has been in each RUNSTATE_*, nanoseconds. */
export const vcpu_runstate_info = /* @__PURE__ */ struct(
  "vcpu_runstate_info",
  { size: 48, align: 8, fields: { state: [0, "s32"], state_entry_time: [8, "u64"], time: [16, 32] } },
  { size: 44, align: 4, fields: { state: [0, "s32"], state_entry_time: [4, "u64"], time: [12, 32] } },
);
export const VCPU_RUNSTATE_INFO_SIZE = 48;
export const VCPU_RUNSTATE_INFO_STATE = 0;
export const VCPU_RUNSTATE_INFO_STATE_ENTRY_TIME = 8;
export const VCPU_RUNSTATE_INFO_TIME = 16;

/** Ticks every `period_ns`. */
export const vcpu_set_periodic_timer = /* @__PURE__ */ struct(
  "vcpu_set_periodic_timer",
  { size: 8, align: 8, fields: { period_ns: [0, "u64"] } },
  { size: 8, align: 4, fields: { period_ns: [0, "u64"] } },
);
export const VCPU_SET_PERIODIC_TIMER_SIZE = 8;
export const VCPU_SET_PERIODIC_TIMER_PERIOD_NS = 0;

/** Raises VIRQ_TIMER once, at `timeout_abs_ns` of system time. */
export const vcpu_set_singleshot_timer = /* @__PURE__ */ struct(
  "vcpu_set_singleshot_timer",
  { size: 16, align: 8, fields: { timeout_abs_ns: [0, "u64"], flags: [8, "u32"] } },
  { size: 12, align: 4, fields: { timeout_abs_ns: [0, "u64"], flags: [8, "u32"] } },
);
export const VCPU_SET_SINGLESHOT_TIMER_SIZE = 16;
export const VCPU_SET_SINGLESHOT_TIMER_TIMEOUT_ABS_NS = 0;
export const VCPU_SET_SINGLESHOT_TIMER_FLAGS = 8;

// vcpu_set_singleshot_timer.flags: a time that is over is -ETIME, not an interrupt at once.
export const VCPU_SSHOTTMR_future = 1;

/** Moves the vCPU's vcpu_info out of shared_info. */
export const vcpu_register_vcpu_info = /* @__PURE__ */ struct(
  "vcpu_register_vcpu_info",
  { size: 16, align: 8, fields: { mfn: [0, "u64"], offset: [8, "u32"], rsvd: [12, "u32"] } },
  { size: 16, align: 4, fields: { mfn: [0, "u64"], offset: [8, "u32"], rsvd: [12, "u32"] } },
);
export const VCPU_REGISTER_VCPU_INFO_SIZE = 16;
export const VCPU_REGISTER_VCPU_INFO_MFN = 0;
export const VCPU_REGISTER_VCPU_INFO_OFFSET = 8;
export const VCPU_REGISTER_VCPU_INFO_RSVD = 12;
