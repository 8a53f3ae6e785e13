/**
 * What distinguishes the two buses: `struct xen_bus_type` of Linux.
 */
import type { bus_type, device } from "xenolith/linux/device";
import { BUG_ON } from "xenolith/linux/kernel";
import type { err_ptr } from "xenolith/linux/err";
import type { Sleeps } from "xenolith/linux/sched";
import type { xenbus_watch } from "xenolith/xen/xenbus";

export interface xen_bus_type {
  /** Directory below the domain's that holds the devices, one directory per type. */
  readonly root: string;
  /** Slash-separated parts of a device's path. */
  readonly levels: number;
  /** Bus id of the device at a path, or a negative errno. */
  get_bus_id(nodename: string): Sleeps<string | err_ptr>;
  /** Looks at root/type/dir, which exists. */
  probe(type: string, dir: string): Sleeps<number>;
  readonly otherend_will_handle: xenbus_watch["will_handle"];
  otherend_changed(watch: xenbus_watch, path: string, token: string): Sleeps<void>;
  readonly bus: bus_type;
}

const xen_buses: xen_bus_type[] = [];

/** Makes a bus known to xen_bus_of. */
export function add_xen_bus(bus: xen_bus_type): void {
  if (!xen_buses.includes(bus)) xen_buses.push(bus);
}

/** The bus that a device is on. */
export function xen_bus_of(dev: device): xen_bus_type {
  const found = xen_buses.find((bus) => bus.bus === dev.bus);
  BUG_ON(found === undefined);
  return found as xen_bus_type;
}
