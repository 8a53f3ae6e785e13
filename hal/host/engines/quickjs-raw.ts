/**
 * The one file that uses what lies below quickjs-emscripten's public interface: memory shared without a copy, calls in both directions that
 * do not allocate, strings and evaluation by pointer.
 *
 * Each point is private to the pinned package version, so `selfTest` verifies it at start-up. A point that fails is named, with what
 * it costs to go without it; the machine does not start on an engine that would corrupt memory silently. An instance that becomes a copy of
 * another one of the same code takes over what that one has found.
 *
 * A JSValue is 8 bytes, NaN-boxed: for an int32 the low word is the integer. A `JSValue*` is an address in the WASM heap.
 */
import baseVariant from "@jitl/quickjs-wasmfile-release-sync";
import { newQuickJSWASMModuleFromVariant, newVariant, type QuickJSWASMModule } from "quickjs-emscripten";
import type { EngineFacts } from "./engine";
import type { EmscriptenModule, ForeignFunctions, Pointer } from "./quickjs-private";
import { ALL_INTRINSICS, GUEST_INTRINSICS } from "./quickjs-intrinsics";
import { compileQuickJS } from "./quickjs-module";

/** A host function that guests call: reads its arguments with the `argument…` methods; returns an owned `JSValue*`, or 0 for undefined. */
export type HostFunction = (argc: number, argv: Pointer) => Pointer;

/** Ids of our own host functions start here, far above the package's. */
const HOST_FUNCTION_BASE = 0x20000000;
const FUNCTIONS_PER_DOMAIN = 8;
/** Id of the function that says where its arguments are. */
const PROBE_FUNCTION = 0x3fffffff;
const PROBE_STACK_BYTES = 64 << 10;
/** Stack that the engine takes between a hypercall's arguments and the host, bytes, and some more. */
const HOST_CALL_BYTES = 4096;
const WASM_PAGE_SIZE = 65536;
/** What the package's module asks for at the start, and the most that it can address. */
const WASM_PAGES_INITIAL = 256;
const WASM_PAGES_LIMIT = 32768;
/** What a new instance has written to above its static data, bytes, with much room: its initialisers allocate next to nothing. */
const WRITTEN_AT_START = 1 << 20;
/** Words of a JSObject and of a JSArrayBuffer that the search for `free_func` looks at. */
const SEARCH_WORDS = 16;
/** Words at the bottom of the memory that hold the allocator's static data, and the block that makes it move. */
const STATIC_WORDS = 1 << 16;
const PROBE_BYTES = 256 << 10;
/** The engine's static data end before this, with much room. */
const STATIC_BYTES_MAX = 1 << 20;

/** One guest's handles: addresses, so that they mean the same in a copy of the memory. */
export interface RawContext {
  readonly runtime: Pointer;
  readonly pointer: Pointer;
  /** A second context of the runtime, for counting its memory; 0 until that was needed. */
  counter: Pointer;
  /** Where the engine's stack began when it was made; absent: where it begins in a fresh instance. */
  readonly top?: Pointer;
}

/** Where the finaliser of an aliasing ArrayBuffer is found. */
interface AliasLayout {
  /** Word of the JSObject that points to the JSArrayBuffer. */
  readonly bufferWord: number;
  /** Word of the JSArrayBuffer that holds `free_func`. */
  readonly freeWord: number;
}

/** One instance of the WASM module, seen from below. */
export class RawQuickJS {
  private readonly module: EmscriptenModule;
  private readonly ffi: ForeignFunctions;
  private readonly undefinedValue: Pointer;
  private readonly functions: (HostFunction | undefined)[] = [];
  private readonly interrupts = new Map<Pointer, () => boolean>();
  /** Arguments of the innermost hypercall that is under way: as deep as the engine's stack is in use. 0: not at all. */
  deepest: Pointer = 0;
  /** Where the engine's stack began when the first guest was made, and where it begins now. */
  private stackTop: Pointer = 0;
  private stackRest: Pointer = 0;
  private layout: AliasLayout | null = null;
  /** Word that holds the end of the heap: what the allocator has taken of the memory so far. */
  private breakWord = 0;
  /** Page of the first block that was ever allocated. */
  private heapStart = 0;
  private words: Uint32Array;

