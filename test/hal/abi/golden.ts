/** Reads the golden files, and makes pages to compare with them. */
import * as fs from "node:fs";
import * as path from "node:path";
import type { Hal } from "../../../hal/abi/hal";
import { set_hal } from "../../../hal/guest/hal";
import type { shared_page } from "../../../hal/guest/page";

/** A file of `test/golden`. */
export function golden<T>(name: string): T {
  return JSON.parse(fs.readFileSync(path.join(import.meta.dirname, "../../golden", name), "utf8")) as T;
}

export interface GoldenStruct {
  size: number;
  align: number;
  fields: Record<string, { offset: number; size: number }>;
}

export interface GoldenAbi {
  structs: Record<string, GoldenStruct>;
  constants: Record<string, number | string>;
  ring_sizes: Record<string, { ring_size: number; raw_entries: number; last_entry_end: number }>;
  gnttabop_error_msgs: string[];
  xsd_errors: { errnum: number; errstring: string }[];
  fresh_sring_header_hex: string;
  fresh_front: Record<string, number>;
  rd32: [number, number][];
}

export interface GoldenLinux {
  structs: Record<string, GoldenStruct>;
  constants: Record<string, number | string>;
  ring_sizes: Record<string, number>;
}

export interface AbiFile {
  xen_x86_64: GoldenAbi;
  xen_x86_32: GoldenAbi;
  linux_x86_64: GoldenLinux;
  linux_x86_32: GoldenLinux;
  linux_driver_constants: Record<string, number | string>;
}

export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

export function unhex(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, "hex"));
}

/** The two words of a 64-bit number written as 0x... */
export function words64(text: string): [lo: number, hi: number] {
  const value = BigInt(text);
  return [Number(value & 0xffff_ffffn), Number(value >> 32n)];
}

/** Pages with one memory behind them, filled with `fill`, as a mapped ring has. */
export function makePages(count: number, fill = 0): { pages: shared_page[]; memory: Uint8Array } {
  const memory = new Uint8Array(count * 4096).fill(fill);
  const pages = Array.from({ length: count }, (_, i) => ({
    mfn: i,
    words: new Uint32Array(memory.buffer, i * 4096, 1024),
    bytes: new Uint8Array(memory.buffer, i * 4096, 4096),
    gref: i,
  }));
  return { pages, memory };
}

/** Makes the page accessors usable in a process that is no domain: a control page of zeroes, and no hypervisor behind it. */
export function usePagesWithoutMachine(): void {
  const control = new ArrayBuffer(4096);
  const hal: Partial<Hal> = { control: new Uint32Array(control), clock: new Float64Array(control) };
  set_hal(hal as Hal);
}
