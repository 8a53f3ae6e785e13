/**
 * The life of one device (Linux `drivers/xen/xenbus/xenbus_probe.c`, first half).
 *
 *   xenbus_dev_probe:  who is the other end? -> driver's probe -> watch <otherend>/state, which fires at once
 *   otherend changed:  its state is read now; several events may report the same, latest one
 *   xenbus_dev_remove: the watch goes first, so that no callback comes during or after the driver's remove
 */
import { wait_for_completion_timeout } from "xenolith/linux/completion";
import { dev_dbg, dev_info, dev_warn, type device } from "xenolith/linux/device";
import { EINVAL, ENODEV, ENOENT } from "xenolith/linux/errno";
import { HZ } from "xenolith/linux/jiffies";
import { pr_info, pr_warn } from "xenolith/linux/printk";
import type { Sleeps } from "xenolith/linux/sched";
import { down, up } from "xenolith/linux/semaphore";
import { ptr } from "xenolith/linux/types";
import {
  XBT_NIL,
  XenbusStateClosed,
  XenbusStateClosing,
  XenbusStateConnected,
  XenbusStateInitialising,
  to_xenbus_device,
  to_xenbus_driver,
  type xenbus_device,
  type xenbus_device_id,
  type xenbus_driver,
  type xenbus_watch,
} from "xenolith/xen/xenbus";
import { xen_bus_of } from "./xenbus_bus";
import {
  xenbus_dev_error,
  xenbus_dev_fatal,
  xenbus_frontend_closed,
  xenbus_read_driver_state,
  xenbus_strstate,
  xenbus_switch_state,
  xenbus_watch_pathfmt,
} from "./xenbus_client";
import { unregister_xenbus_watch } from "./xenbus_watch";
import { xenbus_exists, xenbus_gather } from "./xenbus_xs";

/** How long a front end may take to close when the system goes down. */
const SHUTDOWN_TIMEOUT = 5 * HZ;

let shutting_down = false;

/** The system is going down: from now on only front ends react, and only to Closing. */
export function xenbus_set_shutting_down(down: boolean): void {
  shutting_down = down;
}

/** The driver's entry for the device's type, or null. */
export function match_device(drv: xenbus_driver, dev: xenbus_device): xenbus_device_id | null {
  for (const id of drv.ops.ids) if (id.devicetype === dev.devicetype) return id;
  return null;
}

function driver_of(dev: xenbus_device): xenbus_driver | null {
  return dev.dev.driver === null ? null : to_xenbus_driver(dev.dev.driver);
}

// ---- the other end ----------------------------------------------------------------------------------------------------------------------

/** Reads the other end's domain and path from two of our own nodes: 0, or a negative errno, which is fatal for the device. */
export function* xenbus_read_otherend_details(
  xendev: xenbus_device,
  id_node: string,
  path_node: string,
): Sleeps<number> {
  const id = ptr(0);
  const path = ptr("");
  const err = yield* xenbus_gather(XBT_NIL, xendev.nodename, id_node, "%i", id, path_node, null, path, null);
  if (err !== 0) {
    yield* xenbus_dev_fatal(xendev, err, "reading other end details from %s", xendev.nodename);
    return err;
  }
  if (path.value === "" || !(yield* xenbus_exists(XBT_NIL, path.value, ""))) {
    const text = "unable to read other end from %s.  missing or inaccessible.";
    yield* xenbus_dev_fatal(xendev, -ENOENT, text, xendev.nodename);
    return -ENOENT;
  }
  xendev.otherend_id = id.value;
  xendev.otherend = path.value;
  return 0;
}

function* free_otherend_watch(dev: xenbus_device): Sleeps<void> {
  if (dev.otherend_watch.node === null) return;
  yield* unregister_xenbus_watch(dev.otherend_watch);
  dev.otherend_watch.node = null;
}

function* talk_to_otherend(dev: xenbus_device): Sleeps<number> {
  yield* free_otherend_watch(dev);
  dev.otherend = "";
  const read_details = driver_of(dev)?.read_otherend_details ?? null;
  return read_details === null ? -EINVAL : yield* read_details(dev);
}

function* watch_otherend(dev: xenbus_device): Sleeps<number> {
  const bus = xen_bus_of(dev.dev);
  return yield* xenbus_watch_pathfmt(
    dev,
    dev.otherend_watch,
    bus.otherend_will_handle,
    bus.otherend_changed,
    "%s/%s",
    dev.otherend,
    "state",
  );
}

