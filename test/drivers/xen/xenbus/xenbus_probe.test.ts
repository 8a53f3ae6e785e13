import * as fs from "node:fs";
import * as path from "node:path";
import { expect, test } from "vitest";
import { device_unregister } from "xenolith/linux/device";
import { recent_uevents } from "xenolith/linux/kobject";
import type { Sleeps } from "xenolith/linux/sched";
import { sysfs_lookup, sysfs_read, type sysfs_dirent } from "xenolith/linux/sysfs";
import {
  XenbusStateClosed,
  XenbusStateClosing,
  XenbusStateConnected,
  XenbusStateInitWait,
  XenbusStateInitialised,
  XenbusStateInitialising,
  xenbus_dev_error,
  xenbus_dev_fatal,
  xenbus_driver,
  xenbus_frontend_closed,
  xenbus_read_unsigned,
  xenbus_register_backend,
  xenbus_register_frontend,
  xenbus_switch_state,
  type xenbus_device,
} from "xenolith/xen/xenbus";
import { bootKernel } from "../boot-kernel";

/** Dom0 with both ends, as in the loopback recordings. */
const { fake, store, settle, advance, run } = bootKernel(0);
const bootLog = [...store.log];
const FRONT = "/local/domain/0/device/vbd/51712";
const BACK = "/local/domain/0/backend/vbd/0/51712";

// ---- two small drivers that walk through the states as the block drivers do --------------------------------------------------------------

const calls: string[] = [];

function* front_changed(dev: xenbus_device, state: number): Sleeps<void> {
  if (state === XenbusStateInitWait && dev.state === XenbusStateInitialising) {
    yield* xenbus_switch_state(dev, XenbusStateInitialised);
  } else if (state === XenbusStateConnected && dev.state !== XenbusStateConnected) {
    yield* xenbus_switch_state(dev, XenbusStateConnected);
  } else if (state === XenbusStateClosing && dev.state !== XenbusStateClosing) {
    yield* xenbus_frontend_closed(dev);
  }
}

const front = new xenbus_driver({
  ids: [{ devicetype: "vbd" }],
  *probe(dev) {
    calls.push(`front probe ${dev.nodename} ${dev.otherend} ${dev.otherend_id}`);
    return 0;
  },
  otherend_changed: front_changed,
  *remove(dev) {
    calls.push(`front remove ${dev.nodename}`);
  },
});

function* back_changed(dev: xenbus_device, state: number): Sleeps<void> {
  if (state === XenbusStateInitialised || state === XenbusStateConnected) {
    yield* xenbus_switch_state(dev, XenbusStateConnected);
  } else if (state === XenbusStateClosed) {
    yield* xenbus_switch_state(dev, XenbusStateClosed);
    if ((yield* xenbus_read_unsigned(dev.nodename, "online", 0)) === 0) yield* device_unregister(dev.dev);
  }
}

const back = new xenbus_driver({
  ids: [{ devicetype: "vbd" }],
  allow_rebind: true,
  *probe(dev) {
    calls.push(`back probe ${dev.nodename} ${dev.otherend} ${dev.otherend_id}`);
    yield* xenbus_switch_state(dev, XenbusStateInitWait);
    return 0;
  },
  otherend_changed: back_changed,
  *remove(dev) {
    calls.push(`back remove ${dev.nodename}`);
  },
});

// ---- the recording ----------------------------------------------------------------------------------------------------------------------

interface Recorded {
  readonly op: string;
  readonly conn: string;
  readonly path?: string;
  readonly value?: string;
}

/** Nodes that the bus itself reads and writes; the others are the block drivers'. */
const BUS_NODE = /\/(state|backend|backend-id|frontend|frontend-id|online)$/;

