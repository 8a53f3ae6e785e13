/**
 * The grant_table_op hypercall: arrays of operations, each with its own status. The call's own result is 0 unless the array itself is bad.
 *
 * Version 1 tables only: they are what the guest writes; a switch to version 2 is refused without any change.
 */
import { EFAULT, EINVAL, ENOSYS, EPERM, ESRCH } from "../../abi/errno";
import {
  GNTST_bad_domain,
  GNTST_bad_gntref,
  GNTST_eagain,
  GNTST_general_error,
  GNTST_okay,
  GNTST_permission_denied,
  GNTTABOP_copy,
  GNTTABOP_get_version,
  GNTTABOP_map_grant_ref,
  GNTTABOP_query_size,
  GNTTABOP_set_version,
  GNTTABOP_setup_table,
  GNTTABOP_swap_grant_ref,
  GNTTABOP_unmap_and_replace,
  GNTTABOP_unmap_grant_ref,
  GNTTAB_COPY_SIZE,
  GNTTAB_COPY_STATUS,
  GNTTAB_GET_VERSION_DOM,
  GNTTAB_GET_VERSION_SIZE,
  GNTTAB_GET_VERSION_VERSION,
  GNTTAB_MAP_GRANT_REF_SIZE,
  GNTTAB_MAP_GRANT_REF_STATUS,
  GNTTAB_QUERY_SIZE_DOM,
  GNTTAB_QUERY_SIZE_MAX_NR_FRAMES,
  GNTTAB_QUERY_SIZE_NR_FRAMES,
  GNTTAB_QUERY_SIZE_SIZE,
  GNTTAB_QUERY_SIZE_STATUS,
  GNTTAB_SETUP_TABLE_DOM,
  GNTTAB_SETUP_TABLE_FRAME_LIST,
  GNTTAB_SETUP_TABLE_NR_FRAMES,
  GNTTAB_SETUP_TABLE_SIZE,
  GNTTAB_SETUP_TABLE_STATUS,
  GNTTAB_SET_VERSION_SIZE,
  GNTTAB_SET_VERSION_VERSION,
  GNTTAB_SWAP_GRANT_REF_REF_A,
  GNTTAB_SWAP_GRANT_REF_REF_B,
  GNTTAB_SWAP_GRANT_REF_SIZE,
  GNTTAB_SWAP_GRANT_REF_STATUS,
  GNTTAB_UNMAP_AND_REPLACE_SIZE,
  GNTTAB_UNMAP_AND_REPLACE_STATUS,
  GNTTAB_UNMAP_GRANT_REF_SIZE,
  GNTTAB_UNMAP_GRANT_REF_STATUS,
} from "../../abi/grant_table";
import { DOMID_SELF } from "../../abi/xen";
import { createActiveGrants, GRANTS_PER_FRAME, grantEntry } from "./active-grants";
import { charge, chargeLock } from "./clock";
import type { Context } from "./context";
import { GRANT_TABLE_PFN } from "./domain-layout";
import { grantCopy } from "./grant-copy";
import { mapGrantRef, unmapAndReplace, unmapGrantRef } from "./grant-map";
import { guestRangeOk, guestWord, writeU64 } from "./guest-memory";
import type { DomainState, VcpuState } from "./state";

/** Unmaps that share one flush. */
const UNMAPS_PER_FLUSH = 32;
/** Bytes of a frame number in `frame_list`. */
const XEN_PFN_SIZE = 8;
const GRANT_VERSION = 1;

type Operation = (context: Context, domain: DomainState, vcpu: VcpuState, op: number) => number;

/** Runs `operation` for every element, in order; each gets its status, the others go on. */
function forEach(
  context: Context,
  domain: DomainState,
  vcpu: VcpuState,
  word: number,
  count: number,
  size: number,
  statusOffset: number,
  ns: number,
  operation: Operation,
): void {
  const words = size >>> 2;
  for (let i = 0, op = word; i < count; i++, op += words) {
    const status = operation(context, domain, vcpu, op);
    context.memory.u16[(op << 1) + (statusOffset >>> 1)] = status;
    charge(context, vcpu, ns);
  }
}

