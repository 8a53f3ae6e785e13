/** kobjects and ksets: named, counted, each with a directory in /sys while it is added. */
import { EEXIST, EINVAL } from "xenolith/linux/errno";
import { EXPORT_SYMBOL } from "xenolith/linux/export";
import { kobject, kset, type kobj_type } from "xenolith/linux/kobject";
import { kref_get, kref_put, type kref } from "xenolith/linux/kref";
import { list_add_tail, list_del } from "xenolith/linux/list";
import { vsnprintf } from "xenolith/linux/printk";
import { sysfs_create_dir, sysfs_create_groups, sysfs_remove_dir, sysfs_root } from "./sysfs";

const plain_ktype: kobj_type = {};

export function kobject_init(kobj: kobject, ktype: kobj_type): void {
  kobj.kref.refcount.refs = 1;
  kobj.ktype = ktype;
}
EXPORT_SYMBOL(kobject_init);

/** Sysfs does not allow a slash in a name: Linux puts an exclamation mark. */
export function kobject_set_name(kobj: kobject, fmt: string, ...args: unknown[]): number {
  kobj.name = vsnprintf(fmt, args).replace(/\//g, "!");
  return 0;
}
EXPORT_SYMBOL(kobject_set_name);

export function kobject_add(kobj: kobject, parent: kobject | null, fmt: string, ...args: unknown[]): number {
  kobject_set_name(kobj, fmt, ...args);
  return kobject_add_named(kobj, parent);
}
EXPORT_SYMBOL(kobject_add);

/** `kobject_add` for a kobject that has its name. */
export function kobject_add_named(kobj: kobject, parent: kobject | null): number {
  if (kobj.name === "") return -EINVAL;
  kobj.parent = parent ?? kobj.kset?.kobj ?? null;
  const error = sysfs_create_dir(kobj, kobj.parent?.sd ?? sysfs_root());
  if (error !== 0) {
    kobj.parent = null;
    return error;
  }
  if (kobj.parent !== null) kobject_get(kobj.parent);
  if (kobj.kset !== null) list_add_tail(kobj.entry, kobj.kset.list);
  return sysfs_create_groups(kobj, kobj.ktype?.default_groups ?? []);
}

export function kobject_init_and_add(
  kobj: kobject,
  ktype: kobj_type,
  parent: kobject | null,
  fmt: string,
  ...args: unknown[]
): number {
  kobject_init(kobj, ktype);
  return kobject_add(kobj, parent, fmt, ...args);
}
EXPORT_SYMBOL(kobject_init_and_add);

export function kobject_create_and_add(name: string, parent: kobject | null): kobject | null {
  const kobj = new kobject();
  return kobject_init_and_add(kobj, plain_ktype, parent, "%s", name) === -EEXIST ? null : kobj;
}
EXPORT_SYMBOL(kobject_create_and_add);

export function kobject_del(kobj: kobject): void {
  if (kobj.sd === null) return;
  sysfs_remove_dir(kobj);
  list_del(kobj.entry);
  const parent = kobj.parent;
  kobj.parent = null;
  if (parent !== null) kobject_put(parent);
}
EXPORT_SYMBOL(kobject_del);

export function kobject_get(kobj: kobject): kobject {
  kref_get(kobj.kref);
  return kobj;
}
EXPORT_SYMBOL(kobject_get);

export function kobject_put(kobj: kobject): void {
  kref_put(kobj.kref, (_kref: kref) => {
    kobject_del(kobj);
    kobj.ktype?.release?.(kobj);
  });
}
EXPORT_SYMBOL(kobject_put);

export function kobject_name(kobj: kobject): string {
  return kobj.name;
}
EXPORT_SYMBOL(kobject_name);

export function kobject_get_path(kobj: kobject): string {
  return `${kobj.parent === null ? "" : kobject_get_path(kobj.parent)}/${kobj.name}`;
}
EXPORT_SYMBOL(kobject_get_path);

export function kset_create_and_add(name: string, parent: kobject | null): kset | null {
  const made = new kset();
  const error = kobject_init_and_add(made.kobj, plain_ktype, parent, "%s", name);
  return error === 0 ? made : null;
}
EXPORT_SYMBOL(kset_create_and_add);

export function kset_unregister(set: kset): void {
  kobject_del(set.kobj);
  kobject_put(set.kobj);
}
EXPORT_SYMBOL(kset_unregister);
