/**
 * Devices: into /sys and out of it again. Binding to drivers is `dd.ts`.
 *
 *   device_add:  directory ─► uevent, dev files ─► class and bus links ─► attribute groups ─► ADD event ─► probe ─► parent's and class's lists
 *   device_del:  lists ─► unbind ─► groups, links ─► REMOVE event ─► directory
 */
import { EINVAL } from "xenolith/linux/errno";
import { EXPORT_SYMBOL } from "xenolith/linux/export";
import { device, type device_attribute } from "xenolith/linux/device";
import { KOBJ_ADD, KOBJ_REMOVE, kobject_uevent, type kobject, type kobj_type } from "xenolith/linux/kobject";
import { list_add_tail, list_del, list_for_each_entry, list_head } from "xenolith/linux/list";
import { mutex_lock, mutex_unlock } from "xenolith/linux/mutex";
import { vsnprintf } from "xenolith/linux/printk";
import type { Sleeps } from "xenolith/linux/sched";
import { sysfs_create_file, sysfs_create_groups, sysfs_remove_file, type attribute_group } from "xenolith/linux/sysfs";
import { MAJOR, MINOR } from "xenolith/linux/types";
import { bus_add_device, bus_probe_device, bus_remove_device } from "./bus";
import { class_add_device, class_remove_device, device_directory, put_device_directory } from "./class";
import { device_uevent_text, devices_kset } from "./devices";
import { device_release_driver } from "./dd";
import { kobject_add_named, kobject_del, kobject_get, kobject_init, kobject_put } from "./kobject";
import { sysfs_emit } from "./sysfs";

/** All registered devices in the order of registration. */
const all_devices = new list_head();

/** Attributes of devices find their device behind the kobject. */
const device_ktype: kobj_type = {
  release(kobj: kobject): void {
    const dev = kobj.container as device;
    if (dev.release !== null) dev.release(dev);
    else if (dev.type?.release !== undefined) dev.type.release(dev);
    else if (dev.class !== null && dev.class.dev_release !== null) dev.class.dev_release(dev);
  },
  sysfs_ops: {
    show(kobj, attr, buf) {
      const a = attr as device_attribute;
      return a.show === undefined ? -EINVAL : a.show(kobj.container as device, a, buf);
    },
    store(kobj, attr, buf, count) {
      const a = attr as device_attribute;
      return a.store === undefined ? -EINVAL : a.store(kobj.container as device, a, buf, count);
    },
  },
};

const uevent_attr: device_attribute = {
  name: "uevent",
  mode: 0o644,
  show: (dev, _attr, buf) => sysfs_emit(buf, "%s", device_uevent_text(dev)),
  store: (dev, _attr, buf, count) => {
    const action = ["add", "remove", "change"].indexOf(buf.trim());
    if (action < 0) return -EINVAL;
    kobject_uevent(dev.kobj, action);
    return count;
  },
};

const dev_attr: device_attribute = {
  name: "dev",
  mode: 0o444,
  show: (dev, _attr, buf) => sysfs_emit(buf, "%d:%d\n", MAJOR(dev.devt), MINOR(dev.devt)),
};

export function device_initialize(dev: device): void {
  kobject_init(dev.kobj, device_ktype);
  dev.kobj.kset = devices_kset();
  dev.dead = false;
}
EXPORT_SYMBOL(device_initialize);

