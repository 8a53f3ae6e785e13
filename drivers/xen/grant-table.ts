/**
 * The granter's side of the grant tables (Linux `drivers/xen/grant-table.c`): references, and what is published in them.
 *
 *   free list --alloc_grant_references--> private chain --claim--> reference --grant_foreign_access_ref--> in use by the peer
 *       ^                                                              |
 *       '--------------- free_grant_reference(s) ---------------------'   after end_foreign_access_ref has said that it is not mapped
 *
 * The table is shared with the hypervisor, which sets GTF_reading and GTF_writing in an entry's flags while the peer has it mapped. We write
 * everything else. The free list is last in, first out, and ours alone: nothing between its loads and stores lets another vCPU in, so only
 * growing, which makes hypercalls, takes the lock. Trusts the hypervisor; of the peer it needs nothing.
 */
import { GTF_permit_access, GTF_reading, GTF_readonly, GTF_writing } from "../../hal/abi/grant_table";
import { page_try_keep_bits32 } from "../../hal/guest/atomic";
import { page_read32, page_write32 } from "../../hal/guest/page";
import { ENOSPC } from "xenolith/linux/errno";
import { EXPORT_SYMBOL } from "xenolith/linux/export";
import { BUG_ON } from "xenolith/linux/kernel";
import { pr_warn, pr_warn_ratelimited } from "xenolith/linux/printk";
import { spin_lock_irqsave, spin_unlock_irqrestore, spinlock_t } from "xenolith/linux/spinlock";
import type { Ptr } from "xenolith/linux/types";
import {
  GNTTAB_NR_RESERVED_ENTRIES,
  INVALID_GRANT_REF,
  type domid_t,
  type gnttab_free_callback,
  type grant_ref_t,
} from "xenolith/xen/grant_table";
import {
  GREFS_PER_GRANT_FRAME,
  gnttab_frames_init,
  gnttab_frames_map,
  gnttab_max_grant_frames,
  gnttab_shared,
} from "./grant-frames";

/** End of a chain of references. */
const GNTTAB_LIST_END = INVALID_GRANT_REF;

/** For a free reference, or one in a private chain: the next in its chain. */
let gnttab_list = new Uint32Array(0);
let gnttab_free_head: grant_ref_t = GNTTAB_LIST_END;
let gnttab_free_count = 0;
let nr_grant_frames = 0;
/** Waits for references; last queued first. */
let gnttab_free_callback_list: gnttab_free_callback | null = null;
const gnttab_list_lock = new spinlock_t("gnttab_list_lock");

// ---- publish and revoke -----------------------------------------------------------------------------------------------------------------

export function gnttab_grant_foreign_access_ref(
  ref: grant_ref_t,
  domid: domid_t,
  frame: number,
  readonly: number,
): void {
  const table = gnttab_shared[ref >>> 9];
  const word = (ref & 511) << 1;
  page_write32(table, word + 1, frame);
  // The frame must be in place before the flags; the flags and the domain go out in one store.
  page_write32(table, word, (readonly !== 0 ? GTF_permit_access | GTF_readonly : GTF_permit_access) | (domid << 16));
}
EXPORT_SYMBOL(gnttab_grant_foreign_access_ref);

export function gnttab_grant_foreign_access(domid: domid_t, frame: number, readonly: number): number {
  // get_free_entries for one, which does not have to be a chain.
  if (gnttab_free_count === 0 && gnttab_expand(1) < 0) return -ENOSPC;
  const ref = gnttab_free_head;
  gnttab_free_head = gnttab_list[ref];
  gnttab_free_count--;
  gnttab_grant_foreign_access_ref(ref, domid, frame, readonly);
  return ref;
}
EXPORT_SYMBOL(gnttab_grant_foreign_access);

/** Clears the entry's flags in one step, unless the peer has it mapped: 1 or 0. */
function _gnttab_end_foreign_access_ref(ref: grant_ref_t): number {
  const ended = page_try_keep_bits32(gnttab_shared[ref >>> 9], (ref & 511) << 1, GTF_reading | GTF_writing, ~0xffff);
  return ended ? 1 : 0;
}

export function gnttab_end_foreign_access_ref(ref: grant_ref_t): number {
  if (_gnttab_end_foreign_access_ref(ref) !== 0) return 1;
  pr_warn("WARNING: g.e. %#x still in use!\n", ref);
  return 0;
}
EXPORT_SYMBOL(gnttab_end_foreign_access_ref);

export function gnttab_try_end_foreign_access(ref: grant_ref_t): number {
  // _gnttab_end_foreign_access_ref, written out: this runs for every page.
  const word = (ref & 511) << 1;
  if (!page_try_keep_bits32(gnttab_shared[ref >>> 9], word, GTF_reading | GTF_writing, ~0xffff)) return 0;
  put_free_entry(ref);
  return 1;
}
EXPORT_SYMBOL(gnttab_try_end_foreign_access);

export function gnttab_query_foreign_access(ref: grant_ref_t): number {
  return page_read32(gnttab_shared[ref >>> 9], (ref & 511) << 1) & (GTF_reading | GTF_writing);
}
EXPORT_SYMBOL(gnttab_query_foreign_access);

