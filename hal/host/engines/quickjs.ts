/**
 * The QuickJS engine: every domain is a runtime of its own, all runtimes of a machine live in one WASM memory, and the machine's frames are a
 * region of it that each domain sees without a copy.
 *
 *   WASM memory: [ QuickJS heaps … | frame 0 | frame 1 | … ]
 *                                     ▲ alias: a domain's RAM, its control page, and each frame that a grant let it map
 *
 * A guest that throws, loops, or exhausts its heap or stack comes back as GuestDeath. Nothing that a guest does throws through a WASM frame:
 * a fault of our own inside a host function is kept and thrown again once the guest has returned.
 */
import { CONTROL_LEFT, CONTROL_RETURN, CONTROL_VCPU, CONTROL_VCPUS_MAX, CONTROL_VCPU_WORDS } from "../../abi/control";
import { GuestDeath, type GuestDeathKind, type GuestDomain } from "../hypervisor/guest-domain";
import { FRAME_SIZE, type MachineMemory, memoryOver } from "../hypervisor/memory";
import type { BundleKind, DomainSpec, Engine, SavedEngine, SavedGuest } from "./engine";
import { quickJSCode } from "./quickjs-module";
import type { Pointer } from "./quickjs-private";
import { type HostFunction, type RawContext, RawQuickJS } from "./quickjs-raw";
import { loadMemory, saveMemory } from "./saved-memory";

/** A guest sees its RAM in pieces of so many pages, each from its first use on: the rest of it is known to be zero. */
const CHUNK_SHIFT = 6;
const CHUNK_PAGES = 1 << CHUNK_SHIFT;

/**
 * The guest's side of the boundary, evaluated once per domain, before any code of the guest's. It gets the raw host functions and makes the `Hal` of
 * `hal/abi/hal.ts`.
 *
 * What takes a frame away from the guest (`drop`) must work whatever the guest has done to its world: it uses functions that were put aside, and
 * objects that inherit from nothing. The guest gets no way to move a buffer's memory into another buffer, which nobody could then find.
 */
const PRELUDE = `(function (info, controlBuffer, rawCall, rawRam, rawFrame, rawLoad, rawManifest, rawList) {
  "use strict";
  const { domid, mfn_base, nr_pages } = JSON.parse(info);
  const { parse } = JSON, { apply } = Reflect, { transfer } = ArrayBuffer.prototype;
  const Words = Uint32Array;
  Math.random = undefined;
  delete ArrayBuffer.prototype.transfer;
  delete ArrayBuffer.prototype.transferToFixedLength;
  const control = new Uint32Array(controlBuffer);
  const results = new Int32Array(controlBuffer);
  const ram = [];
  const foreign = { __proto__: null };
  const hal = {
    domid, mfn_base, nr_pages, control,
    clock: new Float64Array(controlBuffer),
    page(pfn) {
      const chunk = pfn >>> ${CHUNK_SHIFT};
      let buffer = ram[chunk];
      if (buffer === undefined) {
        buffer = rawRam(chunk | 0);
        if (buffer === undefined) throw new RangeError("page " + pfn + " is beyond the domain's RAM");
        ram[chunk] = buffer;
      }
      return new Uint32Array(buffer, (pfn & ${CHUNK_PAGES - 1}) * 4096, 1024);
    },
    frame(mfn) {
      const index = mfn | 0;
      let view = foreign[index];
      if (view === undefined) {
        const buffer = rawFrame(index);
        if (buffer === undefined) throw new RangeError("frame " + index + " is not mapped by this domain");
        view = { __proto__: null, buffer, words: new Words(buffer) };
        foreign[index] = view;
      }
      return view.words;
    },
    hypercall(op, a0, a1, a2) {
      rawCall(op | 0, a0 | 0, a1 | 0, a2 | 0);
      return results[control[${CONTROL_VCPU}] * ${CONTROL_VCPU_WORDS} + ${CONTROL_RETURN}];
    },
    load(kind, name) { return rawLoad(kind, name); },
    manifest(kind, name) { return rawManifest(kind, name); },
    list(kind) { return JSON.parse(rawList(kind)); },
  };
  const kernel = {};
  return [
    function boot(factory) {
      factory(undefined, kernel);
      kernel.boot(hal);
      control[${CONTROL_LEFT}] = 1;
    },
    function enter() {
      kernel.enter();
      control[control[${CONTROL_VCPU}] * ${CONTROL_VCPU_WORDS} + ${CONTROL_LEFT}] = 1;
    },
    function drop(mfns) {
      const list = parse(mfns);
      for (let i = 0; i < list.length; i++) {
        const view = foreign[list[i]];
        if (view === undefined) continue;
        delete foreign[list[i]];
        apply(transfer, view.buffer, [0]);
      }
    },
  ];
})`;

