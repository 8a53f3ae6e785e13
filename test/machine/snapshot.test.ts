import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  type Attachment,
  type HostDisk,
  Machine,
  type MachineSnapshot,
  RamDisk,
  UserError,
  createNullDisk,
} from "xenolith";
import { type BootOptions, bootMachine, verifyDisk } from "xenolith/kit";

const machines: Machine[] = [];
let folder: string;
beforeEach(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), "xenolith-snapshot-"));
});
afterEach(() => {
  for (const machine of machines.splice(0)) machine.dispose();
  fs.rmSync(folder, { recursive: true });
});

/** Whole numbers below a bound, from a seed (xorshift). */
function random(seed: number): (below: number) => number {
  let word = seed * 2654435761;
  return (below) => {
    word ^= word << 13;
    word ^= word >>> 17;
    word ^= word << 5;
    return (word >>> 0) % below;
  };
}

async function boot(options: BootOptions = {}): Promise<Machine> {
  const machine = await bootMachine({ flavour: "release", seed: 3, ...options });
  machines.push(machine);
  return machine;
}

async function fork(snapshot: MachineSnapshot): Promise<Machine> {
  const machine = await Machine.fromSnapshot(snapshot);
  machines.push(machine);
  return machine;
}

/** A life after the snapshot: programs, writes and reads that are verified, idle time. */
function life(machine: Machine): string {
  expect(verifyDisk(machine, { blocks: 16, depth: 4 }).verified).toBe(true);
  machine.run("domU", "lsblk");
  machine.advance(3_000_000);
  return machine.traceHash();
}

/** Long after everything that happens here, ns. */
const END_NS = 100_000_000;

/** Runs on to a moment at which the programs have ended, which is the same for all that go on from cuts of one run. */
function finish(machine: Machine, at = END_NS): string {
  machine.advance(at - machine.now);
  expect(machine.executions()).toEqual([]);
  return machine.traceHash();
}

describe("a snapshot", () => {
  it("the same life three times: after the snapshot, after a restore, in a fork, and in a machine without any", async () => {
    const machine = await boot();
    const before = machine.ledger();
    const snapshot = machine.snapshot();
    const hash = life(machine);
    expect(machine.traceHash()).not.toBe((await fork(snapshot)).traceHash());
    machine.restore(snapshot);
    expect(machine.ledger()).toEqual(before);
    expect(life(machine)).toBe(hash);
    expect(life(await fork(snapshot))).toBe(hash);
    expect(life(await boot())).toBe(hash);
    // Another life is another one, and leaves no trace in the next.
    machine.restore(snapshot);
    machine.run("domU", "cat /proc/cmdline");
    expect(machine.traceHash()).not.toBe(hash);
    machine.restore(snapshot);
    expect(life(machine)).toBe(hash);
  });

  it("of a snapshot's life, and of that: each goes on by itself; ending one leaves the others alive", async () => {
    const machine = await boot();
    const first = machine.snapshot();
    machine.run("domU", "echo one");
    const second = (await fork(machine.snapshot())).snapshot();
    const child = await fork(second);
    child.run("domU", "echo two");
    const third = child.snapshot();
    const hash = life(child);
    machine.dispose();
    const grandchild = await fork(third);
    child.dispose();
    expect(life(grandchild)).toBe(hash);
    grandchild.restore(first);
    grandchild.run("domU", "echo one");
    grandchild.run("domU", "echo two");
    expect(life(grandchild)).toBe(hash);
  });

  it("carries a kept trace on", async () => {
    const machine = await boot({ trace: "keep" });
    const snapshot = machine.snapshot();
    life(machine);
    const words = machine.trace();
    machine.restore(snapshot);
    life(machine);
    expect(Buffer.from(machine.trace().buffer).equals(Buffer.from(words.buffer))).toBe(true);
  });
});