/** The machine frame that the entry names. */
export function gnttab_read_frame(ref: grant_ref_t): number {
  return page_read32(gnttab_shared[ref >>> 9], ((ref & 511) << 1) + 1);
}

// ---- references -------------------------------------------------------------------------------------------------------------------------

/** Takes `count` references off the free list; returns the head of their chain, or -ENOSPC. */
function get_free_entries(count: number): number {
  if (gnttab_free_count < count && gnttab_expand(count) < 0) return -ENOSPC;
  const ref = gnttab_free_head;
  let last = ref;
  for (let i = 1; i < count; i++) last = gnttab_list[last];
  gnttab_free_head = gnttab_list[last];
  gnttab_list[last] = GNTTAB_LIST_END;
  gnttab_free_count -= count;
  return ref;
}

function put_free_entry(ref: grant_ref_t): void {
  gnttab_list[ref] = gnttab_free_head;
  gnttab_free_head = ref;
  gnttab_free_count++;
  if (gnttab_free_callback_list !== null) check_free_callbacks();
}

export function gnttab_free_grant_reference(ref: grant_ref_t): void {
  put_free_entry(ref);
}
EXPORT_SYMBOL(gnttab_free_grant_reference);

export function gnttab_free_grant_references(head: grant_ref_t): void {
  if (head === GNTTAB_LIST_END) return;
  let last = head;
  let count = 1;
  while (gnttab_list[last] !== GNTTAB_LIST_END) {
    last = gnttab_list[last];
    count++;
  }
  gnttab_list[last] = gnttab_free_head;
  gnttab_free_head = head;
  gnttab_free_count += count;
  if (gnttab_free_callback_list !== null) check_free_callbacks();
}
EXPORT_SYMBOL(gnttab_free_grant_references);

export function gnttab_alloc_grant_references(count: number, head: Ptr<grant_ref_t>): number {
  if (count === 0) {
    head.value = GNTTAB_LIST_END;
    return 0;
  }
  const chain = get_free_entries(count);
  if (chain < 0) return -ENOSPC;
  head.value = chain;
  return 0;
}
EXPORT_SYMBOL(gnttab_alloc_grant_references);

export function gnttab_empty_grant_references(head: Ptr<grant_ref_t>): boolean {
  return head.value === GNTTAB_LIST_END;
}
EXPORT_SYMBOL(gnttab_empty_grant_references);

export function gnttab_claim_grant_reference(head: Ptr<grant_ref_t>): number {
  const ref = head.value;
  if (ref === GNTTAB_LIST_END) return -ENOSPC;
  head.value = gnttab_list[ref];
  return ref;
}
EXPORT_SYMBOL(gnttab_claim_grant_reference);

export function gnttab_release_grant_reference(head: Ptr<grant_ref_t>, ref: grant_ref_t): void {
  gnttab_list[ref] = head.value;
  head.value = ref;
}
EXPORT_SYMBOL(gnttab_release_grant_reference);

/** Start of the lowest run of `count` references that are all free, or -1. */
function find_free_run(count: number): number {
  const free = new Uint8Array(nr_grant_frames * GREFS_PER_GRANT_FRAME);
  for (let ref = gnttab_free_head; ref !== GNTTAB_LIST_END; ref = gnttab_list[ref]) free[ref] = 1;
  let run = 0;
  for (let ref = GNTTAB_NR_RESERVED_ENTRIES; ref < free.length; ref++) {
    run = free[ref] !== 0 ? run + 1 : 0;
    if (run === count) return ref - count + 1;
  }
  return -1;
}

/** Takes the references first .. first+count-1 out of the free list; the others keep their order. */
function unlink_free_run(first: grant_ref_t, count: number): void {
  let previous = GNTTAB_LIST_END;
  for (let ref = gnttab_free_head; ref !== GNTTAB_LIST_END; ref = gnttab_list[ref]) {
    if (ref < first || ref >= first + count) {
      previous = ref;
    } else if (previous === GNTTAB_LIST_END) {
      gnttab_free_head = gnttab_list[ref];
    } else {
      gnttab_list[previous] = gnttab_list[ref];
    }
  }
  gnttab_free_count -= count;
}

export function gnttab_alloc_grant_reference_seq(count: number, first: Ptr<grant_ref_t>): number {
  if (count === 0) return -ENOSPC;
  let found = find_free_run(count);
  while (found < 0) {
    if (gnttab_expand(gnttab_free_count + 1) < 0) return -ENOSPC;
    found = find_free_run(count);
  }
  unlink_free_run(found, count);
  first.value = found;
  return 0;
}
EXPORT_SYMBOL(gnttab_alloc_grant_reference_seq);

export function gnttab_free_grant_reference_seq(head: grant_ref_t, count: number): void {
  for (let ref = head + count - 1; ref >= head; ref--) {
    gnttab_list[ref] = gnttab_free_head;
    gnttab_free_head = ref;
  }
  gnttab_free_count += count;
  if (gnttab_free_callback_list !== null) check_free_callbacks();
}
EXPORT_SYMBOL(gnttab_free_grant_reference_seq);

