/**
 * Grants that could not be revoked because the peer still has them mapped.
 *
 * The reference and the page stay out of circulation: a frame that another domain can write must not become somebody else's memory. A timer
 * looks again every second, at a bounded number of entries, and gives both back when the peer has let go. A peer that never does costs the
 * page for ever, never its safety.
 */
import { hal } from "../../hal/guest/hal";
import { EXPORT_SYMBOL } from "xenolith/linux/export";
import { HZ, jiffies } from "xenolith/linux/jiffies";
import { get_page, pfn_to_page, put_page } from "xenolith/linux/mm";
import type { page } from "xenolith/linux/mm_types";
import { module_param_named } from "xenolith/linux/moduleparam";
import { pr_debug, pr_info } from "xenolith/linux/printk";
import { mod_timer, timer_list, timer_pending, timer_setup } from "xenolith/linux/timer";
import { ptr } from "xenolith/linux/types";
import type { grant_ref_t } from "xenolith/xen/grant_table";
import { gnttab_read_frame, gnttab_try_end_foreign_access } from "./grant-table";

/** Ticks until the log says that an entry is still pending. */
const WARN_DELAY = 60;

interface deferred_entry {
  readonly ref: grant_ref_t;
  readonly page: page | null;
  warn_delay: number;
}

/** Entries looked at in one tick; 0 means all. */
const free_per_iteration = ptr(10);
module_param_named("free_per_iteration", free_per_iteration, "uint", 0o600);

let deferred_list: deferred_entry[] = [];
const deferred_timer = new timer_list(null);

/** Entries whose grant is still mapped, for the ledger. */
export function gnttab_deferred_count(): number {
  return deferred_list.length;
}
EXPORT_SYMBOL(gnttab_deferred_count);

function gnttab_handle_deferred(): void {
  const limit = free_per_iteration.value !== 0 ? free_per_iteration.value : deferred_list.length;
  const looked_at = deferred_list.splice(0, limit);
  for (const entry of looked_at) {
    if (gnttab_try_end_foreign_access(entry.ref) !== 0) {
      pr_debug("xen/grant-table: freeing g.e. %#x\n", entry.ref);
      if (entry.page !== null) put_page(entry.page);
      continue;
    }
    entry.warn_delay--;
    if (entry.warn_delay === 0) pr_info("xen/grant-table: g.e. %#x still pending\n", entry.ref);
    deferred_list.push(entry);
  }
  if (deferred_list.length > 0) mod_timer(deferred_timer, jiffies() + HZ);
}

/** The page of our own RAM behind the frame that a reference names, with a reference of our own; null for any other frame. */
function gnttab_get_own_page(ref: grant_ref_t): page | null {
  const pfn = gnttab_read_frame(ref) - hal.mfn_base;
  if (pfn < 0 || pfn >= hal.nr_pages) return null;
  const own = pfn_to_page(pfn);
  get_page(own);
  return own;
}

function gnttab_add_deferred(ref: grant_ref_t, of: page | null): void {
  const held = of ?? gnttab_get_own_page(ref);
  pr_debug("xen/grant-table: deferring g.e. %#x\n", ref);
  deferred_list.push({ ref, page: held, warn_delay: WARN_DELAY });
  if (!timer_pending(deferred_timer)) mod_timer(deferred_timer, jiffies() + HZ);
}

export function gnttab_end_foreign_access(ref: grant_ref_t, of: page | null): void {
  if (gnttab_try_end_foreign_access(ref) === 0) {
    gnttab_add_deferred(ref, of);
  } else if (of !== null) {
    put_page(of);
  }
}
EXPORT_SYMBOL(gnttab_end_foreign_access);

/** Prepares the list and its timer. Called once, with the table. */
export function gnttab_deferred_init(): void {
  deferred_list = [];
  timer_setup(deferred_timer, gnttab_handle_deferred, 0);
}