/** Names and ids of the host functions; the ids are part of a snapshot. */
const HOST_FUNCTIONS = ["hypercall", "ram", "frame", "load", "manifest", "list"] as const;

/** What was thrown, as V8 words a stack: the engine dumps an error as JSON. */
function readable(dump: string): string {
  if (!dump.startsWith("{")) return dump;
  const { name, message, stack } = JSON.parse(dump) as Partial<Record<string, unknown>>;
  if (typeof name !== "string" || typeof message !== "string" || typeof stack !== "string") return dump;
  return `${name}: ${message}\n${stack.trimEnd()}`;
}

/** What QuickJS calls the deaths that are not the guest's own doing. */
const DEATHS: readonly (readonly [RegExp, GuestDeathKind])[] = [
  [/out of memory/i, "oom"],
  [/stack overflow|call stack size/i, "stack"],
  [/interrupted/, "lockup"],
];

/** What all JavaScript heaps of a machine may take together, bytes, unless the caller says otherwise. */
const HEAPS_BYTES_DEFAULT = 512 << 20;
/** The engine itself, bytes. */
const ENGINE_BYTES = 16 << 20;

/**
 * Makes the engine of one machine of `frameCount` frames, whose domains' heaps together may take `heapsBytes`.
 * Throws RangeError when the memory is not to be had.
 */
export async function createQuickJSEngine(frameCount: number, heapsBytes = HEAPS_BYTES_DEFAULT): Promise<Engine> {
  const pageBytes = frameCount * FRAME_SIZE;
  const bytesMax = ENGINE_BYTES + heapsBytes + pageBytes;
  const raw = await RawQuickJS.create(bytesMax, pageBytes);
  return new QuickJSEngine(raw, memoryOver(raw.heap().buffer as ArrayBuffer, raw.pages, frameCount), bytesMax);
}

/** Makes an engine for `restore(saved)`: another instance, with a memory as large as the one that was saved. */
export async function copyQuickJSEngine(saved: SavedEngine): Promise<Engine> {
  const { length, base, frameCount } = saved.memory;
  const raw = await RawQuickJS.create(saved.bytesMax, 0, length, saved.facts);
  const memory = memoryOver(raw.heap().buffer as ArrayBuffer, base, frameCount);
  // Where the frames will be, the instance has its own beginnings now.
  memory.touched.fill(1);
  return new QuickJSEngine(raw, memory, saved.bytesMax);
}

/** The views of a memory, made anew after growth or a copy. */
function takeViews(memory: MachineMemory, buffer: ArrayBuffer): void {
  const { u8, u16, u32, i32, f64 } = memoryOver(buffer, memory.base, memory.frameCount);
  Object.assign(memory, { u8, u16, u32, i32, f64 });
}

class QuickJSEngine implements Engine {
  readonly name = "quickjs";
  private heapEndMax: number;
  private readonly domains = new Set<QuickJSDomain>();

  constructor(readonly raw: RawQuickJS, readonly memory: MachineMemory, private readonly bytesMax: number) {
    this.heapEndMax = raw.heapEnd();
  }

  /** Bytes by which the heaps have outgrown what they ever took since the last call: whoever ran in between is to blame. */
  takeGrowth(): number {
    const end = this.raw.heapEnd();
    const growth = Math.max(0, end - this.heapEndMax);
    this.heapEndMax += growth;
    return growth;
  }

  createDomain(spec: DomainSpec): GuestDomain {
    const domain = new QuickJSDomain(this, spec, this.raw.newContext(spec.limits), (gone) => this.domains.delete(gone));
    this.domains.add(domain);
    return domain;
  }

  save(): SavedEngine {
    const { raw, memory, bytesMax, heapEndMax } = this;
    const guests = [...this.domains].map((domain) => domain.save());
    return {
      code: quickJSCode(),
      facts: raw.facts(),
      bytesMax,
      heapEndMax,
      memory: saveMemory(raw.heap(), raw.heapEnd(), memory, raw.stackRegion()),
      guests,
    };
  }

