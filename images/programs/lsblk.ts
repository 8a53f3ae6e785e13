/** lsblk: lists disks and their partitions, from /sys/block. */
import type { stdio } from "xenolith/linux/binfmts";
import { IS_ERR } from "xenolith/linux/err";
import { kern_path, read_text_file } from "xenolith/linux/fs";
import { kasprintf } from "xenolith/linux/printk";
import type { Sleeps } from "xenolith/linux/sched";

/** An attribute without its newline; "" when it is not there. */
function* attribute(directory: string, name: string): Sleeps<string> {
  const text = yield* read_text_file(`${directory}/${name}`);
  return IS_ERR(text) ? "" : text.trim();
}

function names(directory: string): string[] {
  const node = kern_path(directory);
  return IS_ERR(node) || node.iterate === undefined ? [] : node.iterate();
}

/** `16M`, `1.5G`. */
function human(bytes: number): string {
  const units = "BKMGT";
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  const tenths = Math.floor(value * 10 + 0.5);
  return `${tenths % 10 === 0 ? tenths / 10 : kasprintf("%d.%d", Math.floor(tenths / 10), tenths % 10)}${units[unit]}`;
}

function* line(directory: string, name: string, shown: string, removable: string): Sleeps<string> {
  const dev = yield* attribute(directory, "dev");
  const size = Number(yield* attribute(directory, "size")) * 512;
  const ro = yield* attribute(directory, "ro");
  const type = shown === name ? "disk" : "part";
  return kasprintf("%-12s %7s %2s %6s %2s %s\n", shown, dev, removable, human(size), ro, type);
}

/** Exit status 0. */
export function* main(_argv: readonly string[], io: stdio): Sleeps<number> {
  yield* io.write("NAME         MAJ:MIN RM   SIZE RO TYPE\n");
  for (const disk of names("/sys/block")) {
    const directory = `/sys/block/${disk}`;
    const removable = yield* attribute(directory, "removable");
    yield* io.write(yield* line(directory, disk, disk, removable));
    const parts = names(directory).filter((name) => name.startsWith(disk));
    parts.sort((a, b) => a.length - b.length || (a < b ? -1 : 1));
    for (let i = 0; i < parts.length; i++) {
      const branch = i === parts.length - 1 ? "`-" : "|-";
      yield* io.write(yield* line(`${directory}/${parts[i]}`, parts[i], branch + parts[i], removable));
    }
  }
  return 0;
}
