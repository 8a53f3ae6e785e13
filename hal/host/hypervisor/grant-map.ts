/**
 * Mapping and unmapping of grants: the data path of every back end. Nothing here allocates.
 *
 * A mapping is a handle of the mapping domain (maptrack), uses of the granter's entry (active grants), and holds on the frame. `unmap` undoes
 * exactly what the handle says was done; what the caller writes into the operation can only make it fail.
 */
import {
  GNTMAP_application_map,
  GNTMAP_contains_pte,
  GNTMAP_device_map,
  GNTMAP_host_map,
  GNTMAP_readonly,
  GNTST_bad_dev_addr,
  GNTST_bad_domain,
  GNTST_bad_gntref,
  GNTST_bad_handle,
  GNTST_bad_virt_addr,
  GNTST_general_error,
  GNTST_no_space,
  GNTST_okay,
  GNTTAB_MAP_GRANT_REF_DEV_BUS_ADDR,
  GNTTAB_MAP_GRANT_REF_DOM,
  GNTTAB_MAP_GRANT_REF_FLAGS,
  GNTTAB_MAP_GRANT_REF_HANDLE,
  GNTTAB_MAP_GRANT_REF_HOST_ADDR,
  GNTTAB_MAP_GRANT_REF_REF,
  GNTTAB_UNMAP_AND_REPLACE_HANDLE,
  GNTTAB_UNMAP_AND_REPLACE_HOST_ADDR,
  GNTTAB_UNMAP_AND_REPLACE_NEW_ADDR,
  GNTTAB_UNMAP_GRANT_REF_DEV_BUS_ADDR,
  GNTTAB_UNMAP_GRANT_REF_HANDLE,
  GNTTAB_UNMAP_GRANT_REF_HOST_ADDR,
} from "../../abi/grant_table";
import {
  checkGrant,
  PIN_DEVICE_READ,
  PIN_DEVICE_WRITE,
  PIN_HOST_READ,
  PIN_HOST_WRITE,
  pinGrant,
  unpinGrant,
} from "./active-grants";
import { chargeLock } from "./clock";
import type { Context } from "./context";
import { frameAddressHigh, frameAddressLow, pinFrame, unpinFrame } from "./frames";
import { allocateHandle, foreignFrames, freeHandle, handleAt, hostPage, setHandleAt } from "./maptrack";
import type { DomainState, VcpuState } from "./state";

const MAPS = GNTMAP_device_map | GNTMAP_host_map;

/** The uses of the granter's entry that mappings with these flags make. */
function pinsOf(flags: number): number {
  const readonly = (flags & GNTMAP_readonly) !== 0;
  let pins = 0;
  if ((flags & GNTMAP_host_map) !== 0) pins += readonly ? PIN_HOST_READ : PIN_HOST_WRITE;
  if ((flags & GNTMAP_device_map) !== 0) pins += readonly ? PIN_DEVICE_READ : PIN_DEVICE_WRITE;
  return pins;
}

/** Adds (+1) or takes away (-1) the domain's own count of a foreign frame. */
function countMapping(context: Context, domain: DomainState, frame: number, flags: number, by: number): void {
  const foreign = foreignFrames(domain, context.memory.frameCount);
  foreign.mapped[frame] += by;
  if ((flags & GNTMAP_readonly) === 0) foreign.writable[frame] += by;
  foreign.aliased[frame] = 1;
}

/** Undoes the mappings `undo` (a subset of the handle's MAPS bits) of a handle in use; frees the handle with its last one. */
function releaseMapping(context: Context, domain: DomainState, handle: number, undo: number): void {
  const track = domain.maptrack;
  const frame = track.frame[handle];
  const readonly = track.flags[handle] & GNTMAP_readonly;
  const granter = context.state.domains[track.domid[handle]];
  if (granter !== undefined && granter.generation === track.generation[handle]) {
    unpinGrant(context, granter, track.ref[handle], pinsOf(undo | readonly));
  }
  if ((undo & GNTMAP_host_map) !== 0) {
    setHandleAt(domain, foreignFrames(domain, context.memory.frameCount), track.hostPfn[handle], -1);
    track.hostPfn[handle] = -1;
  }
  track.flags[handle] &= ~undo;
  if ((track.flags[handle] & MAPS) !== 0) return;
  countMapping(context, domain, frame, readonly, -1);
  unpinFrame(context, frame);
  freeHandle(domain, handle);
  domain.counters.grantUnmaps++;
}