  /** Where the pages are that the instance was made with. */
  readonly pages: Pointer;

  private constructor(wasm: QuickJSWASMModule, pageBytes: number) {
    const inner = wasm as unknown as { module: EmscriptenModule; ffi: ForeignFunctions };
    this.module = inner.module;
    this.ffi = inner.ffi;
    this.pages = this.takePages(pageBytes);
    this.words = new Uint32Array(this.module.HEAPU8.buffer);
    this.undefinedValue = this.ffi.QTS_GetUndefined();
    this.installDispatcher();
  }

  /**
   * A fresh instance of the engine whose memory never grows beyond `bytesMax`; the compiled code is shared. At `pages` it holds `pageBytes`
   * bytes at a page boundary, zeroed, for its own life. Its memory has `bytes` from the start, or the least that it needs. `facts` are what another
   * instance of the same code has found out. Throws when the self-test fails, and RangeError when the memory cannot grow that far.
   */
  static async create(bytesMax: number, pageBytes = 0, bytes = 0, facts?: EngineFacts): Promise<RawQuickJS> {
    const wasmModule = await compileQuickJS();
    const pages = Math.min(WASM_PAGES_LIMIT, Math.max(WASM_PAGES_INITIAL, Math.ceil(bytesMax / WASM_PAGE_SIZE)));
    const initial = Math.max(WASM_PAGES_INITIAL, Math.ceil(bytes / WASM_PAGE_SIZE));
    const wasmMemory = new WebAssembly.Memory({ initial, maximum: pages });
    const variant = newVariant(baseVariant, { wasmModule, wasmMemory });
    const raw = new RawQuickJS(await newQuickJSWASMModuleFromVariant(variant), pageBytes);
    if (facts === undefined) raw.selfTest();
    else raw.adoptFacts(facts);
    return raw;
  }

  /** What the self-test has found out, for other instances of the same code. */
  facts(): EngineFacts {
    const { bufferWord, freeWord } = this.layout as AliasLayout;
    return { breakWord: this.breakWord, bufferWord, freeWord, stackTop: this.stackTop };
  }

  private adoptFacts({ breakWord, bufferWord, freeWord, stackTop }: EngineFacts): void {
    this.breakWord = breakWord;
    this.layout = { bufferWord, freeWord };
    this.stackTop = this.stackRest = stackTop;
  }

  /** The whole memory as bytes; a new array after growth. */
  heap(): Uint8Array {
    return this.module.HEAPU8;
  }

  /** A new runtime with one context: no Date, no Promise jobs of its own, limits as given (bytes). */
  newContext(limits: { heap: number; stack: number }): RawContext {
    const runtime = this.ffi.QTS_NewRuntime();
    // The engine's own count sees a few bytes of each block whatever its size; a quarter stands for blocks of 32 bytes and more.
    this.ffi.QTS_RuntimeSetMemoryLimit(runtime, limits.heap / 4);
    this.ffi.QTS_RuntimeSetMaxStackSize(runtime, limits.stack);
    return { runtime, pointer: this.ffi.QTS_NewContext(runtime, GUEST_INTRINSICS), counter: 0, top: this.stackRest };
  }

  /**
   * Sets how much stack a guest has, bytes, from where it is entered: at the bottom of the engine's stack, or inside of the hypercall whose arguments
   * are at `deepest`. Never more than twice as much in all: the native stack is shared.
   */
  limitStack(raw: RawContext, size: number, deepest: Pointer): void {
    const lost = (raw.top ?? this.stackTop) - this.stackRest;
    const used = deepest === 0 ? 0 : Math.max(0, this.stackRest - deepest + HOST_CALL_BYTES);
    this.ffi.QTS_RuntimeSetMaxStackSize(raw.runtime, lost + Math.min(size + used, 2 * size));
  }

