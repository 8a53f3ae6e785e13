/**
 * Compiles the host's code into `dist/`: one ES module per entry of the package and shared chunks, all in one folder, so that a path relative to
 * `import.meta.url` leads to the same file from each of them. Node's and npm's packages stay imports.
 *
 * The testing toolkit runs a kernel in the test's own process, so guest code is linked in here too, debug flavour.
 */
import * as fs from "node:fs";
import { isBuiltin } from "node:module";
import * as path from "node:path";
import { rollup } from "rollup";
import { BuildError } from "./build-error";
import { linker } from "./linker";
import { machineSchema } from "./schema";
import { sourceFiles } from "./sources";
import type { Tools } from "./tools";

/** Where the package's names lead in the sources. `tsconfig.json` and `vitest.config.ts` say the same. */
export const PACKAGE_NAMES: Readonly<Record<string, string>> = {
  xenolith: "hal/host/index.ts",
  "xenolith/kit": "test/kit/index.ts",
  "xenolith/build": "build/index.ts",
};

/** Files of `dist/` and what they are compiled from. */
const ENTRIES: Readonly<Record<string, string>> = {
  index: "hal/host/index.ts",
  cli: "hal/host/cli/main.ts",
  kit: "test/kit/index.ts",
  build: "build/index.ts",
  bench: "hal/host/bench/main.ts",
};

/** A file of the host's code that is started by path, as a worker thread: `NAME-worker.ts` becomes `NAME-worker.js`. */
const WORKER = /^(.+-worker)\.ts$/;

/** Entry name to absolute path, of those that exist. */
function entriesOf(root: string): Record<string, string> {
  const found = Object.entries(ENTRIES)
    .map(([name, file]) => [name, path.join(root, file)])
    .filter(([, file]) => fs.existsSync(file));
  for (const file of sourceFiles(path.join(root, "hal", "host"))) {
    const worker = WORKER.exec(path.basename(file));
    if (worker) found.push([worker[1], file]);
  }
  return Object.fromEntries(found) as Record<string, string>;
}

/** Compiles every entry that exists into `folder`. Throws BuildError. */
export async function buildHost(root: string, folder: string, tools?: Tools): Promise<void> {
  const build = await rollup({
    input: entriesOf(root),
    plugins: [
      packageNames(root),
      machineSchema(root),
      json(),
      linker({ root, mode: "kernel", debug: true }, tools?.transpile),
    ],
    external: (id) => isExternal(id),
    onLog: (level, log) => {
      if (level === "warn" && log.code !== "CIRCULAR_DEPENDENCY" && log.code !== "EMPTY_BUNDLE") {
        throw new BuildError([log.message.replaceAll(root + path.sep, "")]);
      }
    },
  });
  await build.write({
    dir: folder,
    format: "es",
    entryFileNames: "[name].js",
    chunkFileNames: "[name]-[hash].js",
    generatedCode: { preset: "es2015", symbols: false },
    sourcemap: true,
  });
  await build.close();
}

function packageNames(root: string) {
  return {
    name: "xenolith-package-names",
    resolveId: (source: string): string | null =>
      Object.hasOwn(PACKAGE_NAMES, source) ? path.join(root, PACKAGE_NAMES[source]) : null,
  };
}

/** JSON files become their value. */
function json() {
  return {
    name: "xenolith-json",
    transform: (code: string, id: string) =>
      id.endsWith(".json") ? { code: `export default ${JSON.stringify(JSON.parse(code))};`, map: null } : null,
  };
}

function isExternal(id: string): boolean {
  if (isBuiltin(id)) return true;
  if (id.startsWith(".") || id.startsWith("\0") || path.isAbsolute(id)) return false;
  return !id.startsWith("xenolith") && !id.startsWith("virtual:");
}
