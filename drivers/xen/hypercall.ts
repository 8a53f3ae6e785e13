/**
 * Hypercalls with argument structs, and the private memory that the structs live in.
 *
 *   one page of own RAM:  words 0..511   a stack of 32 slots of 64 bytes, one per hypercall that is being made
 *                         words 512..1023  the frame list of GNTTABOP_setup_table
 *
 * The hypervisor reads and writes the page during a hypercall; nobody else sees it, so plain loads and stores do.
 */
import { __HYPERVISOR_arch_7, __HYPERVISOR_event_channel_op, __HYPERVISOR_grant_table_op } from "../../hal/abi/xen";
import type { Hal } from "../../hal/abi/hal";
import { hal } from "../../hal/guest/hal";
import { EXPORT_SYMBOL } from "xenolith/linux/export";
import { BUG_ON } from "xenolith/linux/kernel";
import { alloc_page } from "xenolith/linux/mm";
import type { page } from "xenolith/linux/mm_types";

const SLOT_WORDS = 16;
const SLOTS_END = 512;
/** First word of the frame list. */
export const FRAME_LIST_WORD = 512;
/** Frames that the frame list can hold (64 bits each). */
export const FRAME_LIST_MAX = 256;

/** The machine that the page was made for. */
let made_for: Hal | null = null;
let words: Uint32Array = new Uint32Array(0);
let paddr = 0;
let top = 0;

/** Allocates the argument page. Called before the first hypercall that needs one; calling it again does nothing. */
export function hypercall_init(): void {
  if (made_for === hal) return;
  const own = alloc_page(0);
  BUG_ON(own === null);
  const pfn = (own as page).pfn;
  words = hal.page(pfn);
  paddr = pfn * 4096;
  top = 0;
  made_for = hal;
}

export function HYPERVISOR_grant_table_op(cmd: number, address: number, count: number): number {
  return hal.hypercall(__HYPERVISOR_grant_table_op, cmd, address, count);
}
EXPORT_SYMBOL(HYPERVISOR_grant_table_op);

export function HYPERVISOR_event_channel_op(cmd: number, address: number): number {
  return hal.hypercall(__HYPERVISOR_event_channel_op, cmd, address, 0);
}
EXPORT_SYMBOL(HYPERVISOR_event_channel_op);

export function HYPERVISOR_hostdisk_op(op: number, a1: number, a2: number): number {
  return hal.hypercall(__HYPERVISOR_arch_7, op, a1, a2);
}
EXPORT_SYMBOL(HYPERVISOR_hostdisk_op);

export function hypercall_slot_get(): number {
  const slot = top;
  BUG_ON(slot + SLOT_WORDS > SLOTS_END);
  top = slot + SLOT_WORDS;
  words.fill(0, slot, top);
  return slot;
}
EXPORT_SYMBOL(hypercall_slot_get);

export function hypercall_slot_put(slot: number): void {
  BUG_ON(slot + SLOT_WORDS !== top);
  top = slot;
}
EXPORT_SYMBOL(hypercall_slot_put);

export function hypercall_words(): Uint32Array {
  return words;
}
EXPORT_SYMBOL(hypercall_words);

export function hypercall_paddr(slot: number): number {
  return paddr + slot * 4;
}
EXPORT_SYMBOL(hypercall_paddr);
