/** `<linux/fs.h>`, as far as drivers see it: open files and what can be done to them. The tree of names is `kernel/fs`. */
import type { Sleeps } from "./sched";
import type { dev_t, loff_t, Ptr, umode_t } from "./types";

export const FMODE_READ = 1;
export const FMODE_WRITE = 2;
export const FMODE_EXCL = 0x80;

export const O_RDONLY = 0;
export const O_WRONLY = 1;
export const O_RDWR = 2;
export const O_ACCMODE = 3;
export const O_CREAT = 0o100;
export const O_EXCL = 0o200;
export const O_TRUNC = 0o1000;
export const O_APPEND = 0o2000;
export const O_NONBLOCK = 0o4000;
export const O_DSYNC = 0o10000;
export const O_DIRECT = 0o40000;
export const O_SYNC = 0o4010000;

export const S_IFMT = 0o170000;
export const S_IFDIR = 0o040000;
export const S_IFCHR = 0o020000;
export const S_IFBLK = 0o060000;
export const S_IFREG = 0o100000;
export const S_IFLNK = 0o120000;

/** A node of a file system. */
export class inode {
  i_mode: umode_t = 0;
  i_ino = 0;
  i_size: loff_t = 0;
  /** Of a device node. */
  i_rdev: dev_t = 0;
  i_fop: file_operations | null = null;
  /** The file system's or driver's own. */
  i_private: unknown = null;
}

/** An open file. */
export class file {
  f_op: file_operations | null = null;
  f_mode = 0;
  f_flags = 0;
  f_pos: loff_t = 0;
  f_inode: inode | null = null;
  private_data: unknown = null;
}

/** What can be done to an open file. Each function may be left out; all of them may sleep. Byte counts and errors as on Linux. */
export interface file_operations {
  open?(inode: inode, file: file): Sleeps<number>;
  release?(inode: inode | null, file: file): Sleeps<number>;
  /** Reads into `buf` at `pos.value` and advances it. Returns the bytes read, 0 at the end, or a negative errno. */
  read?(file: file, buf: Uint8Array, count: number, pos: Ptr<loff_t>): Sleeps<number>;
  write?(file: file, buf: Uint8Array, count: number, pos: Ptr<loff_t>): Sleeps<number>;
  llseek?(file: file, offset: loff_t, whence: number): Sleeps<loff_t>;
  unlocked_ioctl?(file: file, cmd: number, arg: unknown): Sleeps<number>;
  fsync?(file: file, start: loff_t, end: loff_t, datasync: number): Sleeps<number>;
}
