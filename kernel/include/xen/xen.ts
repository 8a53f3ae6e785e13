/**
 * What kind of Xen domain this is (Linux `include/xen/xen.h`), and memory without RAM behind it.
 *
 * Every domain of this machine is paravirtual: it knows machine frames and writes them into its grant table.
 */
import type { page } from "xenolith/linux/mm_types";

export const XEN_NATIVE = 0;
export const XEN_PV_DOMAIN = 1;
export const XEN_HVM_DOMAIN = 2;

/** Whether we run on Xen. */
export function xen_domain(): boolean {
  return true;
}
export function xen_pv_domain(): boolean {
  return true;
}
export function xen_hvm_domain(): boolean {
  return false;
}
/** Whether this domain is the one that the machine started first, with all privileges. */
export declare function xen_initial_domain(): boolean;
/** The start flags, SIF_*. */
export declare function xen_start_flags(): number;
/** This domain's id. */
export declare function xen_domid(): number;

/** Fills `pages` with `nr_pages` struct pages that have no RAM: 0 or -ENOMEM. Never sleeps. */
export declare function xen_alloc_unpopulated_pages(nr_pages: number, pages: page[]): number;
/** Gives them back; none may be mapped. */
export declare function xen_free_unpopulated_pages(nr_pages: number, pages: readonly page[]): void;
/** Unpopulated pages that are in somebody's hands; for the ledger. */
export declare function nr_unpopulated_pages(): number;
