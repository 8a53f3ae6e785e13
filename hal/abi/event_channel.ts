/**
 * Event channels: one bit that one domain sets and another sees (Xen public/event_channel.h), 2-level interface.
 *
 * Bits are `evtchn_pending` and `evtchn_mask` of shared_info (`xen.ts`); port 0 is never valid. The FIFO interface is declared so that its
 * operations can be refused by name.
 */
import { struct } from "./layout";

/** A port of the domain that names it. */
export type evtchn_port_t = number;

// Operations.
export const EVTCHNOP_bind_interdomain = 0;
export const EVTCHNOP_bind_virq = 1;
export const EVTCHNOP_bind_pirq = 2;
export const EVTCHNOP_close = 3;
export const EVTCHNOP_send = 4;
export const EVTCHNOP_status = 5;
export const EVTCHNOP_alloc_unbound = 6;
export const EVTCHNOP_bind_ipi = 7;
export const EVTCHNOP_bind_vcpu = 8;
export const EVTCHNOP_unmask = 9;
export const EVTCHNOP_reset = 10;
export const EVTCHNOP_init_control = 11;
export const EVTCHNOP_expand_array = 12;
export const EVTCHNOP_set_priority = 13;

/** A port of `dom` that `remote_dom` may bind. Out: port. */
export const evtchn_alloc_unbound = /* @__PURE__ */ struct("evtchn_alloc_unbound", {
  size: 8,
  align: 4,
  fields: { dom: [0, "u16"], remote_dom: [2, "u16"], port: [4, "u32"] },
});
export const EVTCHN_ALLOC_UNBOUND_SIZE = 8;
export const EVTCHN_ALLOC_UNBOUND_DOM = 0;
export const EVTCHN_ALLOC_UNBOUND_REMOTE_DOM = 2;
export const EVTCHN_ALLOC_UNBOUND_PORT = 4;

/** Connects to the other domain's unbound port. Out: local_port. */
export const evtchn_bind_interdomain = /* @__PURE__ */ struct("evtchn_bind_interdomain", {
  size: 12,
  align: 4,
  fields: { remote_dom: [0, "u16"], remote_port: [4, "u32"], local_port: [8, "u32"] },
});
export const EVTCHN_BIND_INTERDOMAIN_SIZE = 12;
export const EVTCHN_BIND_INTERDOMAIN_REMOTE_DOM = 0;
export const EVTCHN_BIND_INTERDOMAIN_REMOTE_PORT = 4;
export const EVTCHN_BIND_INTERDOMAIN_LOCAL_PORT = 8;

/** A port that virtual interrupt `virq` of `vcpu` raises. Out: port. */
export const evtchn_bind_virq = /* @__PURE__ */ struct("evtchn_bind_virq", {
  size: 12,
  align: 4,
  fields: { virq: [0, "u32"], vcpu: [4, "u32"], port: [8, "u32"] },
});
export const EVTCHN_BIND_VIRQ_SIZE = 12;
export const EVTCHN_BIND_VIRQ_VIRQ = 0;
export const EVTCHN_BIND_VIRQ_VCPU = 4;
export const EVTCHN_BIND_VIRQ_PORT = 8;

/** A port for a physical interrupt. Out: port. */
export const evtchn_bind_pirq = /* @__PURE__ */ struct("evtchn_bind_pirq", {
  size: 12,
  align: 4,
  fields: { pirq: [0, "u32"], flags: [4, "u32"], port: [8, "u32"] },
});
export const EVTCHN_BIND_PIRQ_SIZE = 12;
export const EVTCHN_BIND_PIRQ_PIRQ = 0;
export const EVTCHN_BIND_PIRQ_FLAGS = 4;
export const EVTCHN_BIND_PIRQ_PORT = 8;

/** A port that any vCPU of the domain sends to and `vcpu` receives. Out: port. */
export const evtchn_bind_ipi = /* @__PURE__ */ struct("evtchn_bind_ipi", {
  size: 8,
  align: 4,
  fields: { vcpu: [0, "u32"], port: [4, "u32"] },
});
export const EVTCHN_BIND_IPI_SIZE = 8;
export const EVTCHN_BIND_IPI_VCPU = 0;
export const EVTCHN_BIND_IPI_PORT = 4;

/** Frees a port; an interdomain peer's port becomes unbound. */
export const evtchn_close = /* @__PURE__ */ struct("evtchn_close", { size: 4, align: 4, fields: { port: [0, "u32"] } });
export const EVTCHN_CLOSE_SIZE = 4;
export const EVTCHN_CLOSE_PORT = 0;

/** Raises the other end. */
export const evtchn_send = /* @__PURE__ */ struct("evtchn_send", { size: 4, align: 4, fields: { port: [0, "u32"] } });
export const EVTCHN_SEND_SIZE = 4;
export const EVTCHN_SEND_PORT = 0;