/** The bus's part of what one end's kernel did, up to the line `until`. */
function recordedBusOperations(end: "front" | "back"): string[] {
  const file = path.join(import.meta.dirname, "../../../golden/linux/handshakes.json");
  const all = JSON.parse(fs.readFileSync(file, "utf8")) as Record<string, Recorded[]>;
  const lines = all["loopback/10-default"]
    .filter((entry) => entry.conn === "kernel" && entry.path !== undefined)
    .map((entry) => [entry.op, entry.path, entry.value].filter((part) => part !== undefined).join(" "));
  return busOperations(lines, end);
}

function busOperations(lines: readonly string[], end: "front" | "back"): string[] {
  const own = end === "front" ? " device/" : " backend/";
  const other = end === "front" ? ` ${BACK}` : ` ${FRONT}`;
  return lines.filter((line) => {
    const [, node] = line.split(" ");
    return BUS_NODE.test(node) && (` ${node}`.startsWith(own) || ` ${node}`.startsWith(other));
  });
}

function attach(): void {
  store.commit([
    [`${FRONT}/backend`, BACK],
    [`${FRONT}/backend-id`, "0"],
    [`${FRONT}/state`, "1"],
    [`${FRONT}/virtual-device`, "51712"],
    [`${BACK}/frontend`, FRONT],
    [`${BACK}/frontend-id`, "0"],
    [`${BACK}/online`, "1"],
    [`${BACK}/state`, "1"],
  ]);
  settle();
}

function detach(): void {
  store.commit([
    [`${BACK}/online`, "0"],
    [`${BACK}/state`, "5"],
  ]);
  settle();
}

function removeDirectories(): void {
  store.remove(FRONT);
  settle();
  store.remove(BACK);
  settle();
}

function nodeStates(): (string | undefined)[] {
  return [store.nodes.get(`${FRONT}/state`), store.nodes.get(`${BACK}/state`)];
}

// ---- tests ------------------------------------------------------------------------------------------------------------------------------

test("boot watches both buses and says which commands of the toolstack it knows", () => {
  expect(bootLog).toContain("WATCH device");
  expect(bootLog).toContain("WATCH backend");
  expect(bootLog.indexOf("WATCH device")).toBeLessThan(bootLog.indexOf("WATCH backend"));
  for (const command of ["poweroff", "reboot", "suspend"])
    expect(bootLog).toContain(`WRITE control/feature-${command} 1`);
});

test("connect, close and removal do the bus operations of the recorded drivers, end by end, in their order", () => {
  expect(run(() => xenbus_register_backend(back))).toBe(0);
  expect(run(() => xenbus_register_frontend(front))).toBe(0);
  store.log.length = 0;
  attach();
  expect(nodeStates()).toEqual(["4", "4"]);
  detach();
  expect(nodeStates()).toEqual(["6", "6"]);
  removeDirectories();
  expect(busOperations(store.log, "front")).toEqual(recordedBusOperations("front"));
  expect(busOperations(store.log, "back")).toEqual(recordedBusOperations("back"));
  expect(calls).toEqual([
    `front probe device/vbd/51712 ${BACK} 0`,
    `back probe backend/vbd/0/51712 ${FRONT} 0`,
    "back remove backend/vbd/0/51712",
    "front remove device/vbd/51712",
  ]);
});

test("a state is switched in a transaction that reads, writes and commits, and is done again after -EAGAIN", () => {
  store.conflicts = 0;
  attach();
  store.log.length = 0;
  store.conflicts = 1;
  detach();
  const start = store.log.findIndex((line) => line.startsWith("TRANSACTION_START"));
  expect(store.log.slice(start, start + 8)).toEqual([
    "TRANSACTION_START",
    "READ device/vbd/51712/state",
    "WRITE device/vbd/51712/state 6",
    "TRANSACTION_END T",
    "TRANSACTION_START",
    "READ device/vbd/51712/state",
    "WRITE device/vbd/51712/state 6",
    "TRANSACTION_END T",
  ]);
  removeDirectories();
});

