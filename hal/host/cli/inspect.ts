/** `xenolith inspect [IMAGE]`: what is in an image; with --verify, whether every byte of it is right. */
import type { Command } from "commander";
import { EXIT_IMAGE } from "../errors";
import type { BundleManifest } from "../image/format";
import { type Image, readImage } from "../image/image";
import { defaultImagePath } from "../package-info";
import type { CommandIo } from "./io";
import { type Cell, listTable } from "./table";

/** Adds the verb. */
export function addInspect(program: Command, io: CommandIo): void {
  program
    .command("inspect")
    .description("show what an image holds")
    .argument("[image]", "image file; default: the one that the package was built with")
    .option("--verify", "check the hash of every file")
    .option("--json", "print the manifest as JSON")
    .action((file: string | undefined, flags: InspectFlags) => inspect(file, flags, io));
}

interface InspectFlags {
  readonly verify?: true;
  readonly json?: true;
}

function inspect(file: string | undefined, flags: InspectFlags, io: CommandIo): void {
  const image = readImage(file ?? defaultImagePath());
  const problems = flags.verify ? image.verify() : [];
  if (flags.json) {
    io.stdout.write(`${JSON.stringify({ id: image.id, ...image.manifest, problems }, null, 2)}\n`);
  } else {
    io.stdout.write(describe(image));
    if (flags.verify && problems.length === 0) {
      io.stdout.write(`verified: ${image.manifest.files.length} files are what the manifest says\n`);
    }
  }
  for (const problem of problems) io.stderr.write(`xenolith: ${image.name}: ${problem}\n`);
  if (problems.length > 0) io.exitCode = EXIT_IMAGE;
}

/** `parameters of xen-blkfront: max max_queues` */
function parameters({ name, params }: BundleManifest): string {
  return `parameters of ${name}: ${params.map((param) => param.name).join(" ")}`;
}

function describe(image: Image): string {
  const { manifest } = image;
  const sizes = new Map(manifest.files.map(({ path, size }) => [path, size]));
  const rows = manifest.bundles.map((bundle): Cell[] => [
    bundle.kind,
    bundle.name,
    ...manifest.flavours.map((flavour) => sizes.get(bundle.files[flavour]) ?? 0),
    [bundle.description, ...bundle.depends.map((name) => `needs ${name}`)].filter((text) => text !== "").join("; "),
  ]);
  const lines = [
    `${image.name}: format ${manifest.version}, xenolith ${manifest.xenolith}`,
    `id ${image.id}`,
    `boots ${manifest.machine}`,
    "",
    listTable(["kind", "name", ...manifest.flavours.map((flavour) => `${flavour} bytes`), "description"], rows),
    "",
  ];
  for (const bundle of manifest.bundles) if (bundle.params.length > 0) lines.push(parameters(bundle));
  return `${lines.join("\n")}\n`;
}
