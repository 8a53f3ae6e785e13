/** `xenolith inspect [IMAGE]`: what is in an image; with --verify, whether every byte of it is right. */
import Table from "cli-table3";
import type { Command } from "commander";
import { EXIT_IMAGE } from "../errors";
import { type Image, readImage } from "../image/image";
import { defaultImagePath } from "../package-info";

/** Adds the verb. */
export function addInspect(program: Command): void {
  program
    .command("inspect")
    .description("show what an image holds")
    .argument("[image]", "image file; default: the one that the package was built with")
    .option("--verify", "check the hash of every file")
    .option("--json", "print the manifest as JSON")
    .action(inspect);
}

function inspect(file: string | undefined, flags: { verify?: true; json?: true }): void {
  const image = readImage(file ?? defaultImagePath());
  const problems = flags.verify ? image.verify() : [];
  if (flags.json) {
    process.stdout.write(`${JSON.stringify({ id: image.id, ...image.manifest, problems }, null, 2)}\n`);
  } else {
    print(image);
    if (flags.verify && problems.length === 0) {
      process.stdout.write(`verified: ${image.manifest.files.length} files are what the manifest says\n`);
    }
  }
  for (const problem of problems) process.stderr.write(`xenolith: ${image.name}: ${problem}\n`);
  if (problems.length > 0) process.exitCode = EXIT_IMAGE;
}

function print(image: Image): void {
  const { manifest } = image;
  process.stdout.write(`${image.name}: format ${manifest.version}, xenolith ${manifest.xenolith}, id ${image.id}\n`);
  const sizes = new Map(manifest.files.map(({ path, size }) => [path, size]));
  const flavours = manifest.flavours;
  const table = new Table({ head: ["kind", "name", ...flavours, "depends", "description"], style: { head: [] } });
  for (const bundle of manifest.bundles) {
    const bytes = flavours.map((flavour) => String(sizes.get(bundle.files[flavour]) ?? 0));
    table.push([bundle.kind, bundle.name, ...bytes, bundle.depends.join(" "), bundle.description]);
  }
  process.stdout.write(`${table.toString()}\nmachine: ${manifest.machine}\n`);
}
