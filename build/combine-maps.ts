/** The source map of code that was changed in several steps. */
import {
  type SourceMapSegment,
  TraceMap,
  decodedMappings,
  encodedMappings,
  traceSegment,
} from "@jridgewell/trace-mapping";

/** The part of a source map that the image holds. */
export interface MapData {
  readonly names: readonly string[];
  readonly sources: readonly (string | null)[];
  /** Encoded. */
  readonly mappings: string;
}

/** A position in the code before all steps, by numbers: source, line, column; and a name, or null. */
interface Origin {
  readonly place: readonly [number, number, number];
  readonly name: string | null;
}

/**
 * The map over all steps; the last step's comes first. `files` holds, by source, the maps of the step before all others, which was done file by
 * file. What a step has added itself leads nowhere. The columns of the first line are shifted by `shift`.
 */
export function combineMaps(
  [last, ...before]: readonly MapData[],
  files: Readonly<Record<string, MapData>>,
  shift: number,
): MapData {
  const outer = mapOf(last);
  const { sources } = before[before.length - 1] ?? last;
  const inner: Steps = { steps: before.map(mapOf), files: sources.map((name) => mapOf(files[name ?? ""] ?? EMPTY)) };
  const names = new Map<string, number>();
  const mappings = decodedMappings(outer).map((line, index) =>
    line.flatMap((segment): SourceMapSegment[] => {
      const origin = trace(outer, segment, inner);
      if (origin === null) return [];
      const { place, name } = origin;
      const column = segment[0] + (index === 0 ? shift : 0);
      return [name === null ? [column, ...place] : [column, ...place, indexOf(names, name)]];
    }),
  );
  const combined = { version: 3 as const, names: [...names.keys()], sources: [...sources], mappings };
  return { names: combined.names, sources, mappings: encodedMappings(new TraceMap(combined)) };
}

/** Steps that are still to be traced back through. */
interface Steps {
  readonly steps: readonly TraceMap[];
  readonly files: readonly TraceMap[];
}

const EMPTY: MapData = { names: [], sources: [], mappings: "" };

/** Where a position (line from 1, column from 0) comes from; itself when the map does not say. */
export function sourcePosition(map: MapData, position: Position): Position {
  const found = find(mapOf(map), position.line - 1, position.column);
  return found === null || found.length === 1 ? position : { line: found[2] + 1, column: found[3] };
}

interface Position {
  readonly line: number;
  readonly column: number;
}

function mapOf({ names, sources, mappings }: MapData): TraceMap {
  return new TraceMap({ version: 3, names: [...names], sources: [...sources], mappings });
}

function trace(map: TraceMap, segment: Readonly<SourceMapSegment> | null, { steps, files }: Steps): Origin | null {
  if (segment === null || segment.length === 1) return null;
  const [, source, line, column] = segment;
  const own = segment.length === 5 ? map.names[segment[4]] : null;
  if (steps.length === 0) {
    const found = find(files[source], line, column);
    return found === null || found.length === 1 ? null : { place: [source, found[2], found[3]], name: own };
  }
  const [step, ...rest] = steps;
  const origin = trace(step, find(step, line, column), { steps: rest, files });
  return origin === null ? null : { place: origin.place, name: origin.name ?? own };
}

/** The segment at a position; before the first one of a line, that one. */
function find(map: TraceMap, line: number, column: number): Readonly<SourceMapSegment> | null {
  return traceSegment(map, line, column) ?? decodedMappings(map)[line]?.[0] ?? null;
}

function indexOf(names: Map<string, number>, name: string): number {
  const index = names.get(name) ?? names.size;
  names.set(name, index);
  return index;
}
