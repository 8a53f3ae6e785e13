/**
 * The hypercalls that the kernel core makes itself, and the page that their arguments live in.
 *
 *   scratch page:  first half   argument structs
 *                  second half  console text
 */
import { SCHEDOP_shutdown, SCHED_SHUTDOWN_REASON } from "../../../hal/abi/sched";
import { __HYPERVISOR_sched_op } from "../../../hal/abi/xen";
import { hal } from "../../../hal/guest/hal";

let words: Uint32Array | null = null;
let bytes: Uint8Array | null = null;
let paddr = 0;

/** Gives the kernel own page `pfn` for arguments. Called by boot before the first message. */
export function set_scratch_page(pfn: number): void {
  words = hal.page(pfn);
  bytes = new Uint8Array(words.buffer, words.byteOffset, words.byteLength);
  paddr = pfn * 4096;
}

/** The scratch page, or null before `set_scratch_page`. */
export function scratch_bytes(): Uint8Array | null {
  return bytes;
}

/** Its address. */
export function scratch_paddr(): number {
  return paddr;
}

/** Ends the domain for `reason` (SHUTDOWN_*). Returns the hypervisor's answer: the caller must not go on. */
export function HYPERVISOR_shutdown(reason: number): number {
  if (words === null) return 0;
  words[SCHED_SHUTDOWN_REASON >>> 2] = reason;
  return hal.hypercall(__HYPERVISOR_sched_op, SCHEDOP_shutdown, paddr, 0);
}