  /** Finds out where the engine's stack begins now: where a host function's arguments are that a fresh guest calls. Between slices only. */
  measureStack(): void {
    const raw = this.newContext({ heap: 8 << 20, stack: PROBE_STACK_BYTES });
    const probe = this.ffi.QTS_NewFunction(raw.pointer, "probe", 0, false, PROBE_FUNCTION);
    const caller = this.evaluate(raw, "(function (f) { f(1, 2, 3, 4); })", "probe.js");
    this.free(raw, this.call(raw, caller, [probe]));
    for (const value of [caller, probe]) this.free(raw, value);
    this.freeContext(raw);
  }

  /** Bytes that the context's values take: a walk over its whole heap. Infinity when there is no memory left to tell. */
  memoryUsed(raw: RawContext): number {
    try {
      if (raw.counter === 0) raw.counter = this.ffi.QTS_NewContext(raw.runtime, ALL_INTRINSICS);
      const usage = this.ffi.QTS_RuntimeComputeMemoryUsage(raw.runtime, raw.counter);
      const name = this.newStringIn(raw.counter, "memory_used_size");
      const used = this.ffi.QTS_GetProp(raw.counter, usage, name);
      const bytes = this.ffi.QTS_GetFloat64(raw.counter, used);
      for (const value of [usage, name, used]) this.ffi.QTS_FreeValuePointer(raw.counter, value);
      return Number.isNaN(bytes) ? Infinity : bytes;
    } catch {
      return Infinity;
    }
  }

  /** Makes the memory at least so long. For a memory that is overwritten next: what makes it grow is a block that nobody frees. */
  growTo(bytes: number): void {
    if (this.module.HEAPU8.length >= bytes) return;
    if (this.module._malloc(bytes - this.heapEnd()) === 0)
      throw new RangeError(`the engine's memory cannot hold ${bytes} bytes`);
  }

  /**
   * Where the engine's own stack is: from its static data, which end long before, to its heap. Between slices nothing is on it, so that its bytes
   * mean nothing.
   */
  stackRegion(): { readonly from: Pointer; readonly to: Pointer } {
    return { from: Math.min(STATIC_BYTES_MAX, this.heapStart), to: this.heapStart };
  }

  /** End of the heap, bytes: what the allocator has taken so far. Nothing beyond it was ever used. */
  heapEnd(): number {
    return this.word(4 * this.breakWord);
  }

  /** Calls `check` now and then while the runtime executes (about every 10,000 branches; exactly repeatable); true ends the execution. */
  onInterrupt(raw: RawContext, check: () => boolean): void {
    this.interrupts.set(raw.runtime, check);
    this.ffi.QTS_RuntimeEnableInterruptHandler(raw.runtime);
  }

  /** Frees a context and its runtime, and forgets its host functions. */
  disposeContext(raw: RawContext, slot: number): void {
    this.freeContext(raw);
    this.interrupts.delete(raw.runtime);
    for (let i = 0; i < FUNCTIONS_PER_DOMAIN; i++) this.functions[slot * FUNCTIONS_PER_DOMAIN + i] = undefined;
  }

  private freeContext(raw: RawContext): void {
    if (raw.counter !== 0) this.ffi.QTS_FreeContext(raw.counter);
    this.ffi.QTS_FreeContext(raw.pointer);
    this.ffi.QTS_FreeRuntime(raw.runtime);
  }

  /** Forgets all guests without freeing them: the memory is about to become another one's. */
  forgetContexts(): void {
    this.functions.length = 0;
    this.interrupts.clear();
  }

  /** What `onInterrupt` and `newFunction` tell the host's side, for a context that came with a copied memory; `stack` bytes are this thread's. */
  adoptContext(
    raw: RawContext,
    slot: number,
    stack: number,
    functions: readonly HostFunction[],
    check: () => boolean,
  ): void {
    this.ffi.QTS_RuntimeSetMaxStackSize(raw.runtime, stack);
    functions.forEach((fn, index) => this.setFunction(slot, index, fn));
    this.interrupts.set(raw.runtime, check);
  }

  /** A guest function value that calls host function `index` of domain slot `slot`. The id is the same in every instance. */
  newFunction(raw: RawContext, slot: number, index: number, name: string, fn: HostFunction): Pointer {
    const id = this.setFunction(slot, index, fn);
    return this.ffi.QTS_NewFunction(raw.pointer, name, 0, false, HOST_FUNCTION_BASE + id);
  }

