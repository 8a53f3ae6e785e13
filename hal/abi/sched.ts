/**
 * What a vCPU asks of the scheduler (Xen public/sched.h).
 */
import { struct } from "./layout";

// Operations.
export const SCHEDOP_yield = 0;
export const SCHEDOP_block = 1;
export const SCHEDOP_shutdown = 2;
export const SCHEDOP_poll = 3;
export const SCHEDOP_remote_shutdown = 4;
export const SCHEDOP_shutdown_code = 5;
export const SCHEDOP_watchdog = 6;
export const SCHEDOP_pin_override = 7;

/** Ends the domain. */
export const sched_shutdown = /* @__PURE__ */ struct("sched_shutdown", {
  size: 4,
  align: 4,
  fields: { reason: [0, "u32"] },
});
export const SCHED_SHUTDOWN_SIZE = 4;
export const SCHED_SHUTDOWN_REASON = 0;

/** Blocks until one of `nr_ports` ports is pending or `timeout` (absolute nanoseconds, 0 = never) is over. */
export const sched_poll = /* @__PURE__ */ struct(
  "sched_poll",
  { size: 24, align: 8, fields: { ports: [0, "u64"], nr_ports: [8, "u32"], timeout: [16, "u64"] } },
  { size: 16, align: 4, fields: { ports: [0, "u32"], nr_ports: [4, "u32"], timeout: [8, "u64"] } },
);
export const SCHED_POLL_SIZE = 24;
export const SCHED_POLL_PORTS = 0;
export const SCHED_POLL_NR_PORTS = 8;
export const SCHED_POLL_TIMEOUT = 16;

/** Ends another domain, or sets the reason for its end. */
export const sched_remote_shutdown = /* @__PURE__ */ struct("sched_remote_shutdown", {
  size: 8,
  align: 4,
  fields: { domain_id: [0, "u16"], reason: [4, "u32"] },
});
export const SCHED_REMOTE_SHUTDOWN_SIZE = 8;
export const SCHED_REMOTE_SHUTDOWN_DOMAIN_ID = 0;
export const SCHED_REMOTE_SHUTDOWN_REASON = 4;

/** Sets (id 0), pokes (timeout in seconds) or removes (timeout 0) a watchdog. */
export const sched_watchdog = /* @__PURE__ */ struct("sched_watchdog", {
  size: 8,
  align: 4,
  fields: { id: [0, "u32"], timeout: [4, "u32"] },
});
export const SCHED_WATCHDOG_SIZE = 8;
export const SCHED_WATCHDOG_ID = 0;
export const SCHED_WATCHDOG_TIMEOUT = 4;

// Reasons.
export const SHUTDOWN_poweroff = 0;
export const SHUTDOWN_reboot = 1;
export const SHUTDOWN_suspend = 2;
export const SHUTDOWN_crash = 3;
export const SHUTDOWN_watchdog = 4;
export const SHUTDOWN_soft_reset = 5;
export const SHUTDOWN_MAX = 5;