/** Undoes all that a domain has mapped; part of its destruction. */
export function releaseAllMappings(context: Context, domain: DomainState): void {
  const { flags } = domain.maptrack;
  for (let handle = 0; handle < flags.length; handle++) {
    if ((flags[handle] & MAPS) !== 0) releaseMapping(context, domain, handle, flags[handle] & MAPS);
  }
}

function hostAddressStatus(domain: DomainState, pfn: number): number {
  if (pfn < 0) return GNTST_bad_virt_addr;
  return handleAt(domain, pfn) >= 0 ? GNTST_general_error : GNTST_okay;
}

/** GNTTABOP_map_grant_ref, one element at word index `op`: its status. A failed map changes nothing. */
export function mapGrantRef(context: Context, domain: DomainState, vcpu: VcpuState, op: number): number {
  const { u32, u16 } = context.memory;
  const flags = u32[op + (GNTTAB_MAP_GRANT_REF_FLAGS >>> 2)];
  if ((flags & MAPS) === 0) return GNTST_bad_gntref;
  if ((flags & (GNTMAP_application_map | GNTMAP_contains_pte)) !== 0) return GNTST_general_error;
  const domid = u16[(op << 1) + (GNTTAB_MAP_GRANT_REF_DOM >>> 1)];
  const granter = context.state.domains[domid];
  if (granter === undefined) return GNTST_bad_domain;
  const handle = allocateHandle(domain);
  if (handle < 0) return GNTST_no_space;
  const status = mapInto(context, domain, vcpu, granter, op, handle, flags);
  if (status !== GNTST_okay) freeHandle(domain, handle);
  return status;
}

function mapInto(
  context: Context,
  domain: DomainState,
  vcpu: VcpuState,
  granter: DomainState,
  op: number,
  handle: number,
  flags: number,
): number {
  const { u32 } = context.memory;
  const ref = u32[op + (GNTTAB_MAP_GRANT_REF_REF >>> 2)];
  chargeLock(context, vcpu, granter.grantLock, context.state.costs.grantLockNs);
  const frame = checkGrant(context, granter, ref, domain.domid, (flags & GNTMAP_readonly) !== 0);
  if (frame < 0) return frame;
  let pfn = -1;
  if ((flags & GNTMAP_host_map) !== 0) {
    const address = op + (GNTTAB_MAP_GRANT_REF_HOST_ADDR >>> 2);
    pfn = hostPage(domain, u32[address], u32[address + 1]);
    const status = hostAddressStatus(domain, pfn);
    if (status !== GNTST_okay) return status;
  }
  recordMapping(context, domain, granter, handle, ref, frame, flags, pfn);
  u32[op + (GNTTAB_MAP_GRANT_REF_HANDLE >>> 2)] = handle;
  u32[op + (GNTTAB_MAP_GRANT_REF_DEV_BUS_ADDR >>> 2)] = frameAddressLow(frame);
  u32[op + (GNTTAB_MAP_GRANT_REF_DEV_BUS_ADDR >>> 2) + 1] = frameAddressHigh(frame);
  return GNTST_okay;
}

function recordMapping(
  context: Context,
  domain: DomainState,
  granter: DomainState,
  handle: number,
  ref: number,
  frame: number,
  flags: number,
  pfn: number,
): void {
  const track = domain.maptrack;
  track.flags[handle] = flags & (MAPS | GNTMAP_readonly);
  track.ref[handle] = ref;
  track.domid[handle] = granter.domid;
  track.generation[handle] = granter.generation;
  track.frame[handle] = frame;
  track.hostPfn[handle] = pfn;
  pinGrant(context, granter, ref, domain.domid, frame, pinsOf(flags));
  pinFrame(context, frame);
  countMapping(context, domain, frame, flags, 1);
  if (pfn >= 0) setHandleAt(domain, foreignFrames(domain, context.memory.frameCount), pfn, handle);
  domain.counters.grantMaps++;
}