  private setFunction(slot: number, index: number, fn: HostFunction): number {
    const id = slot * FUNCTIONS_PER_DOMAIN + index;
    while (this.functions.length <= id) this.functions.push(undefined);
    this.functions[id] = fn;
    return id;
  }

  /** An ArrayBuffer over existing memory, without a copy, that does nothing to the memory when it is collected. */
  alias(raw: RawContext, pointer: Pointer, length: number): Pointer {
    const value = this.ffi.QTS_NewArrayBuffer(raw.pointer, pointer, length);
    if (this.layout === null) throw new Error("the engine's self-test has not run");
    const buffer = this.word(this.word(value) + 4 * this.layout.bufferWord);
    this.setWord(buffer + 4 * this.layout.freeWord, 0);
    return value;
  }

  /** Argument `index` as an int32; anything that is not an int32 reads as some integer, never as an exception. */
  argumentInt(argv: Pointer, index: number): number {
    return this.word(argv + 8 * index) | 0;
  }

  /** The heap as words, to read several arguments at once: argument i is word `(argv >>> 2) + 2 * i`. Stale as soon as the memory grows. */
  argumentWords(): Uint32Array {
    if (this.words.buffer !== this.module.HEAPU8.buffer) this.words = new Uint32Array(this.module.HEAPU8.buffer);
    return this.words;
  }

  /** Argument `index` as a string. */
  argumentString(raw: RawContext, argv: Pointer, index: number): string {
    const text = this.ffi.QTS_GetString(raw.pointer, argv + 8 * index);
    const result = this.module.UTF8ToString(text);
    this.ffi.QTS_FreeCString(raw.pointer, text);
    return result;
  }

  /** A string value, owned by the caller. */
  newString(raw: RawContext, text: string): Pointer {
    return this.newStringIn(raw.pointer, text);
  }

  private newStringIn(context: Pointer, text: string): Pointer {
    const pointer = this.copyString(text);
    const value = this.ffi.QTS_NewString(context, pointer);
    this.module._free(pointer);
    return value;
  }

  /** The value null, owned by the caller. */
  newNull(raw: RawContext): Pointer {
    return this.ffi.QTS_DupValuePointer(raw.pointer, this.ffi.QTS_GetNull());
  }

  /** Evaluates a script; the value it ends with, or an exception value, owned by the caller. */
  evaluate(raw: RawContext, code: string, file: string): Pointer {
    const pointer = this.copyString(code);
    const value = this.ffi.QTS_Eval(raw.pointer, pointer, Buffer.byteLength(code), file, 0, 0);
    this.module._free(pointer);
    return value;
  }

  /** Calls a guest function with values; the result or an exception value, owned by the caller. */
  call(raw: RawContext, fn: Pointer, args: readonly Pointer[]): Pointer {
    if (args.length === 0) return this.ffi.QTS_Call(raw.pointer, fn, this.undefinedValue, 0, 0);
    const argv = this.module._malloc(4 * args.length);
    for (let i = 0; i < args.length; i++) this.setWord(argv + 4 * i, args[i]);
    const result = this.ffi.QTS_Call(raw.pointer, fn, this.undefinedValue, args.length, argv);
    this.module._free(argv);
    return result;
  }

  /** Calls a guest function without arguments: the hot path. The result or an exception value, owned by the caller. */
  callQuick(context: Pointer, fn: Pointer): Pointer {
    return this.ffi.QTS_Call(context, fn, this.undefinedValue, 0, 0);
  }

  /** Frees an owned value, without a look at its context. */
  freeQuick(context: Pointer, value: Pointer): void {
    this.ffi.QTS_FreeValuePointer(context, value);
  }

  /** Element `index` of an array, owned by the caller. */
  element(raw: RawContext, array: Pointer, index: number): Pointer {
    return this.ffi.QTS_GetPropNumber(raw.pointer, array, index);
  }

