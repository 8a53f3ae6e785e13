import { beforeEach, expect, it } from "vitest";
import { RamDisk } from "../../../../hal/host/disks/ram";
import { type Attachment, Attachments, createAttachmentsState } from "../../../../hal/host/toolstack/attachments";
import { backPath, frontPath, type BackingDevice } from "../../../../hal/host/toolstack/vbd";
import { ToolstackWorld, VBD, spec } from "./toolstack-world";

let world: ToolstackWorld;
let attachments: Attachments;
/** Devices that were asked for, and the answer that the back end's domain gives. */
let asked: string[];
let answer: BackingDevice | null;

beforeEach(() => {
  world = new ToolstackWorld();
  asked = [];
  answer = null;
  attachments = new Attachments(
    world.machine.hv,
    world.store,
    (domid, device, serial) => {
      asked.push(`${domid} ${device}`);
      attachments.onDevice(serial, answer);
    },
    createAttachmentsState(),
    (index) => world.machine.hv.removeDisk(index),
  );
});

/** Lets the toolstack see what changed, and time pass. */
function settle(): void {
  for (const { token } of world.store.takeEvents()) attachments.onStateChange(token);
  world.machine.settle();
  for (const { token } of world.store.takeEvents()) attachments.onStateChange(token);
}

function attach(text = "ram:1M,raw,xvda,w"): Attachment {
  const isHostDisk = !text.startsWith("phy:");
  const index = isHostDisk ? world.machine.hv.addDisk(new RamDisk(new Uint8Array(1 << 20))) : -1;
  const attachment = attachments.attach(VBD, spec(text), index, "ram");
  settle();
  return attachment;
}

function set(end: "front" | "back", state: number): void {
  world.store.write(`${end === "front" ? frontPath(VBD) : backPath(VBD)}/state`, String(state));
  settle();
}

const back = (key: string): string | null => world.store.read(`${backPath(VBD)}/${key}`);

it("the whole life: attaching, hotplugged in InitWait, connected, detaching, gone", () => {
  const attachment = attach();
  expect(attachment.phase).toBe("attaching");
  expect(back("physical-device")).toBeNull();
  set("back", 2);
  expect(attachment.phase).toBe("hotplugged");
  expect(back("physical-device")).toBe("f0:0");
  expect(back("hotplug-status")).toBe("connected");
  set("front", 3);
  set("back", 4);
  expect(attachment.phase).toBe("hotplugged");
  set("front", 4);
  expect(attachment.phase).toBe("connected");
  attachments.detach(attachment);
  settle();
  expect([back("online"), back("state"), attachment.phase]).toEqual(["0", "5", "detaching"]);
  set("front", 6);
  expect(attachment.phase).toBe("detaching");
  set("back", 6);
  expect(attachment.phase).toBe("gone");
  expect(world.store.exists(backPath(VBD))).toBe(false);
  expect(world.store.exists(frontPath(VBD))).toBe(false);
  expect(attachments.find(1, 51712)).toBeUndefined();
});

it("is connected when both ends are, whichever comes first", () => {
  const attachment = attach();
  set("back", 2);
  set("front", 4);
  expect(attachment.phase).toBe("hotplugged");
  set("back", 4);
  expect(attachment.phase).toBe("connected");
});

it("the ladder: each state once, in order, with its end", () => {
  const attachment = attach();
  set("back", 2);
  set("front", 3);
  set("front", 3);
  set("back", 4);
  set("front", 4);
  expect(attachment.ladder.map(({ end, state }) => `${end} ${state}`)).toEqual([
    "front 1",
    "back 1",
    "back 2",
    "front 3",
    "back 4",
    "front 4",
  ]);
  const times = attachment.ladder.map(({ at }) => at);
  expect([...times].sort((a, b) => a - b)).toEqual(times);
});

it("a device of the back end's own domain: looked up there", () => {
  answer = { path: "/dev/ram0", major: 1, minor: 0 };
  const attachment = attach("phy:/dev/ram0,raw,xvda,w");
  set("back", 2);
  expect(asked).toEqual(["0 /dev/ram0"]);
  expect(back("physical-device")).toBe("1:0");
  expect(attachment.problem).toBeNull();
});

it("a device that the back end's domain does not have: hotplug-status error, and the attachment says why", () => {
  const attachment = attach("phy:/dev/none,raw,xvda,w");
  set("back", 2);
  expect(back("hotplug-status")).toBe("error");
  expect(attachment.problem).toBe("domain 0 has no block device /dev/none");
});

it("detaching an end that is already closed ends at once", () => {
  const attachment = attach();
  set("back", 6);
  attachments.detach(attachment);
  expect(attachment.phase).toBe("gone");
});

it("dropping takes the host disk away, whatever the drivers say, and once", () => {
  const before = world.machine.hv.ledger();
  const attachment = attach();
  set("back", 2);
  attachments.drop(attachment);
  attachments.drop(attachment);
  expect(attachment.phase).toBe("gone");
  settle();
  expect(world.machine.hv.ledger()).toEqual(before);
});

it("what the drivers write after the end changes nothing", () => {
  const attachment = attach();
  attachments.drop(attachment);
  world.store.write(`${frontPath(VBD)}/state`, "4");
  settle();
  expect(attachment.phase).toBe("gone");
  expect(attachments.onStateChange("1 front")).toBeNull();
});
