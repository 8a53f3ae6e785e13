/**
 * Names: from a path to what it stands for. The root directory holds nothing but mount points.
 */
import { EBUSY, ELOOP, ENOENT, ENOTDIR } from "xenolith/linux/errno";
import { ERR_PTR, type err_ptr } from "xenolith/linux/err";
import { EXPORT_SYMBOL } from "xenolith/linux/export";
import { current } from "xenolith/linux/sched";
import { S_IFDIR, S_IFLNK, S_IFMT, type inode } from "xenolith/linux/fs";

/** Links that one look-up follows, at most. */
const MAXSYMLINKS = 40;

interface mount {
  readonly path: string;
  readonly type: string;
  readonly root: inode;
}

const mounts: mount[] = [];

const root_inode: inode = {
  i_mode: S_IFDIR | 0o755,
  i_rdev: 0,
  i_size: 0,
  i_fop: {},
  i_private: null,
  iterate: () => mounts.map((mount) => mount.path.slice(1)).sort(),
  lookup: (name) => mounts.find((mount) => mount.path === `/${name}`)?.root ?? null,
};

/** Puts a file system's root at `path`. Returns 0, or -EBUSY if something is there. */
export function vfs_mount(path: string, root: inode, type: string): number {
  if (mounts.some((mount) => mount.path === path)) return -EBUSY;
  mounts.push({ path, type, root });
  return 0;
}
EXPORT_SYMBOL(vfs_mount);

/** Mount points and their types. */
export function vfs_mounts(): readonly { readonly path: string; readonly type: string }[] {
  return mounts;
}
EXPORT_SYMBOL(vfs_mounts);

/** A path's components; `..` stays in, since what it leads out of may be a link. */
function components(path: string): string[] {
  return path.split("/").filter((name) => name !== "" && name !== ".");
}

function is_link(node: inode): boolean {
  return (node.i_mode & S_IFMT) === S_IFLNK;
}

/** What a path stands for; links are followed, the last one unless told "nofollow". Linux: kern_path. */
export function kern_path(path: string, last: "follow" | "nofollow" = "follow"): inode | err_ptr {
  if (path === "") return ERR_PTR(-ENOENT);
  /** The directories above `at`. */
  const above: inode[] = [];
  let at: inode = root_inode;
  let links = 0;
  const names = components(path.startsWith("/") ? path : `${current().pwd}/${path}`);
  for (let name = names.shift(); name !== undefined; name = names.shift()) {
    if (at.lookup === undefined) return ERR_PTR(-ENOTDIR);
    if (name === "..") {
      at = above.pop() ?? root_inode;
      continue;
    }
    const next = at.lookup(name);
    if (next === null) return ERR_PTR(-ENOENT);
    if (is_link(next) && (last === "follow" || names.length > 0 || path.endsWith("/"))) {
      if (++links > MAXSYMLINKS) return ERR_PTR(-ELOOP);
      const target = next.i_link ?? "";
      names.unshift(...components(target));
      if (!target.startsWith("/")) continue;
      above.length = 0;
      at = root_inode;
      continue;
    }
    above.push(at);
    at = next;
  }
  return path.endsWith("/") && at.lookup === undefined ? ERR_PTR(-ENOTDIR) : at;
}
EXPORT_SYMBOL(kern_path);