  restore(saved: SavedEngine, specOf: (domid: number) => DomainSpec): Map<number, GuestDomain> {
    const { base, frameCount } = saved.memory;
    if (base !== this.memory.base || frameCount !== this.memory.frameCount) {
      throw new RangeError(
        `the copy's ${frameCount} frames are at ${base}, ours are ${this.memory.frameCount} at ${this.memory.base}`,
      );
    }
    for (const domain of this.domains) domain.forget();
    this.domains.clear();
    this.raw.forgetContexts();
    this.raw.growTo(saved.memory.length);
    loadMemory(this.raw.heap(), this.heapEndMax, this.memory, this.raw.stackRegion(), saved.memory);
    this.memory.touched.set(saved.memory.touched);
    takeViews(this.memory, this.raw.heap().buffer as ArrayBuffer);
    this.heapEndMax = saved.heapEndMax;
    return new Map(saved.guests.map((guest) => [guest.domid, this.adopt(guest, specOf(guest.domid))]));
  }

  private adopt({ handles }: SavedGuest, spec: DomainSpec): GuestDomain {
    const { runtime, pointer, counter } = handles;
    const domain = new QuickJSDomain(this, spec, { runtime, pointer, counter }, (gone) => this.domains.delete(gone));
    domain.adopt(handles);
    this.domains.add(domain);
    return domain;
  }

  dispose(): void {
    for (const domain of [...this.domains]) domain.dispose();
  }

  /** An exception went through the engine's frames and left the engine's own stack where it was: every domain starts from there now. */
  noteLostStack(): void {
    this.raw.measureStack();
    for (const domain of this.domains) domain.limitStack(0);
  }

  /** Makes the views anew if the memory has grown. */
  refresh(): void {
    const buffer = this.raw.heap().buffer as ArrayBuffer;
    if (this.memory.u8.buffer !== buffer) takeViews(this.memory, buffer);
  }
}

class QuickJSDomain implements GuestDomain {
  private readonly controlWord: number;
  private bootFunction: Pointer = 0;
  private enterFunction: Pointer = 0;
  private dropFunction: Pointer = 0;
  private fuel = 0;
  /** Bytes by which the engine's memory grew while this domain ran: a cheap upper bound of its heap. */
  private growth = 0;
  /** The heap was found too large, which condemns the domain: unwinding frees much of it again. */
  private exhausted = false;
  private ownFault: unknown = null;
  /** The native stack was at its end inside of the engine, whose data of this domain are as they were in the middle of something. */
  private abandoned = false;
  private disposed = false;

  constructor(
    private readonly engine: QuickJSEngine,
    private readonly spec: DomainSpec,
    private readonly context: RawContext,
    private readonly onDispose: (domain: QuickJSDomain) => void,
  ) {
    engine.refresh();
    this.controlWord = (engine.memory.base + spec.controlMfn * FRAME_SIZE) >>> 2;
  }

  /** What a copy of the engine's memory has to know of the domain. */
  save(): SavedGuest {
    const { runtime, pointer, counter } = this.context;
    const { bootFunction, enterFunction, dropFunction, growth } = this;
    const exhausted = this.exhausted ? 1 : 0;
    const handles = { runtime, pointer, counter, bootFunction, enterFunction, dropFunction, growth, exhausted };
    return { domid: this.spec.domid, handles };
  }

  /** Takes over a domain of a copied memory: nothing of it is made, the host's side of it is connected. */
  adopt(handles: SavedGuest["handles"]): void {
    this.bootFunction = handles.bootFunction;
    this.enterFunction = handles.enterFunction;
    this.dropFunction = handles.dropFunction;
    this.growth = handles.growth;
    this.exhausted = handles.exhausted !== 0;
    const functions = HOST_FUNCTIONS.map((name) => this.hostFunction(name));
    const { slot, limits } = this.spec;
    this.engine.raw.adoptContext(this.context, slot, limits.stack, functions, this.mustStop);
  }

  /** The memory is not the domain's any more: there is nothing to free. */
  forget(): void {
    this.disposed = true;
  }

  start(): void {
    this.engine.raw.onInterrupt(this.context, this.mustStop);
    this.fuel = this.spec.limits.fuel;
    this.runPrelude();
    const factory = this.evaluate(this.spec.kernel.code, this.spec.kernel.file);
    this.engine.memory.u32[this.controlWord + CONTROL_LEFT] = 0;
    const result = this.guarded(() => this.engine.raw.call(this.context, this.bootFunction, [factory]));
    this.engine.raw.free(this.context, factory);
    this.engine.refresh();
    this.finish(result);
  }

