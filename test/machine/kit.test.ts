import * as fs from "node:fs";
import { afterEach, expect, it } from "vitest";
import { type Machine, RamDisk } from "xenolith";
import {
  bootMachine,
  checkLedger,
  compareLedgers,
  complaints,
  defaultSeed,
  makeDiskFile,
  ramBytes,
  replayLine,
  searchLog,
  takeLedger,
  tamperedDisk,
  testConfig,
} from "xenolith/kit";

const machines: Machine[] = [];
afterEach(() => machines.splice(0).forEach((machine) => machine.dispose()));

async function boot(options: Parameters<typeof bootMachine>[0] = {}): Promise<Machine> {
  const machine = await bootMachine({ engine: "v8", ...options });
  machines.push(machine);
  return machine;
}

it("checkLedger: is content when nothing changed, and lists each count that did", async () => {
  const machine = await boot({ disks: [] });
  const before = takeLedger(machine);
  checkLedger(machine, before);
  machine.attachDisk("domU", "ram:256K,raw,xvda,w");
  machine.waitForDisks();
  expect(() => checkLedger(machine, before)).toThrow(
    /the ledger is not what it was before:\n(.*\n)*  dom0 \(domain 0\) mappings: 0 before, 1 after/,
  );
  machine.detachDisk("domU", "xvda");
  checkLedger(machine, before);
});

it("compareLedgers: a watch, a transaction and a domain more are seen", async () => {
  const machine = await boot({ disks: [] });
  const before = takeLedger(machine);
  machine.xenstore.watch("/tool", "x");
  const { id } = machine.xenstore;
  expect(compareLedgers(before, takeLedger(machine))).toEqual([
    expect.stringMatching(new RegExp(`^xenstore client ${id} watches: \\d+ before, \\d+ after$`)) as string,
  ]);
  machine.xenstore.unwatch("/tool", "x");
  machine.destroy("domU");
  expect(compareLedgers(before, takeLedger(machine)).join("\n")).toMatch(
    /domU \(domain 1\) frames: 4096 before, none after/,
  );
});

it("complaints: what a kernel warns of is found, ordinary lines are not", async () => {
  const machine = await boot({ disks: [] });
  expect(complaints(machine)).toEqual([]);
  machine.hypervisor.domain(1).log.push({ at: 1, text: "<4>[    0.000001] WARNING: CPU: 0 PID: 1 Comm: init" });
  expect(complaints(machine)).toHaveLength(1);
  expect(searchLog(machine, "domU", /Command line/)).toHaveLength(1);
});

it("replayLine: one line that runs the test again and says what the machine was", async () => {
  const options = { engine: "v8" as const, seed: 9, disks: ["ram:1M,raw,xvda,w"], append: { domU: "a=1 b" } };
  const machine = await boot(options);
  const task = { name: "it's (odd)", suite: { name: "v8: x" }, file: { filepath: "test/machine/a.test.ts" } };
  const line = replayLine(task, "v8", { machine, options });
  expect(line).toBe(
    `replay: XENOLITH_SEED=9 npx vitest run test/machine/a.test.ts -t 'v8: x it'\\''s \\(odd\\)'  ` +
      `# xenolith boot --engine v8 --flavour debug --seed 9 --disk ram:1M,raw,xvda,w --append 'domU=a=1 b'`,
  );
});

it("testConfig: the seed comes from the test, or from the environment", () => {
  expect(testConfig({ seed: 5 }).seed).toBe(5);
  expect(testConfig().seed).toBe(defaultSeed());
  expect(testConfig({ guests: [{ name: "a" }, { name: "b", vcpus: 3 }], vcpus: 2 }).domains).toMatchObject([
    { name: "dom0", vcpus: 2, modules: ["hostdisk", "xen-blkback"], disks: [] },
    { name: "a", vcpus: 2, modules: ["xen-blkfront"], disks: ["ram:1M,raw,xvda,w"] },
    { name: "b", vcpus: 3, modules: ["xen-blkfront"], disks: [] },
  ]);
});

it("makeDiskFile: a file of its own, filled, gone when it is removed", () => {
  const file = makeDiskFile(1024, (offset) => offset & 0xff);
  expect([file.read().length, file.read()[300]]).toEqual([1024, 300 & 0xff]);
  file.remove();
  expect(fs.existsSync(file.path)).toBe(false);
});

it("ramBytes: the disk's own bytes; a clear error for a disk that is not there", async () => {
  const machine = await boot();
  expect(ramBytes(machine, "domU", "xvda").length).toBe(1 << 20);
  expect(() => ramBytes(machine, "domU", "xvdb")).toThrow("domU has no disk xvdb");
});

it("tamperedDisk: each way of tampering does what it says, and nothing else", () => {
  const inner = new RamDisk(new Uint8Array(4096).fill(1));
  const disk = tamperedDisk(inner, {
    afterRead: (sector, data) => void (sector === 0 && (data[0] = 9)),
    redirectWrite: (sector) => (sector === 1 ? 2 : sector),
    changeWrite: (sector, data) => (sector === 3 ? data.map(() => 7) : data),
    fail: (op, sector) => (op === "discard" || sector === 7 ? -5 : 0),
  });
  const data = new Uint8Array(512);
  expect([disk.read(0, data), data[0], data[1], inner.bytes[0]]).toEqual([0, 9, 1, 1]);
  expect([disk.write(1, new Uint8Array(512).fill(4)), inner.bytes[512], inner.bytes[1024]]).toEqual([0, 1, 4]);
  expect([disk.write(3, new Uint8Array(512)), inner.bytes[1536]]).toEqual([0, 7]);
  expect([disk.read(7, data), disk.discard(0, 1, "ordinary"), disk.flush()]).toEqual([-5, -5, 0]);
});
