/**
 * Grant tables: who may use which of our frames (Xen public/grant_table.h).
 *
 * A domain writes its table directly: domid and frame first, flags last. The hypervisor sets GTF_reading and GTF_writing while the other
 * domain has the frame mapped. Only version 1 tables are in use; version 2 is declared so that its operations can be refused by name.
 * A hypercall's status codes are in each op's `status`, never in its return value.
 */
import { struct } from "./layout";

/** Index of an entry in the granting domain's table. */
export type grant_ref_t = number;
/** What GNTTABOP_map_grant_ref returns; the mapping domain's own number. */
export type grant_handle_t = number;

// First entries of every table.
export const GNTTAB_NR_RESERVED_ENTRIES = 8;
export const GNTTAB_RESERVED_CONSOLE = 0;
export const GNTTAB_RESERVED_XENSTORE = 1;

/** An entry of a version 1 table. */
export const grant_entry_v1 = /* @__PURE__ */ struct("grant_entry_v1", {
  size: 8,
  align: 4,
  fields: { flags: [0, "u16"], domid: [2, "u16"], frame: [4, "u32"] },
});
export const GRANT_ENTRY_V1_SIZE = 8;
export const GRANT_ENTRY_V1_FLAGS = 0;
export const GRANT_ENTRY_V1_DOMID = 2;
export const GRANT_ENTRY_V1_FRAME = 4;

/** An entry of a version 2 table. */
export const grant_entry_v2 = /* @__PURE__ */ struct(
  "grant_entry_v2",
  {
    size: 16,
    align: 8,
    fields: {
      hdr: [0, "u32"],
      "hdr.flags": [0, "u16"],
      "hdr.domid": [2, "u16"],
      full_page: [0, 16],
      "full_page.pad0": [4, "u32"],
      "full_page.frame": [8, "u64"],
      "sub_page.page_off": [4, "u16"],
      "sub_page.length": [6, "u16"],
      "sub_page.frame": [8, "u64"],
      "transitive.trans_domid": [4, "u16"],
      "transitive.pad0": [6, "u16"],
      "transitive.gref": [8, "u32"],
    },
  },
  {
    size: 16,
    align: 4,
    fields: {
      hdr: [0, "u32"],
      "hdr.flags": [0, "u16"],
      "hdr.domid": [2, "u16"],
      full_page: [0, 16],
      "full_page.pad0": [4, "u32"],
      "full_page.frame": [8, "u64"],
      "sub_page.page_off": [4, "u16"],
      "sub_page.length": [6, "u16"],
      "sub_page.frame": [8, "u64"],
      "transitive.trans_domid": [4, "u16"],
      "transitive.pad0": [6, "u16"],
      "transitive.gref": [8, "u32"],
    },
  },
);
export const GRANT_ENTRY_V2_SIZE = 16;
export const GRANT_ENTRY_V2_HDR = 0;
export const GRANT_ENTRY_V2_HDR_FLAGS = 0;
export const GRANT_ENTRY_V2_HDR_DOMID = 2;
export const GRANT_ENTRY_V2_FULL_PAGE = 0;
export const GRANT_ENTRY_V2_FULL_PAGE_PAD0 = 4;
export const GRANT_ENTRY_V2_FULL_PAGE_FRAME = 8;
export const GRANT_ENTRY_V2_SUB_PAGE_PAGE_OFF = 4;
export const GRANT_ENTRY_V2_SUB_PAGE_LENGTH = 6;
export const GRANT_ENTRY_V2_SUB_PAGE_FRAME = 8;
export const GRANT_ENTRY_V2_TRANSITIVE_TRANS_DOMID = 4;
export const GRANT_ENTRY_V2_TRANSITIVE_PAD0 = 6;
export const GRANT_ENTRY_V2_TRANSITIVE_GREF = 8;

