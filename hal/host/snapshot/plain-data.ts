/**
 * Plain data as bytes and back: what `structuredClone` keeps, this keeps, on every platform and version of Node.
 *
 *   value ─► JSON text with marks + the contents of all typed arrays, one after the other ─► value
 *
 * Objects that are reached twice are one object afterwards too. A mark is an object with the key "$": {"$": "map", "v": […]}. Objects are
 * numbered in the order in which they are met, which is the same when reading.
 */

/** Typed arrays that are understood, by name. */
const ARRAYS = {
  Uint8Array,
  Int8Array,
  Uint16Array,
  Int16Array,
  Uint32Array,
  Int32Array,
  Float32Array,
  Float64Array,
} as const;
type ArrayName = keyof typeof ARRAYS;

/** Every array begins at a multiple of this. */
const ALIGNMENT = 8;
/** From this size on, an array that is read shares the bytes that it was read from. */
const SHARED_BYTES_MIN = 1 << 20;

/** A value as bytes. */
export interface EncodedData {
  readonly text: string;
  readonly arrays: Uint8Array;
}

/** Thrown when bytes are not what `encodePlain` wrote, or a value is not plain. */
export class PlainDataError extends Error {}

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

function nameOf(value: object): ArrayName {
  const found = (Object.keys(ARRAYS) as ArrayName[]).find((name) => value instanceof ARRAYS[name]);
  if (found === undefined) throw new PlainDataError(`a ${value.constructor.name} is not plain data`);
  return found;
}

class Encoder {
  private readonly numbers = new Map<object, number>();
  private readonly arrays: Uint8Array[] = [];
  private size = 0;

  /** The contents of the typed arrays that were met. */
  bytes(): Uint8Array {
    const all = new Uint8Array(this.size);
    let at = 0;
    for (const array of this.arrays) {
      all.set(array, at);
      at += aligned(array.length);
    }
    return all;
  }

  value(value: unknown): Json {
    if (value === null || typeof value === "string" || typeof value === "boolean") return value;
    if (value === undefined) return { $: "undefined" };
    if (typeof value === "number") return this.number(value);
    if (typeof value === "object") return this.object(value);
    throw new PlainDataError(`a ${typeof value} is not plain data`);
  }

  private number(value: number): Json {
    if (Number.isFinite(value) && !Object.is(value, -0)) return value;
    return { $: "number", v: Object.is(value, -0) ? "-0" : String(value) };
  }

  private object(value: object): Json {
    const known = this.numbers.get(value);
    if (known !== undefined) return { $: "same", v: known };
    this.numbers.set(value, this.numbers.size);
    if (Array.isArray(value)) return Array.from(value, (item) => this.value(item));
    if (value instanceof Map) return { $: "map", v: [...value].flat(1).map((item) => this.value(item)) };
    if (value instanceof Set) return { $: "set", v: [...value].map((item) => this.value(item)) };
    if (ArrayBuffer.isView(value)) return this.array(value);
    const prototype: unknown = Object.getPrototypeOf(value);
    if (prototype !== Object.prototype && prototype !== null) nameOf(value);
    const entries = Object.entries(value).map(([key, item]): [string, Json] => [key, this.value(item)]);
    return "$" in value ? { $: "object", v: entries.flat(1) } : Object.fromEntries(entries);
  }

  private array(value: ArrayBufferView): Json {
    const name = nameOf(value);
    const at = this.size;
    this.arrays.push(new Uint8Array(value.buffer, value.byteOffset, value.byteLength));
    this.size += aligned(value.byteLength);
    return { $: name, v: [at, value.byteLength / ARRAYS[name].BYTES_PER_ELEMENT] };
  }
}

class Decoder {
  private readonly objects: unknown[] = [];

  constructor(private readonly arrays: Uint8Array) {}

  value(json: Json): unknown {
    if (json === null || typeof json !== "object") return json;
    if (Array.isArray(json)) return this.items(this.keep([]), json);
    if ("$" in json) return this.marked(json.$ as string, json.v);
    const result: Record<string, unknown> = this.keep({});
    for (const key of Object.keys(json)) this.define(result, key, json[key]);
    return result;
  }

  private keep<T>(object: T): T {
    this.objects.push(object);
    return object;
  }

  private items(into: unknown[], json: readonly Json[]): unknown[] {
    for (const item of json) into.push(this.value(item));
    return into;
  }

  /** As a property of its own, also when it is called __proto__. */
  private define(object: object, key: string, json: Json): void {
    const value = this.value(json);
    Object.defineProperty(object, key, { value, writable: true, enumerable: true, configurable: true });
  }

  private marked(mark: string, json: Json): unknown {
    switch (mark) {
      case "undefined":
        return undefined;
      case "number":
        return Number(json);
      case "same":
        return this.same(json);
      case "map":
        return this.map(json as Json[]);
      case "set":
        return this.set(json as Json[]);
      case "object":
        return this.unusual(json as Json[]);
      default:
        return this.array(mark, json as [number, number]);
    }
  }

  private same(json: Json): unknown {
    if (typeof json !== "number" || !(json in this.objects)) throw new PlainDataError("reference to no object");
    return this.objects[json];
  }

  private map(items: readonly Json[]): Map<unknown, unknown> {
    const map = this.keep(new Map<unknown, unknown>());
    for (let i = 0; i < items.length; i += 2) {
      const key = this.value(items[i]);
      map.set(key, this.value(items[i + 1]));
    }
    return map;
  }

  private set(items: readonly Json[]): Set<unknown> {
    const set = this.keep(new Set<unknown>());
    for (const item of items) set.add(this.value(item));
    return set;
  }

  private unusual(items: readonly Json[]): object {
    const object = this.keep({});
    for (let i = 0; i < items.length; i += 2) this.define(object, items[i] as string, items[i + 1]);
    return object;
  }

  private array(name: string, [at, length]: readonly [number, number]): ArrayBufferView {
    const kind = ARRAYS[name as ArrayName] as typeof Uint8Array | undefined;
    if (kind === undefined) throw new PlainDataError(`unknown mark "${name}"`);
    const size = length * kind.BYTES_PER_ELEMENT;
    if (!(at >= 0 && at + size <= this.arrays.length)) throw new PlainDataError("an array lies outside of the data");
    const bytes = this.arrays.subarray(at, at + size);
    const isShared = size >= SHARED_BYTES_MIN && bytes.byteOffset % ALIGNMENT === 0;
    const { buffer, byteOffset } = isShared ? bytes : new Uint8Array(bytes);
    return this.keep(new kind(buffer, byteOffset, length));
  }
}

function aligned(size: number): number {
  return Math.ceil(size / ALIGNMENT) * ALIGNMENT;
}

/** Writes a value. Throws PlainDataError for what is not plain data: functions, instances of classes, symbols, big integers. */
export function encodePlain(value: unknown): EncodedData {
  const encoder = new Encoder();
  const json = encoder.value(value);
  return { text: JSON.stringify(json), arrays: encoder.bytes() };
}

/** Reads a value. Large arrays are views of `arrays`. Throws PlainDataError, or SyntaxError when the text is no JSON. */
export function decodePlain({ text, arrays }: EncodedData): unknown {
  return new Decoder(arrays).value(JSON.parse(text) as Json);
}