/** Out: status, vcpu, and by status one of the `u` forms. */
export const evtchn_status = /* @__PURE__ */ struct("evtchn_status", {
  size: 24,
  align: 4,
  fields: {
    dom: [0, "u16"],
    port: [4, "u32"],
    status: [8, "u32"],
    vcpu: [12, "u32"],
    "u.unbound.dom": [16, "u16"],
    "u.interdomain.dom": [16, "u16"],
    "u.interdomain.port": [20, "u32"],
    "u.pirq": [16, "u32"],
    "u.virq": [16, "u32"],
  },
});
export const EVTCHN_STATUS_SIZE = 24;
export const EVTCHN_STATUS_DOM = 0;
export const EVTCHN_STATUS_PORT = 4;
export const EVTCHN_STATUS_STATUS = 8;
export const EVTCHN_STATUS_VCPU = 12;
export const EVTCHN_STATUS_U_UNBOUND_DOM = 16;
export const EVTCHN_STATUS_U_INTERDOMAIN_DOM = 16;
export const EVTCHN_STATUS_U_INTERDOMAIN_PORT = 20;
export const EVTCHN_STATUS_U_PIRQ = 16;
export const EVTCHN_STATUS_U_VIRQ = 16;

/** Moves a port's events to another vCPU. */
export const evtchn_bind_vcpu = /* @__PURE__ */ struct("evtchn_bind_vcpu", {
  size: 8,
  align: 4,
  fields: { port: [0, "u32"], vcpu: [4, "u32"] },
});
export const EVTCHN_BIND_VCPU_SIZE = 8;
export const EVTCHN_BIND_VCPU_PORT = 0;
export const EVTCHN_BIND_VCPU_VCPU = 4;

/** Unmasks, and delivers what is pending. */
export const evtchn_unmask = /* @__PURE__ */ struct("evtchn_unmask", {
  size: 4,
  align: 4,
  fields: { port: [0, "u32"] },
});
export const EVTCHN_UNMASK_SIZE = 4;
export const EVTCHN_UNMASK_PORT = 0;

/** Closes every port of a domain. */
export const evtchn_reset = /* @__PURE__ */ struct("evtchn_reset", { size: 2, align: 2, fields: { dom: [0, "u16"] } });
export const EVTCHN_RESET_SIZE = 2;
export const EVTCHN_RESET_DOM = 0;

/** FIFO only. */
export const evtchn_set_priority = /* @__PURE__ */ struct("evtchn_set_priority", {
  size: 8,
  align: 4,
  fields: { port: [0, "u32"], priority: [4, "u32"] },
});
export const EVTCHN_SET_PRIORITY_SIZE = 8;
export const EVTCHN_SET_PRIORITY_PORT = 0;
export const EVTCHN_SET_PRIORITY_PRIORITY = 4;

/** FIFO only. */
export const evtchn_init_control = /* @__PURE__ */ struct(
  "evtchn_init_control",
  {
    size: 24,
    align: 8,
    fields: { control_gfn: [0, "u64"], offset: [8, "u32"], vcpu: [12, "u32"], link_bits: [16, "u8"] },
  },
  {
    size: 24,
    align: 4,
    fields: { control_gfn: [0, "u64"], offset: [8, "u32"], vcpu: [12, "u32"], link_bits: [16, "u8"] },
  },
);
export const EVTCHN_INIT_CONTROL_SIZE = 24;
export const EVTCHN_INIT_CONTROL_CONTROL_GFN = 0;
export const EVTCHN_INIT_CONTROL_OFFSET = 8;
export const EVTCHN_INIT_CONTROL_VCPU = 12;
export const EVTCHN_INIT_CONTROL_LINK_BITS = 16;

/** FIFO only. */
export const evtchn_fifo_control_block = /* @__PURE__ */ struct("evtchn_fifo_control_block", {
  size: 72,
  align: 4,
  fields: { ready: [0, "u32"], _rsvd: [4, "u32"], head: [8, 64] },
});
export const EVTCHN_FIFO_CONTROL_BLOCK_SIZE = 72;
export const EVTCHN_FIFO_CONTROL_BLOCK_READY = 0;
export const EVTCHN_FIFO_CONTROL_BLOCK_RSVD = 4;
export const EVTCHN_FIFO_CONTROL_BLOCK_HEAD = 8;

// evtchn_status.status.
export const EVTCHNSTAT_closed = 0;
export const EVTCHNSTAT_unbound = 1;
export const EVTCHNSTAT_interdomain = 2;
export const EVTCHNSTAT_pirq = 3;
export const EVTCHNSTAT_virq = 4;
export const EVTCHNSTAT_ipi = 5;

// Limits. An i386 guest has EVTCHN_2L_NR_CHANNELS_X86_32.
export const EVTCHN_2L_NR_CHANNELS = 4096;
export const EVTCHN_2L_NR_CHANNELS_X86_32 = 1024;
export const EVTCHN_FIFO_NR_CHANNELS = 131072;

// FIFO event words and priorities.
export const EVTCHN_FIFO_PENDING = 31;
export const EVTCHN_FIFO_MASKED = 30;
export const EVTCHN_FIFO_LINKED = 29;
export const EVTCHN_FIFO_BUSY = 28;
export const EVTCHN_FIFO_LINK_BITS = 17;
export const EVTCHN_FIFO_PRIORITY_MAX = 0;
export const EVTCHN_FIFO_PRIORITY_DEFAULT = 7;
export const EVTCHN_FIFO_PRIORITY_MIN = 15;
