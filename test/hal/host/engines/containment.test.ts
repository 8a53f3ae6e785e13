/** What a hostile guest can do with the objects that it is handed, in QuickJS: nothing to anybody but itself. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { DomainSpec, Engine } from "../../../../hal/host/engines/engine";
import { createQuickJSEngine } from "../../../../hal/host/engines/quickjs";
import { GuestDeath, type GuestDomain } from "../../../../hal/host/hypervisor/guest-domain";

const PAGES = 16;
/** A frame that nobody has as RAM. */
const FOREIGN_MFN = 60;
let engine: Engine;
beforeEach(async () => void (engine = await createQuickJSEngine(64, 64 << 20)));
afterEach(() => engine.dispose());

/** A domain of 16 pages with the control page `domid`, whose kernel is `boot(hal)` and `enter()`. */
function domain(domid: number, kernel: string, more: Partial<DomainSpec> = {}): GuestDomain {
  return engine.createDomain({
    slot: domid,
    domid,
    mfnBase: 4 + PAGES * domid,
    pages: PAGES,
    controlMfn: domid,
    limits: { heap: 8 << 20, stack: 128 << 10, fuel: 200 },
    kernel: { code: `(function (__ksym, exports) {${kernel}})`, file: "kernel.js" },
    bundle: () => null,
    manifest: () => null,
    list: () => ["m"],
    hypercall: () => 0,
    mayAccess: () => true,
    isDying: () => false,
    ...more,
  });
}

/** Word `index` of page `pfn` of a domain. */
function word(domid: number, pfn: number, index = 0): number {
  return engine.memory.u32[(engine.memory.base >>> 2) + (4 + PAGES * domid + pfn) * 1024 + index];
}

function foreignWord(): number {
  return engine.memory.u32[(engine.memory.base >>> 2) + FOREIGN_MFN * 1024];
}

/** The kind of the death that the body ends with, or null. */
function deathOf(body: () => void): string | null {
  try {
    body();
    return null;
  } catch (error) {
    if (error instanceof GuestDeath) return error.kind;
    throw error;
  }
}

/** Code that runs before the guest maps the frame, and code that takes hold of its memory in `kept`. */
const HOARDERS: Readonly<Record<string, readonly [string, string]>> = {
  "keeps the view": ["", "kept = words;"],
  "keeps another view": ["", "kept = new Uint32Array(words.buffer);"],
  "moves the memory into a buffer of its own": [
    "",
    "try { kept = new Uint32Array(words.buffer.transfer()); } catch { kept = words; }",
  ],
  "moves it, at a fixed length": [
    "",
    "try { kept = new Uint32Array(words.buffer.transferToFixedLength(4096)); } catch { kept = words; }",
  ],
  "has replaced what would detach it": [
    "ArrayBuffer.prototype.transfer = () => null; Reflect.apply = () => null; Function.prototype.call = () => null;",
    "kept = words;",
  ],
  "has replaced what finds it": [
    `Map.prototype.get = () => undefined; JSON.parse = () => []; Array.prototype[Symbol.iterator] = function* () {};
     Object.defineProperty(Object.prototype, "${FOREIGN_MFN}", { get: () => undefined, set: () => undefined });`,
    "kept = words;",
  ],
  "has replaced the view's buffer": [
    `Object.defineProperty(Object.getPrototypeOf(Uint32Array.prototype), "buffer", { get: () => new ArrayBuffer(8) });`,
    "kept = words;",
  ],
  "has no memory left": [
    "",
    "kept = words; const all = []; try { for (;;) all.push([]); } catch {} globalThis.all = all;",
  ],
};

describe("a frame that is given to somebody else", () => {
  it.each(Object.entries(HOARDERS))("is out of reach for a guest that %s", (_name, [before, take]) => {
    const guest = domain(
      0,
      `let kept, page;
       exports.boot = (hal) => { page = hal.page(1); ${before} const words = hal.frame(${FOREIGN_MFN}); words[0] = 1; ${take} };
       exports.enter = () => { kept[0] = 2; page[0] = 7; };`,
    );
    guest.start();
    expect(foreignWord()).toBe(1);
    guest.dropFrames([FOREIGN_MFN]);
    deathOf(() => guest.enter());
    expect(foreignWord()).toBe(1);
  });

  it("is within reach before: the guest above writes where it should not be able to later", () => {
    const guest = domain(
      0,
      `let kept;
       exports.boot = (hal) => { kept = hal.frame(${FOREIGN_MFN}); };
       exports.enter = () => { kept[0] = 2; };`,
    );
    guest.start();
    guest.enter();
    expect(foreignWord()).toBe(2);
  });
});