/** Flushes the TLBs of all vCPUs of the domain that run; flushes of the machine go one after the other. */
function flushTlbs(context: Context, domain: DomainState, vcpu: VcpuState): void {
  const { costs, tlbLock } = context.state;
  let others = 0;
  for (let i = 0; i < domain.vcpus.length; i++) {
    if (domain.vcpus[i] !== vcpu && domain.vcpus[i].state !== "offline") others++;
  }
  charge(context, vcpu, costs.tlbFlushNs);
  if (others > 0) chargeLock(context, vcpu, tlbLock, others * costs.tlbShootdownNs);
}

function unmapBatch(
  context: Context,
  domain: DomainState,
  vcpu: VcpuState,
  word: number,
  count: number,
  size: number,
  statusOffset: number,
  operation: Operation,
): void {
  const ns = context.state.costs.grantUnmapNs;
  for (let done = 0; done < count; done += UNMAPS_PER_FLUSH) {
    const chunk = Math.min(UNMAPS_PER_FLUSH, count - done);
    forEach(context, domain, vcpu, word + done * (size >>> 2), chunk, size, statusOffset, ns, operation);
    flushTlbs(context, domain, vcpu);
  }
}

/** The domain that `domid` of a table operation means, or a negative GNTST_*. Others than oneself are for the privileged. */
function tableOwner(context: Context, domain: DomainState, domid: number): DomainState | number {
  if (domid === DOMID_SELF || domid === domain.domid) return domain;
  const owner = context.state.domains[domid];
  if (owner === undefined) return GNTST_bad_domain;
  return domain.privileged ? owner : GNTST_permission_denied;
}

function setupTable(context: Context, domain: DomainState, word: number): number {
  const { memory } = context;
  const frames = memory.u32[word + (GNTTAB_SETUP_TABLE_NR_FRAMES >>> 2)];
  const list = word + (GNTTAB_SETUP_TABLE_FRAME_LIST >>> 2);
  const finish = (status: number): number => {
    memory.u16[(word << 1) + (GNTTAB_SETUP_TABLE_STATUS >>> 1)] = status;
    return 0;
  };
  const owner = tableOwner(context, domain, memory.u16[(word << 1) + (GNTTAB_SETUP_TABLE_DOM >>> 1)]);
  if (typeof owner === "number") return finish(owner);
  if (frames > owner.grantFramesMax) return finish(GNTST_general_error);
  const address = memory.u32[list];
  if (memory.u32[list + 1] !== 0 || !guestRangeOk(context, domain, address, frames * XEN_PFN_SIZE)) return -EFAULT;
  if (frames > owner.grantFrames) {
    owner.active = createActiveGrants(frames, owner.active);
    owner.grantFrames = frames;
  }
  const out = guestWord(domain, address);
  for (let i = 0; i < frames; i++) writeU64(memory, out + i * 2, owner.firstFrame + GRANT_TABLE_PFN + i);
  return finish(GNTST_okay);
}

function querySize(context: Context, domain: DomainState, word: number): number {
  const { u32, u16 } = context.memory;
  const owner = tableOwner(context, domain, u16[(word << 1) + (GNTTAB_QUERY_SIZE_DOM >>> 1)]);
  const status = (word << 1) + (GNTTAB_QUERY_SIZE_STATUS >>> 1);
  if (typeof owner === "number") {
    u16[status] = owner;
    return 0;
  }
  u32[word + (GNTTAB_QUERY_SIZE_NR_FRAMES >>> 2)] = owner.grantFrames;
  u32[word + (GNTTAB_QUERY_SIZE_MAX_NR_FRAMES >>> 2)] = owner.grantFramesMax;
  u16[status] = GNTST_okay;
  return 0;
}

/** Exchanges two entries of the caller's own table. Neither may be in use. */
function swapGrantRef(context: Context, domain: DomainState, _vcpu: VcpuState, op: number): number {
  const { u32 } = context.memory;
  const a = u32[op + (GNTTAB_SWAP_GRANT_REF_REF_A >>> 2)];
  const b = u32[op + (GNTTAB_SWAP_GRANT_REF_REF_B >>> 2)];
  const limit = domain.grantFrames * GRANTS_PER_FRAME;
  if (a >= limit || b >= limit) return GNTST_bad_gntref;
  if (a === b) return GNTST_okay;
  if (domain.active.pin[a] !== 0 || domain.active.pin[b] !== 0) return GNTST_eagain;
  const left = grantEntry(domain, a) >>> 2;
  const right = grantEntry(domain, b) >>> 2;
  for (let i = 0; i < 2; i++) {
    const kept = u32[left + i];
    u32[left + i] = u32[right + i];
    u32[right + i] = kept;
  }
  return GNTST_okay;
}

