/**
 * Devices that the two ends of a split driver find through xenstore (Linux `include/xen/xenbus.h`).
 *
 *   toolstack writes both directories -> the bus makes a device of each whose state is Initialising -> probe -> the two ends walk
 *   through XenbusState, each writing its own and watching the other's -> Closed -> remove
 *
 * What is read from the other end's directory is an allegation. Everything that talks to xenstored sleeps. All watch callbacks run one
 * after the other on the xenwatch thread, so a callback never races with another, nor with its own removal.
 */
import { completion } from "xenolith/linux/completion";
import { device, device_driver } from "xenolith/linux/device";
import type { err_ptr } from "xenolith/linux/err";
import { list_head } from "xenolith/linux/list";
import type { page } from "xenolith/linux/mm_types";
import type { Sleeps } from "xenolith/linux/sched";
import { semaphore } from "xenolith/linux/semaphore";
import type { Ptr } from "xenolith/linux/types";
import type { kobj_uevent_env } from "xenolith/linux/kobject";
import { ENOENT, ERANGE } from "xenolith/linux/errno";
import type { evtchn_port_t } from "./interface/event_channel";
import type { grant_ref_t } from "./interface/grant_table";
import { XenbusStateInitialising, type xenbus_state } from "./interface/io/xenbus";

export {
  XENBUS_MAX_RING_GRANTS,
  XENBUS_MAX_RING_GRANT_ORDER,
  XenbusStateClosed,
  XenbusStateClosing,
  XenbusStateConnected,
  XenbusStateInitWait,
  XenbusStateInitialised,
  XenbusStateInitialising,
  XenbusStateReconfigured,
  XenbusStateReconfiguring,
  XenbusStateUnknown,
} from "./interface/io/xenbus";
export type { xenbus_state };

export const XEN_BUS_ID_SIZE = 30;

/** A transaction. 0 stands for none. */
export class xenbus_transaction {
  id = 0;
}
/** No transaction: the operation stands alone. */
export const XBT_NIL: Readonly<xenbus_transaction> = { id: 0 };

/** Called on the xenwatch thread with the path that changed. May sleep. */
export type xenbus_watch_callback = (watch: xenbus_watch, path: string, token: string) => Sleeps<void> | void;

/** A watch on a path. `container` is the struct that embeds it. */
export class xenbus_watch {
  readonly list = new list_head(this);
  /** Path being watched; null when the watch is not in use. */
  node: string | null = null;
  /** Events queued and not yet delivered. */
  nr_pending = 0;
  /** Decides, when an event arrives, whether it is queued; null queues all. Must not sleep. */
  will_handle: ((watch: xenbus_watch, path: string, token: string) => boolean) | null = null;
  callback: xenbus_watch_callback | null = null;
  constructor(readonly container: unknown) {}
}

/** A device on either bus. */
export class xenbus_device {
  devicetype = "";
  /** Own directory, relative to the domain's. */
  nodename = "";
  /** The other end's directory, absolute; "" when unknown. */
  otherend = "";
  otherend_id = 0;
  readonly otherend_watch = new xenbus_watch(this);
  readonly dev = new device(this);
  state: xenbus_state = XenbusStateInitialising;
  readonly down = new completion();
  /** Held during probe, remove and reclaim_memory. */
  readonly reclaim_sem = new semaphore(1);
  // Event channel statistics.
  event_channels = 0;
  events = 0;
  spurious_events = 0;
  /** Jiffies by which ends of interrupts were delayed, in all. */
  jiffies_eoi_delayed = 0;
  spurious_threshold = 1;
}

/** The xenbus device that embeds this device. */
export function to_xenbus_device(dev: device): xenbus_device {
  return dev.container as xenbus_device;
}

export interface xenbus_device_id {
  devicetype: string;
}

/** What a driver gives to xenbus_register_frontend/backend. */
export interface xenbus_driver_ops {
  /** Device types, as in the second part of the path ("vbd"). */
  ids: readonly xenbus_device_id[];
  /** Defaults to the first device type. */
  name?: string;
  /** The device may be bound again after a remove: the bus then does not force its state to Closed. */
  allow_rebind?: boolean;
  /** Boot does not wait for devices of this driver longer than the short time. */
  not_essential?: boolean;
  probe(dev: xenbus_device, id: xenbus_device_id): Sleeps<number>;
  otherend_changed?(dev: xenbus_device, backend_state: xenbus_state): Sleeps<void>;
  remove?(dev: xenbus_device): Sleeps<void>;
  suspend?(dev: xenbus_device): Sleeps<number>;
  resume?(dev: xenbus_device): Sleeps<number>;
  uevent?(dev: xenbus_device, env: kobj_uevent_env): number;
  /** Set by the bus. */
  read_otherend_details?(dev: xenbus_device): Sleeps<number>;
  /** Whether the device is usable; boot waits for it. */
  is_ready?(dev: xenbus_device): number;
  /** Memory is short: give back what can be spared. */
  reclaim_memory?(dev: xenbus_device): Sleeps<void>;
}

