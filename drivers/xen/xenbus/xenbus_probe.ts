/**
 * Finding devices in xenstore (Linux `drivers/xen/xenbus/xenbus_probe.c`, second half).
 *
 *   boot:   list root -> each type -> each device whose state is Initialising is registered; then a watch on root
 *   later:  an event at or below a device's path -> path gone: unregister what is there; unknown: look at its state
 */
import {
  bus_find_device,
  bus_register,
  dev_set_name,
  device_register,
  device_unregister,
  driver_register,
  driver_unregister,
  put_device,
  type device,
  type device_driver,
} from "xenolith/linux/device";
import { IS_ERR, PTR_ERR } from "xenolith/linux/err";
import { EXPORT_SYMBOL } from "xenolith/linux/export";
import type { Sleeps } from "xenolith/linux/sched";
import { ptr } from "xenolith/linux/types";
import {
  XBT_NIL,
  XenbusStateInitialising,
  to_xenbus_device,
  to_xenbus_driver,
  xenbus_device,
  type xenbus_driver,
} from "xenolith/xen/xenbus";
import { add_xen_bus, type xen_bus_type } from "./xenbus_bus";
import { xenbus_read_driver_state } from "./xenbus_client";
import { match_device, xenbus_dev_probe, xenbus_dev_remove, xenbus_dev_resume, xenbus_dev_suspend } from "./xenbus_dev";
import { xenbus_dev_groups } from "./xenbus_sysfs";
import { xenbus_directory, xenbus_exists } from "./xenbus_xs";

function xenbus_match(dev: device, drv: device_driver): number {
  return match_device(to_xenbus_driver(drv), to_xenbus_device(dev)) === null ? 0 : 1;
}

/** Fills in what both buses have in common, and registers the bus. 0 or a negative errno. */
export function xenbus_register_bus(bus: xen_bus_type, modalias_prefix: string): number {
  const { bus: type } = bus;
  type.match = xenbus_match;
  type.probe = xenbus_dev_probe;
  type.remove = xenbus_dev_remove;
  type.suspend = xenbus_dev_suspend;
  type.resume = xenbus_dev_resume;
  type.dev_groups = xenbus_dev_groups(modalias_prefix);
  add_xen_bus(bus);
  return bus_register(type);
}

/** Adds a driver to a bus; its devices are probed. 0 or a negative errno. */
export function* xenbus_register_driver_common(drv: xenbus_driver, bus: xen_bus_type): Sleeps<number> {
  drv.driver.name = drv.name;
  drv.driver.bus = bus.bus;
  return yield* driver_register(drv.driver);
}

export function* xenbus_unregister_driver(drv: xenbus_driver): Sleeps<void> {
  yield* driver_unregister(drv.driver);
}
EXPORT_SYMBOL(xenbus_unregister_driver);

// ---- devices come -----------------------------------------------------------------------------------------------------------------------

/** Registers the device at `nodename` if its state says that it is new: 0 or a negative errno. */
export function* xenbus_probe_node(bus: xen_bus_type, type: string, nodename: string): Sleeps<number> {
  const state = yield* xenbus_read_driver_state(nodename);
  if (state !== XenbusStateInitialising) return 0;
  const xendev = new xenbus_device();
  xendev.state = XenbusStateInitialising;
  xendev.nodename = nodename;
  xendev.devicetype = type;
  xendev.dev.bus = bus.bus;
  xendev.dev.release = () => {};
  const name = yield* bus.get_bus_id(nodename);
  if (IS_ERR(name)) return PTR_ERR(name);
  dev_set_name(xendev.dev, "%s", name);
  const err = yield* device_register(xendev.dev);
  if (err !== 0) put_device(xendev.dev);
  return err;
}

/** Lists a directory; nothing for one that cannot be read. */
export function* list_directory(path: string, node: string): Sleeps<readonly string[]> {
  const names = yield* xenbus_directory(XBT_NIL, path, node, ptr(0));
  return IS_ERR(names) ? [] : names;
}

/** Looks at everything below the bus's root. */
export function* xenbus_probe_devices(bus: xen_bus_type): Sleeps<void> {
  const types = yield* list_directory(bus.root, "");
  for (const type of types) {
    const dirs = yield* list_directory(bus.root, type);
    for (const dir of dirs) {
      const err = yield* bus.probe(type, dir);
      if (err !== 0) break;
    }
  }
}

// ---- devices come and go ----------------------------------------------------------------------------------------------------------------

function has_nodename(dev: device, nodename: string): number {
  return to_xenbus_device(dev).nodename === nodename ? 1 : 0;
}

function is_below(dev: device, path: string): number {
  const { nodename } = to_xenbus_device(dev);
  return nodename === path || nodename.startsWith(`${path}/`) ? 1 : 0;
}

/** Unregisters every device at or below a path that is gone. */
function* xenbus_cleanup_devices(path: string, bus: xen_bus_type): Sleeps<void> {
  for (;;) {
    const dev = bus_find_device(bus.bus, null, path, is_below);
    if (dev === null) return;
    yield* device_unregister(dev);
    put_device(dev);
  }
}

/** Something changed at or below `node`, which is relative to the domain's directory. */
export function* xenbus_dev_changed(node: string, bus: xen_bus_type): Sleeps<void> {
  const parts = node.split("/");
  if (parts.length < 3) return;
  if (!(yield* xenbus_exists(XBT_NIL, node, ""))) {
    yield* xenbus_cleanup_devices(node, bus);
    return;
  }
  if (parts.length < bus.levels) return;
  const root = parts.slice(0, bus.levels).join("/");
  const dev = bus_find_device(bus.bus, null, root, has_nodename);
  if (dev === null) yield* xenbus_probe_node(bus, parts[1], root);
  else put_device(dev);
}
