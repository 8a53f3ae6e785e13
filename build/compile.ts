/** The heavy half of `build.mjs`, run as a process of its own: `compile.mjs ROOT DIST` compiles the image and the host's code into dist/. */
import * as fs from "node:fs";
import * as path from "node:path";
import { BuildError } from "./build-error";
import { buildHost } from "./host";
import { buildImage } from "./image";
import { processTools } from "./processes";

async function compile(root: string, dist: string): Promise<void> {
  const tools = processTools(path.join(import.meta.dirname, "service.mjs"));
  try {
    const { bytes, warnings } = await buildImage({ root, cache: path.join(dist, ".cache"), tools });
    for (const warning of warnings) console.error(`warning: ${warning}`);
    for (const file of fs.readdirSync(dist)) if (/\.js(\.map)?$/.test(file)) fs.rmSync(path.join(dist, file));
    await buildHost(root, dist, tools);
    fs.writeFileSync(path.join(dist, "xenolith.img"), bytes);
  } finally {
    tools.stop();
  }
}

try {
  await compile(process.argv[2], process.argv[3]);
} catch (error) {
  if (!(error instanceof BuildError)) throw error;
  console.error(error.problems.map((problem) => `error: ${problem}`).join("\n"));
  process.exitCode = error.exitCode;
}
