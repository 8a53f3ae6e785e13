/** The machine that the driver tests share: dom0 with the back end and room for a domain that a test plays. */
import * as fs from "node:fs";
import * as path from "node:path";
import { type Image, Machine, type MachineConfig, parseMachineFile, readImage } from "xenolith";

const ROOT = path.join(import.meta.dirname, "../../..");

let image: Image | null = null;

/** The project's image, as built before the tests. */
export function projectImage(): Image {
  image ??= readImage(fs.readFileSync(path.join(ROOT, "dist/xenolith.img")));
  return image;
}

export interface DriverMachineOptions {
  readonly engine?: "quickjs" | "v8";
  readonly vcpus?: number;
  /** Words for dom0's command line. */
  readonly dom0?: string;
  /** A second domain with the front end, and words for its command line. */
  readonly domU?: string;
  readonly seed?: number;
}

function config(options: DriverMachineOptions): MachineConfig {
  const { vcpus = 1, seed = 1 } = options;
  const domains: object[] = [
    { name: "dom0", memory: "16M", vcpus, modules: ["hostdisk", "xen-blkback"], cmdline: options.dom0 ?? "" },
    // Gives up its frames for the domain that a test plays.
    { name: "raw", memory: "4M" },
  ];
  if (options.domU !== undefined) {
    domains.push({ name: "domU", memory: "16M", vcpus, modules: ["xen-blkfront"], cmdline: options.domU });
  }
  return parseMachineFile(JSON.stringify({ version: 1, seed, domains }), "driver-test.json");
}

/** A booted machine. Dispose of it. */
export async function bootMachine(options: DriverMachineOptions = {}): Promise<Machine> {
  const machine = await Machine.create({
    image: projectImage(),
    config: config(options),
    engine: options.engine ?? "v8",
  });
  machine.destroy("raw");
  machine.boot();
  return machine;
}
