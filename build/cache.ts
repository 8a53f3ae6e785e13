/**
 * Keeps compiled bundles in a folder: after a change only the bundles that it reaches are compiled again. An entry holds while the compiler, the
 * symbols' places and every file that was read for the bundle are what they were; anything else in the folder is ignored and overwritten.
 */
import * as fs from "node:fs";
import * as path from "node:path";
import { sha256 } from "../hal/host/image/image";
import type { CompiledBundle, Compiler } from "./bundle";
import { type Unit, sourceFiles } from "./sources";
import { sharedClasses, symbolIndex } from "./symbols";

interface Entry {
  readonly key: string;
  readonly bundle: CompiledBundle;
}

/** A compiler that looks into `folder` first. */
export function cachingCompiler(root: string, folder: string, compiler: Compiler): Compiler {
  const hashes = new Map<string, string>();
  const hashOf = (file: string): string => {
    const known = hashes.get(file) ?? (fs.existsSync(file) ? sha256(fs.readFileSync(file)) : "none");
    hashes.set(file, known);
    return known;
  };
  const circumstances = sha256(JSON.stringify(circumstancesOf(root, hashOf)));
  const keyOf = (unit: Unit, inputs: readonly string[]): string =>
    sha256(JSON.stringify([circumstances, unit.entries, inputs.map((file) => [file, hashOf(file)])]));
  return {
    async compile(unit, flavour) {
      const file = path.join(folder, `${unit.kind}-${unit.name}-${flavour}.json`);
      const known = read(file);
      if (known !== null && known.key === keyOf(unit, known.bundle.inputs)) return known.bundle;
      const bundle = await compiler.compile(unit, flavour);
      fs.mkdirSync(folder, { recursive: true });
      fs.writeFileSync(file, JSON.stringify({ key: keyOf(unit, bundle.inputs), bundle } satisfies Entry));
      return bundle;
    },
  };
}

/** What decides over a bundle other than the files that are read for it: the compiler, and where the linker finds things. */
function circumstancesOf(root: string, hashOf: (file: string) => string): unknown {
  const guest = ["kernel", "drivers", "hal/abi", "hal/guest"].flatMap((name) => sourceFiles(path.join(root, name)));
  const tools = [...sourceFiles(path.join(root, "build")), path.join(root, "package-lock.json")];
  return [guest, [...symbolIndex(root)], sharedClasses(root), tools.map((file) => [file, hashOf(file)])];
}

function read(file: string): Entry | null {
  if (!fs.existsSync(file)) return null;
  try {
    return JSON.parse(fs.readFileSync(file, "utf8")) as Entry;
  } catch {
    return null;
  }
}