test("only a device whose state is Initialising is registered", () => {
  calls.length = 0;
  store.commit([
    [`${FRONT}/backend`, BACK],
    [`${FRONT}/backend-id`, "0"],
    [`${FRONT}/state`, "4"],
  ]);
  settle();
  expect(calls).toEqual([]);
  store.remove(FRONT);
  settle();
});

test("a device without an other end is not probed, and its error node says so", () => {
  calls.length = 0;
  store.commit([
    [`${FRONT}/backend`, BACK],
    [`${FRONT}/backend-id`, "0"],
    [`${FRONT}/state`, "1"],
  ]);
  settle();
  expect(calls).toEqual([]);
  expect(store.nodes.get("/local/domain/0/error/device/vbd/51712/error")).toBe(
    "2 unable to read other end from device/vbd/51712.  missing or inaccessible.",
  );
  expect(store.nodes.get(`${FRONT}/state`)).toBe("5");
  store.remove(FRONT);
  settle();
});

test("the surprise removal of a front end's directory shows as Unknown and removes the front device", () => {
  attach();
  calls.length = 0;
  store.remove(FRONT);
  settle();
  expect(calls).toContain("front remove device/vbd/51712");
  store.remove(BACK);
  settle();
  expect(calls).toContain("back remove backend/vbd/0/51712");
});

function lookup(at: string): sysfs_dirent {
  const node = sysfs_lookup(at);
  if (node === null) throw new Error(`no ${at} in /sys`);
  return node;
}

test("a device has its attributes, and the hotplug variables of a back end", () => {
  attach();
  const read = (at: string): unknown => sysfs_read(lookup(at));
  expect(read("bus/xen/devices/vbd-51712/nodename")).toBe("device/vbd/51712\n");
  expect(read("bus/xen/devices/vbd-51712/modalias")).toBe("xen:vbd\n");
  expect(read("bus/xen-backend/devices/vbd-0-51712/state")).toBe("Connected\n");
  expect(read("bus/xen-backend/devices/vbd-0-51712/xenbus/spurious_threshold")).toBe("1\n");
  const added = recent_uevents().filter(
    (event) => event.action === "add" && event.env.includes("MODALIAS=xen-backend:vbd"),
  );
  expect(added.at(-1)?.env).toEqual(
    expect.arrayContaining(["XENBUS_TYPE=vbd", "XENBUS_PATH=backend/vbd/0/51712", "XENBUS_BASE_PATH=backend"]),
  );
  detach();
  removeDirectories();
});

test("the number in an error node is minus the number that the driver gave", () => {
  attach();
  run(function* () {
    const found = sysfs_lookup("bus/xen/devices/vbd-51712")?.kobj?.container as { container: xenbus_device };
    const dev = found.container;
    yield* xenbus_dev_error(dev, -2, "reading %s", "x");
    expect(store.nodes.get("/local/domain/0/error/device/vbd/51712/error")).toBe("2 reading x");
    yield* xenbus_dev_fatal(dev, 1, "unknown protocol %s", "abc");
    expect(store.nodes.get("/local/domain/0/error/device/vbd/51712/error")).toBe("-1 unknown protocol abc");
    expect(dev.state).toBe(XenbusStateClosing);
  });
  detach();
  removeDirectories();
});

test("a command of the toolstack is acknowledged and carried out: front ends close first", () => {
  attach();
  store.log.length = 0;
  store.write("/local/domain/0/control/shutdown", "dance");
  settle();
  expect(store.nodes.get("/local/domain/0/control/shutdown")).toBe("dance");
  store.write("/local/domain/0/control/shutdown", "poweroff");
  settle();
  advance(6000);
  expect(store.nodes.get("/local/domain/0/control/shutdown")).toBe("");
  expect(store.log).toContain("WRITE device/vbd/51712/state 5");
  expect(fake.shutdowns).toEqual([0]);
  expect(fake.log.join("\n")).toContain("Ignoring shutdown request: dance");
});
