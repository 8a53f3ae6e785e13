/**
 * The tree behind /sys: directories for kobjects, files for attributes, links. It holds no text: a file asks its attribute each time.
 */
import { EACCES, EEXIST, EIO, ENOENT } from "xenolith/linux/errno";
import { EXPORT_SYMBOL } from "xenolith/linux/export";
import type { kobj_attribute, kobject } from "xenolith/linux/kobject";
import { pr_warn, vsnprintf } from "xenolith/linux/printk";
import type { Sleeps } from "xenolith/linux/sched";
import type { attribute, attribute_group, sysfs_buf, sysfs_dirent, sysfs_ops } from "xenolith/linux/sysfs";

/** Bytes that an attribute may show or take. */
const SYSFS_TEXT_MAX = 4096;
/** Links followed in one look-up. */
const LINKS_MAX = 16;

class node implements sysfs_dirent {
  readonly children = new Map<string, sysfs_dirent>();
  kobj: kobject | null = null;
  attr: attribute | null = null;
  ops: sysfs_ops | null = null;
  target: sysfs_dirent | null = null;

  constructor(
    readonly name: string,
    readonly parent: sysfs_dirent | null,
    readonly type: "directory" | "file" | "link",
    readonly mode: number,
  ) {}
}

const root = new node("", null, "directory", 0o755);

export function sysfs_root(): sysfs_dirent {
  return root;
}
EXPORT_SYMBOL(sysfs_root);

export function sysfs_path(at: sysfs_dirent): string {
  return at.parent === null ? "" : `${sysfs_path(at.parent)}/${at.name}`;
}
EXPORT_SYMBOL(sysfs_path);

/** A new node below `parent`, or null if the name is taken. */
function make_node(parent: sysfs_dirent, name: string, type: "directory" | "file" | "link", mode: number): node | null {
  if (parent.children.has(name)) {
    pr_warn("sysfs: cannot create duplicate filename '%s/%s'\n", sysfs_path(parent), name);
    return null;
  }
  const made = new node(name, parent, type, mode);
  parent.children.set(name, made);
  return made;
}

/** Makes the directory of a kobject. Returns 0 or -EEXIST. */
export function sysfs_create_dir(kobj: kobject, parent: sysfs_dirent): number {
  const made = make_node(parent, kobj.name, "directory", 0o755);
  if (made === null) return -EEXIST;
  made.kobj = kobj;
  kobj.sd = made;
  return 0;
}

/** Removes the directory of a kobject with all that is in it. */
export function sysfs_remove_dir(kobj: kobject): void {
  const sd = kobj.sd;
  kobj.sd = null;
  if (sd !== null && sd.parent !== null) sd.parent.children.delete(sd.name);
}

/** Attributes of bare kobjects. */
const kobj_ops: sysfs_ops = {
  show: (kobj, attr, buf) => (attr as kobj_attribute).show?.(kobj, attr, buf) ?? -EIO,
  store: (kobj, attr, buf, count) => (attr as kobj_attribute).store?.(kobj, attr, buf, count) ?? -EIO,
};

function add_file(directory: sysfs_dirent, kobj: kobject, attr: attribute, mode: number): number {
  const made = make_node(directory, attr.name, "file", mode);
  if (made === null) return -EEXIST;
  made.kobj = kobj;
  made.attr = attr;
  made.ops = kobj.ktype?.sysfs_ops ?? kobj_ops;
  return 0;
}

export function sysfs_create_file(kobj: kobject, attr: attribute): number {
  return kobj.sd === null ? -ENOENT : add_file(kobj.sd, kobj, attr, attr.mode);
}
EXPORT_SYMBOL(sysfs_create_file);

export function sysfs_remove_file(kobj: kobject, attr: attribute): void {
  kobj.sd?.children.delete(attr.name);
}
EXPORT_SYMBOL(sysfs_remove_file);

function group_directory(kobj: kobject, group: attribute_group): sysfs_dirent | null {
  if (kobj.sd === null || group.name === undefined) return kobj.sd;
  return kobj.sd.children.get(group.name) ?? make_node(kobj.sd, group.name, "directory", 0o755);
}

export function sysfs_create_group(kobj: kobject, group: attribute_group): number {
  const directory = group_directory(kobj, group);
  if (directory === null) return -ENOENT;
  for (let i = 0; i < group.attrs.length; i++) {
    const attr = group.attrs[i];
    const mode = group.is_visible === undefined ? attr.mode : group.is_visible(kobj, attr, i);
    if (mode === 0 || add_file(directory, kobj, attr, mode) === 0) continue;
    for (const added of group.attrs.slice(0, i)) directory.children.delete(added.name);
    return -EEXIST;
  }
  return 0;
}
EXPORT_SYMBOL(sysfs_create_group);

