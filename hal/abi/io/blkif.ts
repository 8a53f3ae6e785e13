/**
 * The block protocol's slots and constants (Xen public/io/blkif.h).
 *
 * BLKIF_REQUEST_* are offsets of the x86_64 layout, which is this machine's native one, BLKIF_X86_32_REQUEST_* those of an i386 front end's.
 * Sectors are 512 bytes, always. A response lies at the same offsets in both ABIs.
 */
import { struct } from "../layout";

/** What a front end puts into `handle`. */
export type blkif_vdev_t = number;

// Operations.
export const BLKIF_OP_READ = 0;
export const BLKIF_OP_WRITE = 1;
export const BLKIF_OP_WRITE_BARRIER = 2;
export const BLKIF_OP_FLUSH_DISKCACHE = 3;
export const BLKIF_OP_RESERVED_1 = 4;
export const BLKIF_OP_DISCARD = 5;
export const BLKIF_OP_INDIRECT = 6;

// Status of a response.
export const BLKIF_RSP_OKAY = 0;
export const BLKIF_RSP_ERROR = -1;
export const BLKIF_RSP_EOPNOTSUPP = -2;

// Limits of one request.
export const BLKIF_MAX_SEGMENTS_PER_REQUEST = 11;
export const BLKIF_MAX_INDIRECT_PAGES_PER_REQUEST = 8;

// Descriptors in an indirect page.
export const BLKIF_SEGS_PER_INDIRECT_FRAME = 512;

// blkif_request_discard.flag.
export const BLKIF_DISCARD_SECURE = 1;

// The node `info`.
export const VDISK_CDROM = 1;
export const VDISK_REMOVABLE = 2;
export const VDISK_READONLY = 4;

/** Part of a granted page: sectors first_sect to last_sect, both included. */
export const blkif_request_segment = /* @__PURE__ */ struct("blkif_request_segment", {
  size: 8,
  align: 4,
  fields: { gref: [0, "u32"], first_sect: [4, "u8"], last_sect: [5, "u8"] },
});
export const BLKIF_REQUEST_SEGMENT_SIZE = 8;
export const BLKIF_REQUEST_SEGMENT_GREF = 0;
export const BLKIF_REQUEST_SEGMENT_FIRST_SECT = 4;
export const BLKIF_REQUEST_SEGMENT_LAST_SECT = 5;

/** READ, WRITE, WRITE_BARRIER and FLUSH_DISKCACHE. `seg` holds 11 segments. */
export const blkif_request = /* @__PURE__ */ struct(
  "blkif_request",
  {
    size: 112,
    align: 8,
    fields: {
      operation: [0, "u8"],
      nr_segments: [1, "u8"],
      handle: [2, "u16"],
      id: [8, "u64"],
      sector_number: [16, "u64"],
      seg: [24, 88],
    },
  },
  {
    size: 108,
    align: 4,
    fields: {
      operation: [0, "u8"],
      nr_segments: [1, "u8"],
      handle: [2, "u16"],
      id: [4, "u64"],
      sector_number: [12, "u64"],
      seg: [20, 88],
    },
  },
);
export const BLKIF_REQUEST_SIZE = 112;
export const BLKIF_REQUEST_OPERATION = 0;
export const BLKIF_REQUEST_NR_SEGMENTS = 1;
export const BLKIF_REQUEST_HANDLE = 2;
export const BLKIF_REQUEST_ID = 8;
export const BLKIF_REQUEST_SECTOR_NUMBER = 16;
export const BLKIF_REQUEST_SEG = 24;
export const BLKIF_X86_32_REQUEST_SIZE = 108;
export const BLKIF_X86_32_REQUEST_OPERATION = 0;
export const BLKIF_X86_32_REQUEST_NR_SEGMENTS = 1;
export const BLKIF_X86_32_REQUEST_HANDLE = 2;
export const BLKIF_X86_32_REQUEST_ID = 4;
export const BLKIF_X86_32_REQUEST_SECTOR_NUMBER = 12;
export const BLKIF_X86_32_REQUEST_SEG = 20;

/** DISCARD. */
export const blkif_request_discard = /* @__PURE__ */ struct(
  "blkif_request_discard",
  {
    size: 32,
    align: 8,
    fields: {
      operation: [0, "u8"],
      flag: [1, "u8"],
      handle: [2, "u16"],
      id: [8, "u64"],
      sector_number: [16, "u64"],
      nr_sectors: [24, "u64"],
    },
  },
  {
    size: 28,
    align: 4,
    fields: {
      operation: [0, "u8"],
      flag: [1, "u8"],
      handle: [2, "u16"],
      id: [4, "u64"],
      sector_number: [12, "u64"],
      nr_sectors: [20, "u64"],
    },
  },
);
export const BLKIF_REQUEST_DISCARD_SIZE = 32;
export const BLKIF_REQUEST_DISCARD_OPERATION = 0;
export const BLKIF_REQUEST_DISCARD_FLAG = 1;
export const BLKIF_REQUEST_DISCARD_HANDLE = 2;
export const BLKIF_REQUEST_DISCARD_ID = 8;
export const BLKIF_REQUEST_DISCARD_SECTOR_NUMBER = 16;
export const BLKIF_REQUEST_DISCARD_NR_SECTORS = 24;
export const BLKIF_X86_32_REQUEST_DISCARD_SIZE = 28;
export const BLKIF_X86_32_REQUEST_DISCARD_OPERATION = 0;
export const BLKIF_X86_32_REQUEST_DISCARD_FLAG = 1;
export const BLKIF_X86_32_REQUEST_DISCARD_HANDLE = 2;
export const BLKIF_X86_32_REQUEST_DISCARD_ID = 4;
export const BLKIF_X86_32_REQUEST_DISCARD_SECTOR_NUMBER = 12;
export const BLKIF_X86_32_REQUEST_DISCARD_NR_SECTORS = 20;

