/** Classes: devices of one kind, each with a link in /sys/class/NAME, below a directory of the class's name under their parent. */
import { EEXIST } from "xenolith/linux/errno";
import { EXPORT_SYMBOL } from "xenolith/linux/export";
import { dev_name, type class_, type device } from "xenolith/linux/device";
import type { kobject } from "xenolith/linux/kobject";
import { list_add_tail, list_del, list_for_each_entry } from "xenolith/linux/list";
import { sysfs_create_link, sysfs_remove_link } from "xenolith/linux/sysfs";
import { classes_kset, virtual_devices } from "./devices";
import { kobject_create_and_add, kobject_del, kobject_put, kset_create_and_add, kset_unregister } from "./kobject";

export function class_register(cls: class_): number {
  cls.kset = kset_create_and_add(cls.name, classes_kset().kobj);
  return cls.kset === null ? -EEXIST : 0;
}
EXPORT_SYMBOL(class_register);

export function class_unregister(cls: class_): void {
  if (cls.kset !== null) kset_unregister(cls.kset);
  cls.kset = null;
}
EXPORT_SYMBOL(class_unregister);

/** Where a device's directory goes: below its parent, with the class's name in between if only the device is of the class. */
export function device_directory(dev: device): kobject | null {
  const cls = dev.class;
  if (cls === null) return dev.parent === null ? null : dev.parent.kobj;
  if (dev.parent !== null && dev.parent.class === cls) return dev.parent.kobj;
  const above = dev.parent === null ? virtual_devices() : dev.parent.kobj;
  const existing = above.sd?.children.get(cls.name)?.kobj ?? null;
  return existing ?? kobject_create_and_add(cls.name, above);
}

/** A device has left `directory`: one that was made for its class goes when it is empty. */
export function put_device_directory(dev: device, directory: kobject): void {
  if (dev.class === null || directory.container !== null || directory.name !== dev.class.name) return;
  if (directory.sd === null || directory.sd.children.size > 0) return;
  kobject_del(directory);
  kobject_put(directory);
}

/** Links a device into its class. Returns 0 or -EEXIST. */
export function class_add_device(dev: device): number {
  const cls = dev.class;
  if (cls === null || cls.kset === null) return 0;
  const error = sysfs_create_link(cls.kset.kobj, dev.kobj, dev_name(dev));
  if (error !== 0) return error;
  sysfs_create_link(dev.kobj, cls.kset.kobj, "subsystem");
  if (dev.parent !== null) sysfs_create_link(dev.kobj, dev.parent.kobj, "device");
  list_add_tail(dev.class_node, cls.klist_devices);
  return 0;
}

export function class_remove_device(dev: device): void {
  if (dev.class === null || dev.class.kset === null || dev.class_node.next === dev.class_node) return;
  list_del(dev.class_node);
  sysfs_remove_link(dev.class.kset.kobj, dev_name(dev));
}

export function class_for_each_device<T>(cls: class_, data: T, fn: (dev: device, data: T) => number): number {
  let result = 0;
  for (const dev of list_for_each_entry<device>(cls.klist_devices)) {
    result = fn(dev, data);
    if (result !== 0) break;
  }
  return result;
}
EXPORT_SYMBOL(class_for_each_device);
