/**
 * Waiting, while booting, for front ends that are on their way to Connected: a root file system may be among them.
 */
import { bus_for_each_dev, type device } from "xenolith/linux/device";
import { HZ, jiffies } from "xenolith/linux/jiffies";
import { pr_cont, pr_info, pr_warn } from "xenolith/linux/printk";
import { schedule_timeout_interruptible, type Sleeps } from "xenolith/linux/sched";
import {
  XenbusStateConnected,
  XenbusStateUnknown,
  to_xenbus_device,
  to_xenbus_driver,
  type xenbus_driver,
} from "xenolith/xen/xenbus";
import type { xen_bus_type } from "./xenbus_bus";
import { xenbus_read_driver_state } from "./xenbus_client";

/** Seconds for all devices, and then again for those that a boot cannot do without. */
const NON_ESSENTIAL_SECONDS = 30;
const ESSENTIAL_SECONDS = 270;
/** Jiffies between two looks. */
const POLL_INTERVAL = HZ / 10;

let ready_to_wait_for_devices = false;

/** From now on registering a front-end driver waits for its devices. */
export function set_ready_to_wait_for_devices(): void {
  ready_to_wait_for_devices = true;
}

function is_device_connecting(dev: device, drv: xenbus_driver | null, which: "all" | "essential"): boolean {
  if (dev.driver === null || (drv !== null && dev.driver !== drv.driver)) return false;
  const xendev = to_xenbus_device(dev);
  const { ops } = to_xenbus_driver(dev.driver);
  if (which === "essential" && ops.not_essential === true) return false;
  if (xendev.state < XenbusStateConnected) return true;
  return xendev.state === XenbusStateConnected && ops.is_ready !== undefined && ops.is_ready(xendev) === 0;
}

function exists_connecting_device(bus: xen_bus_type, drv: xenbus_driver | null, which: "all" | "essential"): boolean {
  return bus_for_each_dev(bus.bus, null, drv, (dev, d) => (is_device_connecting(dev, d, which) ? 1 : 0)) !== 0;
}

/** Polls until nothing is connecting any more or `max_seconds` are over. Returns the seconds that were announced. */
function* wait_loop(
  bus: xen_bus_type,
  drv: xenbus_driver | null,
  which: "all" | "essential",
  start: number,
  max_seconds: number,
): Sleeps<number> {
  let seconds_waited = 0;
  while (exists_connecting_device(bus, drv, which)) {
    if (jiffies() > start + (seconds_waited + 5) * HZ) {
      if (seconds_waited === 0) pr_warn("Waiting for devices to initialise: ");
      seconds_waited += 5;
      pr_cont("%us...", max_seconds - seconds_waited);
      if (seconds_waited === max_seconds) break;
    }
    yield* schedule_timeout_interruptible(POLL_INTERVAL);
  }
  if (seconds_waited !== 0) pr_cont("\n");
  return seconds_waited;
}

function* print_device_status(dev: device): Sleeps<void> {
  const xendev = to_xenbus_device(dev);
  if (dev.driver === null) {
    pr_info("Device with no driver: %s\n", xendev.nodename);
  } else if (xendev.state < XenbusStateConnected) {
    const remote = xendev.otherend === "" ? XenbusStateUnknown : yield* xenbus_read_driver_state(xendev.otherend);
    const text = "Timeout connecting to device: %s (local state %d, remote state %d)\n";
    pr_warn(text, xendev.nodename, xendev.state, remote);
  }
}

/** Waits for the devices of a driver, or of all drivers (null). Before the end of boot's initcalls it does nothing. */
export function* wait_for_devices(bus: xen_bus_type, drv: xenbus_driver | null): Sleeps<void> {
  if (!ready_to_wait_for_devices) return;
  const start = jiffies();
  yield* wait_loop(bus, drv, "all", start, NON_ESSENTIAL_SECONDS);
  yield* wait_loop(bus, drv, "essential", jiffies(), ESSENTIAL_SECONDS);
  const devices: device[] = [];
  bus_for_each_dev(bus.bus, null, devices, (dev, list) => {
    if (drv === null || dev.driver === drv.driver) list.push(dev);
    return 0;
  });
  for (const dev of devices) yield* print_device_status(dev);
}