/** Version 1 is what there is: asking for it succeeds, for 2 there is no support, others do not exist. */
function setVersion(context: Context, word: number): number {
  const version = word + (GNTTAB_SET_VERSION_VERSION >>> 2);
  const wanted = context.memory.u32[version];
  if (wanted === GRANT_VERSION) return 0;
  return wanted === 2 ? -ENOSYS : -EINVAL;
}

function getVersion(context: Context, domain: DomainState, word: number): number {
  const { u32, u16 } = context.memory;
  const owner = tableOwner(context, domain, u16[(word << 1) + (GNTTAB_GET_VERSION_DOM >>> 1)]);
  if (typeof owner === "number") return owner === GNTST_bad_domain ? -ESRCH : -EPERM;
  u32[word + (GNTTAB_GET_VERSION_VERSION >>> 2)] = GRANT_VERSION;
  return 0;
}

/** Bytes of one element, or 0 when there is no such operation. */
function elementSize(command: number): number {
  switch (command) {
    case GNTTABOP_map_grant_ref:
      return GNTTAB_MAP_GRANT_REF_SIZE;
    case GNTTABOP_unmap_grant_ref:
      return GNTTAB_UNMAP_GRANT_REF_SIZE;
    case GNTTABOP_unmap_and_replace:
      return GNTTAB_UNMAP_AND_REPLACE_SIZE;
    case GNTTABOP_copy:
      return GNTTAB_COPY_SIZE;
    case GNTTABOP_setup_table:
      return GNTTAB_SETUP_TABLE_SIZE;
    case GNTTABOP_query_size:
      return GNTTAB_QUERY_SIZE_SIZE;
    case GNTTABOP_swap_grant_ref:
      return GNTTAB_SWAP_GRANT_REF_SIZE;
    case GNTTABOP_set_version:
      return GNTTAB_SET_VERSION_SIZE;
    case GNTTABOP_get_version:
      return GNTTAB_GET_VERSION_SIZE;
    default:
      return 0;
  }
}

function single(context: Context, domain: DomainState, command: number, word: number): number {
  switch (command) {
    case GNTTABOP_setup_table:
      return setupTable(context, domain, word);
    case GNTTABOP_query_size:
      return querySize(context, domain, word);
    case GNTTABOP_set_version:
      return setVersion(context, word);
    default:
      return getVersion(context, domain, word);
  }
}

/**
 * __HYPERVISOR_grant_table_op(cmd, address, count). 0, or -ENOSYS for an operation there is not, -EINVAL for a bad count, -EFAULT for an
 * array outside of own RAM.
 */
export function grantTableOp(
  context: Context,
  domain: DomainState,
  vcpu: VcpuState,
  command: number,
  address: number,
  count: number,
): number {
  const size = elementSize(command);
  if (size === 0) return -ENOSYS;
  if (count < 0) return -EINVAL;
  if (!guestRangeOk(context, domain, address, count * size)) return -EFAULT;
  const word = guestWord(domain, address);
  const { costs } = context.state;
  switch (command) {
    case GNTTABOP_map_grant_ref: {
      const status = GNTTAB_MAP_GRANT_REF_STATUS;
      forEach(context, domain, vcpu, word, count, size, status, costs.grantMapNs, mapGrantRef);
      return 0;
    }
    case GNTTABOP_unmap_grant_ref:
      unmapBatch(context, domain, vcpu, word, count, size, GNTTAB_UNMAP_GRANT_REF_STATUS, unmapGrantRef);
      return 0;
    case GNTTABOP_unmap_and_replace:
      unmapBatch(context, domain, vcpu, word, count, size, GNTTAB_UNMAP_AND_REPLACE_STATUS, unmapAndReplace);
      return 0;
    case GNTTABOP_copy:
      forEach(context, domain, vcpu, word, count, size, GNTTAB_COPY_STATUS, 0, grantCopy);
      return 0;
    case GNTTABOP_swap_grant_ref:
      forEach(context, domain, vcpu, word, count, size, GNTTAB_SWAP_GRANT_REF_STATUS, 0, swapGrantRef);
      return 0;
    default:
      return count === 1 ? single(context, domain, command, word) : -EINVAL;
  }
}
