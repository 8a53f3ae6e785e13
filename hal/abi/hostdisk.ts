/**
 * The host disk: the one device of the machine that is not Xen's. A domain's `hostdisk` driver puts descriptors into its own memory, rings the
 * doorbell (`__HYPERVISOR_arch_7`), and finds completions in a page that it named, announced by an event channel.
 *
 *   guest RAM: descriptors ──doorbell──► hypervisor: checks, pins the frames, schedules the service time
 *   completion page ◄── {tag, status} at the completion's virtual time, then the event
 *
 * Data moves straight between the disk and the frame, which may be the domain's own or one that it has mapped by a grant.
 * The descriptors are read once, at the doorbell. A descriptor is an allegation: a bad one completes with a negative errno.
 */

export const HOSTDISK_OP_query = 0;
export const HOSTDISK_OP_setup = 1;
export const HOSTDISK_OP_submit = 2;

/** Disks of one machine, at most. */
export const HOSTDISKS_MAX = 256;

/**
 * query: a0 = op, a1 = address of this struct with `index` filled in. -ENODEV when there is no disk of this index (any more), -ENXIO when there
 * was never one of this index or above. 64 bytes.
 */
export const HOSTDISK_QUERY_SIZE = 64;
export const HOSTDISK_QUERY_index = 0; // u32, in
export const HOSTDISK_QUERY_flags = 4; // u32, out: HOSTDISK_F_*
export const HOSTDISK_QUERY_logical_block_size = 8; // u32
export const HOSTDISK_QUERY_physical_block_size = 12; // u32
export const HOSTDISK_QUERY_sectors = 16; // u64, 512-byte sectors
export const HOSTDISK_QUERY_max_segments = 24; // u32, descriptors of one request
export const HOSTDISK_QUERY_generation = 28; // u32, changes when the disk's size changes
export const HOSTDISK_QUERY_discard_granularity = 32; // u32, bytes

export const HOSTDISK_F_READONLY = 1;
export const HOSTDISK_F_WRITE_CACHE = 2;
export const HOSTDISK_F_DISCARD = 4;
export const HOSTDISK_F_SECURE_ERASE = 8;
export const HOSTDISK_F_CDROM = 16;
export const HOSTDISK_F_REMOVABLE = 32;

/** setup: a1 = pfn of the completion page (own RAM, zeroed), a2 = own unbound-to-Xen event port that is raised on completions and on disk changes. */

/** submit: a1 = address of an array of descriptors, a2 = their count. Returns 0, or -EINVAL/-EFAULT when nothing was taken. */
export const HOSTDISK_DESC_SIZE = 32;
export const HOSTDISK_DESC_op = 0; // u8: HOSTDISK_READ...
export const HOSTDISK_DESC_flags = 1; // u8: HOSTDISK_DESC_MORE
export const HOSTDISK_DESC_disk = 2; // u16
export const HOSTDISK_DESC_tag = 4; // u32, echoed; the driver's own
export const HOSTDISK_DESC_sector = 8; // u64, 512-byte sectors; of this segment
export const HOSTDISK_DESC_mfn = 16; // u32
export const HOSTDISK_DESC_offset = 20; // u16, bytes into the frame
export const HOSTDISK_DESC_length = 22; // u16, bytes, multiple of 512; offset + length <= 4096
export const HOSTDISK_DESC_nr_sectors = 24; // u64, discard only
/** More segments of the same request follow; only the last one's completion is reported. */
export const HOSTDISK_DESC_MORE = 1;

export const HOSTDISK_READ = 0;
export const HOSTDISK_WRITE = 1;
export const HOSTDISK_FLUSH = 2;
export const HOSTDISK_DISCARD = 3;
export const HOSTDISK_SECURE_ERASE = 4;

/** Completion page: u32 prod @0 (hypervisor), u32 cons @4 (guest), u32 generation @8 (any disk was added, removed or resized), then entries. */
export const HOSTDISK_COMP_prod = 0;
export const HOSTDISK_COMP_cons = 4;
export const HOSTDISK_COMP_generation = 8;
export const HOSTDISK_COMP_ring = 64;
/** Entry: u32 tag @0, s32 status @4 (0 or a negative errno). */
export const HOSTDISK_COMP_ENTRY_SIZE = 8;
/** Entries in the page; also the limit of requests in flight (submit beyond it is -EAGAIN for the whole array). */
export const HOSTDISK_COMP_COUNT = 256;
