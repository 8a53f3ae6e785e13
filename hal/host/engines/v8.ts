/**
 * The V8 engine: the same bundles in Node's own engine and realm, for debuggers, coverage and long simulations.
 *
 * It contains nothing: a guest that loops, loops for ever, and one that overwrites a prototype has overwritten everybody's. What differs from
 * QuickJS and could be seen by a guest is shadowed by parameters of the compiled function. An exception comes back as GuestDeath all the same.
 */
import { compileFunction } from "node:vm";
import type { BundleFactory, GuestKernel, Hal } from "../../abi/hal";
import { CONTROL_RETURN, CONTROL_VCPU, CONTROL_VCPU_WORDS } from "../../abi/control";
import { GuestDeath, type GuestDomain } from "../hypervisor/guest-domain";
import { FRAME_SIZE, type MachineMemory, createPlainMemory } from "../hypervisor/memory";
import { errorSnapshotEngine } from "../errors";
import type { Bundle, DomainSpec, Engine } from "./engine";
import { isDebugged, withSourceMap } from "./source-maps";

/** Globals of Node that a guest must not see; they are undefined in it. */
const SHADOWED = [
  "Date",
  "Promise",
  "Intl",
  "Atomics",
  "WeakRef",
  "FinalizationRegistry",
  "SharedArrayBuffer",
  "WebAssembly",
  "globalThis",
  "global",
  "process",
  "require",
  "module",
  "Buffer",
  "console",
  "performance",
  "crypto",
  "fetch",
  "navigator",
  "queueMicrotask",
  "structuredClone",
  "setTimeout",
  "setInterval",
  "setImmediate",
  "TextEncoder",
  "TextDecoder",
] as const;

/** Makes the engine of one machine of `frameCount` frames. Throws RangeError when the memory is not to be had. */
export function createV8Engine(frameCount: number): Engine {
  return new V8Engine(createPlainMemory(frameCount));
}

class V8Engine implements Engine {
  readonly name = "v8";

  constructor(readonly memory: MachineMemory) {}

  createDomain(spec: DomainSpec): GuestDomain {
    return new V8Domain(this.memory, spec);
  }

  save(): never {
    throw errorSnapshotEngine(this.name);
  }

  restore(): never {
    throw errorSnapshotEngine(this.name);
  }

  dispose(): void {
    // Garbage collection does it.
  }
}

/** `Math` without chance: the rest of what guests may use is bit-exact in both engines. */
function guestMath(): Math {
  const copy = Object.create(null) as Record<string, unknown>;
  for (const name of Object.getOwnPropertyNames(Math)) copy[name] = Math[name as keyof Math];
  delete copy["random"];
  return copy as unknown as Math;
}

class V8Domain implements GuestDomain {
  private readonly kernel: Partial<GuestKernel> = {};
  private readonly foreign = new Map<number, Uint32Array>();
  private readonly math = guestMath();
  /** Scripts by file: one that is evaluated again keeps what the engine has learned about it. */
  private readonly compiled = new Map<string, { readonly code: string; readonly factory: (math: Math) => unknown }>();

  constructor(private readonly memory: MachineMemory, private readonly spec: DomainSpec) {}

  start(): void {
    this.guard(() => {
      const factory = this.evaluate(this.spec.kernel);
      factory(() => undefined, this.kernel);
      (this.kernel as GuestKernel).boot(this.makeHal());
    });
  }

  enter(): void {
    this.guard(() => (this.kernel as GuestKernel).enter());
  }

  dropFrames(mfns: readonly number[]): void {
    for (const mfn of mfns) this.foreign.delete(mfn);
  }

  dispose(): void {
    this.foreign.clear();
  }

  private guard(body: () => void): void {
    try {
      body();
    } catch (error) {
      throw this.death(error);
    }
  }

  private death(error: unknown): GuestDeath {
    if (error instanceof GuestDeath) return error;
    const report = error instanceof Error ? error.stack ?? error.message : String(error);
    const overflow = error instanceof RangeError && /call stack size/.test(error.message);
    return new GuestDeath(overflow ? "stack" : "exception", report);
  }

  private evaluate(bundle: Bundle): BundleFactory {
    let known = this.compiled.get(bundle.file);
    if (known === undefined || known.code !== bundle.code) {
      known = { code: bundle.code, factory: this.compile(bundle) };
      this.compiled.set(bundle.file, known);
    }
    return known.factory(this.math) as BundleFactory;
  }

  private compile(bundle: Bundle): (math: Math) => unknown {
    const map = isDebugged() ? this.spec.sourceMap?.(bundle.file) ?? null : null;
    // "return " moves the first line, which is none of the sources.
    const code = `return ${map === null ? bundle.code : withSourceMap(bundle.code, map)}`;
    return compileFunction(code, ["Math", ...SHADOWED], { filename: bundle.file }) as (math: Math) => unknown;
  }

  private makeHal(): Hal {
    const { spec } = this;
    const control = this.frameWords(spec.controlMfn);
    const results = new Int32Array(control.buffer, control.byteOffset, 1024);
    return {
      domid: spec.domid,
      control,
      clock: new Float64Array(control.buffer, control.byteOffset, 512),
      mfn_base: spec.mfnBase,
      nr_pages: spec.pages,
      page: (pfn) => {
        if (!(pfn >= 0 && pfn < spec.pages)) throw new RangeError(`page ${pfn} is beyond the domain's RAM`);
        return this.frameWords(spec.mfnBase + pfn);
      },
      frame: (mfn) => this.foreignFrame(mfn),
      hypercall: (op, a0, a1, a2) => {
        const result = spec.hypercall(op | 0, a0 | 0, a1 | 0, a2 | 0);
        results[control[CONTROL_VCPU] * CONTROL_VCPU_WORDS + CONTROL_RETURN] = result;
        return result;
      },
      load: (kind, name) => {
        const bundle = spec.bundle(kind, name);
        return bundle === null ? null : this.evaluate(bundle);
      },
      manifest: (kind, name) => spec.manifest(kind, name),
      list: (kind) => [...spec.list(kind)],
    };
  }

  private foreignFrame(mfn: number): Uint32Array {
    let words = this.foreign.get(mfn);
    if (words !== undefined) return words;
    if (!this.spec.mayAccess(mfn)) throw new RangeError(`frame ${mfn} is not mapped by this domain`);
    words = this.frameWords(mfn);
    this.foreign.set(mfn, words);
    return words;
  }

  private frameWords(mfn: number): Uint32Array {
    this.memory.touched[mfn] = 1;
    return new Uint32Array(this.memory.u32.buffer, this.memory.base + mfn * FRAME_SIZE, FRAME_SIZE / 4);
  }
}