/** A driver of either bus. */
export class xenbus_driver {
  readonly driver = new device_driver(this);
  name: string;
  /** How the other end is found; set by the bus that the driver registers on. */
  read_otherend_details: ((dev: xenbus_device) => Sleeps<number>) | null;
  constructor(readonly ops: xenbus_driver_ops) {
    this.name = ops.name ?? ops.ids[0].devicetype;
    this.read_otherend_details = ops.read_otherend_details ?? null;
  }
}

/** The xenbus driver that embeds this driver. */
export function to_xenbus_driver(drv: device_driver): xenbus_driver {
  return drv.container as xenbus_driver;
}

/** Registers a front-end driver and probes the devices that wait for it; waits for them to connect while booting. 0 or a negative errno. */
export declare function xenbus_register_frontend(drv: xenbus_driver): Sleeps<number>;
/** Registers a back-end driver and probes the devices that wait for it. 0 or a negative errno. */
export declare function xenbus_register_backend(drv: xenbus_driver): Sleeps<number>;
/** Removes the driver from its devices and from the bus. */
export declare function xenbus_unregister_driver(drv: xenbus_driver): Sleeps<void>;

// ---- xenstore: values -------------------------------------------------------------------------------------------------------------------

/** Names below dir/node; `num` gets their count. An error for a path that does not exist. */
export declare function xenbus_directory(
  t: Readonly<xenbus_transaction>,
  dir: string,
  node: string,
  num: Ptr<number>,
): Sleeps<string[] | err_ptr>;
/** Value of dir/node; `len` (or null) gets its length in bytes. */
export declare function xenbus_read(
  t: Readonly<xenbus_transaction>,
  dir: string,
  node: string,
  len: Ptr<number> | null,
): Sleeps<string | err_ptr>;
/** Writes dir/node: 0 or a negative errno. */
export declare function xenbus_write(
  t: Readonly<xenbus_transaction>,
  dir: string,
  node: string,
  value: string,
): Sleeps<number>;
/** Makes sure that dir/node exists. */
export declare function xenbus_mkdir(t: Readonly<xenbus_transaction>, dir: string, node: string): Sleeps<number>;
/** Whether dir/node exists; any error reads as no. */
export declare function xenbus_exists(t: Readonly<xenbus_transaction>, dir: string, node: string): Sleeps<boolean>;
/** Removes dir/node and all below. */
export declare function xenbus_rm(t: Readonly<xenbus_transaction>, dir: string, node: string): Sleeps<number>;
/** Starts a transaction: 0 or a negative errno. */
export declare function xenbus_transaction_start(t: xenbus_transaction): Sleeps<number>;
/** Commits (`abort` 0) or drops (1) it: 0; -EAGAIN when the caller must do it all again; another negative errno. */
export declare function xenbus_transaction_end(t: xenbus_transaction, abort: number): Sleeps<number>;
/** scanf of dir/node into pointers: the number of conversions, -ERANGE for none, or a negative errno. */
export declare function xenbus_scanf(
  t: Readonly<xenbus_transaction>,
  dir: string,
  node: string,
  fmt: string,
  ...args: Ptr<number | string>[]
): Sleeps<number>;
/** The unsigned number in dir/node, or `default_val` when it is missing or not one. */
export declare function xenbus_read_unsigned(dir: string, node: string, default_val: number): Sleeps<number>;
/** printf into dir/node: 0 or a negative errno. */
export declare function xenbus_printf(
  t: Readonly<xenbus_transaction>,
  dir: string,
  node: string,
  fmt: string,
  ...args: unknown[]
): Sleeps<number>;
/**
 * Reads several nodes of `dir`: triples of name, format (null: the whole string) and pointer, then null. Stops at the first failure: 0,
 * -EINVAL for a value that does not match, or a negative errno.
 */
export declare function xenbus_gather(
  t: Readonly<xenbus_transaction>,
  dir: string,
  ...args: (string | null | Ptr<number | string>)[]
): Sleeps<number>;

