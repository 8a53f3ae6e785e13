import { afterEach, describe, expect, it } from "vitest";
import { CONTROL_RAN } from "../../../../hal/abi/control";
import type { DomainSpec, Engine } from "../../../../hal/host/engines/engine";
import { copyQuickJSEngine, createQuickJSEngine } from "../../../../hal/host/engines/quickjs";
import { createV8Engine } from "../../../../hal/host/engines/v8";
import { UserError } from "../../../../hal/host/errors";
import type { GuestDomain } from "../../../../hal/host/hypervisor/guest-domain";

const FRAMES = 2000;
const engines: Engine[] = [];
afterEach(() => engines.splice(0).forEach((engine) => engine.dispose()));

/** A guest that keeps a count in a generator, a promise's closure, a Map and its RAM; page 700 is touched by the 5th entry only. */
const KERNEL = `(function (__ksym, exports) {
  let hal, heard = 0;
  const seen = new Map();
  function* count() { for (let i = 1; ; i++) yield i; }
  const counter = count();
  exports.boot = (h) => { hal = h; h.page(3)[0] = 7; };
  exports.enter = () => {
    const n = counter.next().value;
    seen.set(n, "x".repeat(n));
    heard += hal.hypercall(1, n, 0, 0);
    hal.page(3)[1] = n;
    hal.page(3)[2] = seen.size;
    hal.page(3)[3] = heard;
    if (n === 5) hal.page(700)[9] = 99;
    if (n === 8) for (let i = 0; i < 200000; i++) seen.set(-i - 1, [i]);
    hal.control[${CONTROL_RAN}] = 1;
  };
})`;

function spec(domid: number, more: Partial<DomainSpec> = {}): DomainSpec {
  return {
    slot: domid,
    domid,
    mfnBase: 2 + 900 * domid,
    pages: 900,
    controlMfn: domid,
    limits: { heap: 64 << 20, stack: 128 << 10, fuel: 4000 },
    kernel: { code: KERNEL, file: "kernel.js" },
    bundle: () => null,
    manifest: () => null,
    list: () => [],
    hypercall: (_op, n) => n * 10,
    mayAccess: () => false,
    isDying: () => false,
    ...more,
  };
}

async function make(): Promise<Engine> {
  const engine = await createQuickJSEngine(FRAMES, 128 << 20);
  engines.push(engine);
  return engine;
}

function words(engine: Engine, domid: number): number[] {
  const at = (engine.memory.base + (2 + 900 * domid + 3) * 4096) / 4;
  return [...engine.memory.u32.subarray(at, at + 4)];
}

function enter(domain: GuestDomain, times: number): void {
  for (let i = 0; i < times; i++) domain.enter();
}

/** Frames that hold something but are said to be zero. */
function forgotten(engine: Engine): number[] {
  const { base, frameCount, touched, u32 } = engine.memory;
  const frames = Array.from({ length: frameCount }, (_, frame) => frame);
  return frames.filter((frame) => {
    const at = base / 4 + frame * 1024;
    return touched[frame] === 0 && u32.subarray(at, at + 1024).some((word) => word !== 0);
  });
}

describe("a copy of the QuickJS engine", () => {
  it("restore: generators, Maps and RAM go on where the copy was taken, whatever came after", async () => {
    const engine = await make();
    const first = engine.createDomain(spec(0));
    first.start();
    enter(first, 3);
    const saved = engine.save();
    enter(first, 6);
    expect(words(engine, 0).slice(0, 2)).toEqual([7, 9]);
    const grown = engine.memory.u8.length;
    expect(grown).toBeGreaterThan(saved.memory.length);
    for (let round = 0; round < 3; round++) {
      const domain = engine.restore(saved, spec).get(0) as GuestDomain;
      expect(words(engine, 0)).toEqual([7, 3, 3, 60]);
      enter(domain, 2);
      expect(words(engine, 0)).toEqual([7, 5, 5, 150]);
      expect(forgotten(engine)).toEqual([]);
    }
    expect(engine.memory.u8.length).toBe(grown);
  });

  it("restore: what was zero is zero again, domains made since are gone, those disposed of since are back", async () => {
    const engine = await make();
    const old = engine.createDomain(spec(0));
    old.start();
    enter(old, 3);
    const saved = engine.save();
    enter(old, 3);
    old.dispose();
    const young = engine.createDomain(spec(1));
    young.start();
    enter(young, 6);
    expect(words(engine, 1)).toEqual([7, 6, 6, 210]);
    const domains = engine.restore(saved, spec);
    expect([...domains.keys()]).toEqual([0]);
    expect(words(engine, 1)).toEqual([0, 0, 0, 0]);
    expect(forgotten(engine)).toEqual([]);
    const page = (engine.memory.base + (2 + 700) * 4096) / 4;
    expect(engine.memory.u32[page + 9]).toBe(0);
    young.dispose();
    enter(domains.get(0) as GuestDomain, 1);
    expect(words(engine, 0)).toEqual([7, 4, 4, 100]);
  });

  it("a second instance goes on beside the first; ending one leaves the other alive", async () => {
    const engine = await make();
    const domain = engine.createDomain(spec(0));
    domain.start();
    enter(domain, 2);
    const saved = engine.save();
    const other = await copyQuickJSEngine(saved);
    engines.push(other);
    const twin = other.restore(saved, spec).get(0) as GuestDomain;
    expect(forgotten(other)).toEqual([]);
    enter(domain, 5);
    enter(twin, 1);
    expect([words(engine, 0)[1], words(other, 0)[1]]).toEqual([7, 3]);
    engine.dispose();
    enter(twin, 2);
    expect(words(other, 0)).toEqual([7, 5, 5, 150]);
    // A second copy of the copy.
    const again = other.save();
    enter(twin, 1);
    enter(other.restore(again, spec).get(0) as GuestDomain, 1);
    expect(words(other, 0)).toEqual([7, 6, 6, 210]);
  });

  it("holds only pages that are not zero, and only touched frames were looked at", async () => {
    const engine = await make();
    const domain = engine.createDomain(spec(0));
    domain.start();
    const { memory } = engine.save();
    expect(memory.bytes.length).toBe(memory.pages.length * 4096);
    expect(memory.pages.length * 4096).toBeLessThan(3 << 20);
    expect(memory.touched.filter((byte) => byte === 1).length).toBeLessThanOrEqual(65);
    expect(memory.pages).toContain(memory.base / 4096 + 2 + 3);
  });

  it("a domain that has outgrown its heap before is as close to its end after", async () => {
    const engine = await make();
    const limits = { heap: 4 << 20, stack: 128 << 10, fuel: 4000 };
    const domain = engine.createDomain(spec(0, { limits }));
    domain.start();
    enter(domain, 3);
    const saved = engine.save();
    const lifetime = (body: GuestDomain): number => {
      for (let i = 0; i < 20; i++) {
        try {
          body.enter();
        } catch {
          return i;
        }
      }
      return 20;
    };
    const first = lifetime(domain);
    expect(first).toBeLessThan(20);
    expect(lifetime(engine.restore(saved, (id) => spec(id, { limits })).get(0) as GuestDomain)).toBe(first);
  });

  it("V8 takes none, and says what to do", () => {
    const engine = createV8Engine(4);
    expect(() => engine.save()).toThrow(UserError);
    expect(() => engine.save()).toThrow(/engine "v8" takes no snapshots: .*use engine "quickjs"/);
  });
});