  /** If the value is an exception: frees it and returns a description of what was thrown; otherwise null. */
  takeException(raw: RawContext, value: Pointer): string | null {
    const error = this.ffi.QTS_ResolveException(raw.pointer, value);
    if (error === 0) return null;
    const dump = this.ffi.QTS_Dump(raw.pointer, error);
    const text = this.module.UTF8ToString(dump);
    this.ffi.QTS_FreeCString(raw.pointer, dump);
    this.ffi.QTS_FreeValuePointer(raw.pointer, error);
    this.ffi.QTS_FreeValuePointer(raw.pointer, value);
    return text;
  }

  /** Frees an owned value. */
  free(raw: RawContext, value: Pointer): void {
    this.ffi.QTS_FreeValuePointer(raw.pointer, value);
  }

  /**
   * `size` bytes at a page boundary, zeroed. Taken before anything runs in the instance: its memory is zero then, but for the beginning, and
   * what nobody touches takes no memory of the host.
   */
  private takePages(size: number): Pointer {
    const pointer = this.module._malloc(size + 4096);
    if (pointer === 0) throw new RangeError(`the engine's memory cannot hold ${size} more bytes`);
    this.heapStart = pointer & ~4095;
    const start = Math.ceil(pointer / 4096) * 4096;
    this.module.HEAPU8.fill(0, start, start + Math.min(size, WRITTEN_AT_START));
    return start;
  }

  /** A text in the engine's memory as a C string. Node writes it: the package's own way looks at each character, which for a kernel takes long. */
  private copyString(text: string): Pointer {
    const size = Buffer.byteLength(text) + 1;
    const pointer = this.module._malloc(size);
    if (pointer === 0) throw new RangeError(`the engine's memory cannot hold a text of ${size} bytes`);
    const { buffer, byteOffset } = this.module.HEAPU8;
    Buffer.from(buffer, byteOffset + pointer, size).write(text);
    this.module.HEAPU8[pointer + size - 1] = 0;
    return pointer;
  }

  private word(pointer: Pointer): number {
    if (this.words.buffer !== this.module.HEAPU8.buffer) this.words = new Uint32Array(this.module.HEAPU8.buffer);
    return this.words[pointer >>> 2];
  }

  private setWord(pointer: Pointer, value: number): void {
    if (this.words.buffer !== this.module.HEAPU8.buffer) this.words = new Uint32Array(this.module.HEAPU8.buffer);
    this.words[pointer >>> 2] = value;
  }

  private installDispatcher(): void {
    const stockCall = this.module.callbacks.callFunction;
    const stockInterrupt = this.module.callbacks.shouldInterrupt;
    const stockFree = this.module.callbacks.freeHostRef;
    this.module.callbacks.callFunction = (asyncify, context, self, argc, argv, functionId) => {
      if (functionId === PROBE_FUNCTION) {
        this.stackRest = argv;
        return 0;
      }
      if (functionId < HOST_FUNCTION_BASE) return stockCall(asyncify, context, self, argc, argv, functionId);
      const fn = this.functions[functionId - HOST_FUNCTION_BASE];
      return fn === undefined ? 0 : fn(argc, argv);
    };
    this.module.callbacks.shouldInterrupt = (asyncify, runtime) => {
      const check = this.interrupts.get(runtime);
      return check === undefined ? stockInterrupt(asyncify, runtime) : check() ? 1 : 0;
    };
    this.module.callbacks.freeHostRef = (asyncify, runtime, id) => {
      if (id < HOST_FUNCTION_BASE) stockFree(asyncify, runtime, id);
    };
  }

  /** Verifies every private point that the engine relies on; throws an error that names the one that fails. */
  private selfTest(): void {
    this.breakWord = this.findBreakWord();
    const raw = this.newContext({ heap: 8 << 20, stack: 128 << 10 });
    const region = Math.ceil(this.module._malloc(12288) / 4096) * 4096;
    this.layout = this.findAliasLayout(raw, region);
    this.testAlias(raw, region);
    this.testHostCall(raw);
    this.disposeContext(raw, 0);
    if (this.module.HEAPU8[region] !== 0x5a)
      throw new Error("engine self-test: shared memory did not survive its alias");
    this.functions.length = 0;
  }

