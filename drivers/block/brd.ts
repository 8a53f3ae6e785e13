/**
 * brd: RAM disks `/dev/ram0`... made of pages that are allocated when they are first written (Linux drivers/block/brd.c).
 *
 * A bio is done before submit_bio returns. What was never written, or was discarded, reads as zeros.
 */
import { IS_ERR } from "xenolith/linux/err";
import { GFP_NOIO, GFP_ZERO } from "xenolith/linux/gfp";
import { PAGE_SHIFT, PAGE_SIZE, alloc_page, put_page } from "xenolith/linux/mm";
import {
  MODULE_ALIAS,
  MODULE_DESCRIPTION,
  MODULE_LICENSE,
  module_exit,
  module_init,
  this_module,
} from "xenolith/linux/module";
import { MODULE_PARM_DESC, module_param_named } from "xenolith/linux/moduleparam";
import { pr_info } from "xenolith/linux/printk";
import { ptr } from "xenolith/linux/types";
import { bio_endio, bio_for_each_segment, bio_io_error, bio_next_segment, req_iterator } from "xenolith/linux/bio";
import { PAGE_SECTORS, REQ_OP_DISCARD, REQ_OP_MASK, SECTOR_SHIFT, op_is_write } from "xenolith/linux/blk_types";
import {
  BLK_FEAT_NOWAIT,
  BLK_FEAT_SYNCHRONOUS,
  add_disk,
  blk_alloc_disk,
  del_gendisk,
  type gendisk,
  put_disk,
  queue_limits,
  register_blkdev,
  set_capacity,
  unregister_blkdev,
} from "xenolith/linux/blkdev";
import { memcpy_page, memset_page } from "xenolith/xen/page";
import type { bio } from "xenolith/linux/blk_types";
import type { bio_vec } from "xenolith/linux/bvec";
import type { block_device_operations } from "xenolith/linux/blkdev";
import type { page } from "xenolith/linux/mm_types";
import type { Sleeps } from "xenolith/linux/sched";
import type { sector_t } from "xenolith/linux/types";

const RAMDISK_MAJOR = 1;

const rd_nr = ptr(1);
module_param_named("rd_nr", rd_nr, "int", 0o444);
MODULE_PARM_DESC("rd_nr", "Maximum number of brd devices");
const rd_size = ptr(16384);
module_param_named("rd_size", rd_size, "ulong", 0o444);
MODULE_PARM_DESC("rd_size", "Size of each RAM disk in kbytes.");
const max_part = ptr(16);
module_param_named("max_part", max_part, "int", 0o444);
MODULE_PARM_DESC("max_part", "Num Minors to reserve between devices");
MODULE_LICENSE("Dual MIT/GPL");
MODULE_DESCRIPTION("Ram backed block device driver");
MODULE_ALIAS("rd");

class brd_device {
  readonly brd_number: number;
  readonly brd_disk: gendisk;
  /** By page of the disk; null reads as zeros. */
  readonly brd_pages: (page | null)[];

  constructor(number: number, disk: gendisk, pages: number) {
    this.brd_number = number;
    this.brd_disk = disk;
    this.brd_pages = new Array<page | null>(pages).fill(null);
  }
}

const brd_devices: brd_device[] = [];
const walk = new req_iterator();

// Data path.

function brd_submit_bio(bio: bio): void {
  const brd = bio.bi_bdev.bd_disk.private_data as brd_device;
  if ((bio.bi_opf & REQ_OP_MASK) === REQ_OP_DISCARD) {
    brd_do_discard(brd, bio.bi_iter.bi_sector, bio.bi_iter.bi_size);
    bio_endio(bio);
    return;
  }
  const write = op_is_write(bio.bi_opf);
  if (!write && brd_read_piece(brd, bio)) {
    bio_endio(bio);
    return;
  }
  bio_for_each_segment(bio, walk);
  while (bio_next_segment(walk)) {
    if (brd_do_bvec(brd, walk.bvec, walk.bi_sector, write)) continue;
    bio_io_error(bio);
    return;
  }
  bio_endio(bio);
}

/** Reads what lies in one page of the disk and goes into one page, which is all of most bios. False: it does not, and nothing is done. */
function brd_read_piece(brd: brd_device, bio: bio): boolean {
  const iter = bio.bi_iter;
  const size = iter.bi_size;
  if (size === 0) return false;
  const vec = bio.bi_io_vec[iter.bi_idx];
  const done = iter.bi_bvec_done;
  const to = vec.bv_offset + done;
  const sector = iter.bi_sector;
  const from = (sector & (PAGE_SECTORS - 1)) << SECTOR_SHIFT;
  if (done + size > vec.bv_len || to + size > PAGE_SIZE || from + size > PAGE_SIZE) return false;
  const page = brd.brd_pages[sector >>> (PAGE_SHIFT - SECTOR_SHIFT)];
  if (page === null) memset_page(vec.bv_page, to, 0, size);
  else memcpy_page(vec.bv_page, to, page, from, size);
  return true;
}

