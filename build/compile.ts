/**
 * The heavy half of `build.mjs`, run as processes of their own: `compile.mjs image ROOT DIST` compiles the image, `compile.mjs host ROOT DIST` the
 * host's code. One process for both would keep what the bundler took for the first.
 */
import * as fs from "node:fs";
import * as path from "node:path";
import { BuildError } from "./build-error";
import { buildHost } from "./host";
import { buildImage } from "./image";
import { processTools } from "./processes";
import type { Tools } from "./tools";

async function compileImage(root: string, dist: string, tools: Tools): Promise<void> {
  const { bytes, warnings } = await buildImage({ root, cache: path.join(dist, ".cache"), tools });
  for (const warning of warnings) console.error(`warning: ${warning}`);
  fs.writeFileSync(path.join(dist, "xenolith.img"), bytes);
}

async function compileHost(root: string, dist: string, tools: Tools): Promise<void> {
  for (const file of fs.readdirSync(dist)) if (/\.js(\.map)?$/.test(file)) fs.rmSync(path.join(dist, file));
  await buildHost(root, dist, tools);
}

async function compile(part: string, root: string, dist: string): Promise<void> {
  const tools = processTools(path.join(import.meta.dirname, "service.mjs"));
  try {
    await (part === "image" ? compileImage : compileHost)(root, dist, tools);
  } finally {
    tools.stop();
  }
}

try {
  await compile(process.argv[2], process.argv[3], process.argv[4]);
} catch (error) {
  if (!(error instanceof BuildError)) throw error;
  console.error(error.problems.map((problem) => `error: ${problem}`).join("\n"));
  process.exitCode = error.exitCode;
}
