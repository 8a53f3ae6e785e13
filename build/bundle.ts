/**
 * Compiles one unit (the kernel, a module, a program) into one script per flavour:
 *
 *   TypeScript ──linker plugin──► rollup ──(release: terser)──► 0,function (__ksym, exports) { "use strict"; ... }
 *
 * The script's value is a factory: the engine calls it with a resolver of kernel symbols and an object that takes the exports. Names of functions
 * survive in both flavours, so that stacks stay readable; source maps name the TypeScript files relative to the project.
 */
import * as fs from "node:fs";
import * as path from "node:path";
import { type OutputChunk, type Plugin, type RollupError, type RollupLog, rollup } from "rollup";
import { type Flavour, bundlePath, mapPath } from "../hal/host/image/format";
import { BuildError } from "./build-error";
import { type MapData, sourcePosition } from "./combine-maps";
import { type LinkMode, type LinkerPlugin, type Transpiled, linker } from "./linker";
import { type Unit, compareText } from "./sources";
import type { Tools } from "./tools";

/** A compiled unit of one flavour. */
export interface CompiledBundle {
  readonly file: string;
  readonly code: string;
  /** The source map as JSON text. */
  readonly map: string;
  /** Absolute paths of the files that went into it, sorted. */
  readonly sources: readonly string[];
  /** Absolute paths of all files that were read for it, sorted. */
  readonly inputs: readonly string[];
  /** Names that it looks up when it is loaded, sorted. */
  readonly undefined: readonly string[];
  /** Names that it gives to EXPORT_SYMBOL, sorted. */
  readonly exports: readonly string[];
}

/** Compiles units. Keeps transpiled files, which many bundles share: make one per build. */
export interface Compiler {
  /** Compiles a unit. Throws BuildError. */
  compile(unit: Unit, flavour: Flavour): Promise<CompiledBundle>;
}

const ENTRY = "\0virtual:entry";
/**
 * What makes an expression of the factory. QuickJS, when it meets a parenthesis, looks for the end of it to see whether an arrow follows: it
 * would read every bundle twice.
 */