/** INDIRECT: the segments are in up to 8 granted pages. */
export const blkif_request_indirect = /* @__PURE__ */ struct(
  "blkif_request_indirect",
  {
    size: 64,
    align: 8,
    fields: {
      operation: [0, "u8"],
      indirect_op: [1, "u8"],
      nr_segments: [2, "u16"],
      id: [8, "u64"],
      sector_number: [16, "u64"],
      handle: [24, "u16"],
      indirect_grefs: [28, 32],
    },
  },
  {
    size: 64,
    align: 4,
    fields: {
      operation: [0, "u8"],
      indirect_op: [1, "u8"],
      nr_segments: [2, "u16"],
      id: [4, "u64"],
      sector_number: [12, "u64"],
      handle: [20, "u16"],
      indirect_grefs: [24, 32],
    },
  },
);
export const BLKIF_REQUEST_INDIRECT_SIZE = 64;
export const BLKIF_REQUEST_INDIRECT_OPERATION = 0;
export const BLKIF_REQUEST_INDIRECT_INDIRECT_OP = 1;
export const BLKIF_REQUEST_INDIRECT_NR_SEGMENTS = 2;
export const BLKIF_REQUEST_INDIRECT_ID = 8;
export const BLKIF_REQUEST_INDIRECT_SECTOR_NUMBER = 16;
export const BLKIF_REQUEST_INDIRECT_HANDLE = 24;
export const BLKIF_REQUEST_INDIRECT_INDIRECT_GREFS = 28;
export const BLKIF_X86_32_REQUEST_INDIRECT_SIZE = 64;
export const BLKIF_X86_32_REQUEST_INDIRECT_OPERATION = 0;
export const BLKIF_X86_32_REQUEST_INDIRECT_INDIRECT_OP = 1;
export const BLKIF_X86_32_REQUEST_INDIRECT_NR_SEGMENTS = 2;
export const BLKIF_X86_32_REQUEST_INDIRECT_ID = 4;
export const BLKIF_X86_32_REQUEST_INDIRECT_SECTOR_NUMBER = 12;
export const BLKIF_X86_32_REQUEST_INDIRECT_HANDLE = 20;
export const BLKIF_X86_32_REQUEST_INDIRECT_INDIRECT_GREFS = 24;

/** An operation that the back end does not know: only these two have a meaning. */
export const blkif_request_other = /* @__PURE__ */ struct(
  "blkif_request_other",
  { size: 16, align: 8, fields: { operation: [0, "u8"], id: [8, "u64"] } },
  { size: 12, align: 4, fields: { operation: [0, "u8"], id: [4, "u64"] } },
);
export const BLKIF_REQUEST_OTHER_SIZE = 16;
export const BLKIF_REQUEST_OTHER_OPERATION = 0;
export const BLKIF_REQUEST_OTHER_ID = 8;
export const BLKIF_X86_32_REQUEST_OTHER_SIZE = 12;
export const BLKIF_X86_32_REQUEST_OTHER_OPERATION = 0;
export const BLKIF_X86_32_REQUEST_OTHER_ID = 4;

/** `operation` is the request's, for INDIRECT its indirect_op. Padding is never written. */
export const blkif_response = /* @__PURE__ */ struct(
  "blkif_response",
  { size: 16, align: 8, fields: { id: [0, "u64"], operation: [8, "u8"], status: [10, "s16"] } },
  { size: 12, align: 4, fields: { id: [0, "u64"], operation: [8, "u8"], status: [10, "s16"] } },
);
export const BLKIF_RESPONSE_SIZE = 16;
export const BLKIF_RESPONSE_ID = 0;
export const BLKIF_RESPONSE_OPERATION = 8;
export const BLKIF_RESPONSE_STATUS = 10;

/** A slot. */
export const blkif_sring_entry = /* @__PURE__ */ struct(
  "blkif_sring_entry",
  { size: 112, align: 8, fields: { req: [0, 112], rsp: [0, 16] } },
  { size: 108, align: 4, fields: { req: [0, 108], rsp: [0, 12] } },
);
export const BLKIF_SRING_ENTRY_SIZE = 112;
export const BLKIF_SRING_ENTRY_REQ = 0;
export const BLKIF_SRING_ENTRY_RSP = 0;

// Slots of each ABI, bytes.
export const BLKIF_SLOT_SIZE = 112;
export const BLKIF_X86_32_SLOT_SIZE = 108;
export const BLKIF_X86_64_SLOT_SIZE = 112;