// grant_entry.flags: type, then modifiers; reading and writing belong to the hypervisor.
export const GTF_invalid = 0;
export const GTF_permit_access = 1;
export const GTF_accept_transfer = 2;
export const GTF_transitive = 3;
export const GTF_type_mask = 3;
export const GTF_readonly = 4;
export const GTF_reading = 8;
export const GTF_writing = 16;
export const GTF_PWT = 32;
export const GTF_PCD = 64;
export const GTF_PAT = 128;
export const GTF_sub_page = 256;
export const GTF_transfer_committed = 4;
export const GTF_transfer_completed = 8;

// Operations.
export const GNTTABOP_map_grant_ref = 0;
export const GNTTABOP_unmap_grant_ref = 1;
export const GNTTABOP_setup_table = 2;
export const GNTTABOP_dump_table = 3;
export const GNTTABOP_transfer = 4;
export const GNTTABOP_copy = 5;
export const GNTTABOP_query_size = 6;
export const GNTTABOP_unmap_and_replace = 7;
export const GNTTABOP_set_version = 8;
export const GNTTABOP_get_status_frames = 9;
export const GNTTABOP_get_version = 10;
export const GNTTABOP_swap_grant_ref = 11;
export const GNTTABOP_cache_flush = 12;

/** Maps a foreign frame. Out: status, handle, dev_bus_addr. */
export const gnttab_map_grant_ref = /* @__PURE__ */ struct(
  "gnttab_map_grant_ref",
  {
    size: 32,
    align: 8,
    fields: {
      host_addr: [0, "u64"],
      flags: [8, "u32"],
      ref: [12, "u32"],
      dom: [16, "u16"],
      status: [18, "s16"],
      handle: [20, "u32"],
      dev_bus_addr: [24, "u64"],
    },
  },
  {
    size: 32,
    align: 4,
    fields: {
      host_addr: [0, "u64"],
      flags: [8, "u32"],
      ref: [12, "u32"],
      dom: [16, "u16"],
      status: [18, "s16"],
      handle: [20, "u32"],
      dev_bus_addr: [24, "u64"],
    },
  },
);
export const GNTTAB_MAP_GRANT_REF_SIZE = 32;
export const GNTTAB_MAP_GRANT_REF_HOST_ADDR = 0;
export const GNTTAB_MAP_GRANT_REF_FLAGS = 8;
export const GNTTAB_MAP_GRANT_REF_REF = 12;
export const GNTTAB_MAP_GRANT_REF_DOM = 16;
export const GNTTAB_MAP_GRANT_REF_STATUS = 18;
export const GNTTAB_MAP_GRANT_REF_HANDLE = 20;
export const GNTTAB_MAP_GRANT_REF_DEV_BUS_ADDR = 24;

/** Destroys a mapping. Out: status. */
export const gnttab_unmap_grant_ref = /* @__PURE__ */ struct(
  "gnttab_unmap_grant_ref",
  {
    size: 24,
    align: 8,
    fields: { host_addr: [0, "u64"], dev_bus_addr: [8, "u64"], handle: [16, "u32"], status: [20, "s16"] },
  },
  {
    size: 24,
    align: 4,
    fields: { host_addr: [0, "u64"], dev_bus_addr: [8, "u64"], handle: [16, "u32"], status: [20, "s16"] },
  },
);
export const GNTTAB_UNMAP_GRANT_REF_SIZE = 24;
export const GNTTAB_UNMAP_GRANT_REF_HOST_ADDR = 0;
export const GNTTAB_UNMAP_GRANT_REF_DEV_BUS_ADDR = 8;
export const GNTTAB_UNMAP_GRANT_REF_HANDLE = 16;
export const GNTTAB_UNMAP_GRANT_REF_STATUS = 20;

