/**
 * `<linux/fs.h>`: open files and the names that lead to them.
 *
 *   path ─► mount (/dev, /sys, /proc) ─► inode ─► filp_open ─► file ─► file_operations
 *
 * There is no disk file system: `/dev` names devices, `/sys` the device model, `/proc` the kernel. Data moves between a file and pages of the
 * caller (`iov_iter`), so that a block device opened with O_DIRECT is read straight into them.
 */
import type { err_ptr } from "xenolith/linux/err";
import type { Sleeps } from "xenolith/linux/sched";
import type { dev_t, loff_t, Ptr } from "xenolith/linux/types";
import type { iov_iter } from "xenolith/linux/uio";

export const O_RDONLY = 0;
export const O_WRONLY = 1;
export const O_RDWR = 2;
export const O_ACCMODE = 3;
export const O_CREAT = 0o100;
export const O_EXCL = 0o200;
export const O_TRUNC = 0o1000;
export const O_APPEND = 0o2000;
export const O_DSYNC = 0o10000;
export const O_DIRECT = 0o40000;
export const O_SYNC = 0o4000000 | O_DSYNC;

export const FMODE_READ = 1;
export const FMODE_WRITE = 2;
export const FMODE_EXCL = 0x80;

export const SEEK_SET = 0;
export const SEEK_CUR = 1;
export const SEEK_END = 2;

export const S_IFMT = 0o170000;
export const S_IFIFO = 0o010000;
export const S_IFCHR = 0o020000;
export const S_IFDIR = 0o040000;
export const S_IFBLK = 0o060000;
export const S_IFREG = 0o100000;
export const S_IFLNK = 0o120000;

// Requests for vfs_ioctl on a block device.
export const BLKROSET = 0x125d;
export const BLKROGET = 0x125e;
export const BLKRRPART = 0x125f;
export const BLKFLSBUF = 0x1261;
export const BLKSSZGET = 0x1268;
export const BLKGETSIZE64 = 0x80081272;
export const BLKDISCARD = 0x1277;
export const BLKPBSZGET = 0x127b;
export const BLKSECDISCARD = 0x127d;
export const BLKZEROOUT = 0x127f;

/** What a file does. All may sleep. */
export interface file_operations {
  open?(inode: inode, file: file): Sleeps<number>;
  /** Streams (terminals, pipes): takes at most `to.length` bytes. Returns as `read_iter`. Pages are then copied from it. */
  read?(file: file, to: Uint8Array): Sleeps<number>;
  /** Streams: writes the bytes. Returns as `write_iter`. */
  write?(file: file, from: Uint8Array): Sleeps<number>;
  /** Reads at `pos.value` and moves it. Returns the bytes read, 0 at the end, or a negative errno. */
  read_iter?(file: file, iter: iov_iter, pos: Ptr<loff_t>): Sleeps<number>;
  /** Writes at `pos.value` and moves it. Returns the bytes written or a negative errno. */
  write_iter?(file: file, iter: iov_iter, pos: Ptr<loff_t>): Sleeps<number>;
  fsync?(file: file, datasync: number): Sleeps<number>;
  ioctl?(file: file, cmd: number, arg: unknown): Sleeps<number>;
  release?(inode: inode, file: file): Sleeps<void>;
}

/** Something that has a name. */
export interface inode {
  /** S_IF* and permission bits. */
  readonly i_mode: number;
  /** Devices. */
  readonly i_rdev: dev_t;
  /** Bytes; 0 where it is not known before reading. */
  readonly i_size: loff_t;
  readonly i_fop: file_operations;
  /** Directories: names in it, sorted. */
  iterate?(): string[];
  /** Directories: what a name stands for, or null. */
  lookup?(name: string): inode | null;
  /** Links: where to, as ls prints it. */
  readonly i_link?: string;
  readonly i_private: unknown;
}

/** Where a file's read-ahead stands, in pages of its device. */
export class file_ra_state {
  start = 0;
  size = 0;
  /** The last so many pages of the window are being read while the reader is before them. */
  async_size = 0;
  /** Where the last read ended, bytes. */
  prev_pos = -1;
}

