import { afterEach, describe, expect, it } from "vitest";
import { CONTROL_RAN, CONTROL_VCPU } from "../../../../hal/abi/control";
import type { DomainSpec, Engine } from "../../../../hal/host/engines/engine";
import { createQuickJSEngine } from "../../../../hal/host/engines/quickjs";
import { createV8Engine } from "../../../../hal/host/engines/v8";
import { GuestDeath } from "../../../../hal/host/hypervisor/guest-domain";

const CONTROL_MFN = 0;
const engines: Engine[] = [];
afterEach(() => engines.splice(0).forEach((engine) => engine.dispose()));

async function make(name: string): Promise<Engine> {
  const engine = name === "quickjs" ? await createQuickJSEngine(64, 64 << 20) : createV8Engine(64);
  engines.push(engine);
  return engine;
}

function spec(domid: number, kernel: string, more: Partial<DomainSpec> = {}): DomainSpec {
  return {
    slot: domid,
    domid,
    mfnBase: 1 + 16 * domid,
    pages: 16,
    controlMfn: CONTROL_MFN,
    limits: { heap: 8 << 20, stack: 128 << 10, fuel: 200 },
    kernel: { code: `(function (__ksym, exports) {${kernel}})`, file: "kernel.js" },
    bundle: (_kind, name) =>
      name === "m" ? { code: "(function (ksym, exports) { exports.v = ksym('a') + 1; })", file: "m.js" } : null,
    manifest: (_kind, name) => (name === "m" ? '{"name":"m"}' : null),
    list: () => ["m"],
    hypercall: () => 0,
    mayAccess: () => false,
    isDying: () => false,
    ...more,
  };
}

function death(body: () => void): GuestDeath {
  try {
    body();
  } catch (error) {
    if (error instanceof GuestDeath) return error;
    throw error;
  }
  throw new Error("the guest survived");
}

describe.each(["quickjs", "v8"])("engine %s", (name) => {
  it("shares RAM without a copy, passes int32 arguments both ways and enters by the control page", async () => {
    const engine = await make(name);
    const calls: number[][] = [];
    const kernel = `
      let hal, ram;
      exports.boot = (h) => { hal = h; ram = h.page(2); ram[0] = 0xfeedbeef; };
      exports.enter = () => {
        ram[1] = hal.hypercall(20, -1, 0x80000000, 2147483647) >>> 0;
        hal.hypercall(NaN, undefined, "12", {});
        hal.control[${CONTROL_RAN}] = 1;
        hal.clock[0] += 1.5;
      };`;
    const domain = engine.createDomain(
      spec(0, kernel, { hypercall: (...args) => (calls.push(args), args[0] === 20 ? -22 : 0) }),
    );
    domain.start();
    engine.memory.f64[engine.memory.base / 8] = 100;
    domain.enter();
    const word = (engine.memory.base + (1 + 2) * 4096) / 4;
    expect(engine.memory.u32[word]).toBe(0xfeedbeef);
    expect(engine.memory.i32[word + 1]).toBe(-22);
    expect(engine.memory.f64[engine.memory.base / 8]).toBe(101.5);
    expect(calls).toEqual([
      [20, -1, -0x80000000, 0x7fffffff],
      [0, 0, 12, 0],
    ]);
  });

  it("lets a domain see a foreign frame only while it may, over the very same bytes", async () => {
    const engine = await make(name);
    const kernel = `exports.boot = (h) => { h.page(0)[0] = h.frame(40)[3]; h.frame(40)[4] = 9; }; exports.enter = () => {};`;
    engine.memory.u32[(engine.memory.base + 40 * 4096) / 4 + 3] = 1234;
    const allowed = engine.createDomain(spec(0, kernel, { mayAccess: (mfn) => mfn === 40 }));
    allowed.start();
    expect(engine.memory.u32[(engine.memory.base + 4096) / 4]).toBe(1234);
    expect(engine.memory.u32[(engine.memory.base + 40 * 4096) / 4 + 4]).toBe(9);
    const refused = engine.createDomain(spec(1, kernel));
    expect(death(() => refused.start()).report).toContain("frame 40 is not mapped");
  });

  it("loads bundles of the image and links them by symbol", async () => {
    const engine = await make(name);
    const kernel = `exports.boot = (h) => {
      const out = {};
      h.load("modules", "m")((symbol) => symbol.length + 40, out);
      h.page(0)[0] = out.v;
      h.page(0)[1] = h.load("modules", "none") === null && h.manifest("programs", "none") === null ? 1 : 0;
      h.page(0)[2] = JSON.parse(h.manifest("modules", "m")).name.length + h.list("modules").length;
    }; exports.enter = () => {};`;
    engine.createDomain(spec(0, kernel)).start();
    const word = (engine.memory.base + 4096) / 4;
    expect([...engine.memory.u32.subarray(word, word + 3)]).toEqual([42, 1, 2]);
  });

  it("loads a bundle anew each time, and as its file says now", async () => {
    const engine = await make(name);
    const kernel = `exports.boot = (h) => {
      const next = () => { const out = {}; h.load("programs", "p")((symbol) => symbol, out); return out.next; };
      const [first, second] = [next(), next()];
      first(); first();
      h.page(0)[0] = second();
      h.page(0)[1] = first();
      h.page(0)[2] = next()();
    }; exports.enter = () => {};`;
    let loads = 0;
    const bundle = () => {
      const step = ++loads === 3 ? 10 : 1;
      return { code: `(function (ksym, exports) { let n = 0; exports.next = () => (n += ${step}); })`, file: "p.js" };
    };
    engine.createDomain(spec(0, kernel, { bundle })).start();
    const word = (engine.memory.base + 4096) / 4;
    expect([...engine.memory.u32.subarray(word, word + 3)]).toEqual([1, 3, 10]);
  });

  it("reports a guest that throws, with its file and line, and leaves other domains alone", async () => {
    const engine = await make(name);
    const bad = engine.createDomain(spec(0, `exports.boot = () => {};\nexports.enter = () => { null.x; };`));
    const good = engine.createDomain(spec(1, `exports.boot = () => {}; exports.enter = () => {};`));
    bad.start();
    good.start();
    const report = death(() => bad.enter());
    expect(report.kind).toBe("exception");
    expect(report.report).toMatch(/kernel\.js:2/);
    good.enter();
  });

  it("hides the clock, chance and the host from the guest", async () => {
    const engine = await make(name);
    const names = ["Date", "process", "console", "setTimeout", "Atomics", "Intl", "performance", "queueMicrotask"];
    const kernel = `exports.boot = (h) => { h.page(0)[0] = [${names.map((n) => `typeof ${n}`)}, typeof Math.random]
      .filter((t) => t !== "undefined").length; }; exports.enter = () => {};`;
    engine.createDomain(spec(0, kernel)).start();
    expect(engine.memory.u32[(engine.memory.base + 4096) / 4]).toBe(0);
  });

  it("throws a fault of our own out of the entry, not into the guest", async () => {
    const engine = await make(name);
    const kernel = `let hal; exports.boot = (h) => { hal = h; }; exports.enter = () => { hal.hypercall(1, 0, 0, 0); };`;
    const hypercall = (): number => {
      throw new Error("our own fault");
    };
    const domain = engine.createDomain(spec(0, kernel, { hypercall }));
    domain.start();
    expect(() => domain.enter()).toThrow(/our own fault/);
  });
});