/** Cuts a run at places that the seed chooses, and lets every cut go on: by restoring, and some in a fork. */
async function cutAndGoOn(machine: Machine, end: (machine: Machine) => string, cuts: number, seed: number) {
  const draw = random(seed);
  const snapshots: MachineSnapshot[] = [];
  for (let cut = 0; cut < cuts; cut++) {
    // Both kinds of places: any virtual time, and between any two slices.
    if (draw(2) === 0) machine.advance(draw(100_000));
    else for (let steps = draw(60); steps > 0 && machine.hypervisor.nextAt() < END_NS; steps--) machine.step();
    snapshots.push(machine.snapshot());
  }
  const inFlight = snapshots.map(({ data }) => data.state.hypervisor.diskRequests.size);
  const hash = end(machine);
  for (const [index, snapshot] of snapshots.entries()) {
    machine.restore(snapshot);
    expect(end(machine), `seed ${seed}, cut ${index}`).toBe(hash);
    if (index % 4 !== 0) continue;
    const other = await fork(snapshot);
    expect(end(other), `seed ${seed}, fork of cut ${index}`).toBe(hash);
    other.dispose();
  }
  return { inFlight, snapshots };
}

describe("a snapshot at any moment", () => {
  it.each([1, 2])("requests in flight, grants mapped, timers pending (seed %i)", async (seed) => {
    const machine = await boot({ disks: ["ram:1M,raw,xvda,w", "ram:1M,raw,xvdb,w"] });
    machine.start("domU", `verify /dev/xvda blocks=48 depth=16 seed=${seed}`);
    machine.start("dom0", "ps");
    machine.runWhile(() => machine.ledger().diskRequestsInFlight < 2, 5e9);
    const { inFlight } = await cutAndGoOn(machine, finish, 12, seed);
    expect(Math.max(...inFlight)).toBeGreaterThan(0);
  });

  it("several vCPUs in both domains, and queues of their own", async () => {
    const machine = await boot({ vcpus: 2, append: { dom0: "xen_blkback.max_queues=2" } });
    machine.start("domU", "verify /dev/xvda blocks=32 depth=16 seed=5");
    await cutAndGoOn(machine, finish, 8, 11);
  });

  it("the boot itself: kernels half evaluated, xenstore transactions half done, drivers half connected", async () => {
    const config = { flavour: "release", seed: 3 } as const;
    const end = (one: Machine): string => (one.boot(), finish(one));
    const machine = await boot(config);
    const { image, data } = machine.snapshot();
    const hash = finish(machine);
    const fresh = await Machine.create({ image, config: data.origin.config, ...config });
    machines.push(fresh);
    await cutAndGoOn(fresh, end, 7, 5);
    expect(fresh.traceHash()).toBe(hash);
    // A guest's transaction is open.
    const young = await Machine.create({ image, config: data.origin.config, ...config });
    machines.push(young);
    expect(young.runWhile(() => young.xenstored.state.transactions.size === 0, 1e9)).toBe(true);
    const half = young.snapshot();
    expect(half.data.state.xenstored.transactions.size).toBe(1);
    expect(end(young)).toBe(hash);
    young.restore(half);
    expect(end(young)).toBe(hash);
    expect(end(await fork(half))).toBe(hash);
  });

  it("a domain that is paused, in the middle of its requests", async () => {
    const machine = await boot();
    machine.start("domU", "verify /dev/xvda blocks=32 depth=8 seed=9");
    machine.runWhile(() => machine.ledger().diskRequestsInFlight < 3, 5e9);
    machine.pause("domU");
    const snapshot = machine.snapshot();
    const end = (one: Machine): string => {
      one.advance(5_000_000);
      expect(one.domain("domU").state.pauseCount).toBe(1);
      one.unpause("domU");
      return finish(one);
    };
    const hash = end(machine);
    machine.restore(snapshot);
    expect(end(machine)).toBe(hash);
    expect(end(await fork(snapshot))).toBe(hash);
  });

  it("a disk of dom0's own that the hotplug script is just looking up", async () => {
    const machine = await boot({ dom0: { modules: ["brd", "hostdisk", "xen-blkback"], cmdline: "brd.rd_nr=1" } });
    machine.attachDisk("domU", "phy:/dev/ram0,raw,xvdb,w");
    const looksUp = ({ data }: MachineSnapshot): boolean =>
      data.state.programs.waiters.some(({ stat }) => stat !== null);
    let snapshot = machine.snapshot();
    while (!looksUp(snapshot)) {
      expect(machine.step()).toBe(true);
      snapshot = machine.snapshot();
    }
    const end = (one: Machine): string => (one.waitForDisks(), life(one));
    const hash = end(machine);
    machine.restore(snapshot);
    expect(end(machine)).toBe(hash);
    expect(end(await fork(snapshot))).toBe(hash);
  });
});

