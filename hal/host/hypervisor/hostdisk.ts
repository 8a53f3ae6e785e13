/**
 * The doorbell of the host disks (`__HYPERVISOR_arch_7`): query, setup and submit. See `hal/abi/hostdisk.ts` for the interface.
 *
 *   submit: descriptors copied once ─► checked ─► frames pinned ─► service time ─► queued completion (`hostdisk-service.ts`)
 *
 * The array is taken as a whole or not at all. A descriptor that is wrong in itself makes its own request fail, with a completion.
 */
import { EAGAIN, EFAULT, EINVAL, ENODEV, ENOSYS, ENXIO, EOPNOTSUPP, EROFS } from "../../abi/errno";
import {
  HOSTDISK_COMP_cons,
  HOSTDISK_COMP_COUNT,
  HOSTDISK_COMP_generation,
  HOSTDISK_DESC_disk,
  HOSTDISK_DESC_flags,
  HOSTDISK_DESC_length,
  HOSTDISK_DESC_mfn,
  HOSTDISK_DESC_MORE,
  HOSTDISK_DESC_nr_sectors,
  HOSTDISK_DESC_offset,
  HOSTDISK_DESC_op,
  HOSTDISK_DESC_sector,
  HOSTDISK_DESC_SIZE,
  HOSTDISK_DESC_tag,
  HOSTDISK_DISCARD,
  HOSTDISK_F_CDROM,
  HOSTDISK_F_DISCARD,
  HOSTDISK_F_READONLY,
  HOSTDISK_F_REMOVABLE,
  HOSTDISK_F_SECURE_ERASE,
  HOSTDISK_F_WRITE_CACHE,
  HOSTDISK_FLUSH,
  HOSTDISK_OP_query,
  HOSTDISK_OP_setup,
  HOSTDISK_OP_submit,
  HOSTDISK_QUERY_discard_granularity,
  HOSTDISK_QUERY_flags,
  HOSTDISK_QUERY_generation,
  HOSTDISK_QUERY_index,
  HOSTDISK_QUERY_logical_block_size,
  HOSTDISK_QUERY_max_segments,
  HOSTDISK_QUERY_physical_block_size,
  HOSTDISK_QUERY_sectors,
  HOSTDISK_QUERY_SIZE,
  HOSTDISK_READ,
  HOSTDISK_SECURE_ERASE,
  HOSTDISK_WRITE,
} from "../../abi/hostdisk";
import type { HostDiskInfo } from "../disks/disk";
import { charge } from "./clock";
import type { Context } from "./context";
import { ownsFrame, pinFrame } from "./frames";
import { guestRangeOk, guestWord, readU64, touchPages, writeU64 } from "./guest-memory";
import { noteAbsence, scheduleRequest } from "./hostdisk-service";
import { FRAME_SIZE } from "./memory";
import { portInUse } from "./ports";
import type { DiskRequest, DiskSegment, DomainState, VcpuState } from "./state";
import { ECS_UNBOUND, ECS_XEN, XEN_PORT_DISK } from "./state";

/** Segments of one request, at most. */
export const DISK_SEGMENTS_MAX = 512;
const SECTOR_SIZE = 512;

/** One descriptor as it was when the doorbell rang. */
interface Descriptor {
  op: number;
  more: boolean;
  disk: number;
  tag: number;
  sector: number;
  mfn: number;
  offset: number;
  length: number;
  sectorCount: number;
}

function readDescriptor(context: Context, address: number): Descriptor {
  const { memory } = context;
  const { u8, u16, u32 } = memory;
  return {
    op: u8[address + HOSTDISK_DESC_op],
    more: (u8[address + HOSTDISK_DESC_flags] & HOSTDISK_DESC_MORE) !== 0,
    disk: u16[(address + HOSTDISK_DESC_disk) >>> 1],
    tag: u32[(address + HOSTDISK_DESC_tag) >>> 2],
    sector: readU64(memory, (address + HOSTDISK_DESC_sector) >>> 2),
    mfn: u32[(address + HOSTDISK_DESC_mfn) >>> 2],
    offset: u16[(address + HOSTDISK_DESC_offset) >>> 1],
    length: u16[(address + HOSTDISK_DESC_length) >>> 1],
    sectorCount: readU64(memory, (address + HOSTDISK_DESC_nr_sectors) >>> 2),
  };
}

