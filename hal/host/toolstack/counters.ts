/** Sums of what the hypervisor counts. */
import type { Hypervisor } from "../hypervisor/hypervisor";
import { __HYPERVISOR_arch_7, __HYPERVISOR_event_channel_op, __HYPERVISOR_grant_table_op } from "../../abi/xen";

/** Totals over all domains that exist. */
export interface Counters {
  readonly hypercalls: number;
  /** Notifications that were sent. */
  readonly events: number;
  /** Entries into a guest's event handler. */
  readonly upcalls: number;
  readonly grantMaps: number;
  readonly grantUnmaps: number;
  readonly grantCopies: number;
  readonly grantTableOps: number;
  readonly eventChannelOps: number;
  readonly doorbells: number;
  readonly diskRequests: number;
  readonly diskBytes: number;
  readonly slices: number;
}

/** Counts over all domains. */
export function countersOf(hypervisor: Hypervisor): Counters {
  const domains = hypervisor.domains();
  const sum = (of: (domain: (typeof domains)[number]) => number): number =>
    domains.reduce((total, domain) => total + of(domain), 0);
  return {
    hypercalls: sum(({ hypercalls }) => hypercalls.reduce((total, count) => total + count, 0)),
    events: sum(({ counters }) => counters.eventsSent),
    upcalls: sum(({ counters }) => counters.upcalls),
    grantMaps: sum(({ counters }) => counters.grantMaps),
    grantUnmaps: sum(({ counters }) => counters.grantUnmaps),
    grantCopies: sum(({ counters }) => counters.grantCopies),
    grantTableOps: sum(({ hypercalls }) => hypercalls[__HYPERVISOR_grant_table_op]),
    eventChannelOps: sum(({ hypercalls }) => hypercalls[__HYPERVISOR_event_channel_op]),
    doorbells: sum(({ hypercalls }) => hypercalls[__HYPERVISOR_arch_7]),
    diskRequests: sum(({ counters }) => counters.diskRequests),
    diskBytes: sum(({ counters }) => counters.diskBytes),
    slices: sum(({ vcpus }) => vcpus.reduce((total, vcpu) => total + vcpu.entries, 0)),
  };
}
