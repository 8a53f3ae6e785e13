/** `xenolith build`: compiles the checkout's guest sources into an image. The compiler is loaded only here. */
import type { Command } from "commander";
import * as fs from "node:fs";
import * as path from "node:path";
import { pathToFileURL } from "node:url";
import { errorBuildFolder, errorBuildSources } from "../errors";
import { packageFolder } from "../package-info";

/** Adds the verb. */
export function addBuild(program: Command): void {
  program
    .command("build")
    .description("build an image from the kernel, drivers and programs of a source tree")
    .option("-o, --output <file>", "image to write", "xenolith.img")
    .option("--source <folder>", "folder with kernel/, drivers/ and images/; default: the package's own")
    .action(build);
}

/** What is used of the compiler, which is a bundle of its own. */
interface Compiler {
  buildImage(options: { root: string }): Promise<{ bytes: Uint8Array; manifest: { bundles: readonly unknown[] } }>;
}

async function build(flags: { output: string; source?: string }): Promise<void> {
  const root = path.resolve(flags.source ?? packageFolder());
  if (!fs.existsSync(path.join(root, "kernel", "main.ts"))) throw errorBuildFolder(root);
  const compiler = (await import(pathToFileURL(path.join(packageFolder(), "dist", "build.js")).href)) as Compiler;
  const built = await compiler.buildImage({ root }).catch((error: Error) => {
    throw error.name === "BuildError" ? errorBuildSources(error.message) : error;
  });
  fs.writeFileSync(flags.output, built.bytes);
  process.stderr.write(
    `wrote ${flags.output}: ${built.manifest.bundles.length} bundles, ${built.bytes.length} bytes\n`,
  );
}