/** Whether the disk may transfer from the frame, or also into it. */
function mayTransfer(domain: DomainState, frame: number, into: boolean): boolean {
  if (ownsFrame(domain, frame)) return true;
  const { foreign } = domain;
  if (foreign === null || frame >= foreign.mapped.length) return false;
  return into ? foreign.writable[frame] > 0 : foreign.mapped[frame] > 0;
}

function segmentError(domain: DomainState, info: HostDiskInfo, d: Descriptor): number {
  if (d.length === 0 || d.length % SECTOR_SIZE !== 0 || d.offset + d.length > FRAME_SIZE) return -EINVAL;
  if (d.sector + d.length / SECTOR_SIZE > info.sectors) return -EINVAL;
  return mayTransfer(domain, d.mfn, d.op === HOSTDISK_READ) ? 0 : -EFAULT;
}

function discardError(info: HostDiskInfo, d: Descriptor, segmentCount: number): number {
  const offered = d.op === HOSTDISK_DISCARD ? info.discard : info.secureErase;
  if (!offered) return -EOPNOTSUPP;
  if (info.readonly) return -EROFS;
  if (segmentCount !== 1 || d.sectorCount === 0) return -EINVAL;
  return d.sector + d.sectorCount > info.sectors ? -EINVAL : 0;
}

/** 0, or the errno with which the request completes without reaching the disk. */
function requestError(context: Context, domain: DomainState, parts: readonly Descriptor[]): number {
  const first = parts[0];
  const disk = context.disks[first.disk];
  if (disk === undefined || disk === null) return -ENODEV;
  if (parts.length > DISK_SEGMENTS_MAX) return -EINVAL;
  if (parts.some((part) => part.op !== first.op || part.disk !== first.disk)) return -EINVAL;
  switch (first.op) {
    case HOSTDISK_FLUSH:
      return parts.length === 1 ? 0 : -EINVAL;
    case HOSTDISK_DISCARD:
    case HOSTDISK_SECURE_ERASE:
      return discardError(disk.info, first, parts.length);
    case HOSTDISK_WRITE:
      if (disk.info.readonly) return -EROFS;
      break;
    case HOSTDISK_READ:
      break;
    default:
      return -EOPNOTSUPP;
  }
  for (const part of parts) {
    const error = segmentError(domain, disk.info, part);
    if (error !== 0) return error;
  }
  return 0;
}

function hasSegments(op: number): boolean {
  return op === HOSTDISK_READ || op === HOSTDISK_WRITE;
}

function makeRequest(context: Context, domain: DomainState, parts: readonly Descriptor[]): DiskRequest {
  const refused = requestError(context, domain, parts);
  const last = parts[parts.length - 1];
  const segments: DiskSegment[] = [];
  if (refused === 0 && hasSegments(last.op)) {
    for (const part of parts) {
      pinFrame(context, part.mfn);
      segments.push({ sector: part.sector, frame: part.mfn, offset: part.offset, length: part.length });
    }
  }
  return {
    id: context.state.nextDiskRequest++,
    domid: domain.domid,
    generation: domain.generation,
    disk: last.disk,
    op: last.op,
    tag: last.tag,
    segments,
    sector: parts[0].sector,
    sectorCount: parts[0].sectorCount,
    refused,
  };
}

/** Requests that may be taken now, so that every completion finds a free entry. The consumer index is the guest's: an allegation. */
function completionRoom(context: Context, domain: DomainState): number {
  const page = (domain.ramBase + domain.doorbell.pfn * FRAME_SIZE) >>> 2;
  const cons = context.memory.u32[page + (HOSTDISK_COMP_cons >>> 2)];
  const unread = Math.min((domain.doorbell.prod - cons) >>> 0, HOSTDISK_COMP_COUNT);
  return HOSTDISK_COMP_COUNT - unread - domain.doorbell.inFlight;
}

