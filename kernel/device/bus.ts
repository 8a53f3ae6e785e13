/** Buses: /sys/bus/NAME, with the devices and drivers that it brings together. */
import { EEXIST, EINVAL, ENODEV } from "xenolith/linux/errno";
import { EXPORT_SYMBOL } from "xenolith/linux/export";
import {
  dev_name,
  type bus_attribute,
  type bus_type,
  type device,
  type device_driver,
  type driver_attribute,
} from "xenolith/linux/device";
import type { kobject, kobj_type } from "xenolith/linux/kobject";
import { list_add_tail, list_del, list_for_each_entry } from "xenolith/linux/list";
import type { Sleeps } from "xenolith/linux/sched";
import { sysfs_create_file, sysfs_create_groups, sysfs_create_link, sysfs_remove_link } from "xenolith/linux/sysfs";
import { get_device, put_device } from "./core";
import { device_attach, device_driver_attach, device_release_driver } from "./dd";
import { buses_kset } from "./devices";
import { kobject_del, kobject_init_and_add, kobject_put, kset_create_and_add, kset_unregister } from "./kobject";

/** Attributes of a driver find their driver behind the kobject. */
const driver_ktype: kobj_type = {
  sysfs_ops: {
    show(kobj, attr, buf) {
      const a = attr as driver_attribute;
      return a.show === undefined ? -EINVAL : a.show(kobj.container as device_driver, a, buf);
    },
    store(kobj, attr, buf, count) {
      const a = attr as driver_attribute;
      return a.store === undefined ? -EINVAL : a.store(kobj.container as device_driver, a, buf, count);
    },
  },
};

export function bus_register(bus: bus_type): number {
  const kset = kset_create_and_add(bus.name, buses_kset().kobj);
  if (kset === null) return -EEXIST;
  bus.kset = kset;
  bus.devices_kset = kset_create_and_add("devices", kset.kobj);
  bus.drivers_kset = kset_create_and_add("drivers", kset.kobj);
  kset.kobj.ktype = bus_ktype(bus);
  return sysfs_create_groups(kset.kobj, bus.bus_groups);
}
EXPORT_SYMBOL(bus_register);

function bus_ktype(bus: bus_type): kobj_type {
  return {
    sysfs_ops: {
      show(_kobj, attr, buf) {
        const a = attr as bus_attribute;
        return a.show === undefined ? -EINVAL : a.show(bus, a, buf);
      },
      store(_kobj, attr, buf, count) {
        const a = attr as bus_attribute;
        return a.store === undefined ? -EINVAL : a.store(bus, a, buf, count);
      },
    },
  };
}

export function bus_unregister(bus: bus_type): void {
  for (const kset of [bus.drivers_kset, bus.devices_kset, bus.kset]) if (kset !== null) kset_unregister(kset);
  bus.kset = null;
  bus.devices_kset = null;
  bus.drivers_kset = null;
}
EXPORT_SYMBOL(bus_unregister);

/** Links a device into its bus. Returns 0 or a negative errno. */
export function bus_add_device(dev: device): number {
  const bus = dev.bus;
  if (bus === null) return 0;
  if (bus.kset === null || bus.devices_kset === null) return -EINVAL;
  const error = sysfs_create_link(bus.devices_kset.kobj, dev.kobj, dev_name(dev));
  if (error !== 0) return error;
  sysfs_create_link(dev.kobj, bus.kset.kobj, "subsystem");
  list_add_tail(dev.bus_node, bus.klist_devices);
  return 0;
}

/** Looks for a driver for a new device. Sleeps. */
export function* bus_probe_device(dev: device): Sleeps<void> {
  if (dev.bus !== null) yield* device_attach(dev);
}

export function bus_remove_device(dev: device): void {
  if (dev.bus === null || dev.bus.devices_kset === null) return;
  list_del(dev.bus_node);
  sysfs_remove_link(dev.bus.devices_kset.kobj, dev_name(dev));
}

function devices_after(bus: bus_type, start: device | null): device[] {
  const all = [...list_for_each_entry<device>(bus.klist_devices)];
  return start === null ? all : all.slice(all.indexOf(start) + 1);
}

export function bus_for_each_dev<T>(
  bus: bus_type,
  start: device | null,
  data: T,
  fn: (dev: device, data: T) => number,
): number {
  let result = 0;
  for (const dev of devices_after(bus, start)) {
    result = fn(dev, data);
    if (result !== 0) break;
  }
  return result;
}
EXPORT_SYMBOL(bus_for_each_dev);

export function bus_find_device<T>(
  bus: bus_type,
  start: device | null,
  data: T,
  match: (dev: device, data: T) => number,
): device | null {
  for (const dev of devices_after(bus, start)) if (match(dev, data) !== 0) return get_device(dev);
  return null;
}
EXPORT_SYMBOL(bus_find_device);

export function* bus_rescan_devices(bus: bus_type): Sleeps<number> {
  for (const dev of devices_after(bus, null)) if (dev.driver === null) yield* device_attach(dev);
  return 0;
}
EXPORT_SYMBOL(bus_rescan_devices);

export function driver_find(name: string, bus: bus_type): device_driver | null {
  for (const drv of list_for_each_entry<device_driver>(bus.klist_drivers)) if (drv.name === name) return drv;
  return null;
}
EXPORT_SYMBOL(driver_find);

/** What was written to a driver's `bind` or `unbind`: a device of its bus, with a reference. */
function named_device(drv: device_driver, text: string): device | null {
  const name = text.trim();
  return drv.bus === null ? null : bus_find_device(drv.bus, null, name, (dev) => (dev_name(dev) === name ? 1 : 0));
}

function* bind_store(drv: device_driver, _attr: driver_attribute, buf: string, count: number): Sleeps<number> {
  const dev = named_device(drv, buf);
  if (dev === null) return -ENODEV;
  const match = drv.bus === null ? null : drv.bus.match;
  const matches = dev.driver === null && match !== null && match(dev, drv) !== 0;
  const error = matches ? yield* device_driver_attach(drv, dev) : -ENODEV;
  put_device(dev);
  return error === 0 ? count : error;
}

function* unbind_store(drv: device_driver, _attr: driver_attribute, buf: string, count: number): Sleeps<number> {
  const dev = named_device(drv, buf);
  if (dev === null) return -ENODEV;
  const bound = dev.driver === drv;
  if (bound) yield* device_release_driver(dev);
  put_device(dev);
  return bound ? count : -ENODEV;
}

const bind_attr: driver_attribute = { name: "bind", mode: 0o200, store: bind_store };
const unbind_attr: driver_attribute = { name: "unbind", mode: 0o200, store: unbind_store };

/** Adds a driver's directory, with `bind` and `unbind`. Returns 0 or a negative errno. */
export function bus_add_driver(drv: device_driver): number {
  const bus = drv.bus;
  if (bus === null || bus.drivers_kset === null) return -EINVAL;
  drv.kobj.kset = bus.drivers_kset;
  const error = kobject_init_and_add(drv.kobj, driver_ktype, null, "%s", drv.name);
  if (error !== 0) return error;
  sysfs_create_file(drv.kobj, bind_attr);
  sysfs_create_file(drv.kobj, unbind_attr);
  list_add_tail(drv.bus_node, bus.klist_drivers);
  return sysfs_create_groups(drv.kobj, [...bus.drv_groups, ...drv.groups]);
}

export function bus_remove_driver(drv: device_driver): void {
  list_del(drv.bus_node);
  const kobj: kobject = drv.kobj;
  kobject_del(kobj);
  kobject_put(kobj);
}
