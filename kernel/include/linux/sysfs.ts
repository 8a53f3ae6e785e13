/** `<linux/sysfs.h>`: attributes, and the tree that `kernel/fs` shows as /sys. */
import type { kobject } from "./kobject";
import type { Sleeps } from "./sched";
import type { Ptr } from "./types";

/** Where `show` puts its text: use `sysfs_emit`. */
export type sysfs_buf = Ptr<string>;

export interface attribute {
  readonly name: string;
  /** File mode, such as 0o444. */
  readonly mode: number;
}

export interface attribute_group {
  /** A subdirectory; none when left out. */
  readonly name?: string;
  readonly attrs: readonly attribute[];
  /** Returns the mode to use; 0 hides the attribute. */
  is_visible?(kobj: kobject, attr: attribute, index: number): number;
}

/** How a file's content is read and written: made from the attribute's own show and store. */
export interface sysfs_ops {
  show(kobj: kobject, attr: attribute, buf: sysfs_buf): number;
  store(kobj: kobject, attr: attribute, buf: string, count: number): number | Sleeps<number>;
}

/** A node of the tree: a directory, a file or a link. */
export interface sysfs_dirent {
  readonly name: string;
  readonly parent: sysfs_dirent | null;
  readonly type: "directory" | "file" | "link";
  readonly mode: number;
  /** Directories: by name, in order of creation. */
  readonly children: Map<string, sysfs_dirent>;
  readonly kobj: kobject | null;
  /** Files. */
  readonly attr: attribute | null;
  readonly ops: sysfs_ops | null;
  /** Links. */
  readonly target: sysfs_dirent | null;
}

/** Puts printf text into `buf` (at most one page). Returns its length. */
export declare function sysfs_emit(buf: sysfs_buf, fmt: string, ...args: unknown[]): number;
/** Appends at `at`, as `sysfs_emit`. */
export declare function sysfs_emit_at(buf: sysfs_buf, at: number, fmt: string, ...args: unknown[]): number;
/** Whether a written line equals `str`, with or without its newline. */
export function sysfs_streq(line: string, str: string): boolean {
  const strip = (s: string): string => (s.endsWith("\n") ? s.slice(0, -1) : s);
  return strip(line) === strip(str);
}

/** Returns 0 or -EEXIST. */
export declare function sysfs_create_file(kobj: kobject, attr: attribute): number;
export declare function sysfs_remove_file(kobj: kobject, attr: attribute): void;
/** Returns 0 or -EEXIST; all or nothing. */
export declare function sysfs_create_group(kobj: kobject, group: attribute_group): number;
export declare function sysfs_create_groups(kobj: kobject, groups: readonly attribute_group[]): number;
export declare function sysfs_remove_group(kobj: kobject, group: attribute_group): void;
export declare function sysfs_remove_groups(kobj: kobject, groups: readonly attribute_group[]): void;
/** A symbolic link `name` in `kobj`'s directory to `target`'s. */
export declare function sysfs_create_link(kobj: kobject, target: kobject, name: string): number;
export declare function sysfs_remove_link(kobj: kobject, name: string): void;
/** Tells pollers that a file changed; kept for its name. */
export declare function sysfs_notify(kobj: kobject, dir: string | null, attr: string): void;

/** The root, shown as /sys. */
export declare function sysfs_root(): sysfs_dirent;
/** The node at a path below /sys, links followed in the middle and, unless told "nofollow", at the end; or null. */
export declare function sysfs_lookup(path: string, last?: "follow" | "nofollow"): sysfs_dirent | null;
/** A node's path below /sys, with a leading slash. */
export declare function sysfs_path(node: sysfs_dirent): string;
/** Text of a file, or -EACCES, -EIO. */
export declare function sysfs_read(node: sysfs_dirent): string | number;
/** Writes a file. Returns the count, or a negative errno. Sleeps. */
export declare function sysfs_write(node: sysfs_dirent, text: string): Sleeps<number>;
