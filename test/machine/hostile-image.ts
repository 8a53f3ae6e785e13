/** The project's image with the test's own modules in it. */
import * as path from "node:path";
import { type Image, readImage } from "xenolith";
import { buildImage, projectUnits, unitsIn } from "xenolith/build";

const ROOT = path.resolve(import.meta.dirname, "../..");
const PROGRAMS = ["dmesg", "insmod", "lsmod", "verify"];
const MODULES = ["hostdisk", "xen-blkback", "xen-blkfront"];

/** Builds the image: the kernel, what a disk needs, and `modules/`. */
export async function buildHostileImage(): Promise<Image> {
  return readImage(await hostileImageBytes(), "hostile image");
}

/** The same as the bytes of a file. */
export async function hostileImageBytes(): Promise<Uint8Array> {
  const known = { kernel: [] as string[], modules: MODULES, programs: PROGRAMS };
  const units = [
    ...projectUnits(ROOT).filter(({ kind, name }) => known[kind].includes(name)),
    ...unitsIn(path.join(import.meta.dirname, "modules"), "modules"),
  ];
  const cache = path.join(ROOT, "dist", ".cache");
  const { bytes } = await buildImage({ root: ROOT, units, cache, unresolved: "warn" });
  return bytes;
}