/** References that are free now; for the ledger. */
export function gnttab_free_references(): number {
  return gnttab_free_count;
}
EXPORT_SYMBOL(gnttab_free_references);

/** References that the table holds now beyond the reserved ones; for the ledger. */
export function gnttab_total_references(): number {
  return nr_grant_frames * GREFS_PER_GRANT_FRAME - GNTTAB_NR_RESERVED_ENTRIES;
}
EXPORT_SYMBOL(gnttab_total_references);

// ---- callbacks --------------------------------------------------------------------------------------------------------------------------

/** Calls whoever waits for no more references than are free, and keeps the others. Called with the lock held. */
function do_free_callbacks(): void {
  let callback = gnttab_free_callback_list;
  gnttab_free_callback_list = null;
  while (callback !== null) {
    const next: gnttab_free_callback | null = callback.next;
    if (gnttab_free_count >= callback.count) {
      callback.next = null;
      callback.queued = false;
      callback.fn?.(callback.arg);
    } else {
      callback.next = gnttab_free_callback_list;
      gnttab_free_callback_list = callback;
    }
    callback = next;
  }
}

function check_free_callbacks(): void {
  const flags = spin_lock_irqsave(gnttab_list_lock);
  do_free_callbacks();
  spin_unlock_irqrestore(gnttab_list_lock, flags);
}

export function gnttab_request_free_callback(
  callback: gnttab_free_callback,
  fn: (arg: unknown) => void,
  arg: unknown,
  count: number,
): void {
  if (callback.queued) return;
  callback.fn = fn;
  callback.arg = arg;
  callback.count = count;
  callback.queued = true;
  callback.next = gnttab_free_callback_list;
  gnttab_free_callback_list = callback;
  check_free_callbacks();
}
EXPORT_SYMBOL(gnttab_request_free_callback);

export function gnttab_cancel_free_callback(callback: gnttab_free_callback): void {
  let previous: gnttab_free_callback | null = null;
  for (let entry = gnttab_free_callback_list; entry !== null; previous = entry, entry = entry.next) {
    if (entry !== callback) continue;
    if (previous === null) gnttab_free_callback_list = entry.next;
    else previous.next = entry.next;
    entry.next = null;
    entry.queued = false;
    return;
  }
}
EXPORT_SYMBOL(gnttab_cancel_free_callback);

// ---- growing ----------------------------------------------------------------------------------------------------------------------------

/** Makes the references of the new frames free, lowest first, before those that were free already. */
function grow_gnttab_list(more_frames: number): void {
  const first = Math.max(nr_grant_frames * GREFS_PER_GRANT_FRAME, GNTTAB_NR_RESERVED_ENTRIES);
  nr_grant_frames += more_frames;
  const end = nr_grant_frames * GREFS_PER_GRANT_FRAME;
  for (let ref = first; ref < end - 1; ref++) gnttab_list[ref] = ref + 1;
  gnttab_list[end - 1] = gnttab_free_head;
  gnttab_free_head = first;
  gnttab_free_count += end - first;
}

/** Grows the table until `count` references are free: 0, or -ENOSPC at the limit. */
function gnttab_expand(count: number): number {
  const flags = spin_lock_irqsave(gnttab_list_lock);
  const result = gnttab_expand_locked(count);
  if (result === 0) do_free_callbacks();
  spin_unlock_irqrestore(gnttab_list_lock, flags);
  return result;
}

function gnttab_expand_locked(count: number): number {
  const missing = count - gnttab_free_count;
  if (missing <= 0) return 0;
  const more_frames = Math.ceil(missing / GREFS_PER_GRANT_FRAME);
  if (nr_grant_frames + more_frames > gnttab_max_grant_frames()) {
    pr_warn_ratelimited(
      "xen/grant-table: max_grant_frames reached cur=%u extra=%u limit=%u\n",
      nr_grant_frames,
      more_frames,
      gnttab_max_grant_frames(),
    );
    return -ENOSPC;
  }
  const result = gnttab_frames_map(nr_grant_frames + more_frames);
  if (result !== 0) return result;
  grow_gnttab_list(more_frames);
  return 0;
}

/** Makes the table with its first frame. Called once, before any driver. 0 or a negative errno. */
export function gnttab_init(): number {
  gnttab_frames_init();
  BUG_ON(gnttab_max_grant_frames() < 1);
  gnttab_list = new Uint32Array(gnttab_max_grant_frames() * GREFS_PER_GRANT_FRAME);
  gnttab_free_head = GNTTAB_LIST_END;
  gnttab_free_count = 0;
  nr_grant_frames = 0;
  gnttab_free_callback_list = null;
  return gnttab_expand(1);
}

export function gnttab_suspend(): number {
  return 0;
}
EXPORT_SYMBOL(gnttab_suspend);

export function gnttab_resume(): number {
  return gnttab_frames_map(nr_grant_frames);
}
EXPORT_SYMBOL(gnttab_resume);