export function dev_set_name(dev: device, fmt: string, ...args: unknown[]): number {
  dev.kobj.name = vsnprintf(fmt, args).replace(/\//g, "!");
  return 0;
}
EXPORT_SYMBOL(dev_set_name);

/** The attribute groups of a device in the order in which Linux adds them. */
function groups_of(dev: device): attribute_group[] {
  return [...(dev.class?.dev_groups ?? []), ...(dev.type?.groups ?? []), ...dev.groups, ...(dev.bus?.dev_groups ?? [])];
}

export function* device_add(dev: device): Sleeps<number> {
  if (dev.kobj.name === "") dev.kobj.name = dev.init_name;
  let error = kobject_add_named(dev.kobj, device_directory(dev));
  if (error !== 0) return error;
  get_device(dev);
  if (dev.parent !== null) get_device(dev.parent);
  sysfs_create_file(dev.kobj, uevent_attr);
  if (dev.devt !== 0) sysfs_create_file(dev.kobj, dev_attr);
  error = class_add_device(dev);
  if (error === 0) error = sysfs_create_groups(dev.kobj, groups_of(dev));
  if (error === 0) error = bus_add_device(dev);
  if (error !== 0) {
    remove_from_sysfs(dev);
    return error;
  }
  list_add_tail(dev.global_node, all_devices);
  if (dev.parent !== null) list_add_tail(dev.child_node, dev.parent.children);
  if (!dev.uevent_suppress) kobject_uevent(dev.kobj, KOBJ_ADD);
  yield* bus_probe_device(dev);
  return 0;
}
EXPORT_SYMBOL(device_add);

function remove_from_sysfs(dev: device): void {
  class_remove_device(dev);
  const directory = dev.kobj.parent;
  kobject_del(dev.kobj);
  if (directory !== null) put_device_directory(dev, directory);
  if (dev.parent !== null) put_device(dev.parent);
  put_device(dev);
}

export function* device_register(dev: device): Sleeps<number> {
  device_initialize(dev);
  return yield* device_add(dev);
}
EXPORT_SYMBOL(device_register);

export function* device_del(dev: device): Sleeps<void> {
  if (dev.kobj.sd === null) return;
  dev.dead = true;
  yield* device_release_driver(dev);
  list_del(dev.child_node);
  list_del(dev.global_node);
  bus_remove_device(dev);
  if (!dev.uevent_suppress) kobject_uevent(dev.kobj, KOBJ_REMOVE);
  remove_from_sysfs(dev);
}
EXPORT_SYMBOL(device_del);

export function* device_unregister(dev: device): Sleeps<void> {
  yield* device_del(dev);
  put_device(dev);
}
EXPORT_SYMBOL(device_unregister);

export function get_device(dev: device): device {
  kobject_get(dev.kobj);
  return dev;
}
EXPORT_SYMBOL(get_device);

export function put_device(dev: device): void {
  kobject_put(dev.kobj);
}
EXPORT_SYMBOL(put_device);

export function* device_lock(dev: device): Sleeps<void> {
  yield* mutex_lock(dev.mutex);
}
EXPORT_SYMBOL(device_lock);

export function device_unlock(dev: device): void {
  mutex_unlock(dev.mutex);
}
EXPORT_SYMBOL(device_unlock);

export function device_create_file(dev: device, attr: device_attribute): number {
  return sysfs_create_file(dev.kobj, attr);
}
EXPORT_SYMBOL(device_create_file);

export function device_remove_file(dev: device, attr: device_attribute): void {
  sysfs_remove_file(dev.kobj, attr);
}
EXPORT_SYMBOL(device_remove_file);

function each<T>(devices: readonly device[], data: T, fn: (dev: device, data: T) => number): number {
  let result = 0;
  for (const dev of devices) {
    result = fn(dev, data);
    if (result !== 0) break;
  }
  return result;
}

export function device_for_each_child<T>(parent: device, data: T, fn: (dev: device, data: T) => number): number {
  return each([...list_for_each_entry<device>(parent.children)], data, fn);
}
EXPORT_SYMBOL(device_for_each_child);

export function device_for_each_child_reverse<T>(
  parent: device,
  data: T,
  fn: (dev: device, data: T) => number,
): number {
  return each([...list_for_each_entry<device>(parent.children)].reverse(), data, fn);
}
EXPORT_SYMBOL(device_for_each_child_reverse);

export function device_find_child<T>(parent: device, data: T, match: (dev: device, data: T) => number): device | null {
  for (const dev of list_for_each_entry<device>(parent.children)) if (match(dev, data) !== 0) return get_device(dev);
  return null;
}
EXPORT_SYMBOL(device_find_child);

export function* root_device_register(name: string): Sleeps<device | number> {
  const root = new device();
  dev_set_name(root, "%s", name);
  const error = yield* device_register(root);
  return error === 0 ? root : error;
}
EXPORT_SYMBOL(root_device_register);

export function* root_device_unregister(dev: device): Sleeps<void> {
  yield* device_unregister(dev);
}
EXPORT_SYMBOL(root_device_unregister);

export function for_each_device(): Generator<device, void, void> {
  return list_for_each_entry<device>(all_devices);
}
EXPORT_SYMBOL(for_each_device);

export function* device_shutdown(): Sleeps<void> {
  for (const dev of [...for_each_device()].reverse()) {
    yield* device_lock(dev);
    const shutdown = dev.bus?.shutdown ?? dev.driver?.shutdown ?? null;
    if (shutdown !== null) yield* shutdown(dev);
    device_unlock(dev);
  }
}
EXPORT_SYMBOL(device_shutdown);
