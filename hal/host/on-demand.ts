/**
 * Packages that a start does not need, loaded where they are first used: an error's suggestion, a guest's stack trace, a table. Each would cost
 * every start some milliseconds. They are loaded at once, which `import()` cannot do.
 */
import { createRequire } from "node:module";
import type CliTable from "cli-table3";
import type * as levenshtein from "fastest-levenshtein";
import type * as traceMapping from "@jridgewell/trace-mapping";

const load = createRequire(import.meta.url);

/** The class of tables. */
export function loadTables(): typeof CliTable {
  return load("cli-table3") as typeof CliTable;
}

/** Distances between words. */
export function loadLevenshtein(): typeof levenshtein {
  return load("fastest-levenshtein") as typeof levenshtein;
}

/** The reader of source maps. */
export function loadTraceMapping(): typeof traceMapping {
  return load("@jridgewell/trace-mapping") as typeof traceMapping;
}
