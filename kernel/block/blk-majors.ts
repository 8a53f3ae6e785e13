/** Major numbers: who claimed which, and the minors of the common extended major. */
import { EBUSY, EINVAL } from "xenolith/linux/errno";
import { EXPORT_SYMBOL } from "xenolith/linux/export";
import { pr_err } from "xenolith/linux/printk";

/** Disks and partitions whose driver has no number for them. */
export const BLOCK_EXT_MAJOR = 259;
/** Majors, exclusive. */
const BLKDEV_MAJOR_MAX = 512;
/** Majors that are given to drivers that ask for any are below this one. */
const DYNAMIC_MAJOR_END = 255;

interface blk_major_name {
  readonly major: number;
  readonly name: string;
}

const majors: blk_major_name[] = [{ major: BLOCK_EXT_MAJOR, name: "blkext" }];

function taken(major: number): boolean {
  return majors.some((entry) => entry.major === major);
}

/** See the header. Linux: __register_blkdev. */
export function register_blkdev(major: number, name: string): number {
  if (major < 0 || major >= BLKDEV_MAJOR_MAX) {
    pr_err("register_blkdev: major requested (%u) is greater than the maximum (%u) for %s\n", major, 511, name);
    return -EINVAL;
  }
  let number = major;
  if (major === 0) for (number = DYNAMIC_MAJOR_END - 1; number > 0 && taken(number); number--);
  if (number === 0 || taken(number)) {
    pr_err("register_blkdev: cannot get major %u for %s\n", major, name);
    return -EBUSY;
  }
  majors.push({ major: number, name });
  majors.sort((a, b) => a.major - b.major);
  return major === 0 ? number : 0;
}
EXPORT_SYMBOL(register_blkdev);

export function unregister_blkdev(major: number, name: string): void {
  const index = majors.findIndex((entry) => entry.major === major && entry.name === name);
  if (index >= 0) majors.splice(index, 1);
}
EXPORT_SYMBOL(unregister_blkdev);

export function blkdev_majors(): readonly blk_major_name[] {
  return majors;
}
EXPORT_SYMBOL(blkdev_majors);

/** Minors of the extended major that are in use. */
const ext_minors: boolean[] = [];

/** The lowest free minor of the extended major. */
export function blk_alloc_ext_minor(): number {
  let minor = 0;
  while (ext_minors[minor]) minor++;
  ext_minors[minor] = true;
  return minor;
}

export function blk_free_ext_minor(minor: number): void {
  ext_minors[minor] = false;
}