/** The watch on the other end's state fired. */
export function* xenbus_otherend_changed(
  watch: xenbus_watch,
  path: string,
  on_shutdown: "close" | "ignore",
): Sleeps<void> {
  const dev = watch.container as xenbus_device;
  // The event may be of an other end that we had before a resume.
  if (dev.otherend === "" || !path.toLowerCase().startsWith(dev.otherend.toLowerCase())) {
    dev_dbg(dev.dev, "Ignoring watch at %s\n", path);
    return;
  }
  const state = yield* xenbus_read_driver_state(dev.otherend);
  dev_dbg(dev.dev, "state is %d, (%s), %s\n", state, xenbus_strstate(state), path);
  if (shutting_down) {
    if (on_shutdown === "close" && state === XenbusStateClosing) yield* xenbus_frontend_closed(dev);
    return;
  }
  const changed = driver_of(dev)?.ops.otherend_changed;
  if (changed !== undefined) yield* changed(dev, state);
}

// ---- probe and remove -------------------------------------------------------------------------------------------------------------------

/** The driver's probe with reclaim held off. */
function* probe_driver(dev: xenbus_device, drv: xenbus_driver, id: xenbus_device_id): Sleeps<number> {
  yield* down(dev.reclaim_sem);
  const err = yield* drv.ops.probe(dev, id);
  up(dev.reclaim_sem);
  return err;
}

export function* xenbus_dev_probe(_dev: device): Sleeps<number> {
  const dev = to_xenbus_device(_dev);
  const drv = driver_of(dev);
  const id = drv === null ? null : match_device(drv, dev);
  if (drv === null || id === null) return -ENODEV;
  let err = yield* talk_to_otherend(dev);
  if (err !== 0) {
    dev_warn(dev.dev, "talk_to_otherend on %s failed.\n", dev.nodename);
    return err;
  }
  err = yield* probe_driver(dev, drv, id);
  if (err !== 0) {
    yield* xenbus_dev_error(dev, err, "xenbus_dev_probe on %s", dev.nodename);
    return err;
  }
  err = yield* watch_otherend(dev);
  if (err !== 0) dev_warn(dev.dev, "watch_otherend on %s failed.\n", dev.nodename);
  return err;
}

export function* xenbus_dev_remove(_dev: device): Sleeps<void> {
  const dev = to_xenbus_device(_dev);
  const ops = driver_of(dev)?.ops;
  yield* free_otherend_watch(dev);
  if (ops?.remove !== undefined) {
    yield* down(dev.reclaim_sem);
    yield* ops.remove(dev);
    up(dev.reclaim_sem);
  }
  dev.otherend = "";
  // A driver that may be bound again keeps its state, unless the toolstack has asked for the end.
  const rebind = ops?.allow_rebind === true;
  if (!rebind || (yield* xenbus_read_driver_state(dev.nodename)) === XenbusStateClosing) {
    yield* xenbus_switch_state(dev, XenbusStateClosed);
  }
}

/** The system goes down: asks the back end to let go, and waits a while for it. */
export function* xenbus_dev_shutdown(_dev: device): Sleeps<void> {
  const dev = to_xenbus_device(_dev);
  if (dev.state !== XenbusStateConnected) {
    dev_info(dev.dev, "%s: %s != Connected, skipping\n", dev.nodename, xenbus_strstate(dev.state));
    return;
  }
  yield* xenbus_switch_state(dev, XenbusStateClosing);
  const left = yield* wait_for_completion_timeout(dev.down, SHUTDOWN_TIMEOUT);
  if (left === 0) pr_info("%s: %s timeout closing device\n", "xenbus_dev_shutdown", dev.nodename);
}

// ---- suspend ----------------------------------------------------------------------------------------------------------------------------

export function* xenbus_dev_suspend(_dev: device): Sleeps<number> {
  const dev = to_xenbus_device(_dev);
  const suspend = driver_of(dev)?.ops.suspend;
  const err = suspend === undefined ? 0 : yield* suspend(dev);
  if (err !== 0) pr_warn("suspend %s failed: %i\n", dev.nodename, err);
  return 0;
}

/** The other end may be another domain now: everything about it is read again. */
export function* xenbus_dev_resume(_dev: device): Sleeps<number> {
  const dev = to_xenbus_device(_dev);
  const drv = driver_of(dev);
  if (drv === null) return 0;
  let err = yield* talk_to_otherend(dev);
  if (err !== 0) {
    pr_warn("resume (talk_to_otherend) %s failed: %i\n", dev.nodename, err);
    return err;
  }
  dev.state = XenbusStateInitialising;
  if (drv.ops.resume !== undefined) {
    err = yield* drv.ops.resume(dev);
    if (err !== 0) {
      pr_warn("resume %s failed: %i\n", dev.nodename, err);
      return err;
    }
  }
  err = yield* watch_otherend(dev);
  if (err !== 0) pr_warn("resume (watch_otherend) %s failed: %d\n", dev.nodename, err);
  return err;
}