/** What no function of the boundary takes. */
const GARBAGE = `[NaN, -1, 1.5, 2 ** 31, 2 ** 53, -(2 ** 40), Infinity, "1e9", "", null, undefined, true, {}, [], [[]], () => 1,
  5n, 2n ** 70n, Symbol("s"), new Proxy({}, {}), /x/, "x".repeat(1 << 16), "\\ud800", "a\\0b",
  { valueOf() { throw new Error("valueOf"); }, toString() { throw new Error("toString"); } },
  { toString() { hal.hypercall(20, 1, 2, 3); return "modules"; } },
  { valueOf() { return hal.hypercall(1, 2, 3, 4); } }]`;

describe("garbage", () => {
  it("in every function of the boundary: the host sees int32 and strings, and the guest at most an exception of its own", () => {
    const seen: unknown[][] = [];
    const texts: unknown[] = [];
    const guest = domain(
      0,
      `let hal;
       exports.boot = (h) => { hal = h; };
       exports.enter = () => {
         const garbage = ${GARBAGE};
         const attempt = (body) => { try { body(); } catch {} };
         for (const a of garbage) {
           attempt(() => hal.page(a)); attempt(() => hal.frame(a)); attempt(() => hal.list(a)); attempt(() => hal.hypercall(a));
           for (const b of garbage) {
             attempt(() => hal.load(a, b)); attempt(() => hal.manifest(a, b));
             attempt(() => hal.hypercall(a, b)); attempt(() => hal.hypercall(20, a, b, a)); attempt(() => hal.hypercall(29, 2, a, b));
           }
         }
       };`,
      {
        hypercall: (...args) => (seen.push(args), -38),
        bundle: (kind, name) => (texts.push(kind, name), null),
        manifest: (kind, name) => (texts.push(kind, name), null),
        mayAccess: (mfn) => (seen.push([mfn]), false),
        limits: { heap: 32 << 20, stack: 128 << 10, fuel: 20_000 },
      },
    );
    guest.start();
    guest.enter();
    guest.enter();
    expect(seen.length).toBeGreaterThan(1000);
    expect(seen.flat().filter((value) => typeof value !== "number" || (value | 0) !== value)).toEqual([]);
    expect(texts.filter((value) => typeof value !== "string")).toEqual([]);
  });
});

/** Everything that code of the host or the engine's glue might use in the guest's realm. */
const VANDALISM = `
  const bad = function () { throw new Error("vandalised"); };
  const { defineProperty } = Reflect;
  const targets = [];
  for (const name of Object.getOwnPropertyNames(globalThis)) {
    const value = globalThis[name];
    if (value === null || (typeof value !== "object" && typeof value !== "function") || value === globalThis) continue;
    for (const holder of [value, value.prototype]) {
      if (holder === null || holder === undefined) continue;
      for (const key of Reflect.ownKeys(holder)) targets.push([holder, key]);
    }
  }
  const keys = ["0", "1", "length", "then", "toString", "valueOf", "toJSON", "get", "set", "buffer", "message", "stack", "name"];
  for (let i = 0; i < targets.length; i++) {
    try { targets[i][0][targets[i][1]] = bad; } catch {}
  }
  for (let i = 0; i < keys.length; i++) {
    defineProperty(Object.prototype, keys[i], { __proto__: null, get: bad, set: bad, configurable: true });
  }`;