  enter(): void {
    const { raw, memory } = this.engine;
    if (this.exhausted) throw this.death("out of memory");
    const left = this.controlWord + this.enteredVcpu() * CONTROL_VCPU_WORDS + CONTROL_LEFT;
    memory.u32[left] = 0;
    this.fuel = this.spec.limits.fuel;
    const result = this.guarded(() => raw.callQuick(this.context.pointer, this.enterFunction));
    this.engine.refresh();
    if (this.engine.memory.u32[left] === 1 && this.ownFault === null && !this.hasExhaustedHeap()) {
      raw.freeQuick(this.context.pointer, result);
      return;
    }
    this.finish(result);
    if (this.hasExhaustedHeap()) throw new GuestDeath("oom", `the heap grew beyond ${this.spec.limits.heap} bytes`);
    throw this.death("the kernel changed the control page instead of returning");
  }

  /** A domain that cannot let go of a frame, for want of memory, is not entered again. */
  dropFrames(mfns: readonly number[]): void {
    if (this.abandoned) return;
    this.fuel = this.spec.limits.fuel;
    const text = this.engine.raw.newString(this.context, JSON.stringify(mfns));
    const result = this.engine.raw.call(this.context, this.dropFunction, [text]);
    this.engine.raw.free(this.context, text);
    const failure = this.engine.raw.takeException(this.context, result);
    if (failure === null) this.engine.raw.free(this.context, result);
    else this.exhausted = true;
  }

  dispose(): void {
    if (this.disposed) return;
    this.disposed = true;
    if (this.abandoned) return this.onDispose(this);
    for (const fn of [this.bootFunction, this.enterFunction, this.dropFunction]) {
      if (fn !== 0) this.engine.raw.free(this.context, fn);
    }
    this.engine.raw.disposeContext(this.context, this.spec.slot);
    this.onDispose(this);
  }

  private runPrelude(): void {
    const { raw, memory } = this.engine;
    const { domid, mfnBase, pages, controlMfn, slot } = this.spec;
    memory.touched[controlMfn] = 1;
    const prelude = this.evaluate(PRELUDE, "hal.js");
    const args = [
      raw.newString(this.context, JSON.stringify({ domid, mfn_base: mfnBase, nr_pages: pages })),
      raw.alias(this.context, memory.base + controlMfn * FRAME_SIZE, FRAME_SIZE),
      ...HOST_FUNCTIONS.map((name, index) => {
        return raw.newFunction(this.context, slot, index, name, this.hostFunction(name));
      }),
    ];
    const exported = raw.call(this.context, prelude, args);
    this.engine.refresh();
    for (const value of [prelude, ...args]) raw.free(this.context, value);
    const failure = raw.takeException(this.context, exported);
    if (failure !== null) throw this.death(failure);
    this.bootFunction = raw.element(this.context, exported, 0);
    this.enterFunction = raw.element(this.context, exported, 1);
    this.dropFunction = raw.element(this.context, exported, 2);
    raw.free(this.context, exported);
  }

  private readonly mustStop = (): boolean => --this.fuel < 0 || this.spec.isDying() || this.hasExhaustedHeap();

  private hostFunction(name: (typeof HOST_FUNCTIONS)[number]): HostFunction {
    const { raw } = this.engine;
    const bodies: Record<typeof name, (argv: Pointer) => Pointer> = {
      hypercall: (argv) => this.hypercall(argv),
      ram: (argv) => this.ram(raw.argumentInt(argv, 0)),
      frame: (argv) => this.frame(raw.argumentInt(argv, 0)),
      load: (argv) => this.load(this.kindOf(argv), raw.argumentString(this.context, argv, 1)),
      manifest: (argv) => this.manifest(this.kindOf(argv), raw.argumentString(this.context, argv, 1)),
      list: (argv) => raw.newString(this.context, JSON.stringify(this.spec.list(this.kindOf(argv)))),
    };
    const body = bodies[name];
    return (_argc, argv) => {
      try {
        return body(argv);
      } catch (fault) {
        this.ownFault ??= fault;
        return 0;
      }
    };
  }

  private hypercall(argv: Pointer): Pointer {
    this.engine.refresh();
    const words = this.engine.raw.argumentWords();
    const at = argv >>> 2;
    const block = this.controlWord + this.enteredVcpu() * CONTROL_VCPU_WORDS;
    const { raw } = this.engine;
    const outer = raw.deepest;
    raw.deepest = argv;
    const result = this.spec.hypercall(words[at] | 0, words[at + 2] | 0, words[at + 4] | 0, words[at + 6] | 0);
    raw.deepest = outer;
    this.engine.memory.i32[block + CONTROL_RETURN] = result;
    return 0;
  }