/** Whether the error means that the node does not exist or holds nothing usable. */
export function XENBUS_EXIST_ERR(err: number): boolean {
  return err === -ENOENT || err === -ERANGE;
}

// ---- xenstore: watches ------------------------------------------------------------------------------------------------------------------

/** Registers a watch; it fires once at once. 0 or a negative errno. */
export declare function register_xenbus_watch(watch: xenbus_watch): Sleeps<number>;
/** Removes a watch, drops its queued events and waits for its running callback, unless called from it. */
export declare function unregister_xenbus_watch(watch: xenbus_watch): Sleeps<void>;
/** Fills in and registers a watch; a failure is fatal for the device. 0 or a negative errno. */
export declare function xenbus_watch_path(
  dev: xenbus_device,
  path: string,
  watch: xenbus_watch,
  will_handle: xenbus_watch["will_handle"],
  callback: xenbus_watch_callback,
): Sleeps<number>;
/** The same with a formatted path. */
export declare function xenbus_watch_pathfmt(
  dev: xenbus_device,
  watch: xenbus_watch,
  will_handle: xenbus_watch["will_handle"],
  callback: xenbus_watch_callback,
  pathfmt: string,
  ...args: unknown[]
): Sleeps<number>;

// ---- client services --------------------------------------------------------------------------------------------------------------------

/** Name of a state, "INVALID" for any other number. */
export declare function xenbus_strstate(state: xenbus_state): string;
/** The state in directory `path`, Unknown when unreadable. */
export declare function xenbus_read_driver_state(path: string): Sleeps<xenbus_state>;
/** Writes the device's state if it differs from the last written and the node still exists. 0; failures are fatal for the device. */
export declare function xenbus_switch_state(dev: xenbus_device, state: xenbus_state): Sleeps<number>;
/** Logs an error and writes "<-err> <message>" to the device's error node. */
export declare function xenbus_dev_error(
  dev: xenbus_device,
  err: number,
  fmt: string,
  ...args: unknown[]
): Sleeps<void>;
/** xenbus_dev_error, then state Closing. */
export declare function xenbus_dev_fatal(
  dev: xenbus_device,
  err: number,
  fmt: string,
  ...args: unknown[]
): Sleeps<void>;
/** The front end has let go: state Closed, and whoever waits for it is told. */
export declare function xenbus_frontend_closed(dev: xenbus_device): Sleeps<number>;

/** Makes `nr_pages` zeroed pages, grants them writable to the other end: 0, or a negative errno (fatal for the device, nothing left behind). */
export declare function xenbus_setup_ring(
  dev: xenbus_device,
  gfp: number,
  vaddr: Ptr<page[] | null>,
  nr_pages: number,
  grefs: grant_ref_t[],
): Sleeps<number>;
/** Ends the grants (later, while still mapped) and frees the pages. */
export declare function xenbus_teardown_ring(vaddr: Ptr<page[] | null>, nr_pages: number, grefs: grant_ref_t[]): void;
/** Maps `nr_grefs` grants of the other end: 0; -EINVAL for more than 16; -ENOENT when one cannot be mapped (fatal for the device). */
export declare function xenbus_map_ring_valloc(
  dev: xenbus_device,
  gnt_refs: readonly grant_ref_t[],
  nr_grefs: number,
  vaddr: Ptr<page[] | null>,
): Sleeps<number>;
/** Unmaps what xenbus_map_ring_valloc mapped: GNTST_okay or the first bad status; -ENOENT for pages that it did not map. */
export declare function xenbus_unmap_ring_vfree(dev: xenbus_device, vaddr: page[]): Sleeps<number>;
/** Allocates a port for the other end: 0 or a negative errno (fatal for the device). */
export declare function xenbus_alloc_evtchn(dev: xenbus_device, port: Ptr<evtchn_port_t>): Sleeps<number>;
/** Closes such a port: 0 or a negative errno. */
export declare function xenbus_free_evtchn(dev: xenbus_device, port: evtchn_port_t): Sleeps<number>;

/** Suspends, resumes and cancels a suspend of every device and of xenstore itself; used by the suspend of the machine. */
export declare function xs_suspend(): Sleeps<void>;
export declare function xs_resume(): Sleeps<void>;
export declare function xs_suspend_cancel(): Sleeps<void>;
/** Whether xenstored is reachable. */
export declare function xenstored_is_ready(): boolean;
/** Calls every back-end driver's reclaim_memory. */
export declare function xenbus_reclaim_memory(): Sleeps<void>;