  /**
   * Takes a block that the allocator has not got and looks which word of its static data has moved behind it. Its own record of the last free
   * chunk moves likewise, but never beyond what it took of the memory.
   */
  private findBreakWord(): number {
    const before = this.argumentWords().slice(0, STATIC_WORDS);
    const block = this.module._malloc(PROBE_BYTES);
    const end = block + PROBE_BYTES;
    const after = this.argumentWords();
    let found = 0;
    for (let i = 1; i < STATIC_WORDS; i++) {
      const moved = after[i] !== before[i] && after[i] >= end && after[i] < end + PROBE_BYTES;
      if (moved && (found === 0 || after[i] > after[found])) found = i;
    }
    this.module._free(block);
    if (found === 0)
      throw new Error("engine self-test: the end of the heap was not found (quickjs-emscripten changed?)");
    return found;
  }

  /** Makes two aliases of known, different address and length and looks for the words that differ as expected. */
  private findAliasLayout(raw: RawContext, region: Pointer): AliasLayout {
    const first = this.ffi.QTS_NewArrayBuffer(raw.pointer, region, 512);
    const second = this.ffi.QTS_NewArrayBuffer(raw.pointer, region + 4096, 1024);
    const limit = this.module.HEAPU8.length;
    for (let bufferWord = 2; bufferWord < SEARCH_WORDS; bufferWord++) {
      const a = this.word(this.word(first) + 4 * bufferWord);
      const b = this.word(this.word(second) + 4 * bufferWord);
      if (a === b || a % 4 !== 0 || b % 4 !== 0 || Math.max(a, b) + 64 >= limit || Math.min(a, b) < 1024) continue;
      if (this.word(a) !== 512 || this.word(b) !== 1024) continue;
      const freeWord = this.findFreeWord(a, b, region);
      if (freeWord === null) continue;
      for (const [value, buffer] of [
        [first, a],
        [second, b],
      ]) {
        this.setWord(buffer + 4 * freeWord, 0);
        this.ffi.QTS_FreeValuePointer(raw.pointer, value);
      }
      return { bufferWord, freeWord };
    }
    throw new Error(
      "engine self-test: the finaliser of an aliasing ArrayBuffer was not found (quickjs-emscripten changed?)",
    );
  }

  /** After length and data pointer, the first word that both buffers share and that is a small table index is `free_func`. */
  private findFreeWord(a: Pointer, b: Pointer, region: Pointer): number | null {
    let data = -1;
    for (let i = 1; i < SEARCH_WORDS; i++) {
      if (this.word(a + 4 * i) === region && this.word(b + 4 * i) === region + 4096) data = i;
    }
    if (data < 0) return null;
    for (let i = data + 1; i < SEARCH_WORDS; i++) {
      const value = this.word(a + 4 * i);
      if (value !== 0 && value < 65536 && value === this.word(b + 4 * i)) return i;
    }
    return null;
  }

  private testAlias(raw: RawContext, region: Pointer): void {
    const write = this.evaluate(raw, "(function (b) { new Uint8Array(b)[0] = 0x5a; })", "self-test.js");
    for (let i = 0; i < 64; i++) {
      const alias = this.alias(raw, region, 4096);
      this.free(raw, this.call(raw, write, [alias]));
      this.free(raw, alias);
    }
    this.free(raw, write);
    if (this.module.HEAPU8[region] !== 0x5a) throw new Error("engine self-test: memory is not shared without a copy");
  }

  private testHostCall(raw: RawContext): void {
    let seen = 0;
    const host = this.newFunction(raw, 0, 0, "probe", (argc, argv) => {
      this.stackTop = this.stackRest = argv;
      seen = argc * 1000 + this.argumentInt(argv, 0) - this.argumentInt(argv, 1);
      return 0;
    });
    const caller = this.evaluate(raw, "(function (f) { f(7, -35); })", "self-test.js");
    this.free(raw, this.call(raw, caller, [host]));
    this.free(raw, caller);
    this.free(raw, host);
    if (seen !== 2042) throw new Error("engine self-test: arguments of host calls are not where they were");
  }
}
