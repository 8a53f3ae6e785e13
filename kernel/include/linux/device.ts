/**
 * `<linux/device.h>`: buses, drivers and devices.
 *
 *   device_add:       kobject in /sys ─► bus_add_device ─► match each driver ─► probe
 *   driver_register:  bus_add_driver ─► match each unbound device ─► probe
 *   device_del:       remove ─► out of /sys
 *
 * Everything that may call a probe, remove or shutdown function sleeps.
 */
import { kobject, type kobj_uevent_env, type kset } from "./kobject";
import { list_head } from "./list";
import { mutex } from "./mutex";
import type { module } from "./module";
import type { Sleeps } from "./sched";
import type { attribute, attribute_group, sysfs_buf } from "./sysfs";
import type { dev_t } from "./types";

export class bus_type {
  readonly name: string;
  dev_root: device | null = null;
  bus_groups: readonly attribute_group[] = [];
  dev_groups: readonly attribute_group[] = [];
  drv_groups: readonly attribute_group[] = [];
  /** Not 0 if the driver can handle the device. */
  match: ((dev: device, drv: device_driver) => number) | null = null;
  /** Adds uevent variables; a negative errno suppresses the event. */
  uevent: ((dev: device, env: kobj_uevent_env) => number) | null = null;
  probe: ((dev: device) => Sleeps<number>) | null = null;
  remove: ((dev: device) => Sleeps<void>) | null = null;
  shutdown: ((dev: device) => Sleeps<void>) | null = null;
  suspend: ((dev: device) => Sleeps<number>) | null = null;
  resume: ((dev: device) => Sleeps<number>) | null = null;
  /** Devices and drivers in order of registration. */
  readonly klist_devices = new list_head(this);
  readonly klist_drivers = new list_head(this);
  kset: kset | null = null;
  devices_kset: kset | null = null;
  drivers_kset: kset | null = null;

  constructor(name: string) {
    this.name = name;
  }
}

export class device_driver {
  name = "";
  bus: bus_type | null = null;
  owner: module | null = null;
  readonly container: unknown;
  probe: ((dev: device) => Sleeps<number>) | null = null;
  remove: ((dev: device) => Sleeps<void>) | null = null;
  shutdown: ((dev: device) => Sleeps<void>) | null = null;
  suspend: ((dev: device) => Sleeps<number>) | null = null;
  resume: ((dev: device) => Sleeps<number>) | null = null;
  groups: readonly attribute_group[] = [];
  dev_groups: readonly attribute_group[] = [];
  readonly kobj: kobject;
  /** In its bus. */
  readonly bus_node = new list_head(this);
  /** Devices bound to it. */
  readonly klist_devices = new list_head(this);

  constructor(container: unknown = null) {
    this.container = container;
    this.kobj = new kobject(this);
  }
}

/** Linux's `struct class`: devices of one kind, shown in /sys/class/NAME. */
export class class_ {
  readonly name: string;
  dev_groups: readonly attribute_group[] = [];
  dev_uevent: ((dev: device, env: kobj_uevent_env) => number) | null = null;
  dev_release: ((dev: device) => void) | null = null;
  readonly klist_devices = new list_head(this);
  kset: kset | null = null;

  constructor(name: string) {
    this.name = name;
  }
}

/** What a device is within its class or bus: `struct device_type`. */
export interface device_type {
  readonly name: string;
  readonly groups?: readonly attribute_group[];
  uevent?(dev: device, env: kobj_uevent_env): number;
  release?(dev: device): void;
}

export class device {
  readonly container: unknown;
  readonly kobj: kobject;
  parent: device | null = null;
  bus: bus_type | null = null;
  driver: device_driver | null = null;
  class: class_ | null = null;
  type: device_type | null = null;
  groups: readonly attribute_group[] = [];
  /** Name to use if `dev_set_name` was not called. */
  init_name = "";
  devt: dev_t = 0;
  driver_data: unknown = null;
  platform_data: unknown = null;
  /** Called when the last reference is gone. */
  release: ((dev: device) => void) | null = null;
  /** Serialises probe, remove and shutdown. */
  readonly mutex = new mutex(this, "&dev->mutex");
  readonly bus_node = new list_head(this);
  readonly driver_node = new list_head(this);
  readonly class_node = new list_head(this);
  readonly children = new list_head(this);
  readonly child_node = new list_head(this);
  /** In the list of all devices, in order of registration. */
  readonly global_node = new list_head(this);
  /** A probe asked for -EPROBE_DEFER. */
  probe_deferred = false;
  /** `device_del` has begun: it must not be bound again. */
  dead = false;
  /** Uevents are held back. */
  uevent_suppress = false;

  constructor(container: unknown = null) {
    this.container = container;
    this.kobj = new kobject(this);
  }
}

export interface device_attribute extends attribute {
  show?(dev: device, attr: device_attribute, buf: sysfs_buf): number;
  store?(dev: device, attr: device_attribute, buf: string, count: number): number | Sleeps<number>;
}

export interface driver_attribute extends attribute {
  show?(drv: device_driver, attr: driver_attribute, buf: sysfs_buf): number;
  store?(drv: device_driver, attr: driver_attribute, buf: string, count: number): number | Sleeps<number>;
}

export interface bus_attribute extends attribute {
  show?(bus: bus_type, attr: bus_attribute, buf: sysfs_buf): number;
  store?(bus: bus_type, attr: bus_attribute, buf: string, count: number): number | Sleeps<number>;
}

/** Read-only attribute. */
export function DEVICE_ATTR_RO(
  name: string,
  show: (dev: device, attr: device_attribute, buf: sysfs_buf) => number,
): device_attribute {
  return { name, mode: 0o444, show };
}

