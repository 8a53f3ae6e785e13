import { beforeEach, expect, it } from "vitest";
import { Programs, execPath, readyPath } from "../../../../hal/host/toolstack/programs";
import type { BackingDevice } from "../../../../hal/host/toolstack/vbd";
import { ToolstackWorld } from "./toolstack-world";

let world: ToolstackWorld;
let programs: Programs;
let console: string;
let found: [number, BackingDevice | null][];

beforeEach(() => {
  world = new ToolstackWorld();
  console = "boot messages\n";
  found = [];
  programs = new Programs(
    world.store,
    () => console,
    (serial, device) => void found.push([serial, device]),
  );
});

/** What the guest does: writes to its console, then how the program ended. */
function end(number: number, status: string, output = ""): void {
  console += output;
  world.store.write(`${execPath(1)}/${number}/status`, status);
  programs.poll();
}

it("a command is a node of the guest's own, numbered in order; its end brings status and output", () => {
  const first = programs.start(1, "ls /dev");
  const second = programs.start(1, "lsblk");
  expect(world.tree(execPath(1))).toMatchObject({
    [`${execPath(1)}/0`]: ["ls /dev", "n1"],
    [`${execPath(1)}/1`]: ["lsblk", "n1"],
  });
  programs.poll();
  expect([first.status, second.status]).toEqual([null, null]);
  expect(programs.running()).toEqual([first, second]);
  end(0, "0", "null zero\n");
  expect(first).toMatchObject({ status: 0, output: "null zero\n" });
  expect(programs.running()).toEqual([second]);
  end(1, "2");
  expect(second.status).toBe(2);
  expect(programs.running()).toEqual([]);
});

it("domains count for themselves", () => {
  programs.start(1, "true");
  expect(programs.start(0, "true").number).toBe(0);
  expect(programs.start(1, "true").number).toBe(1);
});

it.each([
  ["0", 0],
  ["255", 255],
  ["256", 255],
  ["-1", 255],
  ["", 255],
  ["1e2", 255],
  ["ok", 255],
])("a status that says %j is %i", (text, status) => {
  const execution = programs.start(1, "true");
  end(0, text);
  expect(execution.status).toBe(status);
});

it.each<[string, string, string, BackingDevice | null]>([
  ["is there", "0", "7:16\n", { path: "/dev/loop1", major: 7, minor: 16 }],
  ["is not there", "1", "cat: /sys/class/block/loop1/dev: No such file or directory\n", null],
  ["answers nonsense", "0", "seven\n", null],
])("statDevice: a device that %s", (_what, status, output, device) => {
  programs.statDevice(1, "/dev/loop1", 5);
  expect(programs.running()).toEqual([]);
  expect(world.store.read(`${execPath(1)}/0`)).toBe("cat /sys/class/block/loop1/dev");
  end(0, status, output);
  expect(found).toEqual([[5, device]]);
});

it("a restored state goes on: what ran then runs again, and its end is noticed", () => {
  programs.start(1, "sleep 1");
  programs.statDevice(1, "/dev/loop1", 5);
  const saved = structuredClone(programs.state);
  const tree = world.tree("/local/domain/1/control");
  end(0, "0");
  programs.start(1, "true");
  programs.restore(structuredClone(saved));
  expect(programs.running().map(({ command, status }) => [command, status])).toEqual([["sleep 1", null]]);
  for (const path of Object.keys(tree)) world.store.write(path, (tree[path] as string[])[0]);
  const [again] = programs.running();
  end(0, "7");
  expect(again).toMatchObject({ status: 7, output: "" });
  end(1, "0", "7:16\n");
  expect(found).toEqual([[5, { path: "/dev/loop1", major: 7, minor: 16 }]]);
  expect(programs.start(1, "true").number).toBe(2);
});

it("the paths", () => {
  expect([execPath(3), readyPath(3)]).toEqual(["/local/domain/3/control/exec", "/local/domain/3/control/feature-exec"]);
});
