/** Compiles TypeScript programs of the build, and what they import, into a folder of dist/: `node build/load.mjs ENTRY...` */
import * as fs from "node:fs";
import * as path from "node:path";
import { pathToFileURL } from "node:url";

/** The project's folder. */
export const root = path.resolve(import.meta.dirname, "..");
export const dist = path.join(root, "dist");

/** Compiles the programs `build/ENTRY.ts` to `ENTRY.mjs` in `folder`, which holds nothing else then. Types are stripped, not checked. */
async function compileTypeScript(folder, entries) {
  const { rollup } = await import("rollup");
  const { default: ts } = await import("typescript");
  const options = { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2023, isolatedModules: true };
  const typescript = {
    name: "typescript",
    resolveId: (source, importer) =>
      source.startsWith(".") && importer
        ? `${path.resolve(path.dirname(importer), source).replace(/\.ts$/, "")}.ts`
        : null,
    transform: (code, id) =>
      id.endsWith(".ts") ? ts.transpileModule(code, { fileName: id, compilerOptions: options }).outputText : null,
  };
  const bundle = await rollup({
    input: Object.fromEntries(entries.map((entry) => [entry, path.join(root, "build", `${entry}.ts`)])),
    plugins: [typescript],
    external: (id) => !id.startsWith(".") && !path.isAbsolute(id),
  });
  fs.rmSync(folder, { recursive: true, force: true });
  await bundle.write({ dir: folder, format: "es", entryFileNames: "[name].mjs", chunkFileNames: "[name]-[hash].mjs" });
  await bundle.close();
}

/** Compiles `build/ENTRY.ts` and loads it. */
export async function loadTypeScript(entry) {
  const folder = path.join(dist, `.${path.basename(entry)}`);
  await compileTypeScript(folder, [entry]);
  return import(pathToFileURL(path.join(folder, `${entry}.mjs`)).href);
}

if (process.argv[1] === import.meta.filename)
  await compileTypeScript(path.join(dist, ".compiler"), process.argv.slice(2));