function submit(context: Context, domain: DomainState, vcpu: VcpuState, address: number, count: number): number {
  if (domain.doorbell.pfn < 0 || count <= 0) return -EINVAL;
  if (!guestRangeOk(context, domain, address, count * HOSTDISK_DESC_SIZE)) return -EFAULT;
  const parts: Descriptor[] = [];
  let requests = 0;
  for (let i = 0; i < count; i++) {
    const part = readDescriptor(context, domain.ramBase + address + i * HOSTDISK_DESC_SIZE);
    if (!part.more) requests++;
    parts.push(part);
  }
  if (parts[count - 1].more) return -EINVAL;
  if (requests > completionRoom(context, domain)) return -EAGAIN;
  charge(context, vcpu, count * context.state.costs.diskDescriptorNs);
  for (let start = 0, end = 0; end < count; end++) {
    if (parts[end].more) continue;
    scheduleRequest(context, makeRequest(context, domain, parts.slice(start, end + 1)), vcpu.clock);
    domain.doorbell.inFlight++;
    domain.counters.diskRequests++;
    start = end + 1;
  }
  return 0;
}

function infoFlags(info: HostDiskInfo): number {
  return (
    (info.readonly ? HOSTDISK_F_READONLY : 0) |
    (info.writeCache ? HOSTDISK_F_WRITE_CACHE : 0) |
    (info.discard ? HOSTDISK_F_DISCARD : 0) |
    (info.secureErase ? HOSTDISK_F_SECURE_ERASE : 0) |
    (info.cdrom ? HOSTDISK_F_CDROM : 0) |
    (info.removable ? HOSTDISK_F_REMOVABLE : 0)
  );
}

function query(context: Context, domain: DomainState, address: number): number {
  if (!guestRangeOk(context, domain, address, HOSTDISK_QUERY_SIZE)) return -EFAULT;
  const { memory } = context;
  const word = guestWord(domain, address);
  const index = memory.u32[word + (HOSTDISK_QUERY_index >>> 2)];
  if (index >= context.state.disks.length) return -ENXIO;
  const disk = context.disks[index];
  if (disk === undefined || disk === null) {
    noteAbsence(context.state.disks[index], domain);
    return -ENODEV;
  }
  const { info } = disk;
  memory.u32[word + (HOSTDISK_QUERY_flags >>> 2)] = infoFlags(info);
  memory.u32[word + (HOSTDISK_QUERY_logical_block_size >>> 2)] = info.logicalBlockSize;
  memory.u32[word + (HOSTDISK_QUERY_physical_block_size >>> 2)] = info.physicalBlockSize;
  writeU64(memory, word + (HOSTDISK_QUERY_sectors >>> 2), info.sectors);
  memory.u32[word + (HOSTDISK_QUERY_max_segments >>> 2)] = DISK_SEGMENTS_MAX;
  memory.u32[word + (HOSTDISK_QUERY_generation >>> 2)] = info.generation;
  memory.u32[word + (HOSTDISK_QUERY_discard_granularity >>> 2)] = info.discardGranularity;
  return 0;
}

/** Takes over an unbound port and a page of own RAM. May be repeated when nothing is in flight (a new kernel in the same domain). */
function setup(context: Context, domain: DomainState, pfn: number, port: number): number {
  if (pfn < 0 || pfn >= domain.pageCount) return -EFAULT;
  if (port <= 0 || !portInUse(domain, port)) return -EINVAL;
  const { ports, doorbell } = domain;
  if (doorbell.inFlight !== 0 || ports.state[port] !== ECS_UNBOUND) return -EINVAL;
  ports.state[port] = ECS_XEN;
  ports.remotePort[port] = XEN_PORT_DISK;
  doorbell.pfn = pfn;
  doorbell.port = port;
  doorbell.prod = 0;
  touchPages(context, domain, pfn, pfn + 1);
  const page = domain.ramBase + pfn * FRAME_SIZE;
  context.memory.u8.fill(0, page, page + FRAME_SIZE);
  context.memory.u32[(page + HOSTDISK_COMP_generation) >>> 2] = context.state.diskGeneration;
  return 0;
}

/** __HYPERVISOR_arch_7(op, a1, a2). */
export function hostdiskOp(
  context: Context,
  domain: DomainState,
  vcpu: VcpuState,
  op: number,
  a1: number,
  a2: number,
): number {
  switch (op) {
    case HOSTDISK_OP_query:
      return query(context, domain, a1);
    case HOSTDISK_OP_setup:
      return setup(context, domain, a1, a2);
    case HOSTDISK_OP_submit:
      return submit(context, domain, vcpu, a1, a2);
    default:
      return -ENOSYS;
  }
}