export function sysfs_create_groups(kobj: kobject, groups: readonly attribute_group[]): number {
  for (let i = 0; i < groups.length; i++) {
    const error = sysfs_create_group(kobj, groups[i]);
    if (error === 0) continue;
    sysfs_remove_groups(kobj, groups.slice(0, i));
    return error;
  }
  return 0;
}
EXPORT_SYMBOL(sysfs_create_groups);

export function sysfs_remove_group(kobj: kobject, group: attribute_group): void {
  const sd = kobj.sd;
  if (sd === null) return;
  if (group.name !== undefined) sd.children.delete(group.name);
  else for (const attr of group.attrs) sd.children.delete(attr.name);
}
EXPORT_SYMBOL(sysfs_remove_group);

export function sysfs_remove_groups(kobj: kobject, groups: readonly attribute_group[]): void {
  for (const group of groups) sysfs_remove_group(kobj, group);
}
EXPORT_SYMBOL(sysfs_remove_groups);

export function sysfs_create_link(kobj: kobject, target: kobject, name: string): number {
  if (kobj.sd === null || target.sd === null) return -ENOENT;
  const made = make_node(kobj.sd, name, "link", 0o777);
  if (made === null) return -EEXIST;
  made.target = target.sd;
  return 0;
}
EXPORT_SYMBOL(sysfs_create_link);

export function sysfs_remove_link(kobj: kobject, name: string): void {
  if (kobj.sd?.children.get(name)?.type === "link") kobj.sd.children.delete(name);
}
EXPORT_SYMBOL(sysfs_remove_link);

export function sysfs_notify(kobj: kobject, dir: string | null, attr: string): void {
  const directory = dir === null ? kobj.sd : kobj.sd?.children.get(dir) ?? null;
  if (directory !== null && !directory.children.has(attr)) pr_warn("sysfs_notify: no attribute %s\n", attr);
}
EXPORT_SYMBOL(sysfs_notify);

function follow(start: sysfs_dirent): sysfs_dirent | null {
  let at: sysfs_dirent | null = start;
  for (let i = 0; i < LINKS_MAX && at !== null && at.type === "link"; i++) at = at.target;
  return at !== null && at.type !== "link" ? at : null;
}

export function sysfs_lookup(path: string, last: "follow" | "nofollow" = "follow"): sysfs_dirent | null {
  let at: sysfs_dirent | null = root;
  const names = path.split("/").filter((name) => name !== "" && name !== ".");
  for (let i = 0; i < names.length && at !== null; i++) {
    at = names[i] === ".." ? at.parent ?? root : at.children.get(names[i]) ?? null;
    if (at !== null && (i < names.length - 1 || last === "follow")) at = follow(at);
  }
  return at;
}
EXPORT_SYMBOL(sysfs_lookup);

export function sysfs_read(file: sysfs_dirent): string | number {
  if (file.type !== "file" || file.attr === null || file.ops === null || file.kobj === null) return -EIO;
  if ((file.mode & 0o444) === 0) return -EACCES;
  const buf: sysfs_buf = { value: "" };
  const length = file.ops.show(file.kobj, file.attr, buf);
  return length < 0 ? length : buf.value;
}
EXPORT_SYMBOL(sysfs_read);

export function* sysfs_write(file: sysfs_dirent, text: string): Sleeps<number> {
  if (file.type !== "file" || file.attr === null || file.ops === null || file.kobj === null) return -EIO;
  if ((file.mode & 0o222) === 0) return -EACCES;
  const taken = text.slice(0, SYSFS_TEXT_MAX);
  const result = file.ops.store(file.kobj, file.attr, taken, taken.length);
  return typeof result === "object" ? yield* result : result;
}
EXPORT_SYMBOL(sysfs_write);

export function sysfs_emit(buf: sysfs_buf, fmt: string, ...args: unknown[]): number {
  buf.value = vsnprintf(fmt, args).slice(0, SYSFS_TEXT_MAX);
  return buf.value.length;
}
EXPORT_SYMBOL(sysfs_emit);

export function sysfs_emit_at(buf: sysfs_buf, at: number, fmt: string, ...args: unknown[]): number {
  const text = vsnprintf(fmt, args).slice(0, Math.max(SYSFS_TEXT_MAX - at, 0));
  buf.value = buf.value.slice(0, at) + text;
  return text.length;
}
EXPORT_SYMBOL(sysfs_emit_at);
