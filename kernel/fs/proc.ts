/** /proc: texts about the kernel. Other files add theirs with `proc_create_single`. */
import { EEXIST } from "xenolith/linux/errno";
import { EXPORT_SYMBOL } from "xenolith/linux/export";
import { vfs_mount } from "xenolith/linux/fs";
import { fs_initcall } from "xenolith/linux/init";
import type { proc_ops } from "xenolith/linux/proc_fs";
import { directory_inode, text_inode } from "./simple";

interface proc_dir_entry {
  readonly mode: number;
  readonly ops: proc_ops;
}

const entries = new Map<string, proc_dir_entry>();

/** Makes /proc/NAME with permission bits `mode`. Linux: proc_create. */
export function proc_create(name: string, mode: number, ops: proc_ops): number {
  if (entries.has(name)) return -EEXIST;
  entries.set(name, { mode, ops });
  return 0;
}
EXPORT_SYMBOL(proc_create);

/** Makes /proc/NAME, which can only be read. Linux: proc_create_single. */
export function proc_create_single(name: string, show: () => string): number {
  return proc_create(name, 0o444, { show });
}
EXPORT_SYMBOL(proc_create_single);

/** Takes /proc/NAME away. Linux: remove_proc_entry. */
export function remove_proc_entry(name: string): void {
  entries.delete(name);
}
EXPORT_SYMBOL(remove_proc_entry);

function proc_init(): number {
  const root = directory_inode(
    () => [...entries.keys()].sort(),
    (name) => {
      const entry = entries.get(name);
      return entry === undefined ? null : text_inode(entry.ops, entry.mode);
    },
  );
  return vfs_mount("/proc", root, "proc");
}
fs_initcall(proc_init);
