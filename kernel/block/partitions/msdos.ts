/** The MBR: four primary partitions, and a chain of extended boot records with logical ones from number 5 on. */
import type { Sleeps } from "xenolith/linux/sched";
import type { sector_t } from "xenolith/linux/types";
import { le32 } from "./check";
import type { parsed_partitions } from "./check";

const TABLE = 0x1be;
const ENTRY_SIZE = 16;
const ENTRIES = 4;
const FIRST_LOGICAL = 5;
/** Extended boot records in a row that hold no partition, at most: a chain may be a circle. */
const EMPTY_RECORDS_MAX = 100;

const EXTENDED_TYPES = [0x05, 0x0f, 0x85];
const TYPE_GPT_PROTECTIVE = 0xee;

interface entry {
  readonly boot: number;
  readonly type: number;
  /** In logical blocks, relative to the record or to the extended partition. */
  readonly start: number;
  readonly size: number;
}

function read_entry(sector: Uint8Array, index: number): entry {
  const at = TABLE + index * ENTRY_SIZE;
  return { boot: sector[at], type: sector[at + 4], start: le32(sector, at + 8), size: le32(sector, at + 12) };
}

/** Whether the sector ends with the mark of a boot record. */
export function msdos_magic_present(sector: Uint8Array): boolean {
  return sector[510] === 0x55 && sector[511] === 0xaa;
}

function is_extended(entry: entry): boolean {
  return entry.size !== 0 && EXTENDED_TYPES.includes(entry.type);
}

/** Whether the sector is the boot sector of a FAT file system without partitions. */
function is_fat(sector: Uint8Array): boolean {
  const reserved = sector[14] | (sector[15] << 8);
  const fats = sector[16];
  const media = sector[21];
  return reserved !== 0 && fats !== 0 && (media === 0xf0 || media >= 0xf8);
}

/** 1: this is the disk's table; 0: it is not; negative: it could not be read. Linux: msdos_partition. */
export function* msdos_partition(state: parsed_partitions): Sleeps<number> {
  const sector = yield* state.read_sector(0);
  if (sector === null) return -1;
  if (!msdos_magic_present(sector)) return 0;
  const entries = [0, 1, 2, 3].map((index) => read_entry(sector, index));
  if (entries.some((entry) => entry.boot !== 0 && entry.boot !== 0x80)) return is_fat(sector) ? 1 : 0;
  if (entries.some((entry) => entry.type === TYPE_GPT_PROTECTIVE)) return 0;
  state.next = FIRST_LOGICAL;
  for (let index = 0; index < ENTRIES; index++) yield* put_primary(state, entries[index], index + 1);
  return 1;
}

function* put_primary(state: parsed_partitions, entry: entry, number: number): Sleeps<void> {
  const start = entry.start * state.block_sectors;
  const size = entry.size * state.block_sectors;
  if (size === 0) return;
  if (!is_extended(entry)) {
    state.put(number, start, size, null);
    return;
  }
  // Just enough for a boot loader, so that nobody makes a file system over the logical partitions.
  state.put(number, start, Math.min(size, Math.max(state.block_sectors, 2)), null);
  state.line += " <";
  yield* parse_extended(state, start, size);
  state.line += " >";
}

/** Follows the chain of boot records. Linux: parse_extended. */
function* parse_extended(state: parsed_partitions, first_sector: sector_t, first_size: sector_t): Sleeps<void> {
  let this_sector = first_sector;
  let this_size = first_size;
  for (let empty = 0; empty < EMPTY_RECORDS_MAX && state.next < state.limit; empty++) {
    const sector = yield* state.read_sector(this_sector);
    if (sector === null || !msdos_magic_present(sector)) return;
    const found = put_logicals(state, sector, this_sector, this_size, first_sector, first_size);
    if (found) empty = 0;
    const link = find_link(sector);
    if (link === null) return;
    this_sector = first_sector + link.start * state.block_sectors;
    this_size = link.size * state.block_sectors;
  }
}

/** The partitions of one extended boot record. The third and fourth entry are believed only if they make sense. */
function put_logicals(
  state: parsed_partitions,
  sector: Uint8Array,
  this_sector: sector_t,
  this_size: sector_t,
  first_sector: sector_t,
  first_size: sector_t,
): boolean {
  let found = false;
  for (let index = 0; index < ENTRIES && state.next < state.limit; index++) {
    const entry = read_entry(sector, index);
    if (entry.size === 0 || is_extended(entry)) continue;
    const offset = entry.start * state.block_sectors;
    const size = entry.size * state.block_sectors;
    const start = this_sector + offset;
    const inside = offset + size <= this_size && start >= first_sector && start + size <= first_sector + first_size;
    if (index >= 2 && !inside) continue;
    state.put(state.next++, start, size, null);
    found = true;
  }
  return found;
}

/** The first entry that leads to the next record. */
function find_link(sector: Uint8Array): entry | null {
  for (let index = 0; index < ENTRIES; index++) {
    const entry = read_entry(sector, index);
    if (is_extended(entry)) return entry;
  }
  return null;
}