/** Attribute that can be read and written. */
export function DEVICE_ATTR_RW(
  name: string,
  show: (dev: device, attr: device_attribute, buf: sysfs_buf) => number,
  store: (dev: device, attr: device_attribute, buf: string, count: number) => number | Sleeps<number>,
): device_attribute {
  return { name, mode: 0o644, show, store };
}

/** Write-only attribute. */
export function DEVICE_ATTR_WO(
  name: string,
  store: (dev: device, attr: device_attribute, buf: string, count: number) => number | Sleeps<number>,
): device_attribute {
  return { name, mode: 0o200, store };
}

export function dev_set_drvdata(dev: device, data: unknown): void {
  dev.driver_data = data;
}

export function dev_get_drvdata<T>(dev: device): T {
  return dev.driver_data as T;
}

export function dev_name(dev: device): string {
  return dev.kobj.name !== "" ? dev.kobj.name : dev.init_name;
}

export function device_is_registered(dev: device): boolean {
  return dev.kobj.sd !== null;
}

export declare function dev_set_name(dev: device, fmt: string, ...args: unknown[]): number;
/** Returns 0 or -EEXIST. */
export declare function bus_register(bus: bus_type): number;
export declare function bus_unregister(bus: bus_type): void;
/** Probes every unbound device of the bus again. Sleeps. */
export declare function bus_rescan_devices(bus: bus_type): Sleeps<number>;
/** Calls `fn` for the bus's devices after `start` until it returns not 0. Returns the last result. */
export declare function bus_for_each_dev<T>(
  bus: bus_type,
  start: device | null,
  data: T,
  fn: (dev: device, data: T) => number,
): number;
/** The first device after `start` that `match` says is not 0, with a reference, or null. */
export declare function bus_find_device<T>(
  bus: bus_type,
  start: device | null,
  data: T,
  match: (dev: device, data: T) => number,
): device | null;
/** Adds a driver and probes the devices that it matches. Returns 0 or -EBUSY if one of the name is registered. Sleeps. */
export declare function driver_register(drv: device_driver): Sleeps<number>;
/** Unbinds its devices and removes it. Sleeps. */
export declare function driver_unregister(drv: device_driver): Sleeps<void>;
export declare function driver_find(name: string, bus: bus_type): device_driver | null;
export declare function driver_for_each_device<T>(
  drv: device_driver,
  start: device | null,
  data: T,
  fn: (dev: device, data: T) => number,
): number;
export declare function device_initialize(dev: device): void;
/** Makes the device visible and probes it. Returns 0 or a negative errno. Sleeps. */
export declare function device_add(dev: device): Sleeps<number>;
/** `device_initialize` and `device_add`. After an error: `put_device`. Sleeps. */
export declare function device_register(dev: device): Sleeps<number>;
/** Unbinds the driver and takes the device out of /sys. Sleeps. */
export declare function device_del(dev: device): Sleeps<void>;
/** `device_del` and `put_device`. Sleeps. */
export declare function device_unregister(dev: device): Sleeps<void>;
export declare function get_device(dev: device): device;
export declare function put_device(dev: device): void;
/** Probes the device's matching drivers. Returns 1 if it was bound, 0 if not, or a negative errno. Sleeps. */
export declare function device_attach(dev: device): Sleeps<number>;
/** Unbinds the driver. Sleeps. */
export declare function device_release_driver(dev: device): Sleeps<void>;
/** Unbinds and probes again. Sleeps. */
export declare function device_reprobe(dev: device): Sleeps<number>;
export declare function device_create_file(dev: device, attr: device_attribute): number;
export declare function device_remove_file(dev: device, attr: device_attribute): void;
export declare function device_for_each_child<T>(parent: device, data: T, fn: (dev: device, data: T) => number): number;
/** `device_for_each_child`, the last one first. */
export declare function device_for_each_child_reverse<T>(
  parent: device,
  data: T,
  fn: (dev: device, data: T) => number,
): number;
export declare function device_find_child<T>(
  parent: device,
  data: T,
  match: (dev: device, data: T) => number,
): device | null;
/** A parentless device to hang others below (`/sys/devices/NAME`), or a negative errno. Sleeps. */
export declare function root_device_register(name: string): Sleeps<device | number>;
export declare function root_device_unregister(dev: device): Sleeps<void>;
/** Calls every device's shutdown, the last registered first. Sleeps. */
export declare function device_shutdown(): Sleeps<void>;
/** All registered devices, the first one first. */
export declare function for_each_device(): Generator<device, void, void>;
export declare function class_register(cls: class_): number;
export declare function class_unregister(cls: class_): void;
export declare function class_for_each_device<T>(cls: class_, data: T, fn: (dev: device, data: T) => number): number;
/** Takes the device's lock. Sleeps. */
export declare function device_lock(dev: device): Sleeps<void>;
export declare function device_unlock(dev: device): void;
/** "vbd vbd-51712: ..." in the log. */
export declare function dev_emerg(dev: device, fmt: string, ...args: unknown[]): void;
export declare function dev_crit(dev: device, fmt: string, ...args: unknown[]): void;
export declare function dev_alert(dev: device, fmt: string, ...args: unknown[]): void;
export declare function dev_err(dev: device, fmt: string, ...args: unknown[]): void;
export declare function dev_warn(dev: device, fmt: string, ...args: unknown[]): void;
export declare function dev_notice(dev: device, fmt: string, ...args: unknown[]): void;
export declare function dev_info(dev: device, fmt: string, ...args: unknown[]): void;
/** Logged only with `debug` on the command line. */
export declare function dev_dbg(dev: device, fmt: string, ...args: unknown[]): void;
