/** head [-n LINES | -c BYTES] [FILE...]: the first lines or bytes; of standard input without files. */
import type { stdio } from "xenolith/linux/binfmts";
import type { Sleeps } from "xenolith/linux/sched";
import { getopt } from "./lib/getopt";
import { type input_reader, open_input } from "./lib/input";
import { strtosize } from "./lib/strtosize";

const LINES_DEFAULT = 10;

/** Writes lines as long as `left` has some. Sleeps. */
function* copy_lines(from: input_reader, left: number, io: stdio): Sleeps<void> {
  for (let i = 0; i < left; i++) {
    const line = yield* from.line();
    if (line === null) return;
    if ((yield* io.write(line)) !== 0) return;
  }
}

function* copy_bytes(from: input_reader, count: number, io: stdio): Sleeps<void> {
  for (let left = count; left > 0; ) {
    const text = yield* from.read(Math.min(left, 4096));
    if (text === "" || (yield* io.write(text)) !== 0) return;
    left -= text.length;
  }
}

/** Exit status 0, or 1 if a file could not be read. */
export function* main(argv: readonly string[], io: stdio): Sleeps<number> {
  const words = argv.map((word) => (/^-\d+$/.test(word) ? `-n${word.slice(1)}` : word));
  const { options, operands, complaint } = getopt(words, { short: "n:c:", long: { lines: "n", bytes: "c" } });
  const lines = strtosize(options.get("n") ?? String(LINES_DEFAULT));
  const bytes = strtosize(options.get("c") ?? "0");
  if (complaint !== null || lines < 0 || bytes < 0) {
    yield* io.error(`head: ${complaint ?? "invalid number"}\n`);
    return 1;
  }
  let status = 0;
  const files = operands.length === 0 ? ["-"] : operands;
  for (const path of files) {
    const from = yield* open_input("head", path, io);
    if (from === null) status = 1;
    if (from === null) continue;
    if (files.length > 1) yield* io.write(`==> ${path} <==\n`);
    if (options.has("c")) yield* copy_bytes(from, bytes, io);
    else yield* copy_lines(from, lines, io);
    yield* from.close();
  }
  return status;
}
