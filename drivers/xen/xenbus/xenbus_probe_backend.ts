/**
 * The bus of back ends (Linux `drivers/xen/xenbus/xenbus_probe_backend.c`): backend/<type>/<domid>/<devid> in our own directory.
 *
 * A front end may rewrite its state as fast as it likes: an event for a device that has one waiting already is dropped.
 */
import { bus_for_each_dev, bus_type, get_device, put_device, type device } from "xenolith/linux/device";
import type { err_ptr } from "xenolith/linux/err";
import { EINVAL, ENOENT, ENOSPC, ERANGE } from "xenolith/linux/errno";
import { EXPORT_SYMBOL } from "xenolith/linux/export";
import { add_uevent_var, type kobj_uevent_env } from "xenolith/linux/kobject";
import type { Sleeps } from "xenolith/linux/sched";
import { down_trylock, up } from "xenolith/linux/semaphore";
import { ptr } from "xenolith/linux/types";
import {
  XBT_NIL,
  XEN_BUS_ID_SIZE,
  to_xenbus_device,
  to_xenbus_driver,
  xenbus_watch,
  type xenbus_device,
  type xenbus_driver,
} from "xenolith/xen/xenbus";
import type { xen_bus_type } from "./xenbus_bus";
import { xenbus_otherend_changed, xenbus_read_otherend_details } from "./xenbus_dev";
import {
  list_directory,
  xenbus_dev_changed,
  xenbus_probe_devices,
  xenbus_probe_node,
  xenbus_register_bus,
  xenbus_register_driver_common,
} from "./xenbus_probe";
import { register_xenbus_watch } from "./xenbus_watch";
import { xenbus_exists, xenbus_gather } from "./xenbus_xs";

/** backend/<type>/<domid>/<devid> -> <type>-<domid>-<devid>, the domain being the one that the node frontend-id names. */
function* backend_bus_id(nodename: string): Sleeps<string | err_ptr> {
  const parts = nodename.split("/");
  if (parts.length < 3) return -EINVAL;
  const domid = ptr(0);
  const frontend = ptr("");
  const err = yield* xenbus_gather(XBT_NIL, nodename, "frontend-id", "%i", domid, "frontend", null, frontend, null);
  if (err !== 0) return err;
  if (frontend.value === "") return -ERANGE;
  if (!(yield* xenbus_exists(XBT_NIL, frontend.value, ""))) return -ENOENT;
  const name = `${parts[1]}-${domid.value}-${parts[parts.length - 1]}`;
  return name.length >= XEN_BUS_ID_SIZE ? -ENOSPC : name;
}

/** All devices of the domain `domid`. */
function* xenbus_probe_backend(type: string, domid: string): Sleeps<number> {
  const nodename = `${xenbus_backend.root}/${type}/${domid}`;
  const names = yield* list_directory(nodename, "");
  for (const name of names) {
    const err = yield* xenbus_probe_node(xenbus_backend, type, `${nodename}/${name}`);
    if (err !== 0) return err;
  }
  return 0;
}

function frontend_will_handle(watch: xenbus_watch, _path: string, _token: string): boolean {
  return watch.nr_pending === 0;
}

function* frontend_changed(watch: xenbus_watch, path: string, _token: string): Sleeps<void> {
  yield* xenbus_otherend_changed(watch, path, "ignore");
}

const xenbus_backend: xen_bus_type = {
  root: "backend",
  levels: 4,
  get_bus_id: backend_bus_id,
  probe: xenbus_probe_backend,
  otherend_will_handle: frontend_will_handle,
  otherend_changed: frontend_changed,
  bus: new bus_type("xen-backend"),
};

function xenbus_uevent_backend(dev: device, env: kobj_uevent_env): number {
  const xdev = to_xenbus_device(dev);
  let err = add_uevent_var(env, "MODALIAS=xen-backend:%s", xdev.devicetype);
  err ||= add_uevent_var(env, "XENBUS_TYPE=%s", xdev.devicetype);
  err ||= add_uevent_var(env, "XENBUS_PATH=%s", xdev.nodename);
  err ||= add_uevent_var(env, "XENBUS_BASE_PATH=%s", xenbus_backend.root);
  if (err !== 0 || dev.driver === null) return err;
  return to_xenbus_driver(dev.driver).ops.uevent?.(xdev, env) ?? 0;
}

function* read_frontend_details(xendev: xenbus_device): Sleeps<number> {
  return yield* xenbus_read_otherend_details(xendev, "frontend-id", "frontend");
}

function* backend_changed(_watch: xenbus_watch, path: string, _token: string): Sleeps<void> {
  yield* xenbus_dev_changed(path, xenbus_backend);
}

export function* xenbus_register_backend(drv: xenbus_driver): Sleeps<number> {
  drv.read_otherend_details = read_frontend_details;
  return yield* xenbus_register_driver_common(drv, xenbus_backend);
}
EXPORT_SYMBOL(xenbus_register_backend);

/** One device's turn to give memory back; one that is being probed or removed is left alone. */
function* backend_reclaim_memory(dev: device): Sleeps<void> {
  const xdev = to_xenbus_device(dev);
  const reclaim = dev.driver === null ? undefined : to_xenbus_driver(dev.driver).ops.reclaim_memory;
  if (reclaim === undefined || down_trylock(xdev.reclaim_sem) !== 0) return;
  yield* reclaim(xdev);
  up(xdev.reclaim_sem);
}

export function* xenbus_reclaim_memory(): Sleeps<void> {
  const devices: device[] = [];
  bus_for_each_dev(xenbus_backend.bus, null, devices, (dev, list) => {
    list.push(get_device(dev));
    return 0;
  });
  for (const dev of devices) {
    yield* backend_reclaim_memory(dev);
    put_device(dev);
  }
}
EXPORT_SYMBOL(xenbus_reclaim_memory);

/** Registers the bus. 0 or a negative errno. */
export function xenbus_probe_backend_init(): number {
  xenbus_backend.bus.uevent = xenbus_uevent_backend;
  return xenbus_register_bus(xenbus_backend, "xen-backend");
}

/** Enumerates the devices and watches for more. */
export function* backend_probe_and_watch(): Sleeps<void> {
  const be_watch = new xenbus_watch(null);
  be_watch.node = xenbus_backend.root;
  be_watch.callback = backend_changed;
  yield* xenbus_probe_devices(xenbus_backend);
  yield* register_xenbus_watch(be_watch);
}
