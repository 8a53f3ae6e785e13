/**
 * What the domain builder told this domain: the words of start_info that drivers ask for. Written once, before the first entry; private.
 */
import {
  SIF_INITDOMAIN,
  START_INFO_CONSOLE_DOMU_EVTCHN,
  START_INFO_CONSOLE_DOMU_MFN,
  START_INFO_FLAGS,
  START_INFO_STORE_EVTCHN,
  START_INFO_STORE_MFN,
} from "../../hal/abi/xen";
import { hal } from "../../hal/guest/hal";
import { EXPORT_SYMBOL } from "xenolith/linux/export";

/** The domain builder puts start_info there. */
const START_INFO_PFN = 0;

function start_info_word(offset: number): number {
  return hal.page(START_INFO_PFN)[offset >>> 2];
}

export function xen_start_flags(): number {
  return start_info_word(START_INFO_FLAGS);
}
EXPORT_SYMBOL(xen_start_flags);

export function xen_initial_domain(): boolean {
  return (xen_start_flags() & SIF_INITDOMAIN) !== 0;
}
EXPORT_SYMBOL(xen_initial_domain);

export function xen_domid(): number {
  return hal.domid;
}
EXPORT_SYMBOL(xen_domid);

/** A ring page that the domain builder made, and the port that goes with it. */
export interface builder_ring {
  /** Own page, or -1 when there is none. */
  readonly pfn: number;
  readonly evtchn: number;
}

function ring_at(mfn_offset: number, evtchn_offset: number): builder_ring {
  const evtchn = start_info_word(evtchn_offset);
  const pfn = start_info_word(mfn_offset) - hal.mfn_base;
  const mine = pfn > 0 && pfn < hal.nr_pages && evtchn !== 0;
  return { pfn: mine ? pfn : -1, evtchn };
}

/** The xenstore ring. */
export function xen_store_ring(): builder_ring {
  return ring_at(START_INFO_STORE_MFN, START_INFO_STORE_EVTCHN);
}

/** The console ring. */
export function xen_console_ring(): builder_ring {
  return ring_at(START_INFO_CONSOLE_DOMU_MFN, START_INFO_CONSOLE_DOMU_EVTCHN);
}
