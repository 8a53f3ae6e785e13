/** What a guest that goes wrong while it works, or a dom0, can do to the others: nothing. QuickJS, with a neighbour's verified I/O beside it. */
import * as fs from "node:fs";
import { beforeAll, expect, it } from "vitest";
import { type Image, type LogLine, type Machine, MachineError, readImage } from "xenolith";
import { bootMachine, onEngine, ramBytes, searchLog, settle, verifyDisk } from "xenolith/kit";
import { scratchFolder } from "../hal/host/cli/run";
import { runXenolith } from "../hal/host/runner/processes";
import { hostileImageBytes } from "./hostile-image";

const NEIGHBOUR = "neighbour";
const DISK = "ram:256K,raw,xvda,w";
const FRAME = 4096;
const GONE = /^domain dom0 is gone: /;

const at = scratchFolder();
let image: Image;
beforeAll(async () => {
  const bytes = await hostileImageBytes();
  fs.writeFileSync(at("hostile.img"), bytes);
  image = readImage(bytes, "hostile image");
});

/** A machine with the given guests and the neighbour. */
function bootBeside(names: readonly string[], onLog: (line: LogLine) => void = () => undefined): Promise<Machine> {
  const guests = [NEIGHBOUR, ...names].map((name) => ({ name, memoryBytes: 4 << 20, disks: [DISK] }));
  return bootMachine({ image, guests, onLog });
}

/** Lets a domain load a module in the middle of its own and the neighbour's I/O, until the neighbour's has ended well. */
function disturb(machine: Machine, name: string, command: string): void {
  const io = machine.start(NEIGHBOUR, "verify /dev/xvda blocks=32 depth=16 seed=5");
  machine.start(name, "verify /dev/xvda blocks=32 depth=16 seed=6");
  machine.runWhile(() => machine.ledger().domains[1].pins < 4, 1e9);
  const loading = machine.start(name, command);
  machine.runWhile(() => io.status === null, 5e9);
  machine.runWhile(() => loading.status === null && machine.domain(name).state.state === "running", 1e9);
  expect(io.output).toContain('"errors":0,"verified":32');
}

/** The memory of dom0 and of the neighbour. */
function memoryOfOthers(machine: Machine): Buffer {
  const { memory, state } = machine.hypervisor.context;
  const others = new Set([0, machine.domain(NEIGHBOUR).domid]);
  const parts: Uint8Array[] = [];
  state.frames.owner.forEach((owner, frame) => {
    const from = memory.base + frame * FRAME;
    if (others.has(owner)) parts.push(memory.u8.subarray(from, from + FRAME));
  });
  return Buffer.concat(parts);
}

onEngine("quickjs", "a guest that goes wrong at work", ({ adopt }) => {
  it("overwrites its globals, calls when it is dead, or at the end of its stack: nobody else notices", async () => {
    const machine = adopt(await bootBeside(["globals", "after-death", "deep-calls"]));
    for (const name of ["globals", "after-death", "deep-calls"]) disturb(machine, name, `insmod vandal how=${name}`);
    expect(machine.domain("globals").state.report).toMatch(/vandalised/);
    expect(machine.domain("after-death").state).toMatchObject({ state: "shutdown", shutdownReason: 3 });
    expect(searchLog(machine, "after-death", /\] Kernel panic - not syncing: vandal: dead/)).toHaveLength(1);
    for (const name of ["globals", "after-death", "deep-calls"]) machine.destroy(name);
    settle(machine);
    const { domains, framesOrphaned } = machine.ledger();
    expect({ left: domains.map(({ name, mappings }) => [name, mappings]), framesOrphaned }).toEqual({
      left: [
        ["dom0", 1],
        [NEIGHBOUR, 0],
      ],
      framesOrphaned: 0,
    });
    expect(verifyDisk(machine, { domain: NEIGHBOUR, blocks: 16 }).verified).toBe(true);
  });

  it("calls everything with garbage: not a byte of another domain's memory or disk changes meanwhile", async () => {
    const seen: Buffer[] = [];
    const look = (): void => void seen.push(memoryOfOthers(machine), Buffer.from(ramBytes(machine, NEIGHBOUR, "xvda")));
    const machine = adopt(
      await bootBeside(["garbage"], ({ text }) => /hostile: (calling|0 calls accepted)/.test(text) && look()),
    );
    disturb(machine, "garbage", "insmod hostile how=hypercalls");
    expect(seen).toHaveLength(4);
    expect(seen[0].length).toBeGreaterThan(8 << 20);
    expect([seen[0].equals(seen[2]), seen[1].equals(seen[3])]).toEqual([true, true]);
  });
});

onEngine("quickjs", "a dom0 that goes wrong at work", ({ adopt, expectComplaints }) => {
  it.each(["vandal how=globals", "vandal how=after-death", "hostile how=loop", "hostile how=stack"])(
    "%s: whoever waits for the guest's I/O gets an error that says so, again and again",
    async (module) => {
      const machine = adopt(await bootBeside([]));
      expectComplaints(machine);
      const io = machine.start(NEIGHBOUR, "verify /dev/xvda blocks=32 depth=16 seed=5");
      machine.runWhile(() => machine.ledger().domains[1].pins < 4, 1e9);
      for (let time = 0; time < 2; time++) {
        let error: unknown;
        try {
          machine.run("dom0", `insmod ${module}`);
          machine.run("dom0", "lsmod");
        } catch (thrown) {
          error = thrown;
        }
        expect(error).toBeInstanceOf(MachineError);
        expect((error as MachineError).message).toMatch(GONE);
      }
      expect(io.status).not.toBe(0);
    },
  );
});

onEngine("quickjs", "a builtin that does not return", () => {
  it.each(["join", "sort"])("%s: the watchdog ends the machine, and names the guest", async (how) => {
    const argv = ["boot", "--image", "hostile.img", "-q", "--disk", "ram:1M", "--exec", `insmod vandal how=${how}`];
    const { code, stderr } = await runXenolith([...argv, "--watchdog", "1"], at("."));
    expect(stderr).toMatch(/^xenolith: watchdog: \S+ \(vCPU 0\) has run for 1 s without a pause.*\n$/);
    expect(code).toBe(124);
  });
});
