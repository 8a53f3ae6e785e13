/**
 * Grant entries and what they are really used for.
 *
 * The entry is a shared word that its owner may rewrite at any time. So it is read when the first use begins, checked, and from then on the
 * *active* record (frame, user, use counts) decides, until the last use has ended. GTF_reading and GTF_writing in the entry only tell the
 * owner that it must not revoke.
 *
 *   entry (guest writes)  --first pin: check, copy-->  active {pin, domid, frame}  --last unpin-->  GTF_reading cleared
 */
import {
  GNTST_bad_gntref,
  GNTST_bad_page,
  GNTST_general_error,
  GNTST_okay,
  GRANT_ENTRY_V1_DOMID,
  GRANT_ENTRY_V1_FLAGS,
  GRANT_ENTRY_V1_FRAME,
  GRANT_ENTRY_V1_SIZE,
  GTF_permit_access,
  GTF_reading,
  GTF_readonly,
  GTF_type_mask,
  GTF_writing,
} from "../../abi/grant_table";
import type { Context } from "./context";
import { GRANT_TABLE_PFN } from "./domain-layout";
import { ownsFrame } from "./frames";
import { FRAME_SIZE } from "./memory";
import type { ActiveGrants, DomainState } from "./state";

/** Entries in one frame of the table. */
export const GRANTS_PER_FRAME = FRAME_SIZE / GRANT_ENTRY_V1_SIZE;

/** One use, added to `ActiveGrants.pin`. */
export const PIN_HOST_WRITE = 1;
export const PIN_HOST_READ = 1 << 8;
export const PIN_DEVICE_WRITE = 1 << 16;
export const PIN_DEVICE_READ = 1 << 24;
const PIN_WRITABLE = 0x00ff00ff;
/** A counter that has reached 128 takes no more. */
const PIN_FULL = 0x80808080;

/** Records for `frames` frames of grant table; keeps what `old` had. */
export function createActiveGrants(frames: number, old: ActiveGrants | null): ActiveGrants {
  const size = frames * GRANTS_PER_FRAME;
  const active = { pin: new Uint32Array(size), domid: new Uint16Array(size), frame: new Uint32Array(size) };
  if (old !== null) {
    active.pin.set(old.pin);
    active.domid.set(old.domid);
    active.frame.set(old.frame);
  }
  return active;
}

/** Byte offset in machine memory of a checked reference's entry. */
export function grantEntry(granter: DomainState, ref: number): number {
  return granter.ramBase + GRANT_TABLE_PFN * FRAME_SIZE + ref * GRANT_ENTRY_V1_SIZE;
}

/** Whether the shared entry lets `user` in, for writing too unless `readonly`. GNTST_okay or GNTST_general_error. */
function checkEntry(context: Context, entry: number, user: number, readonly: boolean): number {
  const { u16 } = context.memory;
  const flags = u16[(entry + GRANT_ENTRY_V1_FLAGS) >>> 1];
  if ((flags & GTF_type_mask) !== GTF_permit_access) return GNTST_general_error;
  if (u16[(entry + GRANT_ENTRY_V1_DOMID) >>> 1] !== user) return GNTST_general_error;
  if (!readonly && (flags & GTF_readonly) !== 0) return GNTST_general_error;
  return GNTST_okay;
}

/**
 * Every check of a use of `ref` by `user`, in Xen's order, changing nothing: the frame (0 or more), or a negative GNTST_*. While the entry is in
 * use, the frame is the one that was found at the first use.
 */
export function checkGrant(
  context: Context,
  granter: DomainState,
  ref: number,
  user: number,
  readonly: boolean,
): number {
  const { active } = granter;
  if (ref >= granter.grantFrames * GRANTS_PER_FRAME) return GNTST_bad_gntref;
  const pin = active.pin[ref];
  if (pin !== 0 && (active.domid[ref] !== user || (pin & PIN_FULL) !== 0)) return GNTST_general_error;
  const entry = grantEntry(granter, ref);
  if (pin === 0 || (!readonly && (pin & PIN_WRITABLE) === 0)) {
    const status = checkEntry(context, entry, user, readonly);
    if (status !== GNTST_okay) return status;
  }
  if (pin !== 0) return active.frame[ref];
  const frame = context.memory.u32[(entry + GRANT_ENTRY_V1_FRAME) >>> 2];
  return ownsFrame(granter, frame) ? frame : GNTST_bad_page;
}

/** Begins uses that `checkGrant` allowed. `pins` is a sum of PIN_*. */
export function pinGrant(
  context: Context,
  granter: DomainState,
  ref: number,
  user: number,
  frame: number,
  pins: number,
): void {
  const { active } = granter;
  active.pin[ref] += pins;
  active.domid[ref] = user;
  active.frame[ref] = frame;
  const flags = (pins & PIN_WRITABLE) !== 0 ? GTF_reading | GTF_writing : GTF_reading;
  context.memory.u16[(grantEntry(granter, ref) + GRANT_ENTRY_V1_FLAGS) >>> 1] |= flags;
}

/** Ends uses. The flags of the shared entry are cleared only with the last use of their kind. */
export function unpinGrant(context: Context, granter: DomainState, ref: number, pins: number): void {
  const { active } = granter;
  active.pin[ref] -= pins;
  const left = active.pin[ref];
  let clear = 0;
  if ((left & PIN_WRITABLE) === 0) clear |= GTF_writing;
  if (left === 0) clear |= GTF_reading;
  context.memory.u16[(grantEntry(granter, ref) + GRANT_ENTRY_V1_FLAGS) >>> 1] &= ~clear;
}