  /** The vCPU that the control page names. The guest can write there, so the index is cut to the page. */
  private enteredVcpu(): number {
    return this.engine.memory.u32[this.controlWord + CONTROL_VCPU] & (CONTROL_VCPUS_MAX - 1);
  }

  /** An alias of one piece of the domain's RAM; from now on it may hold something. */
  private ram(chunk: number): Pointer {
    const { memory, raw } = this.engine;
    const { mfnBase, pages } = this.spec;
    const first = chunk * CHUNK_PAGES;
    if (first < 0 || first >= pages) return 0;
    const count = Math.min(CHUNK_PAGES, pages - first);
    memory.touched.fill(1, mfnBase + first, mfnBase + first + count);
    return raw.alias(this.context, memory.base + (mfnBase + first) * FRAME_SIZE, count * FRAME_SIZE);
  }

  private frame(mfn: number): Pointer {
    if (!this.spec.mayAccess(mfn)) return 0;
    this.engine.memory.touched[mfn] = 1;
    return this.engine.raw.alias(this.context, this.engine.memory.base + mfn * FRAME_SIZE, FRAME_SIZE);
  }

  private load(kind: BundleKind, name: string): Pointer {
    const bundle = this.spec.bundle(kind, name);
    if (bundle === null) return this.engine.raw.newNull(this.context);
    return this.engine.raw.evaluate(this.context, bundle.code, bundle.file);
  }

  private manifest(kind: BundleKind, name: string): Pointer {
    const text = this.spec.manifest(kind, name);
    return text === null ? this.engine.raw.newNull(this.context) : this.engine.raw.newString(this.context, text);
  }

  private kindOf(argv: Pointer): BundleKind {
    return this.engine.raw.argumentString(this.context, argv, 0) === "modules" ? "modules" : "programs";
  }

  private evaluate(code: string, file: string): Pointer {
    const value = this.engine.raw.evaluate(this.context, code, file);
    this.engine.refresh();
    const failure = this.engine.raw.takeException(this.context, value);
    if (failure !== null) throw this.death(failure);
    return value;
  }

  /**
   * Runs guest code. A few of the engine's functions (deeply nested JSON, deeply nested parentheses) take more of the native stack than the engine
   * counts: at its end V8 throws through them. Then the domain is dead, and its heap is left as it lies.
   */
  private guarded(body: () => Pointer): Pointer {
    const outer = this.engine.raw.deepest;
    if (outer !== 0) this.limitStack(outer);
    try {
      return body();
    } catch (error) {
      if (!(error instanceof RangeError && /call stack/.test(error.message))) throw error;
      this.abandoned = true;
      if (outer === 0) this.engine.noteLostStack();
      this.rethrowOwnFault();
      throw new GuestDeath("stack", "the native stack is exhausted");
    } finally {
      this.engine.raw.deepest = outer;
      if (outer !== 0) this.limitStack(0);
    }
  }

  /** Gives the domain its stack anew, from where the host function `deepest` was called, or from the bottom (0). */
  limitStack(deepest: Pointer): void {
    if (!this.abandoned) this.engine.raw.limitStack(this.context, this.spec.limits.stack, deepest);
  }

  private finish(result: Pointer): void {
    const failure = this.engine.raw.takeException(this.context, result);
    this.rethrowOwnFault();
    if (failure !== null) throw this.death(failure);
    this.engine.raw.free(this.context, result);
  }

  private rethrowOwnFault(): void {
    const fault = this.ownFault;
    this.ownFault = null;
    if (fault !== null) throw fault;
  }

  private hasExhaustedHeap(): boolean {
    this.growth += this.engine.takeGrowth();
    if (this.exhausted || this.growth <= this.spec.limits.heap) return this.exhausted;
    // The memory grows in large steps, whose cause is not only this domain: now it pays to count.
    this.growth = this.engine.raw.memoryUsed(this.context);
    this.exhausted = this.growth > this.spec.limits.heap;
    return this.exhausted;
  }

  private death(description: string): GuestDeath {
    if (this.hasExhaustedHeap()) return new GuestDeath("oom", `the heap grew beyond ${this.spec.limits.heap} bytes`);
    const found = DEATHS.find(([pattern]) => pattern.test(description.split("\n", 1)[0]));
    return new GuestDeath(found ? found[1] : "exception", readable(description));
  }
}
