/** The roots of the device tree (/sys/devices, /sys/bus, /sys/class), and what every device says in its uevents. */
import { dev_name, type device } from "xenolith/linux/device";
import { add_uevent_var, kobj_uevent_env, type kobject, type kset } from "xenolith/linux/kobject";
import { BUG_ON } from "xenolith/linux/kernel";
import { MAJOR, MINOR } from "xenolith/linux/types";
import { kobject_create_and_add, kset_create_and_add } from "./kobject";

let devices: kset | null = null;
let buses: kset | null = null;
let classes: kset | null = null;
let virtual_directory: kobject | null = null;

/** Makes the roots. Called once by boot, before any bus or device is registered. */
export function devices_init(): void {
  devices = kset_create_and_add("devices", null);
  buses = kset_create_and_add("bus", null);
  classes = kset_create_and_add("class", null);
  BUG_ON(devices === null || buses === null || classes === null);
  (devices as kset).uevent = (kobj, env) => dev_uevent(kobj.container as device, env);
}

export function devices_kset(): kset {
  return devices as kset;
}

export function buses_kset(): kset {
  return buses as kset;
}

export function classes_kset(): kset {
  return classes as kset;
}

/** /sys/devices/virtual. */
export function virtual_devices(): kobject {
  return (virtual_directory ??= kobject_create_and_add("virtual", devices_kset().kobj) as kobject);
}

/** Adds what bus, class and type know about a device. False suppresses the event. */
function dev_uevent(dev: device, env: kobj_uevent_env): boolean {
  const subsystem = dev.bus?.name ?? dev.class?.name;
  if (subsystem !== undefined) add_uevent_var(env, "SUBSYSTEM=%s", subsystem);
  if (dev.devt !== 0) {
    add_uevent_var(env, "MAJOR=%u", MAJOR(dev.devt));
    add_uevent_var(env, "MINOR=%u", MINOR(dev.devt));
    add_uevent_var(env, "DEVNAME=%s", dev_name(dev));
  }
  if (dev.type !== null) add_uevent_var(env, "DEVTYPE=%s", dev.type.name);
  if (dev.driver !== null) add_uevent_var(env, "DRIVER=%s", dev.driver.name);
  const bus_uevent = dev.bus === null ? null : dev.bus.uevent;
  if (bus_uevent !== null && bus_uevent(dev, env) < 0) return false;
  const class_uevent = dev.class === null ? null : dev.class.dev_uevent;
  if (class_uevent !== null && class_uevent(dev, env) < 0) return false;
  return (dev.type?.uevent?.(dev, env) ?? 0) >= 0;
}

/** What a device's `uevent` file shows. */
export function device_uevent_text(dev: device): string {
  const env = new kobj_uevent_env();
  dev_uevent(dev, env);
  return env.envp
    .filter((variable) => !variable.startsWith("SUBSYSTEM="))
    .map((variable) => `${variable}\n`)
    .join("");
}
