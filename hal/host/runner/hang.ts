/** What the watchdog says of a guest that does not return: one line. */
import {
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
import { PULSE_NO_CALL } from "../hypervisor/pulse";
import type { Hang } from "./watchdog";

const CALLS: Readonly<Record<number, string>> = {
  [__HYPERVISOR_memory_op]: "memory_op",
  [__HYPERVISOR_set_timer_op]: "set_timer_op",
  [__HYPERVISOR_xen_version]: "xen_version",
  [__HYPERVISOR_console_io]: "console_io",
  [__HYPERVISOR_grant_table_op]: "grant_table_op",
  [__HYPERVISOR_vcpu_op]: "vcpu_op",
  [__HYPERVISOR_sched_op]: "sched_op",
  [__HYPERVISOR_event_channel_op]: "event_channel_op",
  [__HYPERVISOR_arch_7]: "hostdisk_op",
};

/** Where it is: in code of its own, or in a hypercall. */
function place(call: number): string {
  return call === PULSE_NO_CALL ? "in its own code" : `in hypercall ${CALLS[call] ?? call}`;
}

/** `domU (vCPU 0) has not paused for 10 s …`. */
export function describeHang(hang: Hang, name: string): string {
  const at = (hang.clock / 1e9).toFixed(6);
  return (
    `watchdog: ${name} (vCPU ${hang.vcpu}) has run for ${hang.seconds} s without a pause, ${place(hang.call)}, ` +
    `since virtual time ${at} s; the machine is ended, which no replay repeats (--watchdog SECONDS; 0: off)`
  );
}
