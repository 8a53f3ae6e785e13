import { expect, it } from "vitest";
import { onEveryEngine, verifyDisk } from "xenolith/kit";

/** Where in a value something is that no snapshot could hold: functions, symbols, objects of a class. Plain data gives none. */
function unclonable(value: unknown, at: string, seen = new Set<unknown>()): string[] {
  if (typeof value === "function" || typeof value === "symbol") return [`${at}: a ${typeof value}`];
  if (typeof value !== "object" || value === null || seen.has(value)) return [];
  seen.add(value);
  if (ArrayBuffer.isView(value)) return [];
  if (value instanceof Map)
    return [...value].flatMap(([key, entry]) => unclonable(entry, `${at}[${String(key)}]`, seen));
  if (value instanceof Set) return [...value].flatMap((entry, i) => unclonable(entry, `${at}{${i}}`, seen));
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== Array.prototype && prototype !== null)
    return [`${at}: of a class`];
  return Object.entries(value).flatMap(([key, entry]) => unclonable(entry, `${at}.${key}`, seen));
}

onEveryEngine("state of a machine", ({ boot }) => {
  it("is plain data that structuredClone copies exactly, at rest and with requests in flight", async () => {
    const machine = await boot();
    const check = (): void => {
      for (const state of [machine.hypervisor.state, machine.xenstored.state]) {
        expect(unclonable(state, "state")).toEqual([]);
        expect(structuredClone(state)).toEqual(state);
      }
    };
    check();
    const execution = machine.start("domU", "verify /dev/xvda blocks=32 depth=16 seed=3");
    machine.runWhile(() => machine.ledger().diskRequestsInFlight < 4, 5e9);
    check();
    machine.runWhile(() => execution.status === null, 5e9);
    expect(execution.status).toBe(0);
  });

  it("names nobody who looks: a machine that was cloned goes on as one that was not", async () => {
    const hashes = [];
    for (const looks of [true, false]) {
      const machine = await boot();
      if (looks) structuredClone([machine.hypervisor.state, machine.xenstored.state]);
      expect(verifyDisk(machine, { blocks: 8 }).verified).toBe(true);
      hashes.push(machine.traceHash());
    }
    expect(hashes[0]).toBe(hashes[1]);
  });
});

it("unclonable: finds what is not plain data, wherever it is", () => {
  const planted = {
    a: [new Map([["k", { deep: () => 1 }]])],
    b: new Set([new Date(0)]),
    c: Symbol("s"),
    d: new Uint8Array(1),
  };
  expect(unclonable(planted, "x")).toEqual(["x.a.0[k].deep: a function", "x.b{0}: of a class", "x.c: a symbol"]);
});
