import * as fs from "node:fs";
import * as path from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import {
  backPath,
  createVbd,
  frontPath,
  hostdiskDevice,
  hotplugConnect,
  hotplugFail,
  readState,
  removeVbd,
  requestDetach,
} from "../../../../hal/host/toolstack/vbd";
import { ToolstackWorld, VBD, spec } from "./toolstack-world";

type Tree = Record<string, [string, string]>;
interface Operation {
  readonly op: string;
  readonly path?: string;
  readonly value?: string;
  readonly commit?: string;
}

function golden<T>(name: string): T {
  const file = path.resolve(import.meta.dirname, "../../../golden/linux", name);
  return JSON.parse(fs.readFileSync(file, "utf8")) as T;
}

const DEVICE = /\/vbd(\/1)?\/51712(\/|$)/;
const CREATED =
  golden<Record<string, Tree>>("xenstore-snapshots.json")["domu/domu-default/1-created-paused.xenstore.txt"];
const HANDSHAKE = golden<Record<string, Operation[]>>("handshakes.json")["domu/domu-default"];
/** What the recording's hotplug script found, and ours. */
const LOOP = { path: "/dev/loop0", major: 7, minor: 0 };
/** What the back end's driver had written when the snapshot was taken. */
const DRIVER_KEYS = /\/(feature-max-indirect-segments|multi-queue-max-queues|max-ring-page-order)$/;

let world: ToolstackWorld;
beforeEach(() => void (world = new ToolstackWorld()));

/** Operations that change something in the directories of the device. */
function changes(operations: readonly Operation[]): string[] {
  return operations
    .filter(({ op, path: at }) => ["WRITE", "RM", "MKDIR"].includes(op) && at !== undefined && DEVICE.test(at))
    .map(({ op, path: at, value }) => (op === "WRITE" ? `${op} ${at} = ${value}` : `${op} ${at}`));
}

function record(body: () => void): Operation[] {
  world.xenstored.startRecording();
  body();
  return world.xenstored.takeRecording();
}

describe("as recorded of libxl", () => {
  it("the tree after creation: every value and permission", () => {
    createVbd(world.store, VBD, spec(), "/srv/a.img");
    world.store.write(`${backPath(VBD)}/state`, "2");
    hotplugConnect(world.store, VBD, LOOP);
    const expected = Object.entries(CREATED).filter(([at]) => DEVICE.test(at) && !DRIVER_KEYS.test(at));
    expect(expected.length).toBeGreaterThan(40);
    expect({
      ...world.tree(frontPath(VBD)),
      ...world.tree(backPath(VBD)),
      ...world.tree("/libxl/1/device/vbd/51712"),
    }).toEqual(Object.fromEntries(expected));
  });

  it("the order of operations, in one transaction", () => {
    const end = HANDSHAKE.findIndex(({ op, path: at }) => op === "WATCH" && at === `${backPath(VBD)}/state`);
    const operations = record(() => createVbd(world.store, VBD, spec(), "/srv/a.img"));
    expect(changes(operations)).toEqual(changes(HANDSHAKE.slice(0, end)));
    expect(operations[0].op).toBe("TRANSACTION_START");
    expect(operations.at(-1)).toMatchObject({ op: "TRANSACTION_END", commit: "T" });
    expect(operations.filter(({ op }) => op === "TRANSACTION_START")).toHaveLength(1);
  });

  it("what the hotplug script writes, in its order", () => {
    createVbd(world.store, VBD, spec(), "/srv/a.img");
    const written = (operations: readonly Operation[]): string[] =>
      operations
        .filter(
          ({ op, path: at }) =>
            op === "WRITE" && /51712\/(node|physical-device|physical-device-path|hotplug-status)$/.test(at ?? ""),
        )
        .map(({ path: at, value }) => `${path.basename(at ?? "")} = ${value}`);
    expect(written(record(() => hotplugConnect(world.store, VBD, LOOP)))).toEqual(written(HANDSHAKE));
  });
});

describe("the rest of a disk's life", () => {
  it.each([
    ["a.img,raw,xvda,r", "mode", "r"],
    ["a.img,raw,xvda,w,no-discard", "discard-enable", "0"],
    ["a.img,raw,xvda,w,removable", "removable", "1"],
    ["a.img,raw,xvda,w,direct-io-safe", "direct-io-safe", "1"],
    ["a.img,raw,xvda,w,script=block-nbd", "script", "block-nbd"],
    ["a.img,raw,xvda,w,cdrom", "device-type", "cdrom"],
  ])("%s: %s = %s", (text, key, value) => {
    createVbd(world.store, VBD, spec(text), "/srv/a.img");
    expect(world.store.read(`${backPath(VBD)}/${key}`)).toBe(value);
  });

  it("untrusted: the front end is told", () => {
    createVbd(world.store, VBD, spec("a.img,raw,xvda,w,untrusted"), "/srv/a.img");
    expect(world.store.read(`${frontPath(VBD)}/trusted`)).toBe("0");
  });

  it("making it again leaves nothing of what was there", () => {
    createVbd(world.store, VBD, spec(), "/srv/a.img");
    const tree = world.store.tree("/");
    world.store.write(`${frontPath(VBD)}/queue-0/ring-ref`, "8");
    world.store.write(`${backPath(VBD)}/sectors`, "1");
    createVbd(world.store, VBD, spec(), "/srv/a.img");
    expect(world.store.tree("/")).toBe(tree);
  });

  it("detaching: online 0 and state 5, but a closed end stays closed", () => {
    createVbd(world.store, VBD, spec(), "/srv/a.img");
    requestDetach(world.store, VBD);
    expect([world.store.read(`${backPath(VBD)}/online`), readState(world.store, backPath(VBD))]).toEqual(["0", 5]);
    world.store.write(`${backPath(VBD)}/state`, "6");
    requestDetach(world.store, VBD);
    expect(readState(world.store, backPath(VBD))).toBe(6);
  });

  it("removing takes everything away that was written", () => {
    createVbd(world.store, VBD, spec(), "/srv/a.img");
    removeVbd(world.store, VBD);
    for (const at of [frontPath(VBD), backPath(VBD), "/libxl/1/device/vbd/51712"])
      expect(world.store.exists(at)).toBe(false);
  });

  it("a device that is not there: the reason, and hotplug-status error", () => {
    createVbd(world.store, VBD, spec(), "/srv/a.img");
    hotplugFail(world.store, VBD, "no such device");
    expect(world.store.read(`${backPath(VBD)}/hotplug-error`)).toBe("no such device");
    expect(world.store.read(`${backPath(VBD)}/hotplug-status`)).toBe("error");
    expect(world.store.exists(`${backPath(VBD)}/physical-device`)).toBe(false);
  });

  it.each([
    ["4", 4],
    ["", 0],
    ["9", 0],
    ["44", 0],
    ["4\n", 0],
    ["Connected", 0],
    ["-1", 0],
  ])("a state node that says %j is state %i", (text, state) => {
    createVbd(world.store, VBD, spec(), "/srv/a.img");
    world.store.write(`${frontPath(VBD)}/state`, text);
    expect(readState(world.store, frontPath(VBD))).toBe(state);
  });

  it("host disks have major 240 and 16 minors each; the node is in hex", () => {
    createVbd(world.store, VBD, spec(), "/srv/a.img");
    hotplugConnect(world.store, VBD, hostdiskDevice(3));
    expect(world.store.read(`${backPath(VBD)}/physical-device`)).toBe("f0:30");
    expect(world.store.read(`${backPath(VBD)}/node`)).toBe("/dev/hostdisk3");
  });
});
