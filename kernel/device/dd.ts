/**
 * Bringing devices and drivers together.
 *
 *   driver_register, device_add ─► match ─► probe: 0 ─► bound, BIND event     -EPROBE_DEFER ─► again after the next successful probe
 *                                                  -ENODEV, -ENXIO: not mine, silent     other errors: logged
 *
 * The device's mutex is held around probe, remove and shutdown.
 */
import { EBUSY, ENODEV, ENXIO, EPROBE_DEFER } from "xenolith/linux/errno";
import { EXPORT_SYMBOL } from "xenolith/linux/export";
import { dev_name, type device, type device_driver } from "xenolith/linux/device";
import { KOBJ_BIND, KOBJ_UNBIND, kobject_uevent } from "xenolith/linux/kobject";
import { list_add_tail, list_del, list_for_each_entry } from "xenolith/linux/list";
import { mutex_lock, mutex_unlock } from "xenolith/linux/mutex";
import { pr_debug, pr_err, pr_warn } from "xenolith/linux/printk";
import type { Sleeps } from "xenolith/linux/sched";
import { sysfs_create_groups, sysfs_create_link, sysfs_remove_groups, sysfs_remove_link } from "xenolith/linux/sysfs";
import { INIT_WORK, schedule_work, work_struct } from "xenolith/linux/workqueue";
import { bus_add_driver, bus_remove_driver, driver_find } from "./bus";

/** Devices whose probe asked to be called again. */
const deferred = new Set<device>();
let deferred_work: work_struct | null = null;

function* retry_deferred(): Sleeps<void> {
  const devices = [...deferred];
  deferred.clear();
  for (const dev of devices) if (!dev.dead && dev.driver === null) yield* device_attach(dev);
}

/** A device was bound: perhaps that is what the deferred ones waited for. */
function kick_deferred(): void {
  if (deferred.size === 0) return;
  if (deferred_work === null) {
    deferred_work = new work_struct();
    INIT_WORK(deferred_work, retry_deferred);
  }
  schedule_work(deferred_work);
}

function link_driver(dev: device, drv: device_driver): void {
  sysfs_create_link(drv.kobj, dev.kobj, dev_name(dev));
  sysfs_create_link(dev.kobj, drv.kobj, "driver");
}

function unlink_driver(dev: device, drv: device_driver): void {
  sysfs_remove_link(drv.kobj, dev_name(dev));
  sysfs_remove_link(dev.kobj, "driver");
}

function report_failed_probe(dev: device, drv: device_driver, error: number): void {
  if (error === -EPROBE_DEFER) deferred.add(dev);
  else if (error === -ENODEV || error === -ENXIO) {
    pr_debug("%s: probe of %s rejects match %d\n", drv.name, dev_name(dev), -error);
  } else pr_warn("%s: probe of %s failed with error %d\n", drv.name, dev_name(dev), error);
}

/** Probes, with the device's mutex held. Returns 0 or a negative errno. */
function* really_probe(dev: device, drv: device_driver): Sleeps<number> {
  dev.driver = drv;
  link_driver(dev, drv);
  const probe = dev.bus?.probe ?? drv.probe;
  const error = probe === null ? 0 : yield* probe(dev);
  if (error !== 0) {
    unlink_driver(dev, drv);
    dev.driver = null;
    report_failed_probe(dev, drv, error);
    return error;
  }
  sysfs_create_groups(dev.kobj, drv.dev_groups);
  list_add_tail(dev.driver_node, drv.klist_devices);
  deferred.delete(dev);
  kobject_uevent(dev.kobj, KOBJ_BIND);
  kick_deferred();
  return 0;
}

export function* device_driver_attach(drv: device_driver, dev: device): Sleeps<number> {
  yield* mutex_lock(dev.mutex);
  const busy = dev.dead || dev.driver !== null;
  const error = busy ? -EBUSY : yield* really_probe(dev, drv);
  mutex_unlock(dev.mutex);
  return error;
}

function matches(dev: device, drv: device_driver): boolean {
  return dev.bus === null || dev.bus.match === null || dev.bus.match(dev, drv) !== 0;
}

export function* device_attach(dev: device): Sleeps<number> {
  if (dev.driver !== null) return 1;
  if (dev.bus === null) return 0;
  for (const drv of [...list_for_each_entry<device_driver>(dev.bus.klist_drivers)]) {
    if (!matches(dev, drv)) continue;
    const error = yield* device_driver_attach(drv, dev);
    if (error === 0) return 1;
    if (error === -EPROBE_DEFER) return 0;
  }
  return 0;
}
EXPORT_SYMBOL(device_attach);

export function* device_release_driver(dev: device): Sleeps<void> {
  yield* mutex_lock(dev.mutex);
  const drv = dev.driver;
  if (drv !== null) {
    sysfs_remove_groups(dev.kobj, drv.dev_groups);
    unlink_driver(dev, drv);
    const remove = dev.bus?.remove ?? drv.remove;
    if (remove !== null) yield* remove(dev);
    dev.driver = null;
    dev.driver_data = null;
    list_del(dev.driver_node);
    if (dev.kobj.sd !== null) kobject_uevent(dev.kobj, KOBJ_UNBIND);
  }
  deferred.delete(dev);
  mutex_unlock(dev.mutex);
}
EXPORT_SYMBOL(device_release_driver);

export function* device_reprobe(dev: device): Sleeps<number> {
  if (dev.driver !== null) yield* device_release_driver(dev);
  return yield* device_attach(dev);
}
EXPORT_SYMBOL(device_reprobe);

export function* driver_register(drv: device_driver): Sleeps<number> {
  const bus = drv.bus;
  if (bus === null || bus.kset === null) {
    pr_err(
      "Driver '%s' was unable to register with bus_type '%s' because the bus was not initialized.\n",
      drv.name,
      bus?.name ?? "",
    );
    return -ENODEV;
  }
  if (driver_find(drv.name, bus) !== null) {
    pr_err("Error: Driver '%s' is already registered, aborting...\n", drv.name);
    return -EBUSY;
  }
  const error = bus_add_driver(drv);
  if (error !== 0) return error;
  for (const dev of [...list_for_each_entry<device>(bus.klist_devices)]) {
    if (dev.driver === null && matches(dev, drv)) yield* device_driver_attach(drv, dev);
  }
  return 0;
}
EXPORT_SYMBOL(driver_register);

export function* driver_unregister(drv: device_driver): Sleeps<void> {
  for (const dev of [...list_for_each_entry<device>(drv.klist_devices)].reverse()) yield* device_release_driver(dev);
  bus_remove_driver(drv);
}
EXPORT_SYMBOL(driver_unregister);

export function driver_for_each_device<T>(
  drv: device_driver,
  start: device | null,
  data: T,
  fn: (dev: device, data: T) => number,
): number {
  const all = [...list_for_each_entry<device>(drv.klist_devices)];
  let result = 0;
  for (const dev of start === null ? all : all.slice(all.indexOf(start) + 1)) {
    result = fn(dev, data);
    if (result !== 0) break;
  }
  return result;
}
EXPORT_SYMBOL(driver_for_each_device);
