/** /sys: the device model's tree (`kernel/` builds it), seen as files. */
import { EXPORT_SYMBOL } from "xenolith/linux/export";
import { S_IFLNK, type inode, vfs_mount } from "xenolith/linux/fs";
import { fs_initcall } from "xenolith/linux/init";
import { sysfs_path, sysfs_read, sysfs_root, sysfs_write, type sysfs_dirent } from "xenolith/linux/sysfs";
import { directory_inode, text_inode } from "./simple";

function inode_of(node: sysfs_dirent): inode {
  if (node.type === "directory") {
    return directory_inode(
      () => [...node.children.keys()].sort(),
      (name) => {
        const child = node.children.get(name);
        return child === undefined ? null : inode_of(child);
      },
    );
  }
  if (node.type === "link") return link_inode(node);
  return text_inode({ show: () => sysfs_read(node), store: (text) => sysfs_write(node, text) }, node.mode & 0o777);
}

function link_inode(node: sysfs_dirent): inode {
  const target = node.target === null ? "" : `/sys${sysfs_path(node.target)}`;
  return { i_mode: S_IFLNK | 0o777, i_rdev: 0, i_size: 0, i_fop: {}, i_private: node, i_link: target };
}

/** Mounts /sys. */
export function sysfs_init(): number {
  return vfs_mount("/sys", inode_of(sysfs_root()), "sysfs");
}
EXPORT_SYMBOL(sysfs_init);
fs_initcall(sysfs_init);
