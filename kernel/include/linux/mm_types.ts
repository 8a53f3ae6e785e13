/** `<linux/mm_types.h>`: struct page. */
import { list_head } from "./list";

/**
 * One page frame as this domain sees it.
 *
 *   own RAM:      mfn = hal.mfn_base + pfn, gref = -1, views set when it is first allocated, live for ever
 *   unpopulated:  pfn >= nr_pages; no frame until GNTTABOP_map_grant_ref gives it one (`page_map_foreign`), none again after the unmap
 *
 * The views are touched only by `xenolith/xen/page` if another domain may see the frame.
 */
export class page {
  readonly pfn: number;
  /** Machine frame, or -1. */
  mfn = -1;
  /** Null while nothing is mapped here. */
  words: Uint32Array | null = null;
  bytes: Uint8Array | null = null;
  /** The grant that is or was mapped here, or -1. */
  gref = -1;
  /** Of the last unmap: the task's name and pid, its time in nanoseconds, and with `page_owner=on` its stack. */
  unmapped_comm = "";
  unmapped_pid = 0;
  unmapped_ns = 0;
  unmapped_stack = "";
  /** References; 0 = free. */
  _refcount = 0;
  /** Buddy order it was allocated with, on the first page of a block. */
  order = 0;
  /** The user's own, 0 or null when freed. */
  private: unknown = null;
  index = 0;
  /** In a list of its owner's. */
  readonly lru = new list_head(this);
  /** Next free page. */
  free_next: page | null = null;

  constructor(pfn: number) {
    this.pfn = pfn;
  }
}