describe("globals and prototypes that were overwritten", () => {
  it("are the guest's own trouble: the host enters it, drops its frames, reads its exception and disposes of it as ever", () => {
    const guest = domain(
      0,
      `let page, count = 0, view;
       exports.boot = (hal) => {
         page = hal.page(1); view = hal.frame(${FOREIGN_MFN});
         ${VANDALISM}
       };
       exports.enter = () => { page[0] = ++count; if (count === 3) null.nothing; };`,
    );
    const neighbour = domain(
      1,
      `let page; exports.boot = (hal) => { page = hal.page(1); }; exports.enter = () => { [3, 1, 2].sort().map((x) => page[0] += x); };`,
    );
    guest.start();
    neighbour.start();
    guest.enter();
    guest.dropFrames([FOREIGN_MFN]);
    guest.enter();
    expect(word(0, 1)).toBe(2);
    expect(deathOf(() => guest.enter())).toBe("exception");
    neighbour.enter();
    expect(word(1, 1)).toBe(6);
    guest.dispose();
    neighbour.enter();
    expect(word(1, 1)).toBe(12);
  });
});

describe("a stack that is exhausted inside of another domain's hypercall", () => {
  const DEEP = `
    let page, depth = 0;
    const dive = () => { page[0] = ++depth; dive(); };
    exports.boot = (hal) => { page = hal.page(1); };
    exports.enter = () => { depth = 0; dive(); };`;

  it("kills the inner one; the outer ones go on where they were", () => {
    const deaths: (string | null)[] = [];
    const inner = domain(2, DEEP);
    const caller = `let hal, page; exports.boot = (h) => { hal = h; page = h.page(1); };
      exports.enter = () => { page[0] = 1; hal.hypercall(1, 2, 3, 4); page[0] = 2; };`;
    const middle = domain(1, caller, { hypercall: () => (deaths.push(deathOf(() => inner.enter())), 0) });
    const outer = domain(0, caller, { hypercall: () => (deaths.push(deathOf(() => middle.enter())), 0) });
    for (const guest of [inner, middle, outer]) guest.start();
    outer.enter();
    expect(deaths).toEqual(["stack", null]);
    expect([word(0, 1), word(1, 1)]).toEqual([2, 2]);
    expect(word(2, 1)).toBeGreaterThan(100);
    outer.enter();
    expect([word(0, 1), word(1, 1)]).toEqual([2, 2]);
  });

  it("a domain that is entered when its neighbour has used most of its stack has as much as ever", () => {
    const dive = `
      let hal, page;
      const dive = (n) => { page[0] = n; return dive(n + 1); };
      const down = (n) => { if (n === 0) hal.hypercall(1, 2, 3, 4); else down(n - 1); page[1]++; };
      exports.boot = (h) => { hal = h; page = h.page(1); try { dive(0); } catch {} };
      exports.enter = () => { page[1] = 0; down(Math.floor(page[0] * 0.6)); };`;
    let death: string | null = "never entered";
    const inner = domain(1, dive);
    const outer = domain(0, dive, { hypercall: () => ((death = deathOf(() => inner.enter())), 0) });
    inner.start();
    outer.start();
    for (let round = 0; round < 3; round++) {
      outer.enter();
      const depths = [word(0, 1, 1), word(1, 1, 1)].map((depth) => depth - 1);
      expect({ death, depths }).toEqual({
        death: null,
        depths: [0, 1].map((domid) => Math.floor(word(domid, 1) * 0.6)),
      });
    }
  });
});

describe("a native stack that is exhausted where the engine does not count", () => {
  const NESTED = `let text = ""; exports.boot = () => {}; exports.enter = () => { (0, eval)("(".repeat(100000)); };`;

  it("kills the domain alone, again and again, and takes nothing from the stack of the others", () => {
    const neighbour = domain(
      1,
      `let page, depth; exports.boot = (hal) => { page = hal.page(1); };
      const dive = () => { depth++; dive(); };
      exports.enter = () => { depth = 0; try { dive(); } catch {} page[0] = depth; };`,
    );
    neighbour.start();
    neighbour.enter();
    const depth = word(1, 1);
    for (let round = 0; round < 4; round++) {
      const guest = domain(2, NESTED);
      guest.start();
      expect(deathOf(() => guest.enter())).toBe("stack");
      guest.dispose();
      neighbour.enter();
      expect(Math.abs(word(1, 1) - depth)).toBeLessThan(depth / 50);
    }
  });
});
