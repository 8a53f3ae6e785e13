/** `xenolith build`: compiles the checkout's guest sources into an image. The compiler is loaded only here. */
import type { Command } from "commander";
import * as fs from "node:fs";
import * as path from "node:path";
import { pathToFileURL } from "node:url";
import { errorBuildFolder, errorBuildSources, errorOutput } from "../errors";
import { packageFolder } from "../package-info";
import type { CommandIo } from "./io";

/** Adds the verb. */
export function addBuild(program: Command, io: CommandIo): void {
  program
    .command("build")
    .description("build an image from the kernel, drivers and programs of a source tree")
    .option("-o, --output <file>", "image to write", "xenolith.img")
    .option("--source <folder>", "folder with kernel/, drivers/ and images/; default: the package's own")
    .action((flags: BuildFlags) => build(flags, io));
}

/** What is used of the compiler, which is a bundle of its own. */
interface Compiler {
  buildImage(options: { root: string }): Promise<{ bytes: Uint8Array; manifest: { bundles: readonly unknown[] } }>;
}

interface BuildFlags {
  readonly output: string;
  readonly source?: string;
}

async function build(flags: BuildFlags, io: CommandIo): Promise<void> {
  const root = path.resolve(flags.source ?? packageFolder());
  if (!fs.existsSync(path.join(root, "kernel", "main.ts"))) throw errorBuildFolder(root);
  checkOutput(flags.output);
  const compiler = (await import(pathToFileURL(path.join(packageFolder(), "dist", "build.js")).href)) as Compiler;
  const built = await compiler.buildImage({ root }).catch((error: Error) => {
    throw error.name === "BuildError" ? errorBuildSources(error.message) : error;
  });
  write(flags.output, built.bytes);
  io.stderr.write(`wrote ${flags.output}: ${built.manifest.bundles.length} bundles, ${built.bytes.length} bytes\n`);
}

/** A folder that cannot take the image is found before the compiler has worked for nothing. */
function checkOutput(file: string): void {
  const folder = path.dirname(path.resolve(file));
  if (!fs.existsSync(folder)) throw errorOutput(file, `there is no folder ${folder}`);
  if (fs.statSync(file, { throwIfNoEntry: false })?.isDirectory()) throw errorOutput(file, "is a directory");
}

function write(file: string, bytes: Uint8Array): void {
  try {
    fs.writeFileSync(file, bytes);
  } catch (error) {
    throw errorOutput(file, (error as Error).message);
  }
}
