/**
 * The linker: a rollup and vite plugin that compiles guest TypeScript and binds kernel symbols.
 *
 *   driver.ts ── import { submit_bio } from "xenolith/linux/bio" ──► header: `export declare function submit_bio`
 *        kernel bundle:  the import goes straight to the file that says EXPORT_SYMBOL(submit_bio)
 *        module bundle:  the header's declaration becomes `__ksym("submit_bio")`, resolved when the module is loaded;
 *                        so does a class of a header, whose inline functions and constants are bundled into each module
 *
 * Types are stripped, not checked (`tsc` does that). `__DEBUG__` becomes a literal, and in a release build the accessors of
 * `hal/guest/page.ts` become plain loads and stores.
 *
 * Vitest's configuration loads this file and what it imports by Node's rules, hence the endings in the imports.
 */
import * as fs from "node:fs";
import * as path from "node:path";
import { sourceFiles } from "./sources.ts";
import { sharedClasses, symbolIndex } from "./symbols.ts";

/** How symbols are bound: into one bundle (the kernel, tests) or by name at load (modules and programs). */
export type LinkMode = "kernel" | "module";

export interface LinkerOptions {
  /** The folder that holds `kernel/`, `drivers/` and `hal/`. */
  readonly root: string;
  readonly mode: LinkMode;
  /** The value of `__DEBUG__`. */
  readonly debug: boolean;
}

/** The part of rollup's and vite's plugin interface that is used. */
export interface LinkerPlugin {
  readonly name: string;
  readonly enforce: "pre";
  resolveId(source: string, importer: string | undefined): string | null;
  load(id: string): string | null;
  transform(code: string, id: string): Promise<Transpiled> | null;
}

/** A file's JavaScript and its source map. */
export interface Transpiled {
  readonly code: string;
  /** JSON. */
  readonly map: string;
}

/** Compiles one file of TypeScript. */
export type Transpile = (options: LinkerOptions, code: string, id: string) => Promise<Transpiled>;

/** Importing it links everything built in: it runs the registration of every symbol and initcall. */
const INITCALLS = "virtual:initcalls";
const INITCALLS_ID = "\0virtual:initcalls";
/** A header's name in an import. */
export const HEADER = /^xenolith\/(linux|xen)\/(.+)$/;

/** What is linked into every kernel although nothing may import it: the whole of `kernel/` and of `drivers/xen/`. */
function builtIn(root: string): string[] {
  const kernel = path.join(root, "kernel");
  const apart = [path.join(kernel, "include") + path.sep, path.join(kernel, "main.ts")];
  const files = [...sourceFiles(kernel), ...sourceFiles(path.join(root, "drivers", "xen"))];
  return files.filter((file) => !apart.some((prefix) => file.startsWith(prefix)));
}

/** Statements that publish the classes of headers as symbols. */
function classExports(root: string): string[] {
  const publisher = symbolIndex(root).get("EXPORT_SYMBOL");
  if (publisher === undefined) return [];
  const exports = sharedClasses(root).flatMap(([file, name]) => [
    `import { ${name} } from ${JSON.stringify(file)};`,
    `EXPORT_SYMBOL("${name}", ${name});`,
  ]);
  return [`import { EXPORT_SYMBOL } from ${JSON.stringify(publisher)};`, ...exports];
}

function resolveTypeScript(base: string): string | null {
  for (const candidate of [base, `${base}.ts`, path.join(base, "index.ts")]) {
    if (fs.existsSync(candidate) && fs.statSync(candidate).isFile()) return candidate;
  }
  return null;
}

/** TypeScript in this process, loaded with the first file. */
function ownTranspiler(): Transpile {
  let loading: Promise<Transpile> | null = null;
  return async (options, code, id) => {
    loading ??= import("./transpile.ts").then(({ createTranspiler }) => createTranspiler());
    return (await loading)(options, code, id);
  };
}

/** Makes the plugin. One instance serves one bundle or one test run. */
export function linker(options: LinkerOptions, transpile: Transpile = ownTranspiler()): LinkerPlugin {
  const include = path.join(options.root, "kernel", "include");
  return {
    name: "xenolith-linker",
    enforce: "pre",
    resolveId(source, importer) {
      if (source === INITCALLS) return INITCALLS_ID;
      const header = HEADER.exec(source);
      if (header) return path.join(include, header[1], `${header[2]}.ts`);
      if (!source.startsWith(".") || importer === undefined) return null;
      return resolveTypeScript(path.resolve(path.dirname(importer), source));
    },
    load(id) {
      if (id !== INITCALLS_ID) return null;
      const imports = builtIn(options.root).map((file) => `import ${JSON.stringify(file)};`);
      return [...imports, ...classExports(options.root)].join("\n");
    },
    transform: (code, id) => (id.endsWith(".ts") ? transpile(options, code, id) : null),
  };
}
