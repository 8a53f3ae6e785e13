import { describe, expect, it } from "vitest";
import * as fc from "fast-check";
import { PlainDataError, decodePlain, encodePlain } from "../../../../hal/host/snapshot/plain-data";

function copy(value: unknown): unknown {
  return decodePlain(encodePlain(value));
}

describe("plain data", () => {
  it("keeps what structuredClone keeps", () => {
    const big = new Float64Array(1 << 18).map((_, i) => i / 3);
    const value = {
      numbers: [0, -0, 1.5, -1e300, NaN, Infinity, -Infinity, 2 ** 53],
      nothing: [null, undefined],
      text: "“ü\u0000\ud83d\ude00",
      arrays: [Uint8Array.of(1, 2), Int32Array.of(-1), Uint16Array.of(65535), new Uint32Array(0), big],
      map: new Map<unknown, unknown>([
        [1, { a: 1 }],
        ["1", [new Set([1, "x", undefined])]],
        [[2], new Map()],
      ]),
      $: "a mark of its own",
    };
    expect(copy(value)).toEqual(structuredClone(value));
    const ownProto = JSON.parse('{"__proto__": 7}') as object;
    expect(Object.getOwnPropertyDescriptor(copy(ownProto), "__proto__")?.value).toBe(7);
  });

  it("an object that is reached twice is one object afterwards, in a circle too", () => {
    const shared = { n: 1 };
    const bytes = Uint8Array.of(1);
    const value: Record<string, unknown> = { list: [shared, bytes], map: new Map([[shared, bytes]]) };
    value.self = value;
    const result = copy(value) as { list: unknown[]; map: Map<unknown, unknown>; self: unknown };
    expect(result.self).toBe(result);
    expect([...result.map]).toEqual([[shared, bytes]]);
    expect([...result.map.keys()][0]).toBe(result.list[0]);
    expect([...result.map.values()][0]).toBe(result.list[1]);
  });

  it("any plain value comes back", () => {
    const anything = fc.anything({ withMap: true, withSet: true, withTypedArray: false, withNullPrototype: false });
    fc.assert(
      fc.property(anything, (value) => {
        expect(copy([value])).toEqual([value]);
      }),
      { numRuns: 300 },
    );
  });

  it.each([() => 1, Symbol("s"), new Date(0), 1n, new (class Thing {})()])("refuses what is not plain: %s", (value) => {
    expect(() => encodePlain({ value })).toThrow(PlainDataError);
  });

  it.each([
    '{"$":"same","v":9}',
    '{"$":"Uint8Array","v":[0,99]}',
    '{"$":"Uint8Array","v":[-8,1]}',
    '{"$":"Window","v":[0,0]}',
  ])("refuses to read %s", (text) =>
    expect(() => decodePlain({ text, arrays: new Uint8Array(16) })).toThrow(PlainDataError),
  );
});
