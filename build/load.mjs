/** Compiles a TypeScript program of the build, and what it imports, into one file in dist/ and loads it. */
import * as fs from "node:fs";
import * as path from "node:path";
import { pathToFileURL } from "node:url";

/** The project's folder. */
export const root = path.resolve(import.meta.dirname, "..");
export const dist = path.join(root, "dist");

/** Loads `build/ENTRY`. Types are stripped, not checked. */
export async function loadTypeScript(entry) {
  const { rollup } = await import("rollup");
  const { default: ts } = await import("typescript");
  const options = { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2023, isolatedModules: true };
  const typescript = {
    name: "typescript",
    resolveId: (source, importer) =>
      source.startsWith(".") && importer ? `${path.resolve(path.dirname(importer), source)}.ts` : null,
    transform: (code, id) =>
      id.endsWith(".ts") ? ts.transpileModule(code, { fileName: id, compilerOptions: options }).outputText : null,
  };
  const bundle = await rollup({
    input: path.join(root, "build", entry),
    plugins: [typescript],
    external: (id) => !id.startsWith(".") && !path.isAbsolute(id),
  });
  fs.mkdirSync(dist, { recursive: true });
  const file = path.join(dist, `.${path.basename(entry, ".ts")}.mjs`);
  await bundle.write({ file, format: "es", inlineDynamicImports: true });
  await bundle.close();
  return import(pathToFileURL(file).href);
}
