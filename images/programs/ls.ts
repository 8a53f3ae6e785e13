/** ls [-l] [PATH...]: lists names; with -l also type, permissions, and size or device number. */
import type { stdio } from "xenolith/linux/binfmts";
import { IS_ERR, PTR_ERR } from "xenolith/linux/err";
import { S_IFBLK, S_IFCHR, S_IFDIR, S_IFLNK, S_IFMT, type inode, kern_path } from "xenolith/linux/fs";
import { kasprintf } from "xenolith/linux/printk";
import type { Sleeps } from "xenolith/linux/sched";
import { MAJOR, MINOR } from "xenolith/linux/types";
import { strerror } from "./lib/strerror";

const TYPES: readonly (readonly [number, string])[] = [
  [S_IFDIR, "d"],
  [S_IFLNK, "l"],
  [S_IFBLK, "b"],
  [S_IFCHR, "c"],
];

function mode_string(mode: number): string {
  const found = TYPES.find(([type]) => (mode & S_IFMT) === type);
  let text = found === undefined ? "-" : found[1];
  for (let bit = 8; bit >= 0; bit--) text += (mode & (1 << bit)) !== 0 ? "xwr"[bit % 3] : "-";
  return text;
}

function is_device(node: inode): boolean {
  const type = node.i_mode & S_IFMT;
  return type === S_IFBLK || type === S_IFCHR;
}

function long_line(name: string, node: inode): string {
  const what = is_device(node)
    ? kasprintf("%3d, %3d", MAJOR(node.i_rdev), MINOR(node.i_rdev))
    : kasprintf("%8d", node.i_size);
  const arrow = node.i_link === undefined ? "" : ` -> ${node.i_link}`;
  return `${mode_string(node.i_mode)} ${what} ${name}${arrow}\n`;
}

function list(path: string, node: inode, long: boolean): string {
  if (node.iterate === undefined || node.lookup === undefined) return long ? long_line(path, node) : `${path}\n`;
  let text = "";
  for (const name of node.iterate()) {
    const child = node.lookup(name);
    if (child !== null) text += long ? long_line(name, child) : `${name}\n`;
  }
  return text;
}

/** Exit status 0, or 2 if a path does not exist. */
export function* main(argv: readonly string[], io: stdio): Sleeps<number> {
  const long = argv.includes("-l");
  const paths = argv.slice(1).filter((word) => !word.startsWith("-"));
  let status = 0;
  for (const path of paths.length === 0 ? ["."] : paths) {
    // With -l a link is shown itself; a slash after it asks for what it leads to.
    const node = kern_path(path, long ? "nofollow" : "follow");
    if (IS_ERR(node)) {
      yield* io.error(`ls: cannot access '${path}': ${strerror(PTR_ERR(node))}\n`);
      status = 2;
      continue;
    }
    if (paths.length > 1) yield* io.write(`${path}:\n`);
    yield* io.write(list(path, node, long));
  }
  return status;
}