/** Sizes the caller's table and lists its frames. Out: status, frame_list. */
export const gnttab_setup_table = /* @__PURE__ */ struct(
  "gnttab_setup_table",
  {
    size: 24,
    align: 8,
    fields: { dom: [0, "u16"], nr_frames: [4, "u32"], status: [8, "s16"], frame_list: [16, "u64"] },
  },
  {
    size: 16,
    align: 4,
    fields: { dom: [0, "u16"], nr_frames: [4, "u32"], status: [8, "s16"], frame_list: [12, "u32"] },
  },
);
export const GNTTAB_SETUP_TABLE_SIZE = 24;
export const GNTTAB_SETUP_TABLE_DOM = 0;
export const GNTTAB_SETUP_TABLE_NR_FRAMES = 4;
export const GNTTAB_SETUP_TABLE_STATUS = 8;
export const GNTTAB_SETUP_TABLE_FRAME_LIST = 16;

/** Copies between two frames, each named by number or by grant. Out: status. */
export const gnttab_copy = /* @__PURE__ */ struct(
  "gnttab_copy",
  {
    size: 40,
    align: 8,
    fields: {
      "source.u.ref": [0, "u32"],
      "source.u.gmfn": [0, "u64"],
      "source.domid": [8, "u16"],
      "source.offset": [10, "u16"],
      "dest.u.ref": [16, "u32"],
      "dest.domid": [24, "u16"],
      "dest.offset": [26, "u16"],
      len: [32, "u16"],
      flags: [34, "u16"],
      status: [36, "s16"],
    },
  },
  {
    size: 24,
    align: 4,
    fields: {
      "source.u.ref": [0, "u32"],
      "source.u.gmfn": [0, "u32"],
      "source.domid": [4, "u16"],
      "source.offset": [6, "u16"],
      "dest.u.ref": [8, "u32"],
      "dest.domid": [12, "u16"],
      "dest.offset": [14, "u16"],
      len: [16, "u16"],
      flags: [18, "u16"],
      status: [20, "s16"],
    },
  },
);
export const GNTTAB_COPY_SIZE = 40;
export const GNTTAB_COPY_SOURCE_U_REF = 0;
export const GNTTAB_COPY_SOURCE_U_GMFN = 0;
export const GNTTAB_COPY_SOURCE_DOMID = 8;
export const GNTTAB_COPY_SOURCE_OFFSET = 10;
export const GNTTAB_COPY_DEST_U_REF = 16;
export const GNTTAB_COPY_DEST_DOMID = 24;
export const GNTTAB_COPY_DEST_OFFSET = 26;
export const GNTTAB_COPY_LEN = 32;
export const GNTTAB_COPY_FLAGS = 34;
export const GNTTAB_COPY_STATUS = 36;

/** Out: nr_frames, max_nr_frames, status. */
export const gnttab_query_size = /* @__PURE__ */ struct("gnttab_query_size", {
  size: 16,
  align: 4,
  fields: { dom: [0, "u16"], nr_frames: [4, "u32"], max_nr_frames: [8, "u32"], status: [12, "s16"] },
});
export const GNTTAB_QUERY_SIZE_SIZE = 16;
export const GNTTAB_QUERY_SIZE_DOM = 0;
export const GNTTAB_QUERY_SIZE_NR_FRAMES = 4;
export const GNTTAB_QUERY_SIZE_MAX_NR_FRAMES = 8;
export const GNTTAB_QUERY_SIZE_STATUS = 12;

/** Destroys a mapping and puts another in its place. Out: status. */
export const gnttab_unmap_and_replace = /* @__PURE__ */ struct(
  "gnttab_unmap_and_replace",
  {
    size: 24,
    align: 8,
    fields: { host_addr: [0, "u64"], new_addr: [8, "u64"], handle: [16, "u32"], status: [20, "s16"] },
  },
  {
    size: 24,
    align: 4,
    fields: { host_addr: [0, "u64"], new_addr: [8, "u64"], handle: [16, "u32"], status: [20, "s16"] },
  },
);
export const GNTTAB_UNMAP_AND_REPLACE_SIZE = 24;
export const GNTTAB_UNMAP_AND_REPLACE_HOST_ADDR = 0;
export const GNTTAB_UNMAP_AND_REPLACE_NEW_ADDR = 8;
export const GNTTAB_UNMAP_AND_REPLACE_HANDLE = 16;
export const GNTTAB_UNMAP_AND_REPLACE_STATUS = 20;

