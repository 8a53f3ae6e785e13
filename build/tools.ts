/**
 * The compilers that a build is made of, behind one interface: in this process, loaded when they are first used, or in processes of their own
 * (`processes.ts`), so that none of them holds everything in memory.
 */
import type { ModuleInfo } from "../hal/host/image/format";
import type { MapData } from "./combine-maps";
import type { Transpile } from "./linker";
import type { SourceText } from "./modinfo";

/** Each takes and returns plain data. */
export interface Tools {
  /** One file of TypeScript, linked as `linker.ts` says. */
  readonly transpile: Transpile;
  /** The names that a header's text declares and does not define. */
  declaredSymbols(text: string): Promise<string[]>;
  /** What `modinfo` prints. Throws BuildError. */
  moduleInfo(sources: readonly SourceText[]): Promise<ModuleInfo>;
  /** A bundle with the calls of small functions replaced by what they do. */
  inlineCalls(code: string): Promise<{ code: string; map: MapData }>;
  /** A bundle without what is never used. */
  minify(code: string): Promise<{ code: string; map: MapData }>;
  /** A bundle whose local variables need no check; of the same length. */
  widenScopes(code: string): Promise<string>;
  /** The source map over several steps; the last step's comes first. `files`: by source, the maps of what was done to each file.
   * `shift`: columns that the first line has gained since. */
  combineMaps(steps: readonly MapData[], files: Readonly<Record<string, MapData>>, shift: number): Promise<MapData>;
}

/** The compilers in this process. */
export function localTools(): Tools {
  let transpiler: Promise<Transpile> | null = null;
  return {
    async transpile(options, code, id) {
      transpiler ??= import("./transpile").then(({ createTranspiler }) => createTranspiler());
      return (await transpiler)(options, code, id);
    },
    declaredSymbols: async (text) => (await import("./transpile")).declaredSymbols(text),
    moduleInfo: async (sources) => (await import("./modinfo")).moduleInfo(sources),
    inlineCalls: async (code) => {
      const { code: inlined, map } = (await import("./inline")).inlineCalls(code);
      return { code: inlined, map: JSON.parse(map) as MapData };
    },
    minify: async (code) => (await import("./minify")).minifyBundle(code),
    widenScopes: async (code) => (await import("./function-scope")).widenScopes(code),
    combineMaps: async (steps, files, shift) => (await import("./combine-maps")).combineMaps(steps, files, shift),
  };
}