/** An open file. */
export class file {
  f_path = "";
  /** O_*. */
  f_flags = 0;
  /** FMODE_*. */
  f_mode = 0;
  readonly f_pos: Ptr<loff_t> = { value: 0 };
  /** Descriptors that stand for it: the last one's `filp_close` releases it. */
  f_count = 1;
  f_op: file_operations = {};
  f_inode: inode | null = null;
  private_data: unknown = null;
  readonly f_ra = new file_ra_state();
  /** Failed write-backs of its device that it has been told of. */
  f_wb_err = 0;
}

/**
 * Opens a path. ERR_PTR: -ENOENT, -EISDIR, -EACCES, -ENXIO, or what the device says. Sleeps.
 *
 * This and every other call here that moves data ends with -EINTR while a signal waits for the task: a program that was told to end does no more.
 */
export declare function filp_open(path: string, flags: number, mode: number): Sleeps<file | err_ptr>;
/** One more descriptor for an open file; each is closed by its own `filp_close`. */
export function get_file(file: file): file {
  file.f_count++;
  return file;
}
/** Closes a descriptor; the last one releases the file. Returns 0. Sleeps. */
export declare function filp_close(file: file): Sleeps<number>;
/** Reads at `pos` (its own position if null). Returns the bytes read, 0 at the end, or a negative errno. Sleeps. */
export declare function vfs_iter_read(file: file, iter: iov_iter, pos: Ptr<loff_t> | null): Sleeps<number>;
/** Writes at `pos` (its own position if null). Returns the bytes written or a negative errno. Sleeps. */
export declare function vfs_iter_write(file: file, iter: iov_iter, pos: Ptr<loff_t> | null): Sleeps<number>;
/** Reads at its own position into memory, at most `to.length` bytes. Returns as `vfs_iter_read`, -ENOMEM. Sleeps. Linux: kernel_read. */
export declare function kernel_read(file: file, to: Uint8Array): Sleeps<number>;
/** Writes all the bytes at its own position. Returns how many, or a negative errno if it was none. Sleeps. Linux: kernel_write. */
export declare function kernel_write(file: file, from: Uint8Array): Sleeps<number>;
/** A pipe: its end for reading and its end for writing. Linux: create_pipe_files. */
export declare function create_pipe_files(): [file, file];
/** The operations of all character devices of a major number. Returns 0 or -EBUSY. Linux: register_chrdev. */
export declare function register_chrdev(major: number, name: string, fops: file_operations): number;
/** Takes them away. Linux: unregister_chrdev. */
export declare function unregister_chrdev(major: number, name: string): void;
/** Registered character device majors, by number. */
export declare function chrdev_majors(): { readonly major: number; readonly name: string }[];
/** Makes what was written durable. Returns 0 or a negative errno. Sleeps. */
export declare function vfs_fsync(file: file, datasync: number): Sleeps<number>;
/** A request of its own kind to a file. Returns 0 or more, -ENOTTY for one that it does not know. Sleeps. */
export declare function vfs_ioctl(file: file, cmd: number, arg: unknown): Sleeps<number>;
/** What a path stands for, from the task's directory on if it is relative; links are followed unless told "nofollow". ERR_PTR(-ENOENT), ERR_PTR(-ENOTDIR). */
export declare function kern_path(path: string, last?: "follow" | "nofollow"): inode | err_ptr;
/** All of a text file. ERR_PTR as `filp_open` or reading. Sleeps. */
export declare function read_text_file(path: string): Sleeps<string | err_ptr>;
/** Writes a text, in one piece, as echo does. Returns 0 or a negative errno. Sleeps. */
export declare function write_text_file(path: string, text: string): Sleeps<number>;
/** Puts a file system's root at `path`, which is an absolute name of one component, such as "/sys". Returns 0 or -EBUSY. */
export declare function vfs_mount(path: string, root: inode, type: string): number;
/** Mount points and their types. */
export declare function vfs_mounts(): readonly { readonly path: string; readonly type: string }[];
