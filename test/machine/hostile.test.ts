import { beforeAll, expect, it } from "vitest";
import { type Image, type Machine, MachineError } from "xenolith";
import { bootMachine, onEngine, onEveryEngine, ramBytes, searchLog, settle, verifyDisk } from "xenolith/kit";
import { buildHostileImage } from "./hostile-image";

/** What a guest can do to itself, and what its death is called. */
const DEATHS = {
  init: /TypeError: thrown by the init function/,
  timer: /TypeError: thrown by a timer/,
  interrupt: /TypeError: thrown by an interrupt handler/,
  stack: /stack/i,
  "read-unmapped": /Fatal exception/,
  "write-unmapped": /Fatal exception/,
};
/** V8 contains neither of these. */
const QUICKJS_DEATHS = { ...DEATHS, loop: /interrupted/, heap: /out of memory|heap grew beyond/i };

const BYSTANDER = "bystander";
const DISK = "ram:256K,raw,xvda,w";
const SHUTDOWN_CRASH = 3;

let image: Image;
beforeAll(async () => {
  image = await buildHostileImage();
});

/** A machine with a guest for each way to die, and one that only wants its disk. */
async function bootVictims(engine: "quickjs" | "v8", names: readonly string[]): Promise<Machine> {
  const guests = [BYSTANDER, ...names].map((name) => ({ name, memoryBytes: 4 << 20, disks: [DISK] }));
  return bootMachine({ engine, image, guests });
}

/** Lets one guest kill itself while the bystander's verified I/O is under way. */
function kill(machine: Machine, name: string): void {
  const io = machine.start(BYSTANDER, "verify /dev/xvda blocks=32 depth=16 seed=5");
  machine.runWhile(() => machine.ledger().domains[1].pins < 4, 1e9);
  machine.start(name, `insmod hostile how=${name}`);
  machine.runWhile(() => machine.domain(name).state.state === "running", 1e9);
  machine.runWhile(() => io.status === null, 5e9);
  expect(io.output).toContain('"errors":0,"verified":32');
}

for (const [engine, deaths] of [
  ["quickjs", QUICKJS_DEATHS],
  ["v8", DEATHS],
] as const) {
  onEngine(engine, "a guest that cannot go on", ({ adopt }) => {
    it("dies alone, with a report, while another guest's verified I/O goes on, and leaves nothing in dom0", async () => {
      const machine = adopt(await bootVictims(engine, Object.keys(deaths)));
      for (const [name, report] of Object.entries(deaths)) {
        kill(machine, name);
        const { state, shutdownReason } = machine.domain(name).state;
        expect({ name, state, shutdownReason }).toEqual({ name, state: "shutdown", shutdownReason: SHUTDOWN_CRASH });
        expect(machine.domain(name).state.report).toMatch(report);
        expect(() => machine.run(name, "lsmod")).toThrow(MachineError);
        expect(() => machine.run(name, "lsmod")).toThrow(new RegExp(`domain ${name} is gone: `));
      }
      for (const name of Object.keys(deaths)) machine.destroy(name);
      settle(machine);
      const { domains, framesOrphaned } = machine.ledger();
      expect(domains.map(({ name, mappings }) => [name, mappings])).toEqual([
        ["dom0", 1],
        [BYSTANDER, 0],
      ]);
      expect(framesOrphaned).toBe(0);
      expect(verifyDisk(machine, { domain: BYSTANDER, blocks: 16 }).verified).toBe(true);
    });
  });
}

/** What page faults said, in any engine. */
const faults = new Set<string>();

