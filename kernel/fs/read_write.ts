/** Moving data between files and plain memory, whichever of the two kinds of operations a file has (Linux fs/read_write.c). */
import { EBADF, EINTR, EINVAL, ENOMEM } from "xenolith/linux/errno";
import { EXPORT_SYMBOL } from "xenolith/linux/export";
import { FMODE_READ, FMODE_WRITE, type file, vfs_iter_read, vfs_iter_write } from "xenolith/linux/fs";
import { GFP_KERNEL } from "xenolith/linux/gfp";
import { charge, charge_times } from "xenolith/linux/ktime";
import { __free_page, alloc_page } from "xenolith/linux/mm";
import { type Sleeps, cond_resched, current, need_resched } from "xenolith/linux/sched";
import { copy_from_iter, copy_to_iter, iov_iter } from "xenolith/linux/uio";
import { memcpy_from_page, memcpy_to_page } from "xenolith/xen/page";
import { COST_PAGE_COPY, COST_SYSCALL } from "../../hal/abi/control";

const PAGE_SIZE = 4096;

/**
 * What a call takes that moves bytes. Some files never sleep, and a program that does nothing else must see time pass and give way, or its slice
 * would have no end.
 */
function* enter_call(bytes: number): Sleeps<void> {
  charge(COST_SYSCALL);
  charge_times(COST_PAGE_COPY, Math.ceil(bytes / PAGE_SIZE));
  if (need_resched()) yield* cond_resched();
}

/** `read_iter` of a file that only has `read`. Linux: do_loop_readv_writev. */
export function* read_to_iter(from: file, iter: iov_iter): Sleeps<number> {
  if (from.f_op.read === undefined) return -EINVAL;
  const bytes = new Uint8Array(iter.count);
  const count = yield* from.f_op.read(from, bytes);
  return count <= 0 ? count : copy_to_iter(bytes, 0, count, iter);
}

/** `write_iter` of a file that only has `write`. */
export function* write_from_iter(to: file, iter: iov_iter): Sleeps<number> {
  if (to.f_op.write === undefined) return -EINVAL;
  const bytes = new Uint8Array(iter.count);
  copy_from_iter(bytes, 0, bytes.length, iter);
  return yield* to.f_op.write(to, bytes);
}

export function* kernel_read(from: file, to: Uint8Array): Sleeps<number> {
  yield* enter_call(to.length);
  if (from.f_op.read !== undefined) {
    if ((from.f_mode & FMODE_READ) === 0) return -EBADF;
    return current().pending_signals !== 0 ? -EINTR : yield* from.f_op.read(from, to);
  }
  const page = alloc_page(GFP_KERNEL);
  if (page === null) return -ENOMEM;
  const count = yield* vfs_iter_read(from, new iov_iter([page], 0, Math.min(to.length, PAGE_SIZE)), null);
  if (count > 0) memcpy_from_page(to, 0, page, 0, count);
  __free_page(page);
  return count;
}
EXPORT_SYMBOL(kernel_read);

export function* kernel_write(to: file, from: Uint8Array): Sleeps<number> {
  yield* enter_call(from.length);
  if (to.f_op.write !== undefined) {
    if ((to.f_mode & FMODE_WRITE) === 0) return -EBADF;
    return current().pending_signals !== 0 ? -EINTR : yield* to.f_op.write(to, from);
  }
  const page = alloc_page(GFP_KERNEL);
  if (page === null) return -ENOMEM;
  let done = 0;
  let count = 1;
  while (done < from.length && count > 0) {
    const length = Math.min(PAGE_SIZE, from.length - done);
    memcpy_to_page(page, 0, from, done, length);
    count = yield* vfs_iter_write(to, new iov_iter([page], 0, length), null);
    if (count > 0) done += count;
  }
  __free_page(page);
  return done > 0 ? done : Math.min(count, 0);
}
EXPORT_SYMBOL(kernel_write);
