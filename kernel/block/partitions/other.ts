/**
 * Labels of formats that are known but not used here. Looking for them costs two reads, at sectors 8 and 24, on a disk without a table; real
 * systems do the same, and their traces show it.
 */
import { pr_info } from "xenolith/linux/printk";
import type { Sleeps } from "xenolith/linux/sched";
import { le32 } from "./check";
import type { parsed_partitions } from "./check";

/** Amiga: "RDSK" in one of the first 16 sectors. */
const AMIGA_SECTORS = 16;
const AMIGA_MAGIC = 0x4b534452;
/** Ultrix: a magic number near the end of the super block of 16 KiB. */
const ULTRIX_SECTOR = 31;
const ULTRIX_OFFSET = 512 - 72;
const ULTRIX_MAGIC = 0x032957;

/** 1: the disk has a label that cannot be used; 0: it has none; negative: it could not be read. */
export function* other_partition(state: parsed_partitions): Sleeps<number> {
  for (let number = 0; number < AMIGA_SECTORS; number++) {
    const sector = yield* state.read_sector(number);
    if (sector === null) return -1;
    if (le32(sector, 0) === AMIGA_MAGIC) return unusable(state, "Amiga RDB");
  }
  const sector = yield* state.read_sector(ULTRIX_SECTOR);
  if (sector === null) return -1;
  return le32(sector, ULTRIX_OFFSET) === ULTRIX_MAGIC ? unusable(state, "Ultrix") : 0;
}

function unusable(state: parsed_partitions, format: string): number {
  pr_info("%s: %s partition table ignored\n", state.bdev.bd_disk.disk_name, format);
  return 1;
}
