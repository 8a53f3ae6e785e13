/** The two drivers with each other: the order of their xenstore operations against the recording of the real ones. */
import * as fs from "node:fs";
import * as path from "node:path";
import { type Machine, RamDisk } from "xenolith";
import { afterEach, expect, it } from "vitest";
import type { XsRecord } from "../../../hal/host/xenstored/context";
import { bootMachine } from "./machine";

const LINUX = path.join(import.meta.dirname, "../../golden/linux");

interface Operation {
  readonly op: string;
  readonly conn: string;
  readonly path?: string;
  readonly value?: string;
}
const handshakes = JSON.parse(fs.readFileSync(path.join(LINUX, "handshakes.json"), "utf8")) as Record<
  string,
  readonly Operation[]
>;

let machine: Machine | null = null;
afterEach(() => {
  machine?.dispose();
  machine = null;
});

/** One operation of one end: "READ back/state", "WRITE front/ring-ref". */
type Step = string;
const KINDS = ["READ", "WRITE", "WATCH", "UNWATCH"];

/** Which end did it, and on what: relative paths are its own directory, absolute ones the other end's. */
function stepOf(kind: string, where: string): { end: "front" | "back"; step: Step } | null {
  if (!KINDS.includes(kind)) return null;
  const own = /^(device|backend)\/vbd\/(?:\d+\/)?\d+\/(.+)$/.exec(where);
  if (own !== null) return { end: own[1] === "device" ? "front" : "back", step: `${kind} own/${own[2]}` };
  const other = /^\/local\/domain\/\d+\/(device|backend)\/vbd\/(?:\d+\/)?\d+\/(.+)$/.exec(where);
  if (other === null) return null;
  return { end: other[1] === "backend" ? "front" : "back", step: `${kind} other/${other[2]}` };
}

function recorded(variant: string, end: "front" | "back"): Step[] {
  const steps: Step[] = [];
  for (const { op, conn, path: where } of handshakes[variant]) {
    const step = conn === "kernel" && where !== undefined ? stepOf(op, where) : null;
    if (step?.end === end) steps.push(step.step);
  }
  return steps;
}

function ours(records: readonly XsRecord[], end: "front" | "back"): Step[] {
  const steps: Step[] = [];
  for (const { op, from, path: where } of records) {
    const step = from === "ring" && where !== undefined ? stepOf(op, where) : null;
    if (step?.end === end) steps.push(step.step);
  }
  return steps;
}

/** Up to and with the n-th write of the own state. */
function untilState(steps: readonly Step[], count: number): Step[] {
  let left = count;
  const end = steps.findIndex((step) => step === "WRITE own/state" && --left === 0);
  return steps.slice(0, end + 1);
}

async function connect(cache: boolean, queues: number, option = ""): Promise<readonly XsRecord[]> {
  machine = await bootMachine({
    vcpus: queues,
    dom0: `xen_blkback.max_queues=${queues}`,
    domU: `xen_blkfront.max_queues=${queues} ${option === "" ? "" : `xen_blkfront.${option}`}`,
  });
  machine.xenstored.startRecording();
  const disk = new RamDisk(new Uint8Array(1 << 20), { writeCache: cache, discard: cache });
  machine.attachDisk("domU", "unused.img,raw,xvda,w", disk);
  machine.waitForDisks();
  machine.advance(50e6);
  return machine.xenstored.takeRecording();
}

/** The recording has two queues, ours one: the nodes of a queue move up. */
function oneQueue(steps: readonly Step[]): Step[] {
  return steps
    .filter((step) => !/(WRITE own\/multi-queue-num-queues|\/queue-1\/)/.test(step))
    .map((step) => step.replace("/queue-0/", "/"));
}

it("handshake: the front end's operations up to Connected are the recorded ones, in their order", async () => {
  const records = await connect(false, 1);
  const want = oneQueue(untilState(recorded("loopback/10-default", "front"), 2));
  expect(untilState(ours(records, "front"), 2)).toEqual(want);
});