/** Gives a frame away. Out: status. */
export const gnttab_transfer = /* @__PURE__ */ struct(
  "gnttab_transfer",
  { size: 24, align: 8, fields: { mfn: [0, "u64"], domid: [8, "u16"], ref: [12, "u32"], status: [16, "s16"] } },
  { size: 16, align: 4, fields: { mfn: [0, "u32"], domid: [4, "u16"], ref: [8, "u32"], status: [12, "s16"] } },
);
export const GNTTAB_TRANSFER_SIZE = 24;
export const GNTTAB_TRANSFER_MFN = 0;
export const GNTTAB_TRANSFER_DOMID = 8;
export const GNTTAB_TRANSFER_REF = 12;
export const GNTTAB_TRANSFER_STATUS = 16;

/** In and out: version. */
export const gnttab_set_version = /* @__PURE__ */ struct("gnttab_set_version", {
  size: 4,
  align: 4,
  fields: { version: [0, "u32"] },
});
export const GNTTAB_SET_VERSION_SIZE = 4;
export const GNTTAB_SET_VERSION_VERSION = 0;

/** Out: version. */
export const gnttab_get_version = /* @__PURE__ */ struct("gnttab_get_version", {
  size: 8,
  align: 4,
  fields: { dom: [0, "u16"], version: [4, "u32"] },
});
export const GNTTAB_GET_VERSION_SIZE = 8;
export const GNTTAB_GET_VERSION_DOM = 0;
export const GNTTAB_GET_VERSION_VERSION = 4;

/** Exchanges two entries of the caller's own table. Out: status. */
export const gnttab_swap_grant_ref = /* @__PURE__ */ struct("gnttab_swap_grant_ref", {
  size: 12,
  align: 4,
  fields: { ref_a: [0, "u32"], ref_b: [4, "u32"], status: [8, "s16"] },
});
export const GNTTAB_SWAP_GRANT_REF_SIZE = 12;
export const GNTTAB_SWAP_GRANT_REF_REF_A = 0;
export const GNTTAB_SWAP_GRANT_REF_REF_B = 4;
export const GNTTAB_SWAP_GRANT_REF_STATUS = 8;

// gnttab_map_grant_ref.flags.
export const GNTMAP_device_map = 1;
export const GNTMAP_host_map = 2;
export const GNTMAP_readonly = 4;
export const GNTMAP_application_map = 8;
export const GNTMAP_contains_pte = 16;

// gnttab_copy.flags.
export const GNTCOPY_source_gref = 1;
export const GNTCOPY_dest_gref = 2;

// Status codes.
export const GNTST_okay = 0;
export const GNTST_general_error = -1;
export const GNTST_bad_domain = -2;
export const GNTST_bad_gntref = -3;
export const GNTST_bad_handle = -4;
export const GNTST_bad_virt_addr = -5;
export const GNTST_bad_dev_addr = -6;
export const GNTST_no_device_space = -7;
export const GNTST_permission_denied = -8;
export const GNTST_bad_page = -9;
export const GNTST_bad_copy_arg = -10;
export const GNTST_address_too_big = -11;
export const GNTST_eagain = -12;
export const GNTST_no_space = -13;

/** What Linux prints for status `-index`. */
export const GNTTABOP_error_msgs: readonly string[] = [
  "okay",
  "undefined error",
  "unrecognised domain id",
  "invalid grant reference",
  "invalid mapping handle",
  "invalid virtual address",
  "invalid device address",
  "no spare translation slot in the I/O MMU",
  "permission denied",
  "bad page",
  "copy arguments cross page boundary",
  "page address size too large",
  "operation not done; try again",
  "out of space",
];
