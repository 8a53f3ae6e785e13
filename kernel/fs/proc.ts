/** /proc: texts about the kernel. Other files add theirs with `proc_create_single`. */
import { EEXIST } from "xenolith/linux/errno";
import { EXPORT_SYMBOL } from "xenolith/linux/export";
import { vfs_mount } from "xenolith/linux/fs";
import { fs_initcall } from "xenolith/linux/init";
import { directory_inode, text_inode } from "./simple";

const entries = new Map<string, () => string>();

/** Makes /proc/NAME. Linux: proc_create_single. */
export function proc_create_single(name: string, show: () => string): number {
  if (entries.has(name)) return -EEXIST;
  entries.set(name, show);
  return 0;
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
      const show = entries.get(name);
      return show === undefined ? null : text_inode({ show }, 0o444);
    },
  );
  return vfs_mount("/proc", root, "proc");
}
fs_initcall(proc_init);
