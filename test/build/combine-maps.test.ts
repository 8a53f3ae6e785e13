import { TraceMap, originalPositionFor } from "@jridgewell/trace-mapping";
import { expect, it } from "vitest";
import { type MapData, combineMaps } from "../../build/combine-maps";

/** A map of one line: generated column, source, line, column, all as written. */
function map(sources: readonly string[], names: readonly string[], mappings: string): MapData {
  return { sources, names, mappings };
}

function at(combined: MapData, column: number): { source: string | null; line: number | null; column: number | null } {
  const { names, sources, mappings } = combined;
  const traced = new TraceMap({ version: 3, names: [...names], sources: [...sources], mappings });
  const { source, line, column: found } = originalPositionFor(traced, { line: 1, column });
  return { source, line, column: found };
}

// AAAA: column 0 to the first source's line 1, column 0. IACA: 4 on, a line down. ICDA: 4 on, the next source, a line up.
const FILES = { "a.ts": map(["a.ts"], [], "AACA;AACA"), "b.ts": map(["b.ts"], [], "AAIA") };

it("leads through all steps and through the file's own map", () => {
  const bundle = map(["a.ts", "b.ts"], [], "AAAA,IACA,ICDA");
  const minified = map(["bundle.js"], [], "AAAA,EAAI,EAAI");
  const combined = combineMaps([minified, bundle], FILES, 0);
  expect(combined.sources).toEqual(["a.ts", "b.ts"]);
  expect(at(combined, 0)).toEqual({ source: "a.ts", line: 2, column: 0 });
  expect(at(combined, 2)).toEqual({ source: "a.ts", line: 3, column: 0 });
  expect(at(combined, 4)).toEqual({ source: "b.ts", line: 5, column: 0 });
});

it("leaves out what a step has added itself", () => {
  const bundle = map(["a.ts", "generated"], [], "AAAA,ICAA");
  const combined = combineMaps([map(["bundle.js"], [], "AAAA,EAAI"), bundle], FILES, 0);
  expect(combined.mappings).toBe("AACA");
});

it("keeps the name of the oldest step that has one", () => {
  const bundle = map(["a.ts"], ["old"], "AAAAA");
  expect(combineMaps([map(["bundle.js"], ["new"], "AAAAA"), bundle], FILES, 0).names).toEqual(["old"]);
  expect(combineMaps([map(["bundle.js"], ["new"], "AAAAA"), map(["a.ts"], [], "AAAA")], FILES, 0).names).toEqual([
    "new",
  ]);
});

it("shifts the columns of the first line, and of no other", () => {
  const combined = combineMaps([map(["a.ts"], [], "AAAA;AACA")], FILES, 1);
  expect(combined.mappings).toBe("CACA;AACA");
});