/** Moves one piece, which may lie across two pages of the disk. False: no memory. */
function brd_do_bvec(brd: brd_device, bvec: bio_vec, sector: sector_t, write: boolean): boolean {
  let done = 0;
  while (done < bvec.bv_len) {
    const at = sector * 512 + done;
    const offset = at % 4096;
    const length = Math.min(4096 - offset, bvec.bv_len - done);
    const index = (at - offset) / 4096;
    if (write) {
      const page = brd.brd_pages[index] ?? brd_insert_page(brd, index);
      if (page === null) return false;
      memcpy_page(page, offset, bvec.bv_page, bvec.bv_offset + done, length);
    } else copy_from_brd(brd.brd_pages[index], offset, bvec, done, length);
    done += length;
  }
  return true;
}

function copy_from_brd(page: page | null, offset: number, bvec: bio_vec, done: number, length: number): void {
  if (page === null) memset_page(bvec.bv_page, bvec.bv_offset + done, 0, length);
  else memcpy_page(bvec.bv_page, bvec.bv_offset + done, page, offset, length);
}

function brd_insert_page(brd: brd_device, index: number): page | null {
  const page = alloc_page(GFP_NOIO | GFP_ZERO);
  brd.brd_pages[index] = page;
  return page;
}

/** Frees the pages that lie in the range as a whole; parts of pages keep their data. */
function brd_do_discard(brd: brd_device, sector: sector_t, size: number): void {
  const first = Math.ceil(sector / PAGE_SECTORS);
  const end = Math.floor((sector + size / 512) / PAGE_SECTORS);
  for (let index = first; index < end; index++) brd_free_page(brd, index);
}

function brd_free_page(brd: brd_device, index: number): void {
  const page = brd.brd_pages[index];
  if (page === null) return;
  brd.brd_pages[index] = null;
  put_page(page);
}

const brd_fops: block_device_operations = { owner: this_module(), submit_bio: brd_submit_bio };

// Making and removing.

function* brd_alloc(number: number): Sleeps<number> {
  const lim = new queue_limits({
    physical_block_size: 4096,
    max_hw_discard_sectors: 0xffffffff,
    max_discard_segments: 1,
    discard_granularity: 4096,
    features: BLK_FEAT_SYNCHRONOUS | BLK_FEAT_NOWAIT,
  });
  const disk = blk_alloc_disk(lim, -1);
  if (IS_ERR(disk)) return disk;
  const brd = new brd_device(number, disk, Math.ceil(rd_size.value / 4));
  disk.major = RAMDISK_MAJOR;
  disk.first_minor = number * max_part.value;
  disk.minors = max_part.value;
  disk.disk_name = `ram${number}`;
  disk.fops = brd_fops;
  disk.private_data = brd;
  set_capacity(disk, rd_size.value * 2);
  const error = yield* add_disk(disk);
  if (error !== 0) {
    put_disk(disk);
    return error;
  }
  brd_devices.push(brd);
  return 0;
}

function* brd_cleanup(): Sleeps<void> {
  for (let brd = brd_devices.pop(); brd !== undefined; brd = brd_devices.pop()) {
    yield* del_gendisk(brd.brd_disk);
    put_disk(brd.brd_disk);
    for (let index = 0; index < brd.brd_pages.length; index++) brd_free_page(brd, index);
  }
}

function* brd_init(): Sleeps<number> {
  let error = register_blkdev(RAMDISK_MAJOR, "ramdisk");
  if (error !== 0) return error;
  if (max_part.value < 1) max_part.value = 1;
  for (let number = 0; number < rd_nr.value && error === 0; number++) error = yield* brd_alloc(number);
  if (error !== 0) {
    yield* brd_cleanup();
    unregister_blkdev(RAMDISK_MAJOR, "ramdisk");
    pr_info("brd: module NOT loaded !!!\n");
    return error;
  }
  pr_info("brd: module loaded\n");
  return 0;
}

export function* brd_exit(): Sleeps<void> {
  yield* brd_cleanup();
  unregister_blkdev(RAMDISK_MAJOR, "ramdisk");
  pr_info("brd: module unloaded\n");
}

module_init(brd_init);
module_exit(brd_exit);
