/**
 * GNTTABOP_copy: bytes from page to page, each side a grant or a frame of the caller's own.
 *
 * Nothing can run between the checks and the copy, so the uses that Xen counts for its duration never become visible, and need not be counted.
 */
import {
  GNTCOPY_dest_gref,
  GNTCOPY_source_gref,
  GNTST_bad_copy_arg,
  GNTST_bad_domain,
  GNTST_bad_page,
  GNTST_okay,
  GNTST_permission_denied,
  GNTTAB_COPY_DEST_DOMID,
  GNTTAB_COPY_DEST_OFFSET,
  GNTTAB_COPY_DEST_U_REF,
  GNTTAB_COPY_FLAGS,
  GNTTAB_COPY_LEN,
  GNTTAB_COPY_SOURCE_DOMID,
  GNTTAB_COPY_SOURCE_OFFSET,
  GNTTAB_COPY_SOURCE_U_REF,
} from "../../abi/grant_table";
import { DOMID_SELF } from "../../abi/xen";
import { checkGrant } from "./active-grants";
import { charge } from "./clock";
import type { Context } from "./context";
import { frameOffset, ownsFrame } from "./frames";
import { FRAME_SIZE } from "./memory";
import type { DomainState, VcpuState } from "./state";

/** GNTST_okay, or why this side's domain cannot be used. Only DOMID_SELF may name a frame. */
function sideDomain(context: Context, domid: number, byGrant: boolean): number {
  if (domid !== DOMID_SELF && !byGrant) return GNTST_permission_denied;
  return domid === DOMID_SELF || context.state.domains[domid] !== undefined ? GNTST_okay : GNTST_bad_domain;
}

/** The frame of a side whose domain is good, or a negative GNTST_*. */
function sideFrame(
  context: Context,
  domain: DomainState,
  domid: number,
  word: number,
  byGrant: boolean,
  readonly: boolean,
): number {
  const { u32 } = context.memory;
  if (!byGrant) return u32[word + 1] === 0 && ownsFrame(domain, u32[word]) ? u32[word] : GNTST_bad_page;
  const granter = domid === DOMID_SELF ? domain : context.state.domains[domid];
  return granter === undefined ? GNTST_bad_domain : checkGrant(context, granter, u32[word], domain.domid, readonly);
}

/** One element at word index `op`: its status. A length of 0 succeeds whatever the rest says. */
export function grantCopy(context: Context, domain: DomainState, vcpu: VcpuState, op: number): number {
  const { u16, u8 } = context.memory;
  const half = op << 1;
  const length = u16[half + (GNTTAB_COPY_LEN >>> 1)];
  if (length === 0) return GNTST_okay;
  const flags = u16[half + (GNTTAB_COPY_FLAGS >>> 1)];
  const fromGrant = (flags & GNTCOPY_source_gref) !== 0;
  const toGrant = (flags & GNTCOPY_dest_gref) !== 0;
  const fromDomid = u16[half + (GNTTAB_COPY_SOURCE_DOMID >>> 1)];
  const toDomid = u16[half + (GNTTAB_COPY_DEST_DOMID >>> 1)];
  const status = sideDomain(context, fromDomid, fromGrant) || sideDomain(context, toDomid, toGrant);
  if (status !== GNTST_okay) return status;
  const fromOffset = u16[half + (GNTTAB_COPY_SOURCE_OFFSET >>> 1)];
  const toOffset = u16[half + (GNTTAB_COPY_DEST_OFFSET >>> 1)];
  if (fromOffset + length > FRAME_SIZE || toOffset + length > FRAME_SIZE) return GNTST_bad_copy_arg;
  const from = sideFrame(context, domain, fromDomid, op + (GNTTAB_COPY_SOURCE_U_REF >>> 2), fromGrant, true);
  if (from < 0) return from;
  const to = sideFrame(context, domain, toDomid, op + (GNTTAB_COPY_DEST_U_REF >>> 2), toGrant, false);
  if (to < 0) return to;
  const start = frameOffset(context, from) + fromOffset;
  u8.copyWithin(frameOffset(context, to) + toOffset, start, start + length);
  const { grantCopyNs, pageCopyNs } = context.state.costs;
  charge(context, vcpu, grantCopyNs + Math.ceil((pageCopyNs * length) / FRAME_SIZE));
  domain.counters.grantCopies++;
  return GNTST_okay;
}
