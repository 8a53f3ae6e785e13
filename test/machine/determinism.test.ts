import { describe, expect, it } from "vitest";
import { ENGINE_NAMES, type EngineName, FLAVOURS, type Flavour, RamDisk } from "xenolith";
import { type BootOptions, bootMachine, verifyDisk } from "xenolith/kit";

const SEED = 7;
const RUNS = 10;

/** A whole life of the smallest machine: boot, workload, programs. Returns the trace's hash. */
async function life(options: BootOptions, bytes = new Uint8Array(64 << 10)): Promise<string> {
  const disks = [{ spec: "ram:64K,raw,xvda,w", disk: new RamDisk(bytes) }];
  const machine = await bootMachine({ seed: SEED, disks, ...options });
  try {
    expect(verifyDisk(machine, { blocks: 8, depth: 4 }).verified).toBe(true);
    machine.advance(5_000_000);
    return machine.traceHash();
  } finally {
    machine.dispose();
  }
}

const cases = ENGINE_NAMES.flatMap((engine) => FLAVOURS.map((flavour): [EngineName, Flavour] => [engine, flavour]));
const references = new Map<Flavour, Promise<string>>();

/** The hash that every run of a flavour must give: that of one run in V8. */
async function reference(flavour: Flavour): Promise<string> {
  const known = references.get(flavour) ?? life({ engine: "v8", flavour });
  references.set(flavour, known);
  return known;
}

describe.each(cases)("determinism: %s, %s", (engine, flavour) => {
  it(`gives one hash in ${RUNS} runs, the same as the other engine`, async () => {
    const expected = await reference(flavour);
    expect(expected).toMatch(/^[0-9a-f]{64}$/);
    for (let run = 0; run < RUNS; run++) expect(await life({ engine, flavour }), `run ${run}`).toBe(expected);
  });
});

describe.each(ENGINE_NAMES)("determinism: %s", (engine) => {
  it("gives another hash for another seed, from the boot on", async () => {
    const found = new Set<string>();
    for (const seed of [SEED, SEED + 1, SEED + 2]) {
      const machine = await bootMachine({ engine, seed });
      found.add(machine.traceHash());
      machine.dispose();
    }
    expect(found.size).toBe(3);
  });

  it("gives another hash when one byte of the disk that is read is another", async () => {
    const bytes = new Uint8Array(64 << 10);
    bytes[300] = 1;
    expect(await life({ engine }, bytes)).not.toBe(await reference("debug"));
  });

  it("gives another hash for another input from outside, even one that changes nothing", async () => {
    const found = new Set<string>();
    for (const input of [null, "one", "two"]) {
      const machine = await bootMachine({ engine, seed: SEED });
      if (input !== null) machine.hypervisor.input("note", input);
      found.add(machine.traceHash());
      machine.dispose();
    }
    expect(found.size).toBe(3);
  });

  it("gives the same hash with two vCPUs per domain, run after run", async () => {
    const options = { engine, vcpus: 2 };
    expect(await life(options)).toBe(await life(options));
  });
});

describe("determinism", () => {
  it("keeps every word of the trace when it is asked to, and they are equal in both engines", async () => {
    const traces = [];
    for (const engine of ENGINE_NAMES) {
      const machine = await bootMachine({ engine, seed: SEED, trace: "keep" });
      traces.push(Buffer.from(machine.trace().slice().buffer));
      machine.dispose();
    }
    expect(traces[0].length).toBeGreaterThan(1000);
    expect(traces[0].equals(traces[1])).toBe(true);
  });
});
