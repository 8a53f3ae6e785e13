/**
 * What both ends of a split driver need from the bus (Linux `drivers/xen/xenbus/xenbus_client.c`): states, errors, watches on paths.
 */
import { EAGAIN } from "xenolith/linux/errno";
import { EXPORT_SYMBOL } from "xenolith/linux/export";
import { complete } from "xenolith/linux/completion";
import { dev_err } from "xenolith/linux/device";
import { vsnprintf } from "xenolith/linux/printk";
import type { Sleeps } from "xenolith/linux/sched";
import { ptr } from "xenolith/linux/types";
import {
  XBT_NIL,
  XenbusStateClosed,
  XenbusStateClosing,
  XenbusStateUnknown,
  xenbus_transaction,
  type xenbus_device,
  type xenbus_state,
  type xenbus_watch,
  type xenbus_watch_callback,
} from "xenolith/xen/xenbus";
import {
  xenbus_printf,
  xenbus_scanf,
  xenbus_transaction_end,
  xenbus_transaction_start,
  xenbus_write,
} from "./xenbus_xs";
import { register_xenbus_watch } from "./xenbus_watch";

const STATE_NAMES = [
  "Unknown",
  "Initialising",
  "InitWait",
  "Initialised",
  "Connected",
  "Closing",
  "Closed",
  "Reconfiguring",
  "Reconfigured",
];

export function xenbus_strstate(state: xenbus_state): string {
  return STATE_NAMES[state] ?? "INVALID";
}
EXPORT_SYMBOL(xenbus_strstate);

export function* xenbus_watch_path(
  dev: xenbus_device,
  path: string,
  watch: xenbus_watch,
  will_handle: xenbus_watch["will_handle"],
  callback: xenbus_watch_callback,
): Sleeps<number> {
  watch.node = path;
  watch.will_handle = will_handle;
  watch.callback = callback;
  const err = yield* register_xenbus_watch(watch);
  if (err !== 0) {
    watch.node = null;
    watch.will_handle = null;
    watch.callback = null;
    yield* xenbus_dev_fatal(dev, err, "adding watch on %s", path);
  }
  return err;
}
EXPORT_SYMBOL(xenbus_watch_path);

export function* xenbus_watch_pathfmt(
  dev: xenbus_device,
  watch: xenbus_watch,
  will_handle: xenbus_watch["will_handle"],
  callback: xenbus_watch_callback,
  pathfmt: string,
  ...args: unknown[]
): Sleeps<number> {
  return yield* xenbus_watch_path(dev, vsnprintf(pathfmt, args), watch, will_handle, callback);
}
EXPORT_SYMBOL(xenbus_watch_pathfmt);

export function* xenbus_read_driver_state(path: string): Sleeps<xenbus_state> {
  const state = ptr(0);
  const result = yield* xenbus_scanf(XBT_NIL, path, "state", "%d", state);
  return result === 1 ? state.value : XenbusStateUnknown;
}
EXPORT_SYMBOL(xenbus_read_driver_state);

// ---- state ------------------------------------------------------------------------------------------------------------------------------

/** An error on the way to a state: fatal, unless it is the fatal state itself that cannot be written. */
function* xenbus_switch_fatal(dev: xenbus_device, depth: number, err: number, what: string): Sleeps<void> {
  if (depth === 0) yield* xenbus_dev_fatal(dev, err, "%s", what);
  else yield* xenbus_dev_error(dev, err, "%s", what);
}

/** Writes the state in an open transaction: true if it may be committed. A node that is gone is left alone. */
function* write_state(dev: xenbus_device, t: xenbus_transaction, state: xenbus_state, depth: number): Sleeps<boolean> {
  const found = yield* xenbus_scanf(t, dev.nodename, "state", "%d", ptr(0));
  if (found !== 1) return false;
  const err = yield* xenbus_printf(t, dev.nodename, "state", "%d", state);
  if (err !== 0) yield* xenbus_switch_fatal(dev, depth, err, "writing new state");
  return err === 0;
}

function* __xenbus_switch_state(dev: xenbus_device, state: xenbus_state, depth: number): Sleeps<number> {
  if (state === dev.state) return 0;
  for (;;) {
    const t = new xenbus_transaction();
    let err = yield* xenbus_transaction_start(t);
    if (err !== 0) {
      yield* xenbus_switch_fatal(dev, depth, err, "starting transaction");
      return 0;
    }
    const written = yield* write_state(dev, t, state, depth);
    err = yield* xenbus_transaction_end(t, written ? 0 : 1);
    if (err === -EAGAIN && written) continue;
    if (err !== 0) yield* xenbus_switch_fatal(dev, depth, err, "ending transaction");
    else dev.state = state;
    return 0;
  }
}

export function* xenbus_switch_state(dev: xenbus_device, state: xenbus_state): Sleeps<number> {
  return yield* __xenbus_switch_state(dev, state, 0);
}
EXPORT_SYMBOL(xenbus_switch_state);

export function* xenbus_frontend_closed(dev: xenbus_device): Sleeps<number> {
  yield* xenbus_switch_state(dev, XenbusStateClosed);
  complete(dev.down);
  return 0;
}
EXPORT_SYMBOL(xenbus_frontend_closed);

// ---- errors -----------------------------------------------------------------------------------------------------------------------------

/** Logs the message and writes it to error/<nodename>/error. The number printed is -err, whatever sign the caller gave it. */
function* xenbus_va_dev_error(dev: xenbus_device, err: number, fmt: string, args: unknown[]): Sleeps<void> {
  const text = vsnprintf(`%i ${fmt}`, [-err, ...args]);
  dev_err(dev.dev, "%s\n", text);
  yield* xenbus_write(XBT_NIL, `error/${dev.nodename}`, "error", text);
}

export function* xenbus_dev_error(dev: xenbus_device, err: number, fmt: string, ...args: unknown[]): Sleeps<void> {
  yield* xenbus_va_dev_error(dev, err, fmt, args);
}
EXPORT_SYMBOL(xenbus_dev_error);

export function* xenbus_dev_fatal(dev: xenbus_device, err: number, fmt: string, ...args: unknown[]): Sleeps<void> {
  yield* xenbus_va_dev_error(dev, err, fmt, args);
  yield* __xenbus_switch_state(dev, XenbusStateClosing, 1);
}
EXPORT_SYMBOL(xenbus_dev_fatal);
