/** What there is to compile, and which files a build depends on. */
import * as fs from "node:fs";
import * as path from "node:path";
import type { ImageBundleKind } from "../hal/host/image/format";

/** One thing to compile into one bundle. */
export interface Unit {
  readonly kind: ImageBundleKind;
  readonly name: string;
  /** Absolute paths of the files that are always part of it, sorted; headers and helpers come in through their imports. */
  readonly entries: readonly string[];
}

/** The kernel. */
export function kernelUnit(root: string): Unit {
  return { kind: "kernel", name: "kernel", entries: [path.join(root, "kernel", "main.ts")] };
}

/**
 * The units of a folder: each `NAME.ts` is one. A module may also be a sub-folder: it is made of all files in it, as a Kbuild line
 * `xen-blkback-y := blkback.o xenbus.o` would have it. Sub-folders of programs hold what programs share.
 */
export function unitsIn(folder: string, kind: "modules" | "programs"): Unit[] {
  if (!fs.existsSync(folder)) return [];
  const units: Unit[] = [];
  for (const entry of fs.readdirSync(folder, { withFileTypes: true })) {
    const full = path.join(folder, entry.name);
    if (entry.isDirectory()) {
      if (kind === "modules") units.push({ kind, name: entry.name, entries: sourceFiles(full) });
    } else if (isSource(entry.name)) units.push({ kind, name: path.basename(entry.name, ".ts"), entries: [full] });
  }
  return units.filter((unit) => unit.entries.length > 0).sort((a, b) => compareText(a.name, b.name));
}

function isSource(name: string): boolean {
  return name.endsWith(".ts") && !name.endsWith(".d.ts");
}

/** Folders of `drivers/` that hold loadable modules; `drivers/xen` is built in. */
const MODULE_FOLDERS = ["block", "tty"];

/** Every unit of the project: the kernel, the loadable modules and the programs. */
export function projectUnits(root: string): Unit[] {
  return [
    kernelUnit(root),
    ...MODULE_FOLDERS.flatMap((folder) => unitsIn(path.join(root, "drivers", folder), "modules")),
    ...unitsIn(path.join(root, "images", "programs"), "programs"),
  ];
}

/** The machine files of the project: name to absolute path. */
export function machineFiles(root: string): Map<string, string> {
  const folder = path.join(root, "images", "machines");
  if (!fs.existsSync(folder)) return new Map();
  const names = fs.readdirSync(folder).filter((name) => name.endsWith(".json") && !name.endsWith(".schema.json"));
  return new Map(names.sort(compareText).map((name) => [path.basename(name, ".json"), path.join(folder, name)]));
}

/** Orders texts by code unit, the same on every platform and in every locale. */
export function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Every `.ts` file below a folder, sorted, headers and declaration files left out. */
export function sourceFiles(folder: string): string[] {
  if (!fs.existsSync(folder)) return [];
  return fs
    .readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(".ts") && !entry.name.endsWith(".d.ts"))
    .map((entry) => path.join(entry.parentPath, entry.name))
    .sort();
}
