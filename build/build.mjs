#!/usr/bin/env node
/**
 * `npm run build`: compiles the host's code and the image into dist/. Plain JavaScript, because it compiles the compiler:
 *
 *   build/*.ts ──TypeScript──► dist/.index.mjs ──► dist/{index,cli,kit,bench}.js, dist/xenolith.img
 *
 * Does nothing, fast, while no input has changed since the last build.
 *
 *   node build/build.mjs [--force] [--quiet]
 */
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import * as path from "node:path";
import { dist, loadTypeScript, root } from "./load.mjs";

const stampFile = path.join(dist, ".stamp");
const INPUTS = ["build", "drivers", "hal", "images", "kernel", "test/kit", "package.json", "package-lock.json"];
const force = process.argv.includes("--force");
const quiet = process.argv.includes("--quiet");

/** SHA-256 over the names and contents of every input. */
function hashInputs() {
  const hash = createHash("sha256").update(process.version.split(".")[0]);
  const add = (name) => {
    const file = path.join(root, name);
    const stat = fs.statSync(file, { throwIfNoEntry: false });
    if (stat === undefined) return;
    if (stat.isDirectory()) for (const entry of fs.readdirSync(file).sort()) add(`${name}/${entry}`);
    else hash.update(`${name}\0${stat.size}\0`).update(fs.readFileSync(file));
  };
  INPUTS.forEach(add);
  return hash.digest("hex");
}

async function build() {
  const start = performance.now();
  fs.rmSync(stampFile, { force: true });
  fs.mkdirSync(dist, { recursive: true });
  const { buildHost, buildImage } = await loadTypeScript("index.ts");
  fs.rmSync(path.join(dist, "chunks"), { recursive: true, force: true });
  await buildHost(root, dist);
  const { bytes, warnings } = await buildImage({ root });
  for (const warning of warnings) console.error(`warning: ${warning}`);
  fs.writeFileSync(path.join(dist, "xenolith.img"), bytes);
  if (!quiet) console.error(`built dist/ in ${((performance.now() - start) / 1000).toFixed(1)} s`);
}

try {
  const stamp = hashInputs();
  const known = fs.existsSync(stampFile) ? fs.readFileSync(stampFile, "utf8") : "";
  if (force || known !== stamp) {
    await build();
    fs.writeFileSync(stampFile, stamp);
  }
} catch (error) {
  if (error?.name !== "BuildError") throw error;
  console.error(error.problems.map((problem) => `error: ${problem}`).join("\n"));
  process.exitCode = error.exitCode;
}