describe("restoring", () => {
  it("into a machine that has grown, lost domains and got others since", async () => {
    const machine = await boot({ guests: [{ name: "domU" }, { name: "other" }] });
    const snapshot = machine.snapshot();
    const hash = life(machine);
    const size = snapshot.data.engine.memory.length;
    const { config } = machine.domain("other");
    machine.destroy("other");
    machine.createDomain({ ...config, name: "young" });
    machine.boot();
    machine.detachDisk("domU", "xvda");
    machine.attachDisk("domU", "ram:2M,raw,xvdc,w");
    machine.waitForDisks();
    for (let i = 0; i < 3; i++) {
      machine.destroy("young");
      machine.createDomain({ ...config, name: "young", heapBytes: 128 << 20 });
      machine.boot();
    }
    expect(machine.hypervisor.context.memory.u8.length).toBeGreaterThanOrEqual(size);
    machine.restore(snapshot);
    expect(machine.domainNames()).toEqual(["dom0", "domU", "other"]);
    expect(machine.attachedDisks().map(({ vbd }) => vbd.name)).toEqual(["xvda"]);
    expect(life(machine)).toBe(hash);
    machine.run("other", "lsblk");
  });

  it("is exact in memory that has grown: a domain's end by its heap comes where it came", async () => {
    const machine = await boot({ guests: [{ name: "domU" }, { name: "other" }] });
    const snapshot = machine.snapshot();
    const { config } = machine.domain("other");
    machine.destroy("other");
    machine.createDomain(config);
    machine.boot();
    machine.restore(snapshot);
    const again = machine.snapshot();
    const { pages, end } = snapshot.data.engine.memory;
    expect(again.data.engine.memory.end).toBe(end);
    expect(again.data.engine.heapEndMax).toBe(snapshot.data.engine.heapEndMax);
    expect([...again.data.engine.memory.pages]).toEqual([...pages]);
    expect(Buffer.compare(again.data.engine.memory.bytes, snapshot.data.engine.memory.bytes)).toBe(0);
    expect(again.data.state).toEqual(snapshot.data.state);
  });

  it("RAM disks get their bytes back, in a fork too; a null disk has none", async () => {
    const disk = new RamDisk(new Uint8Array(1 << 20).fill(7));
    const machine = await boot({ disks: [{ spec: "ram:1M,raw,xvda,w", disk }, "null:1M,raw,xvdb,w"] });
    machine.run("domU", "dd if=/dev/zero of=/dev/xvda bs=4k count=4");
    const snapshot = machine.snapshot();
    const bytes = disk.bytes.slice();
    machine.run("domU", "dd if=/dev/zero of=/dev/xvda bs=64k count=16");
    expect(Buffer.compare(disk.bytes, bytes)).not.toBe(0);
    const attachment = machine.attachedDisks().find(({ vbd }) => vbd.name === "xvda") as Attachment;
    const other = (await fork(snapshot)).hostDisk(attachment.diskIndex) as RamDisk;
    expect(Buffer.compare(other.bytes, bytes)).toBe(0);
    machine.restore(snapshot);
    expect(Buffer.compare(disk.bytes, bytes)).toBe(0);
    expect(machine.hostDisk(attachment.diskIndex)).toBe(disk);
  });

  it("a program that ran goes on to its end; what was handed out before stays in the past", async () => {
    const machine = await boot();
    const old = machine.start("domU", "dd if=/dev/xvda of=/dev/null bs=4k count=32");
    machine.advance(50_000);
    const snapshot = machine.snapshot();
    finish(machine);
    expect(old.status).toBe(0);
    machine.restore(snapshot);
    const [execution] = machine.executions();
    expect(execution).toMatchObject({ domid: 1, command: old.command, status: null });
    finish(machine);
    expect(execution).toMatchObject({ status: 0, output: old.output });
  });
});

