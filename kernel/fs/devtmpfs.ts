/** /dev: a node for every block device, the few memory devices that programs expect (Linux drivers/char/mem.c), and the terminals. */
import { ENOSPC } from "xenolith/linux/errno";
import { all_bdevs } from "xenolith/linux/blkdev";
import type { block_device } from "xenolith/linux/blk_types";
import { bdev_name, bdev_nr_bytes } from "xenolith/linux/blkdev";
import { S_IFBLK, S_IFCHR, type file_operations, type inode, vfs_mount } from "xenolith/linux/fs";
import { fs_initcall } from "xenolith/linux/init";
import { charge } from "xenolith/linux/ktime";
import { get_random_u32 } from "xenolith/linux/random";
import { HVC_MAJOR, MEM_MAJOR, TTYAUX_MAJOR } from "xenolith/linux/major";
import { MKDEV, type dev_t } from "xenolith/linux/types";
import { copy_to_iter, iov_iter_advance, iov_iter_zero } from "xenolith/linux/uio";
import { COST_PAGE_COPY } from "../../hal/abi/control";
import { PAGE_SIZE } from "../../hal/guest/page";
import { def_blk_fops } from "./bdev";
import { def_chr_fops } from "./char_dev";
import { directory_inode } from "./simple";

const null_fops: file_operations = {
  *read_iter() {
    return 0;
  },
  *write_iter(_file, iter, pos) {
    const count = iter.count;
    iov_iter_advance(iter, count);
    pos.value += count;
    return count;
  },
};

const zero_fops: file_operations = {
  ...null_fops,
  *read_iter(_file, iter) {
    // Who reads zeros and nothing else must see time pass.
    for (let done = 0; done < iter.count; done += PAGE_SIZE) charge(COST_PAGE_COPY);
    return iov_iter_zero(iter.count, iter);
  },
};

const full_fops: file_operations = {
  ...zero_fops,
  *write_iter() {
    return -ENOSPC;
  },
};

const urandom_fops: file_operations = {
  ...null_fops,
  *read_iter(_file, iter) {
    const words = new Uint32Array(1024);
    const bytes = new Uint8Array(words.buffer);
    let done = 0;
    while (iter.count > 0) {
      for (let i = 0; i < words.length; i++) words[i] = get_random_u32();
      done += copy_to_iter(bytes, 0, bytes.length, iter);
    }
    return done;
  },
};

interface char_device {
  readonly name: string;
  readonly dev: dev_t;
  readonly fops: file_operations;
}

/** Memory devices, and the terminals, whose driver is loaded when one of them is opened. */
const char_devices: readonly char_device[] = [
  { name: "null", dev: MKDEV(MEM_MAJOR, 3), fops: null_fops },
  { name: "zero", dev: MKDEV(MEM_MAJOR, 5), fops: zero_fops },
  { name: "full", dev: MKDEV(MEM_MAJOR, 7), fops: full_fops },
  { name: "random", dev: MKDEV(MEM_MAJOR, 8), fops: urandom_fops },
  { name: "urandom", dev: MKDEV(MEM_MAJOR, 9), fops: urandom_fops },
  { name: "tty", dev: MKDEV(TTYAUX_MAJOR, 0), fops: def_chr_fops },
  { name: "console", dev: MKDEV(TTYAUX_MAJOR, 1), fops: def_chr_fops },
  { name: "hvc0", dev: MKDEV(HVC_MAJOR, 0), fops: def_chr_fops },
];

function block_inode(bdev: block_device): inode {
  return {
    i_mode: S_IFBLK | 0o660,
    i_rdev: bdev.bd_dev,
    i_size: bdev_nr_bytes(bdev),
    i_fop: def_blk_fops,
    i_private: bdev,
  };
}

function lookup(name: string): inode | null {
  for (const device of char_devices) {
    if (device.name !== name) continue;
    return {
      i_mode: S_IFCHR | 0o666,
      i_rdev: device.dev,
      i_size: 0,
      i_fop: device.fops,
      i_private: null,
    };
  }
  for (const bdev of all_bdevs()) if (bdev_name(bdev) === name) return block_inode(bdev);
  return null;
}

function iterate(): string[] {
  return [...char_devices.map((device) => device.name), ...all_bdevs().map(bdev_name)].sort();
}

fs_initcall(() => vfs_mount("/dev", directory_inode(iterate, lookup), "devtmpfs"));