onEveryEngine("a guest that goes wrong and lives", ({ boot, expectComplaints }) => {
  it("makes hypercalls with garbage: each is refused, and nothing else happens", async () => {
    const machine = await boot({ image });
    const before = Buffer.from(ramBytes(machine, "domU", "xvda"));
    expect(machine.run("domU", "insmod hostile how=hypercalls")).toEqual({ status: 0, output: "" });
    expect(searchLog(machine, "domU", /hostile: .* took garbage/)).toEqual([]);
    expect(searchLog(machine, "domU", "hostile: 0 calls accepted")).toHaveLength(1);
    expect(before.equals(ramBytes(machine, "domU", "xvda"))).toBe(true);
    expect(verifyDisk(machine, { blocks: 16 }).verified).toBe(true);
  });

  it("loads a module with a symbol that nobody exports: the log says which, insmod fails, nothing is left", async () => {
    const machine = await boot({ image });
    const { status, output } = machine.run("domU", "insmod needy");
    expect({ status, output }).toEqual({
      status: 1,
      output: expect.stringContaining("Unknown symbol in module") as string,
    });
    expect(searchLog(machine, "domU", "needy: Unknown symbol a_symbol_that_nobody_exports (err -2)")).toHaveLength(1);
    expect(machine.run("domU", "lsmod").output).not.toContain("needy");
  });

  it("loads a module that refuses, that is not there, or that is there already", async () => {
    const machine = await boot({ image });
    expect(machine.run("domU", "insmod hostile how=nothing").status).toBe(1);
    expect(machine.run("domU", "insmod ghost").status).toBe(1);
    expect(machine.run("domU", "lsmod").output).not.toContain("hostile");
    expect(machine.run("domU", "insmod xen-blkfront").output).toMatch(/File exists/);
  });

  it("says in its log that it used a page after the unmap, and where", async () => {
    const machine = await boot({ image });
    expectComplaints(machine);
    expect(() => machine.run("domU", "insmod hostile how=read-unmapped")).toThrow(MachineError);
    expect(searchLog(machine, "domU", "hostile: mapped, word 3 is 600dda7a")).toHaveLength(1);
    expect(
      searchLog(machine, "domU", /BUG: unable to handle page fault: read at offset 12 of mfn \d+, gref \d+/),
    ).toHaveLength(1);
    expect(searchLog(machine, "domU", "hostile: survived")).toEqual([]);
    expect(
      machine
        .log("domU")
        .map(({ text }) => text)
        .join("\n"),
    ).toMatch(/modules\/hostile\.ts:\d+:\d+/);
  });

  it("names the task that unmapped the page, and when, without being asked to record it", async () => {
    const machine = await boot({ image });
    expectComplaints(machine);
    expect(() => machine.run("domU", "insmod hostile how=read-unmapped")).toThrow(MachineError);
    const [fault] = searchLog(machine, "domU", "BUG: unable to handle page fault");
    const [, at, who] =
      /; unmapped at \[ {4}(\d\.\d{6})\] by (\S+) \(page_owner=on says from where\)$/.exec(fault.text) ?? [];
    expect(who).toMatch(/^insmod\/\d+$/);
    const late = searchLog(machine, "domU", "hostile: unmapped")[0].at / 1e9 - Number(at);
    expect(late).toBeGreaterThanOrEqual(0);
    expect(late).toBeLessThan(0.0001);
    faults.add(fault.text);
    expect([...faults]).toEqual([fault.text]);
  });

  it("says with page_owner=on from where the page was unmapped too", async () => {
    const machine = await boot({ image, append: { domU: "page_owner=on" } });
    expectComplaints(machine);
    expect(() => machine.run("domU", "insmod hostile how=write-unmapped")).toThrow(MachineError);
    const text = machine
      .log("domU")
      .map((line) => line.text)
      .join("\n");
    expect(text).toMatch(
      /write at offset 12 of mfn \d+, gref \d+; unmapped at \[[ .\d]+\] by insmod\/\d+ from\n[^]*gnttab_unmap_refs/,
    );
  });

  it("uses a page after the unmap in a release build, where accesses are not checked: a fault all the same", async () => {
    const machine = await boot({ image, flavour: "release" });
    expectComplaints(machine);
    expect(() => machine.run("domU", "insmod hostile how=write-unmapped")).toThrow(MachineError);
    expect(searchLog(machine, "domU", "hostile: survived")).toEqual([]);
  });
});

onEveryEngine("dom0 that cannot go on", ({ adopt, engine }) => {
  it("is a clear error for whoever waits for a guest's I/O", async () => {
    const machine = adopt(await bootMachine({ engine, image }));
    expect(() => machine.run("dom0", "insmod hostile how=init")).toThrow(
      /domain dom0 is gone: TypeError: thrown by the init function/,
    );
  });
});