/** When the hotplug script writes physical-device is not the drivers' business: what they do about it is looked at by itself. */
const HOTPLUG = ["READ own/physical-device", "READ own/mode", "READ other/device-type"];

function withoutHotplug(steps: readonly Step[]): Step[] {
  return withoutLateLooks(steps.filter((step) => !HOTPLUG.includes(step)));
}

/** Nor is how many looks the first events of a state watch take: the other end may be further by then. */
function withoutLateLooks(steps: readonly Step[]): Step[] {
  return steps.filter((step, i) => step !== "READ other/state" || steps[i + 1] !== step);
}

it("handshake: the back end's operations up to Connected are the recorded ones, in their order", async () => {
  const records = await connect(false, 1);
  const want = oneQueue(untilState(recorded("loopback/10-default", "back"), 2));
  const got = untilState(ours(records, "back"), 2);
  expect(withoutHotplug(got)).toEqual(withoutHotplug(want));
  expect(got.filter((step) => HOTPLUG.includes(step)).slice(-3)).toEqual(HOTPLUG);
  expect(got.indexOf("READ own/mode")).toBeLessThan(got.indexOf("WRITE own/feature-flush-cache"));
});

it("handshake: a device that can discard is announced, and asked about, in the recorded order", async () => {
  const records = await connect(true, 1);
  const back = oneQueue(untilState(recorded("loopback/40-resize", "back"), 2));
  expect(withoutHotplug(untilState(ours(records, "back"), 2))).toEqual(withoutHotplug(back));
  const front = oneQueue(untilState(recorded("loopback/40-resize", "front"), 2));
  expect(untilState(ours(records, "front"), 2)).toEqual(front);
});

it("handshake: two queues of 16 pages each are published in the recorded order", async () => {
  const options = "max_ring_page_order=4";
  const records = await connect(false, 2, options);
  const front = untilState(recorded("loopback/22-order4-q2", "front"), 2);
  expect(withoutLateLooks(untilState(ours(records, "front"), 2))).toEqual(withoutLateLooks(front));
  const back = untilState(recorded("loopback/22-order4-q2", "back"), 2);
  expect(withoutHotplug(untilState(ours(records, "back"), 2))).toEqual(withoutHotplug(back));
  const result = machine?.run("domU", "dd if=/dev/xvda of=/dev/null bs=64k count=4 iflag=direct");
  expect(result?.status).toBe(0);
});

it("handshake: a detach goes Closed, Closed, online, gone, in the recorded order", async () => {
  await connect(false, 1);
  machine?.xenstored.startRecording();
  machine?.detachDisk("domU", "xvda");
  machine?.advance(50e6);
  const records = machine?.xenstored.takeRecording() ?? [];
  const closing = (steps: readonly Step[]) => {
    const last = steps.lastIndexOf("WRITE own/state");
    return steps.slice(last - 2);
  };
  const want = {
    front: closing(recorded("loopback/40-resize", "front")),
    back: closing(recorded("loopback/40-resize", "back")),
  };
  expect(closing(ours(records, "front"))).toEqual(want.front);
  // After that the bus may look at the directory once more or less, by how many of its nodes are removed when.
  const back = closing(ours(records, "back"));
  expect(back.slice(0, 6)).toEqual(want.back.slice(0, 6));
});

it("handshake: a resize is one read by the front end", async () => {
  machine = await bootMachine({ domU: "" });
  const disk = new RamDisk(new Uint8Array(1 << 20));
  machine.attachDisk("domU", "unused.img,raw,xvda,w", disk);
  machine.waitForDisks();
  machine.advance(50e6);
  machine.xenstored.startRecording();
  disk.resize(1024);
  machine.diskChanged();
  machine.advance(300e6);
  const records = machine.xenstored.takeRecording();
  expect(ours(records, "back")).toEqual(["WRITE own/sectors", "WRITE own/state"]);
  expect(ours(records, "front")).toEqual(["READ other/state", "READ other/sectors"]);
  expect(machine.log("domU").some(({ text }) => text.includes("Setting capacity to 1024"))).toBe(true);
});
