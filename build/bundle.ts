/**
 * Compiles one unit (the kernel, a module, a program) into one script per flavour:
 *
 *   TypeScript ──linker plugin──► rollup ──(release: terser)──► (function (__ksym, exports) { "use strict"; ... })
 *
 * The script's value is a factory: the engine calls it with a resolver of kernel symbols and an object that takes the exports. Names of functions
 * survive in both flavours, so that stacks stay readable; source maps name the TypeScript files relative to the project.
 */
import * as fs from "node:fs";
import * as path from "node:path";
import { type OutputChunk, type Plugin, type RollupLog, rollup } from "rollup";
import { minify } from "terser";
import ts from "typescript";
import { type Flavour, bundlePath, mapPath } from "../hal/host/image/format";
import { BuildError } from "./build-error";
import { widenScopes } from "./function-scope";
import { inlineCalls } from "./inline";
import { type LinkMode, type LinkerPlugin, declaredSymbols, linker } from "./linker";
import { type Unit, compareText } from "./sources";

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
const KSYM = /\b__ksym\("(\w+)"\)/g;
const EXPORTED = /\bEXPORT_SYMBOL(?:_GPL)?\("(\w+)",/g;

/** Makes a compiler for the project, or the installed package, at `root`. */
export function createCompiler(root: string): Compiler {
  const linkers = new Map<string, LinkerPlugin>();
  const transpiled: Transpiled = new Map();
  const linkerFor = (mode: LinkMode, flavour: Flavour): LinkerPlugin => {
    const key = `${mode}-${flavour}`;
    const known =
      linkers.get(key) ?? remembering(linker({ root, mode, debug: flavour === "debug" }), mode, flavour, transpiled);
    linkers.set(key, known);
    return known;
  };
  return {
    async compile(unit, flavour) {
      const plugin = linkerFor(unit.kind === "kernel" ? "kernel" : "module", flavour);
      const { chunk, inputs } = await explained(root, unit, () => bundle(root, unit, flavour, plugin));
      return describe(root, unit, flavour, chunk, inputs);
    },
  };
}

type Transpiled = Map<string, ReturnType<LinkerPlugin["transform"]>>;

/** What the linker treats differently in the two flavours; a file without it is transpiled once for both. */
const FLAVOURED = /__DEBUG__|\bpage_(read|write)(8|32)\b/;

/** The same plugin, transpiling each file once. */
function remembering(plugin: LinkerPlugin, mode: LinkMode, flavour: Flavour, done: Transpiled): LinkerPlugin {
  return {
    ...plugin,
    transform(code, id) {
      const key = `${mode} ${FLAVOURED.test(code) ? flavour : "both"} ${id}`;
      if (!done.has(key)) done.set(key, plugin.transform(code, id));
      return done.get(key) ?? null;
    },
  };
}

/** Rollup's result, and every file that it read. */
interface Bundled {
  readonly chunk: OutputChunk;
  readonly inputs: readonly string[];
}

async function bundle(root: string, unit: Unit, flavour: Flavour, plugin: LinkerPlugin): Promise<Bundled> {
  const build = await rollup({
    input: unit.entries.length === 1 ? unit.entries[0] : ENTRY,
    plugins: [entryOf(unit), plugin, ...(flavour === "release" ? [inline(), shrink()] : [])],
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
  return { chunk: output[0], inputs: build.watchFiles.filter((file) => path.isAbsolute(file)).sort(compareText) };
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

/** The release flavour: calls of small functions replaced by what they do. */
function inline(): Plugin {
  return { name: "xenolith-inline", renderChunk: (code) => inlineCalls(code) };
}

/**
 * What terser must leave alone: shorter text that takes QuickJS more instructions (`a && b()` for an if statement, `!0` for true, `null === x`
 * where `x === null` is one instruction).
 */
const PLAIN = { sequences: false, conditionals: false, if_return: false, lhs_constants: false, booleans: false };

/** The release flavour: constants folded, dead checks removed; all names kept. */
function shrink(): Plugin {
  return {
    name: "xenolith-shrink",
    async renderChunk(code) {
      const result = await minify(code, {
        ecma: 2020,
        // Without `reduce_funcs: false` a function with one caller becomes a closure made at every call.
        compress: { expression: true, keep_fnames: true, keep_classnames: true, reduce_funcs: false, ...PLAIN },
        mangle: false,
        sourceMap: { asObject: true },
        format: { comments: false },
      });
      return { code: widenScopes(result.code as string), map: result.map as unknown as string };
    },
  };
}

function describe(
  root: string,
  unit: Unit,
  flavour: Flavour,
  chunk: OutputChunk,
  inputs: readonly string[],
): CompiledBundle {
  const sources = chunk.moduleIds.filter((id) => path.isAbsolute(id)).sort(compareText);
  if (unit.kind === "kernel") refuseUnbound(root, chunk);
  else refuseKernelCode(root, unit, sources);
  const file = bundlePath(unit.kind, unit.name, flavour);
  return {
    file,
    code: chunk.code.replace(/\n?\/\/# sourceMappingURL=.*\s*$/, "\n"),
    map: mapText(chunk, file),
    sources,
    inputs,
    undefined: namesIn(chunk.code, KSYM),
    exports: namesIn(chunk.code, EXPORTED),
  };
}

/** Rollup's map with the names that the image uses. */
function mapText(chunk: OutputChunk, file: string): string {
  const map = chunk.map;
  if (map === null) throw new Error(`no source map for ${mapPath(file)}`);
  return JSON.stringify({ version: 3, file, names: map.names, sources: map.sources, mappings: map.mappings });
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
function refuseUnbound(root: string, chunk: OutputChunk): void {
  const headers = path.join(root, "kernel", "include") + path.sep;
  const exported = new Set(namesIn(chunk.code, EXPORTED));
  const problems = chunk.moduleIds
    .filter((id) => id.startsWith(headers))
    .flatMap((id) => {
      const header = ts.createSourceFile(id, fs.readFileSync(id, "utf8"), ts.ScriptTarget.ES2023);
      const used = new Set((chunk.modules[id].code ?? "").match(/\w+/g));
      const unbound = declaredSymbols(header).filter((name) => used.has(name) && !exported.has(name));
      return unbound.map((name) => `${name} is used by ${posix(path.relative(root, id))}, but nobody exports it`);
    });
  if (problems.length > 0) throw new BuildError(problems);
}

/** Turns rollup's errors into BuildErrors that say which unit, file and line. */
async function explained<T>(root: string, unit: Unit, body: () => Promise<T>): Promise<T> {
  try {
    return await body();
  } catch (error) {
    if (error instanceof BuildError) throw error;
    const { message, id, loc } = error as Error & { id?: string; loc?: { file?: string; line: number } };
    const file = loc?.file ?? id;
    const place = file === undefined ? "" : `${posix(path.relative(root, file))}${loc ? `:${loc.line}` : ""}: `;
    throw new BuildError([`${unit.name}: ${place}${message.replaceAll(root + path.sep, "")}`]);
  }
}

/** A path with forward slashes. */
export function posix(file: string): string {
  return file.split(path.sep).join("/");
}
