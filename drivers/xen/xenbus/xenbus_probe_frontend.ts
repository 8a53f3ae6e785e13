/**
 * The bus of front ends (Linux `drivers/xen/xenbus/xenbus_probe_frontend.c`): device/<type>/<devid> in our own directory.
 */
import { bus_type, type device } from "xenolith/linux/device";
import type { err_ptr } from "xenolith/linux/err";
import { EINVAL } from "xenolith/linux/errno";
import { EXPORT_SYMBOL } from "xenolith/linux/export";
import { add_uevent_var, type kobj_uevent_env } from "xenolith/linux/kobject";
import { pr_debug, pr_warn } from "xenolith/linux/printk";
import type { Sleeps } from "xenolith/linux/sched";
import {
  XEN_BUS_ID_SIZE,
  to_xenbus_device,
  xenbus_watch,
  type xenbus_device,
  type xenbus_driver,
} from "xenolith/xen/xenbus";
import type { xen_bus_type } from "./xenbus_bus";
import { xenbus_dev_shutdown, xenbus_otherend_changed, xenbus_read_otherend_details } from "./xenbus_dev";
import {
  xenbus_dev_changed,
  xenbus_probe_devices,
  xenbus_probe_node,
  xenbus_register_bus,
  xenbus_register_driver_common,
} from "./xenbus_probe";
import { wait_for_devices } from "./xenbus_wait";
import { register_xenbus_watch } from "./xenbus_watch";

/** device/<type>/<id> -> <type>-<id>. */
function* frontend_bus_id(nodename: string): Sleeps<string | err_ptr> {
  const slash = nodename.indexOf("/");
  const id = nodename.slice(slash + 1);
  if (slash < 0 || id.length >= XEN_BUS_ID_SIZE) {
    pr_warn("bad frontend %s\n", nodename);
    return -EINVAL;
  }
  if (!id.includes("/")) {
    pr_warn("bus_id %s no slash\n", id);
    return -EINVAL;
  }
  return id.replace("/", "-");
}

function* xenbus_probe_frontend(type: string, name: string): Sleeps<number> {
  // The first console has a driver of its own.
  if (type === "console" && name === "0") {
    pr_debug("ignoring console/0\n");
    return 0;
  }
  return yield* xenbus_probe_node(xenbus_frontend, type, `${xenbus_frontend.root}/${type}/${name}`);
}

function* backend_changed(watch: xenbus_watch, path: string, _token: string): Sleeps<void> {
  yield* xenbus_otherend_changed(watch, path, "close");
}

const xenbus_frontend: xen_bus_type = {
  root: "device",
  levels: 3,
  get_bus_id: frontend_bus_id,
  probe: xenbus_probe_frontend,
  otherend_will_handle: null,
  otherend_changed: backend_changed,
  bus: new bus_type("xen"),
};

function xenbus_uevent_frontend(dev: device, env: kobj_uevent_env): number {
  return add_uevent_var(env, "MODALIAS=xen:%s", to_xenbus_device(dev).devicetype);
}

function* read_backend_details(xendev: xenbus_device): Sleeps<number> {
  return yield* xenbus_read_otherend_details(xendev, "backend-id", "backend");
}

function* frontend_changed(_watch: xenbus_watch, path: string, _token: string): Sleeps<void> {
  yield* xenbus_dev_changed(path, xenbus_frontend);
}

export function* xenbus_register_frontend(drv: xenbus_driver): Sleeps<number> {
  drv.read_otherend_details = read_backend_details;
  const err = yield* xenbus_register_driver_common(drv, xenbus_frontend);
  if (err !== 0) return err;
  yield* wait_for_devices(xenbus_frontend, drv);
  return 0;
}
EXPORT_SYMBOL(xenbus_register_frontend);

/** Registers the bus. 0 or a negative errno. */
export function xenbus_probe_frontend_init(): number {
  xenbus_frontend.bus.uevent = xenbus_uevent_frontend;
  xenbus_frontend.bus.shutdown = xenbus_dev_shutdown;
  return xenbus_register_bus(xenbus_frontend, "xen");
}

/** Enumerates the devices and watches for more. */
export function* frontend_probe_and_watch(): Sleeps<void> {
  const fe_watch = new xenbus_watch(null);
  fe_watch.node = xenbus_frontend.root;
  fe_watch.callback = frontend_changed;
  yield* xenbus_probe_devices(xenbus_frontend);
  yield* register_xenbus_watch(fe_watch);
}

/** Waits for the devices that were found at boot. */
export function* frontend_wait_for_devices(): Sleeps<void> {
  yield* wait_for_devices(xenbus_frontend, null);
}
