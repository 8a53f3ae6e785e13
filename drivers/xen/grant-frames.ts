/**
 * The frames of the grant table: how many there may be, and the windows on those that there are.
 *
 * The hypervisor chooses the frames (pages of our own that the domain builder set aside) and names them in answer to GNTTABOP_setup_table.
 */
import {
  GNTST_okay,
  GNTTABOP_query_size,
  GNTTABOP_setup_table,
  GNTTAB_QUERY_SIZE_DOM,
  GNTTAB_QUERY_SIZE_MAX_NR_FRAMES,
  GNTTAB_QUERY_SIZE_STATUS,
  GNTTAB_SETUP_TABLE_DOM,
  GNTTAB_SETUP_TABLE_FRAME_LIST,
  GNTTAB_SETUP_TABLE_NR_FRAMES,
  GNTTAB_SETUP_TABLE_STATUS,
} from "../../hal/abi/grant_table";
import { DOMID_SELF } from "../../hal/abi/xen";
import { hal } from "../../hal/guest/hal";
import { page_map_own, type shared_page } from "../../hal/guest/page";
import { ENODEV } from "xenolith/linux/errno";
import { EXPORT_SYMBOL } from "xenolith/linux/export";
import { BUG_ON } from "xenolith/linux/kernel";
import {
  FRAME_LIST_MAX,
  FRAME_LIST_WORD,
  HYPERVISOR_grant_table_op,
  hypercall_init,
  hypercall_paddr,
  hypercall_slot_get,
  hypercall_slot_put,
  hypercall_words,
} from "./hypercall";

/** v1 entries of 8 bytes in one frame. */
export const GREFS_PER_GRANT_FRAME = 512;
/** What a hypervisor that does not answer allows. */
const LEGACY_MAX_GRANT_FRAMES = 4;

/** Windows on the table's frames, in order. */
export const gnttab_shared: shared_page[] = [];
let max_frames = 0;

function query_max_frames(): number {
  const slot = hypercall_slot_get();
  const words = hypercall_words();
  words[slot + GNTTAB_QUERY_SIZE_DOM / 4] = DOMID_SELF;
  const result = HYPERVISOR_grant_table_op(GNTTABOP_query_size, hypercall_paddr(slot), 1);
  const status = ((words[slot + GNTTAB_QUERY_SIZE_STATUS / 4] & 0xffff) << 16) >> 16;
  const answer = words[slot + GNTTAB_QUERY_SIZE_MAX_NR_FRAMES / 4];
  hypercall_slot_put(slot);
  return result < 0 || status !== GNTST_okay ? LEGACY_MAX_GRANT_FRAMES : answer;
}

/** Forgets all frames and asks for the limit. */
export function gnttab_frames_init(): void {
  hypercall_init();
  gnttab_shared.length = 0;
  max_frames = Math.min(query_max_frames(), FRAME_LIST_MAX);
}

export function gnttab_max_grant_frames(): number {
  return max_frames;
}
EXPORT_SYMBOL(gnttab_max_grant_frames);

/** Has the table made `count` frames long and opens windows on all of them: 0, or -ENODEV when the hypervisor refuses. */
export function gnttab_frames_map(count: number): number {
  const slot = hypercall_slot_get();
  const words = hypercall_words();
  words[slot + GNTTAB_SETUP_TABLE_DOM / 4] = DOMID_SELF;
  words[slot + GNTTAB_SETUP_TABLE_NR_FRAMES / 4] = count;
  words[slot + GNTTAB_SETUP_TABLE_FRAME_LIST / 4] = hypercall_paddr(FRAME_LIST_WORD);
  const result = HYPERVISOR_grant_table_op(GNTTABOP_setup_table, hypercall_paddr(slot), 1);
  const status = ((words[slot + GNTTAB_SETUP_TABLE_STATUS / 4] & 0xffff) << 16) >> 16;
  hypercall_slot_put(slot);
  if (result < 0 || status !== GNTST_okay) return -ENODEV;
  for (let i = 0; i < count; i++) {
    if (i < gnttab_shared.length) continue;
    const window: shared_page = { mfn: -1, words: null, bytes: null, gref: -1 };
    gnttab_shared.push(window);
    const pfn = words[FRAME_LIST_WORD + i * 2] - hal.mfn_base;
    BUG_ON(pfn < 0 || pfn >= hal.nr_pages);
    page_map_own(window, pfn);
  }
  return 0;
}