describe("engine quickjs contains", () => {
  const cases: readonly [string, string, string][] = [
    ["an endless loop", "lockup", "for (;;);"],
    ["an endless recursion", "stack", "(function f() { return f() + 1; })();"],
    ["an exhausted heap", "oom", "const a = []; for (;;) a.push(new Uint32Array(65536));"],
  ];
  it.each(cases)("%s", async (_what, kind, body) => {
    const engine = await make("quickjs");
    const bad = engine.createDomain(spec(0, `exports.boot = () => {}; exports.enter = () => { ${body} };`));
    const good = engine.createDomain(spec(1, `exports.boot = () => {}; exports.enter = () => {};`));
    bad.start();
    good.start();
    expect(death(() => bad.enter()).kind).toBe(kind);
    good.enter();
    expect(engine.memory.u32[engine.memory.base / 4 + CONTROL_VCPU]).toBe(0);
  });

  it("a guest that names a vCPU far outside of its control page: nothing is written there", async () => {
    const engine = await make("quickjs");
    const kernel = `let hal; exports.boot = (h) => { hal = h; };
      exports.enter = () => { hal.control[${CONTROL_VCPU}] = 1000; hal.hypercall(1, 0, 0, 0); };`;
    const domain = engine.createDomain(spec(1, kernel, { hypercall: () => 0x5a5a }));
    domain.start();
    const before = engine.memory.u32.slice();
    try {
      domain.enter();
    } catch (error) {
      expect(error).toBeInstanceOf(GuestDeath);
    }
    const first = engine.memory.base / 4;
    const changed = [...engine.memory.u32.subarray(first, first + 64 * 1024).keys()].filter(
      (i) => engine.memory.u32[first + i] !== before[first + i],
    );
    expect(changed.every((word) => word < 1024)).toBe(true);
  });

  it("a heap within its limit, although the engine's memory grows in larger steps", async () => {
    const engine = await createQuickJSEngine(64, 256 << 20);
    engines.push(engine);
    const limits = { heap: 6 << 20, stack: 128 << 10, fuel: 2000 };
    const kernel = `const kept = []; exports.boot = () => {}; exports.enter = () => {
      for (let i = 0; i < 40; i++) kept.push(new Uint32Array(25600)); for (let i = 0; i < 100000; i++); };`;
    for (let domid = 1; domid <= 3; domid++) {
      const domain = engine.createDomain(spec(domid, kernel, { limits }));
      domain.start();
      domain.enter();
      const more = () => {
        for (let i = 0; i < 40; i++) domain.enter();
      };
      expect(death(more).kind).toBe("oom");
      domain.dispose();
    }
  });

  it("a condemned domain that catches everything", async () => {
    const engine = await make("quickjs");
    let dying = false;
    const kernel = `let hal; exports.boot = (h) => { hal = h; };
      exports.enter = () => { for (;;) { try { hal.hypercall(29, 2, 0, 0); throw 1; } catch {} } };`;
    const hypercall = (): number => ((dying = true), -1);
    const domain = engine.createDomain(spec(0, kernel, { hypercall, isDying: () => dying }));
    domain.start();
    expect(death(() => domain.enter()).kind).toBe("lockup");
  });
});
