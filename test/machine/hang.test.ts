/** The V8 engine in the caller's own thread, where nobody watches from outside: a guest that does not return must not take the caller along. */
import { beforeAll, expect, it } from "vitest";
import { type Image, Machine, MachineError } from "xenolith";
import { bootMachine, onEngine, packageImage, testConfig } from "xenolith/kit";
import { buildHostileImage } from "./hostile-image";

let image: Image;
beforeAll(async () => {
  image = await buildHostileImage();
});

/** A booted machine whose guests may run for so long, wall ms. */
async function bootLimited(guestLimitMs: number): Promise<Machine> {
  const machine = await Machine.create({ image, config: testConfig(), engine: "v8", guestLimitMs });
  machine.boot();
  return machine;
}

onEngine("v8", "a guest that does not return", ({ adopt }) => {
  it("ends the machine with an error that names it, and every later call with the same one", async () => {
    const machine = adopt(await bootLimited(1500));
    let first: unknown;
    try {
      machine.run("domU", "insmod hostile how=loop");
    } catch (error) {
      first = error;
    }
    expect(first).toBeInstanceOf(MachineError);
    expect(first).toMatchObject({
      kind: "hang",
      message: expect.stringMatching(/^domU \(vCPU 0\) has run for 1\.5 s without a pause, in its own code/) as string,
    });
    expect(() => machine.advance(1)).toThrow(MachineError);
    expect(() => machine.runWhile(() => true, 1)).toThrow(/^domU \(vCPU 0\)/);
  });

  it("does not make the thread unfit for another machine", async () => {
    const machine = adopt(await bootLimited(1500));
    expect(() => machine.run("domU", "insmod hostile how=loop")).toThrow(MachineError);
    const other = adopt(await bootMachine({ engine: "v8" }));
    expect(other.run("domU", "echo still here").output).toBe("still here\n");
  });

  it("is told from a caller that takes its time: only an exception of its own comes through", async () => {
    const machine = adopt(await Machine.create({ image: packageImage(), config: testConfig(), engine: "v8" }));
    machine.boot();
    const thrown = new Error("the caller's own");
    const pending = () => {
      throw thrown;
    };
    expect(() => machine.runWhile(pending, 1e9)).toThrow(thrown);
    expect(machine.run("domU", "echo well").output).toBe("well\n");
  });
});
