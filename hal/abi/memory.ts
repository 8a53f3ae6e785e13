/**
 * Changes of a domain's memory (Xen public/memory.h).
 */
import { struct } from "./layout";

// Operations.
export const XENMEM_increase_reservation = 0;
export const XENMEM_decrease_reservation = 1;
export const XENMEM_maximum_ram_page = 2;
export const XENMEM_current_reservation = 3;
export const XENMEM_maximum_reservation = 4;
export const XENMEM_machphys_mfn_list = 5;
export const XENMEM_populate_physmap = 6;
export const XENMEM_add_to_physmap = 7;
export const XENMEM_memory_map = 9;
export const XENMEM_machine_memory_map = 10;
export const XENMEM_exchange = 11;
export const XENMEM_machphys_mapping = 12;
export const XENMEM_set_memory_map = 13;
export const XENMEM_maximum_gpfn = 14;
export const XENMEM_remove_from_physmap = 15;

/** Frames to take or to give back. */
export const xen_memory_reservation = /* @__PURE__ */ struct(
  "xen_memory_reservation",
  {
    size: 32,
    align: 8,
    fields: {
      extent_start: [0, "u64"],
      nr_extents: [8, "u64"],
      extent_order: [16, "u32"],
      mem_flags: [20, "u32"],
      domid: [24, "u16"],
    },
  },
  {
    size: 20,
    align: 4,
    fields: {
      extent_start: [0, "u32"],
      nr_extents: [4, "u32"],
      extent_order: [8, "u32"],
      mem_flags: [12, "u32"],
      domid: [16, "u16"],
    },
  },
);
export const XEN_MEMORY_RESERVATION_SIZE = 32;
export const XEN_MEMORY_RESERVATION_EXTENT_START = 0;
export const XEN_MEMORY_RESERVATION_NR_EXTENTS = 8;
export const XEN_MEMORY_RESERVATION_EXTENT_ORDER = 16;
export const XEN_MEMORY_RESERVATION_MEM_FLAGS = 20;
export const XEN_MEMORY_RESERVATION_DOMID = 24;
