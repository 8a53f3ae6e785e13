/** Opening, reading, writing and closing files. The operations are the file's own; here are the checks that hold for all. */
import { EACCES, EBADF, EINTR, EINVAL, EISDIR, ENODEV, ENOMEM, ENOTTY } from "xenolith/linux/errno";
import { ERR_PTR, IS_ERR, PTR_ERR, type err_ptr } from "xenolith/linux/err";
import { EXPORT_SYMBOL } from "xenolith/linux/export";
import {
  FMODE_READ,
  FMODE_WRITE,
  O_ACCMODE,
  O_RDONLY,
  O_WRONLY,
  S_IFDIR,
  S_IFMT,
  S_IFREG,
  file,
  kern_path,
} from "xenolith/linux/fs";
import { GFP_KERNEL } from "xenolith/linux/gfp";
import { __free_page, alloc_page } from "xenolith/linux/mm";
import { type Sleeps, current } from "xenolith/linux/sched";
import { bytes_to_string, string_to_bytes } from "xenolith/linux/string";
import type { Ptr, loff_t } from "xenolith/linux/types";
import { iov_iter } from "xenolith/linux/uio";
import { memcpy_from_page, memcpy_to_page } from "xenolith/xen/page";
import { read_to_iter, write_from_iter } from "./read_write";

/** A system call of a program that was told to end does nothing more. */
function interrupted(): boolean {
  return current().pending_signals !== 0;
}

/** Opens a path. Sleeps. Linux: filp_open. */
export function* filp_open(path: string, flags: number, _mode: number): Sleeps<file | err_ptr> {
  if (interrupted()) return ERR_PTR(-EINTR);
  const node = kern_path(path);
  if (IS_ERR(node)) return node;
  const access = flags & O_ACCMODE;
  if ((node.i_mode & S_IFMT) === S_IFDIR) return ERR_PTR(-EISDIR);
  if ((node.i_mode & S_IFMT) === S_IFREG) {
    if (access !== O_WRONLY && (node.i_mode & 0o444) === 0) return ERR_PTR(-EACCES);
    if (access !== O_RDONLY && (node.i_mode & 0o222) === 0) return ERR_PTR(-EACCES);
  }
  const opened = new file();
  opened.f_path = path;
  opened.f_flags = flags;
  opened.f_mode = access === O_RDONLY ? FMODE_READ : access === O_WRONLY ? FMODE_WRITE : FMODE_READ | FMODE_WRITE;
  opened.f_inode = node;
  opened.f_op = node.i_fop;
  if (node.i_fop.open !== undefined) {
    const error = yield* node.i_fop.open(node, opened);
    if (error !== 0) return ERR_PTR(error);
  }
  return opened;
}
EXPORT_SYMBOL(filp_open);

/** Closes a file. Sleeps. Linux: filp_close. */
export function* filp_close(opened: file): Sleeps<number> {
  if (--opened.f_count > 0) return 0;
  if (opened.f_op.release !== undefined && opened.f_inode !== null) {
    yield* opened.f_op.release(opened.f_inode, opened);
  }
  return 0;
}
EXPORT_SYMBOL(filp_close);

/** Reads. Sleeps. Linux: vfs_iter_read. */
export function* vfs_iter_read(opened: file, iter: iov_iter, pos: Ptr<loff_t> | null): Sleeps<number> {
  if ((opened.f_mode & FMODE_READ) === 0) return -EBADF;
  if (interrupted()) return -EINTR;
  if (opened.f_op.read_iter === undefined) return yield* read_to_iter(opened, iter);
  return yield* opened.f_op.read_iter(opened, iter, pos ?? opened.f_pos);
}
EXPORT_SYMBOL(vfs_iter_read);

/** Writes. Sleeps. Linux: vfs_iter_write. */
export function* vfs_iter_write(opened: file, iter: iov_iter, pos: Ptr<loff_t> | null): Sleeps<number> {
  if ((opened.f_mode & FMODE_WRITE) === 0) return -EBADF;
  if (interrupted()) return -EINTR;
  if (opened.f_op.write_iter === undefined) return yield* write_from_iter(opened, iter);
  return yield* opened.f_op.write_iter(opened, iter, pos ?? opened.f_pos);
}
EXPORT_SYMBOL(vfs_iter_write);

/** Makes what was written durable. Sleeps. Linux: vfs_fsync. */
export function* vfs_fsync(opened: file, datasync: number): Sleeps<number> {
  if (interrupted()) return -EINTR;
  if (opened.f_op.fsync === undefined) return -EINVAL;
  return yield* opened.f_op.fsync(opened, datasync);
}
EXPORT_SYMBOL(vfs_fsync);

/** A request of the file's own kind. Sleeps. Linux: vfs_ioctl. */
export function* vfs_ioctl(opened: file, cmd: number, arg: unknown): Sleeps<number> {
  if (opened.f_op.ioctl === undefined) return -ENOTTY;
  return yield* opened.f_op.ioctl(opened, cmd, arg);
}
EXPORT_SYMBOL(vfs_ioctl);

/** All of a text file. Sleeps. */
export function* read_text_file(path: string): Sleeps<string | err_ptr> {
  const opened = yield* filp_open(path, O_RDONLY, 0);
  if (IS_ERR(opened)) return opened;
  const page = alloc_page(GFP_KERNEL);
  if (page === null) {
    yield* filp_close(opened);
    return ERR_PTR(-ENOMEM);
  }
  const bytes = new Uint8Array(4096);
  let text: string | err_ptr = "";
  for (;;) {
    const count = yield* vfs_iter_read(opened, new iov_iter([page], 0, 4096), null);
    if (count < 0) text = ERR_PTR(count);
    if (count <= 0) break;
    memcpy_from_page(bytes, 0, page, 0, count);
    text += bytes_to_string(bytes, 0, count);
  }
  __free_page(page);
  yield* filp_close(opened);
  return text;
}
EXPORT_SYMBOL(read_text_file);

/** Writes a text of at most a page. Sleeps. */
export function* write_text_file(path: string, text: string): Sleeps<number> {
  if (text.length > 4096) return -EINVAL;
  const opened = yield* filp_open(path, O_WRONLY, 0);
  if (IS_ERR(opened)) return PTR_ERR(opened);
  const page = alloc_page(GFP_KERNEL);
  let status = page === null ? -ENOMEM : -ENODEV;
  if (page !== null) {
    memcpy_to_page(page, 0, string_to_bytes(text), 0, text.length);
    status = yield* vfs_iter_write(opened, new iov_iter([page], 0, text.length), null);
    __free_page(page);
  }
  yield* filp_close(opened);
  return status < 0 ? status : 0;
}
EXPORT_SYMBOL(write_text_file);
