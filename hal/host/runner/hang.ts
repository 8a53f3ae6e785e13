/** What is said of a guest that does not return: one line. */
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
import { PULSE_CALL, PULSE_CLOCK, PULSE_DOMID, PULSE_NO_CALL, PULSE_VCPU } from "../hypervisor/pulse";

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

/** A guest that does not return. */
export interface Hang {
  /** Negative: the host's own code. */
  readonly domid: number;
  readonly vcpu: number;
  /** The hypercall that it is inside of, or PULSE_NO_CALL. */
  readonly call: number;
  /** Virtual time at which it was entered, ns. */
  readonly clock: number;
  /** Wall seconds without a beat, at least. */
  readonly seconds: number;
}

/** What a pulse shows. */
export function takeHang(pulse: Float64Array, seconds: number): Hang {
  return {
    domid: pulse[PULSE_DOMID],
    vcpu: pulse[PULSE_VCPU],
    call: pulse[PULSE_CALL],
    clock: pulse[PULSE_CLOCK],
    seconds,
  };
}

/** `(vCPU 0) has run for 10 s without a pause, in its own code, since virtual time 0.001234 s`: to follow the domain's name. */
export function describePlace({ vcpu, call, clock, seconds }: Hang): string {
  const place = call === PULSE_NO_CALL ? "in its own code" : `in hypercall ${CALLS[call] ?? call}`;
  const at = (clock / 1e9).toFixed(6);
  return `(vCPU ${vcpu}) has run for ${seconds} s without a pause, ${place}, since virtual time ${at} s`;
}

/** The watchdog's line. */
export function describeHang(hang: Hang, name: string): string {
  const end = "the machine is ended, which no replay repeats (--watchdog SECONDS; 0: off)";
  return `watchdog: ${name} ${describePlace(hang)}; ${end}`;
}