function handleInUse(domain: DomainState, handle: number): boolean {
  const { flags } = domain.maptrack;
  return handle < flags.length && (flags[handle] & MAPS) !== 0;
}

/** Waits for the lock of the table that the handle's grant comes from, if its domain still exists. */
function lockGranter(context: Context, domain: DomainState, vcpu: VcpuState, handle: number): void {
  const granter = context.state.domains[domain.maptrack.domid[handle]];
  if (granter !== undefined) chargeLock(context, vcpu, granter.grantLock, context.state.costs.grantLockNs);
}

/** Whether the two words are the host address at which the handle is mapped. */
function isHostAddress(domain: DomainState, handle: number, low: number, high: number): boolean {
  const pfn = hostPage(domain, low, high);
  return pfn >= 0 && (domain.maptrack.flags[handle] & GNTMAP_host_map) !== 0 && domain.maptrack.hostPfn[handle] === pfn;
}

/** GNTTABOP_unmap_grant_ref, one element at word index `op`: its status. An address of 0 leaves that mapping alone; all or nothing otherwise. */
export function unmapGrantRef(context: Context, domain: DomainState, vcpu: VcpuState, op: number): number {
  const { u32 } = context.memory;
  const handle = u32[op + (GNTTAB_UNMAP_GRANT_REF_HANDLE >>> 2)];
  if (!handleInUse(domain, handle)) return GNTST_bad_handle;
  lockGranter(context, domain, vcpu, handle);
  const { flags, frame } = domain.maptrack;
  const device = op + (GNTTAB_UNMAP_GRANT_REF_DEV_BUS_ADDR >>> 2);
  const host = op + (GNTTAB_UNMAP_GRANT_REF_HOST_ADDR >>> 2);
  let undo = 0;
  if (u32[device] !== 0 || u32[device + 1] !== 0) {
    const right = u32[device] === frameAddressLow(frame[handle]) && u32[device + 1] === frameAddressHigh(frame[handle]);
    if (!right) return GNTST_bad_dev_addr;
    undo |= flags[handle] & GNTMAP_device_map;
  }
  if (u32[host] !== 0 || u32[host + 1] !== 0) {
    if (!isHostAddress(domain, handle, u32[host], u32[host + 1])) return GNTST_general_error;
    undo |= GNTMAP_host_map;
  }
  if (undo !== 0) releaseMapping(context, domain, handle, undo);
  return GNTST_okay;
}

/** GNTTABOP_unmap_and_replace: the mapping at new_addr moves to host_addr, whose own mapping ends. new_addr 0 is a plain unmap. */
export function unmapAndReplace(context: Context, domain: DomainState, vcpu: VcpuState, op: number): number {
  const { u32 } = context.memory;
  const handle = u32[op + (GNTTAB_UNMAP_AND_REPLACE_HANDLE >>> 2)];
  if (!handleInUse(domain, handle)) return GNTST_bad_handle;
  lockGranter(context, domain, vcpu, handle);
  const host = op + (GNTTAB_UNMAP_AND_REPLACE_HOST_ADDR >>> 2);
  const fresh = op + (GNTTAB_UNMAP_AND_REPLACE_NEW_ADDR >>> 2);
  if (!isHostAddress(domain, handle, u32[host], u32[host + 1])) return GNTST_general_error;
  const pfn = domain.maptrack.hostPfn[handle];
  let moved = -1;
  if (u32[fresh] !== 0 || u32[fresh + 1] !== 0) {
    const from = hostPage(domain, u32[fresh], u32[fresh + 1]);
    moved = from < 0 ? -1 : handleAt(domain, from);
    if (moved < 0 || moved === handle) return GNTST_general_error;
  }
  releaseMapping(context, domain, handle, GNTMAP_host_map);
  if (moved >= 0) moveMapping(context, domain, moved, pfn);
  return GNTST_okay;
}

function moveMapping(context: Context, domain: DomainState, handle: number, pfn: number): void {
  const foreign = foreignFrames(domain, context.memory.frameCount);
  setHandleAt(domain, foreign, domain.maptrack.hostPfn[handle], -1);
  setHandleAt(domain, foreign, pfn, handle);
  domain.maptrack.hostPfn[handle] = pfn;
}