describe("disk files", () => {
  const file = (): string => path.join(folder, "disk.img");
  /** An old file, whose times tell whether it changes. */
  const makeFile = (): void => {
    fs.writeFileSync(file(), new Uint8Array(1 << 20).fill(9));
    fs.utimesSync(file(), 1e9, 1e9);
  };
  const write = "dd if=/dev/zero of=/dev/xvda bs=4k count=1 seek=3";

  it("one that has changed is refused, whoever changed it, and nothing has happened; put back, it is accepted", async () => {
    makeFile();
    const machine = await boot({ disks: [`${file()},raw,xvda,w`] });
    const snapshot = machine.snapshot();
    const original = fs.readFileSync(file());
    machine.run("domU", write);
    const hash = machine.traceHash();
    expect(() => machine.restore(snapshot)).toThrow(
      expect.objectContaining({
        code: "SNAPSHOT_DISK_CHANGED",
        exitCode: 3,
        message: expect.stringContaining(file()) as string,
      }),
    );
    expect(machine.traceHash()).toBe(hash);
    await expect(Machine.fromSnapshot(snapshot)).rejects.toThrow(UserError);
    // A file that was written a moment ago was known by its digest.
    fs.writeFileSync(file(), original);
    const young = machine.snapshot();
    fs.writeFileSync(file(), original);
    machine.restore(young);
    fs.writeFileSync(file(), original.fill(1, 77, 78));
    expect(() => machine.restore(young)).toThrow(/its SHA-256 was [0-9a-f]{64}/);
  });

  it("with an overlay the file stays as it is, and every life begins with what it held", async () => {
    makeFile();
    const machine = await boot({ disks: [`${file()},raw,xvda,w`], diskWrites: "overlay" });
    machine.run("domU", write);
    const snapshot = machine.snapshot();
    const hash = life(machine);
    machine.restore(snapshot);
    expect(life(machine)).toBe(hash);
    expect(life(await fork(snapshot))).toBe(hash);
    expect(fs.readFileSync(file()).every((byte) => byte === 9)).toBe(true);
    const without = await boot({ disks: [`${file()},raw,xvda,w`] });
    without.run("domU", write);
    expect(life(without)).toBe(hash);
  });
});

describe("what cannot be", () => {
  it("V8 takes no snapshots, and says what to do", async () => {
    const machine = await boot({ engine: "v8" });
    expect(() => machine.snapshot()).toThrow(/engine "v8" takes no snapshots.*use engine "quickjs"/);
  });

  it("a disk object of somebody's own without save() is named", async () => {
    const { info, read, write, flush, discard, close } = createNullDisk(64);
    const own: HostDisk = { info, read, write, flush, discard, close };
    const machine = await boot({ disks: [{ spec: "null:32K,raw,xvdq,w", disk: own }] });
    expect(() => machine.snapshot()).toThrow(/xvdq.*cannot be saved/);
  });

  it("a snapshot of another machine is refused with the first difference", async () => {
    const [one, two] = [await boot(), await boot({ seed: 4 })];
    expect(() => two.restore(one.snapshot())).toThrow(
      expect.objectContaining({ code: "SNAPSHOT_SEED", message: expect.stringContaining("3, not 4") as string }),
    );
    const three = await boot({ dom0: { vcpus: 2 } });
    expect(() => three.restore(one.snapshot())).toThrow(/machine file \(domains\[0\].vcpus\): 1, not 2/);
  });

  it("not from inside of the machine, nor after its end", async () => {
    const problems: string[] = [];
    const attempt = (machine: Machine): void => {
      try {
        machine.snapshot();
      } catch (error) {
        problems.push((error as Error).message);
      }
    };
    let inside: Machine | null = null;
    const machine = await boot({ onLog: () => inside && attempt(inside) });
    inside = machine;
    machine.attachDisk("domU", "ram:1M,raw,xvdb,w");
    machine.waitForDisks();
    expect(problems[0]).toMatch(/snapshot is called from inside of the machine/);
    inside = null;
    machine.dispose();
    attempt(machine);
    expect(problems.at(-1)).toMatch(/disposed/);
  });
});
