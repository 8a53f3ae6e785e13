/**
 * GPT: a protective MBR, a header in block 1 with its table, and copies at the disk's end. A header counts only if its own sum and its table's
 * are right; the copy is used when the first one is not.
 */
import { pr_warn } from "xenolith/linux/printk";
import type { Sleeps } from "xenolith/linux/sched";
import { le32, le64 } from "./check";
import type { parsed_partitions } from "./check";
import { efi_crc32 } from "./crc32";
import { msdos_magic_present } from "./msdos";

const HEADER_SIZE_MIN = 92;
const ENTRY_SIZE = 128;
const ENTRIES_MAX = 4096;
const PRIMARY_LBA = 1;

interface gpt_header {
  readonly first_usable: number;
  readonly last_usable: number;
  readonly entries_lba: number;
  readonly entry_count: number;
  readonly entries_crc: number;
}

/** Whether the MBR says that the disk has a GPT. */
function has_protective_mbr(sector: Uint8Array): boolean {
  if (!msdos_magic_present(sector)) return false;
  for (let index = 0; index < 4; index++) {
    const at = 0x1be + index * 16;
    if (sector[at + 4] === 0xee && le32(sector, at + 8) === PRIMARY_LBA) return true;
  }
  return false;
}

/** 1: this is the disk's table; 0: it is not; negative: it could not be read. Linux: efi_partition. */
export function* efi_partition(state: parsed_partitions): Sleeps<number> {
  const mbr = yield* state.read_sector(0);
  if (mbr === null) return -1;
  if (!has_protective_mbr(mbr)) return 0;
  const last_lba = Math.floor(state.bdev.bd_nr_sectors / state.block_sectors) - 1;
  let table = yield* read_gpt(state, PRIMARY_LBA, last_lba);
  if (table === null) {
    table = yield* read_gpt(state, last_lba, last_lba);
    if (table === null) return 0;
    pr_warn("Primary GPT is invalid, using alternate GPT.\n");
  }
  put_entries(state, table.header, table.bytes);
  return 1;
}

interface gpt_table {
  readonly header: gpt_header;
  readonly bytes: Uint8Array;
}

/** The header at block `lba` and its table, or null if anything is wrong with them. Linux: is_gpt_valid. */
function* read_gpt(state: parsed_partitions, lba: number, last_lba: number): Sleeps<gpt_table | null> {
  const sector = yield* state.read_sector(lba * state.block_sectors);
  if (sector === null) return null;
  const header = check_header(sector, lba, last_lba);
  if (header === null) return null;
  const bytes = yield* read_table(state, header);
  if (bytes === null || efi_crc32(bytes, 0, header.entry_count * ENTRY_SIZE) !== header.entries_crc) return null;
  return { header, bytes };
}

function check_header(sector: Uint8Array, lba: number, last_lba: number): gpt_header | null {
  const signature = [0x45, 0x46, 0x49, 0x20, 0x50, 0x41, 0x52, 0x54]; // "EFI PART"
  if (signature.some((byte, index) => sector[index] !== byte)) return null;
  const size = le32(sector, 12);
  if (size < HEADER_SIZE_MIN || size > 512) return null;
  // The sum is made with its own field as zero.
  const copy = sector.slice(0, size);
  copy.fill(0, 16, 20);
  if (efi_crc32(copy, 0, size) !== le32(sector, 16) || le64(sector, 24) !== lba) return null;
  const header = {
    first_usable: le64(sector, 40),
    last_usable: le64(sector, 48),
    entries_lba: le64(sector, 72),
    entry_count: le32(sector, 80),
    entries_crc: le32(sector, 88),
  };
  if (header.first_usable > last_lba || header.last_usable > last_lba) return null;
  if (header.last_usable < header.first_usable || le32(sector, 84) !== ENTRY_SIZE) return null;
  return header.entry_count > ENTRIES_MAX ? null : header;
}

function* read_table(state: parsed_partitions, header: gpt_header): Sleeps<Uint8Array | null> {
  const sectors = Math.ceil((header.entry_count * ENTRY_SIZE) / 512);
  const bytes = new Uint8Array(sectors * 512);
  for (let i = 0; i < sectors; i++) {
    const sector = yield* state.read_sector(header.entries_lba * state.block_sectors + i);
    if (sector === null) return null;
    bytes.set(sector, i * 512);
  }
  return bytes;
}

function put_entries(state: parsed_partitions, header: gpt_header, bytes: Uint8Array): void {
  for (let index = 0; index < header.entry_count && index + 1 < state.limit; index++) {
    const entry = bytes.subarray(index * ENTRY_SIZE, (index + 1) * ENTRY_SIZE);
    const first = le64(entry, 32);
    const last = le64(entry, 40);
    if (is_unused(entry) || first > last || first < header.first_usable || last > header.last_usable) continue;
    const info = { uuid: guid(entry, 16), volname: name(entry) };
    state.put(index + 1, first * state.block_sectors, (last - first + 1) * state.block_sectors, info);
  }
}

function is_unused(entry: Uint8Array): boolean {
  for (let i = 0; i < 16; i++) if (entry[i] !== 0) return false;
  return true;
}

function hex(entry: Uint8Array, offsets: readonly number[]): string {
  return offsets.map((offset) => entry[offset].toString(16).padStart(2, "0")).join("");
}

/** A GUID's text; its first three fields are little-endian. */
function guid(entry: Uint8Array, at: number): string {
  const groups = [
    [3, 2, 1, 0],
    [5, 4],
    [7, 6],
    [8, 9],
    [10, 11, 12, 13, 14, 15],
  ];
  return groups
    .map((group) =>
      hex(
        entry,
        group.map((byte) => at + byte),
      ),
    )
    .join("-");
}

/** The partition's name: up to 36 UTF-16 units; what is not printable ASCII becomes "!", as on Linux. */
function name(entry: Uint8Array): string {
  let text = "";
  for (let i = 0; i < 36; i++) {
    const unit = entry[56 + i * 2] | (entry[57 + i * 2] << 8);
    if (unit === 0) break;
    text += unit >= 0x20 && unit < 0x7f ? String.fromCharCode(unit) : "!";
  }
  return text;
}
