/** Which file defines each symbol that the kernel exports, and which classes of headers it exports as well. */
import * as fs from "node:fs";
import * as path from "node:path";
import { sourceFiles } from "./sources.ts";

const EXPORT_SYMBOL = /^EXPORT_SYMBOL(?:_GPL)?\(("?)(\w+)\1[,)]/gm;

/** Which file defines each exported symbol: the kernel's own and the built-in drivers'. Throws if two files export one name. */
export function symbolIndex(root: string): Map<string, string> {
  const include = path.join(root, "kernel", "include") + path.sep;
  const files = [...sourceFiles(path.join(root, "kernel")), ...sourceFiles(path.join(root, "drivers", "xen"))];
  const index = new Map<string, string>();
  for (const file of files) {
    if (file.startsWith(include)) continue;
    for (const match of fs.readFileSync(file, "utf8").matchAll(EXPORT_SYMBOL)) {
      const [, , name] = match;
      const other = index.get(name);
      if (other !== undefined && other !== file) throw new Error(`${name} is exported by ${other} and by ${file}`);
      index.set(name, file);
    }
  }
  return index;
}

/** The classes of a public header's text that everybody shares, so that an engine sees one kind of object wherever it was made. */
const SHARED_CLASS = /^export class (\w+)/gm;

/** Whether a header's classes are the kernel's own: those of the wire protocols belong to the drivers that speak them. */
export function sharesClasses(root: string, id: string): boolean {
  const include = path.join(root, "kernel", "include");
  return id.startsWith(path.join(include, "linux") + path.sep) || path.dirname(id) === path.join(include, "xen");
}

/** Those classes: header and name of each. */
export function sharedClasses(root: string): (readonly [file: string, name: string])[] {
  return sourceFiles(path.join(root, "kernel", "include"))
    .filter((file) => sharesClasses(root, file))
    .flatMap((file) => [...fs.readFileSync(file, "utf8").matchAll(SHARED_CLASS)].map(([, name]) => [file, name]));
}