const COMMA = "0,";
const KSYM = /\b__ksym\("(\w+)"\)/g;
const EXPORTED = /\bEXPORT_SYMBOL(?:_GPL)?\("(\w+)",/g;

/** Makes a compiler for the project, or the installed package, at `root`. */
export function createCompiler(root: string, tools: Tools): Compiler {
  const linkers = new Map<string, GuestLinker>();
  const transpiled: TranspiledFiles = new Map();
  const linkerFor = (mode: LinkMode, flavour: Flavour): GuestLinker => {
    const key = `${mode}-${flavour}`;
    const plugin = linker({ root, mode, debug: flavour === "debug" }, tools.transpile);
    const known = linkers.get(key) ?? remembering(plugin, mode, flavour, transpiled);
    linkers.set(key, known);
    return known;
  };
  return {
    async compile(unit, flavour) {
      const plugin = linkerFor(unit.kind === "kernel" ? "kernel" : "module", flavour);
      const bundled = await explained(root, unit, plugin, () => bundle(root, unit, flavour, plugin, tools));
      if (unit.kind !== "kernel") refuseKernelCode(root, unit, bundled.sources);
      const { code, steps } =
        flavour === "release" ? await shrunk(bundled, tools) : { ...bundled, steps: [bundled.map] };
      const maps = bundled.sources.flatMap((file) => {
        const map = plugin.mapOf(file);
        return map === null ? [] : [[posix(path.relative(root, file)), map] as const];
      });
      const map = await tools.combineMaps(steps, Object.fromEntries(maps), COMMA.length - "(".length);
      return describe(unit, flavour, { ...bundled, code: unwrapped(code), map });
    },
  };
}

type TranspiledFiles = Map<string, Promise<Transpiled>>;

/** The linker as guests are bundled with it: the maps of single files stay here, where rollup need not hold them all decoded. */
interface GuestLinker extends Plugin {
  /** The map of a file that was transpiled; null for others. */
  mapOf(file: string): MapData | null;
}

/** What the linker treats differently in the two flavours; a file without it is transpiled once for both. */
const FLAVOURED = /__DEBUG__|\bpage_(read|write)(8|32)\b/;

/** The same plugin, transpiling each file once. */
function remembering(plugin: LinkerPlugin, mode: LinkMode, flavour: Flavour, done: TranspiledFiles): GuestLinker {
  const maps = new Map<string, string>();
  return {
    ...plugin,
    async transform(code, id) {
      const key = `${mode} ${FLAVOURED.test(code) ? flavour : "both"} ${id}`;
      const work = done.get(key) ?? plugin.transform(code, id);
      if (work === null) return null;
      done.set(key, work);
      const result = await work;
      maps.set(id, result.map);
      return { code: result.code, map: null };
    },
    mapOf: (file) => (maps.has(file) ? (JSON.parse(maps.get(file) as string) as MapData) : null),
  };
}

/** A bundle as rollup makes it. */
interface Bundled {
  readonly code: string;
  /** Leads to the transpiled files. */
  readonly map: MapData;
  /** Absolute paths of the files that went into it, sorted. */
  readonly sources: readonly string[];
  /** Absolute paths of all files that were read, sorted. */
  readonly inputs: readonly string[];
}

async function bundle(root: string, unit: Unit, flavour: Flavour, plugin: GuestLinker, tools: Tools): Promise<Bundled> {
  const build = await rollup({
    input: unit.entries.length === 1 ? unit.entries[0] : ENTRY,
    plugins: [entryOf(unit), plugin],
    onLog: (level, log) => {
      if (level === "warn" && log.code !== "CIRCULAR_DEPENDENCY" && log.code !== "EMPTY_BUNDLE") throw refusal(log);
    },
  });
  const file = path.join(root, bundlePath(unit.kind, unit.name, flavour));
  const { output } = await build.generate({
    file,
    format: "cjs",
    banner: "(function (__ksym, exports) {",
    footer: "})",
    exports: "named",
    esModule: false,
    freeze: false,
    generatedCode: { preset: "es2015", symbols: false },
    sourcemap: true,
    sourcemapExcludeSources: true,
    sourcemapPathTransform: (source) => posix(path.relative(root, path.resolve(path.dirname(file), source))),
  });
  await build.close();
  const [chunk] = output;
  if (unit.kind === "kernel") await refuseUnbound(root, chunk, tools);
  return {
    code: chunk.code.replace(/\n?\/\/# sourceMappingURL=.*\s*$/, "\n"),
    map: mapData(chunk, file),
    sources: projectFiles(chunk.moduleIds),
    inputs: projectFiles(build.watchFiles),
  };
}

/** Of files and modules that rollup knows, those that are files, sorted. */
function projectFiles(ids: readonly string[]): string[] {
  return ids.filter((id) => path.isAbsolute(id)).sort(compareText);
}

function mapData({ map }: OutputChunk, file: string): MapData {
  if (map === null) throw new Error(`no source map for ${mapPath(file)}`);
  const { names, sources, mappings } = map;
  return { names, sources, mappings };
}

/** A log entry of rollup that makes the bundle unusable. */
function refusal(log: RollupLog): Error {
  return Object.assign(new Error(log.message), { code: log.code, loc: log.loc, id: log.id });
}

/** A module of several files is their sum, in order. */
function entryOf(unit: Unit): Plugin {
  return {
    name: "xenolith-entry",
    resolveId: (source) => (source === ENTRY ? ENTRY : null),
    load: (id) => (id === ENTRY ? unit.entries.map((file) => `import ${JSON.stringify(file)};`).join("\n") : null),
  };
}

/** The same script without the parentheses. */
function unwrapped(code: string): string {
  const match = /^\((function[^]*\})\);?\s*$/.exec(code);
  if (match === null) throw new Error("a bundle must be one function in parentheses");
  return `${COMMA}${match[1]}\n`;
}

/** The release flavour: calls of small functions replaced by what they do, what is never used removed, variables without checks. */
async function shrunk(bundled: Bundled, tools: Tools): Promise<{ code: string; steps: readonly MapData[] }> {
  const inlined = await tools.inlineCalls(bundled.code);
  const small = await tools.minify(inlined.code);
  const code = await tools.widenScopes(small.code);
  return { code: `${code}\n`, steps: [small.map, inlined.map, bundled.map] };
}

function describe(unit: Unit, flavour: Flavour, { code, map, sources, inputs }: Bundled): CompiledBundle {
  const file = bundlePath(unit.kind, unit.name, flavour);
  return {
    file,
    code,
    map: JSON.stringify({ version: 3, file, ...map }),
    sources,
    inputs,
    undefined: namesIn(code, KSYM),
    exports: namesIn(code, EXPORTED),
  };
}

function namesIn(code: string, pattern: RegExp): string[] {
  return [...new Set([...code.matchAll(pattern)].map((match) => match[1]))].sort(compareText);
}

/** A module that carried its own copy of kernel code would have its own copy of the kernel's state. */
function refuseKernelCode(root: string, unit: Unit, sources: readonly string[]): void {
  const closed = ["kernel", "drivers/xen", "hal/guest"].map((folder) => path.join(root, folder) + path.sep);
  const headers = path.join(root, "kernel", "include") + path.sep;
  const problems = sources
    .filter((file) => closed.some((folder) => file.startsWith(folder)) && !file.startsWith(headers))
    .map((file) => `${unit.name}: ${posix(path.relative(root, file))} is kernel code; import its header instead`);
  if (problems.length > 0) throw new BuildError(problems);
}

/** In the kernel every declared symbol must be bound: what is left over would be a global that does not exist. */
async function refuseUnbound(root: string, chunk: OutputChunk, tools: Tools): Promise<void> {
  const headers = path.join(root, "kernel", "include") + path.sep;
  const exported = new Set(namesIn(chunk.code, EXPORTED));
  const problems: string[] = [];
  for (const id of chunk.moduleIds.filter((id) => id.startsWith(headers))) {
    const used = new Set((chunk.modules[id].code ?? "").match(/\w+/g));
    const declared = await tools.declaredSymbols(fs.readFileSync(id, "utf8"));
    const unbound = declared.filter((name) => used.has(name) && !exported.has(name));
    const file = posix(path.relative(root, id));
    problems.push(...unbound.map((name) => `${name} is used by ${file}, but nobody exports it`));
  }
  if (problems.length > 0) throw new BuildError(problems);
}

/** Turns rollup's errors into BuildErrors that say which unit, file and line. */
async function explained<T>(root: string, unit: Unit, plugin: GuestLinker, body: () => Promise<T>): Promise<T> {
  try {
    return await body();
  } catch (error) {
    if (error instanceof BuildError) throw error;
    const { message, id, loc, problems } = error as RollupError & { readonly problems?: readonly string[] };
    if (problems !== undefined) throw new BuildError(problems);
    const file = loc?.file ?? id;
    const map = file === undefined ? null : plugin.mapOf(file);
    const found = loc && map ? sourcePosition(map, loc) : loc;
    const place = file === undefined ? "" : `${posix(path.relative(root, file))}${found ? `:${found.line}` : ""}: `;
    const text =
      loc && found ? message.replace(`(${loc.line}:${loc.column})`, `(${found.line}:${found.column})`) : message;
    throw new BuildError([`${unit.name}: ${place}${text.replaceAll(root + path.sep, "")}`]);
  }
}

/** A path with forward slashes. */
export function posix(file: string): string {
  return file.split(path.sep).join("/");
}
