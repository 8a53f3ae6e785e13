/**
 * Own RAM of a domain as hypercalls see it. An address is an int32 byte offset into the domain's RAM and is nothing but an allegation; every
 * access goes through a range check here, and the indices that come out stay within that range.
 */
import type { Context } from "./context";
import { FRAME_SHIFT, FRAME_SIZE, type MachineMemory } from "./memory";
import type { DomainState } from "./state";

/** Whether `size` bytes at `address` lie in the domain's RAM, on a word boundary. If so, they may be written from now on. */
export function guestRangeOk(context: Context, domain: DomainState, address: number, size: number): boolean {
  if (address < 0 || (address & 3) !== 0 || size < 0 || address + size > domain.ramBytes) return false;
  touchPages(context, domain, address >>> FRAME_SHIFT, (address + size + FRAME_SIZE - 1) >>> FRAME_SHIFT);
  return true;
}

/** Says that own pages from `first` up to, not including, `end` may be written from now on. */
export function touchPages(context: Context, domain: DomainState, first: number, end: number): void {
  const { touched } = context.memory;
  for (let pfn = first; pfn < end; pfn++) touched[domain.firstFrame + pfn] = 1;
}

/** Index in `u32` of the word at a checked address. */
export function guestWord(domain: DomainState, address: number): number {
  return (domain.ramBase + address) >>> 2;
}

/** The u64 at word index `word` as a number; exact up to 2^53, larger values lose their low bits but stay larger. */
export function readU64(memory: MachineMemory, word: number): number {
  return memory.u32[word] + memory.u32[word + 1] * 0x100000000;
}

/** Stores a whole number in [0, 2^53] as u64. */
export function writeU64(memory: MachineMemory, word: number, value: number): void {
  memory.u32[word] = value;
  memory.u32[word + 1] = Math.floor(value / 0x100000000);
}

/** A copy of `size` bytes at a checked address. */
export function copyFromGuest(memory: MachineMemory, domain: DomainState, address: number, size: number): Uint8Array {
  const start = domain.ramBase + address;
  return memory.u8.slice(start, start + size);
}
