/** wc [-clw] [FILE...]: counts lines, words and bytes; of standard input without files. */
import type { stdio } from "xenolith/linux/binfmts";
import { kasprintf } from "xenolith/linux/printk";
import type { Sleeps } from "xenolith/linux/sched";
import { getopt } from "./lib/getopt";
import { type input_reader, open_input } from "./lib/input";

interface counts {
  l: number;
  w: number;
  c: number;
}

/** Adds what is read to the counts. Sleeps. */
function* count(from: input_reader, to: counts): Sleeps<void> {
  let in_word = false;
  for (;;) {
    const text = yield* from.read(4096);
    if (text === "") return;
    to.c += text.length;
    for (let i = 0; i < text.length; i++) {
      const code = text.charCodeAt(i);
      if (code === 10) to.l++;
      const is_blank = code === 32 || (code >= 9 && code <= 13);
      if (!is_blank && !in_word) to.w++;
      in_word = !is_blank;
    }
  }
}

function line(of: counts, letters: readonly string[], name: string): string {
  const shown = letters.map((letter) => of[letter as keyof counts]);
  if (shown.length === 1) return `${shown[0]}${name === "" ? "" : ` ${name}`}\n`;
  return `${shown.map((n) => kasprintf("%7d", n)).join(" ")}${name === "" ? "" : ` ${name}`}\n`;
}

/** Exit status 0, or 1 if a file could not be read. */
export function* main(argv: readonly string[], io: stdio): Sleeps<number> {
  const { options, operands, complaint } = getopt(argv, { short: "clw", long: { bytes: "c", lines: "l", words: "w" } });
  if (complaint !== null) {
    yield* io.error(`wc: ${complaint}\n`);
    return 1;
  }
  const letters = ["l", "w", "c"].filter((letter) => options.size === 0 || options.has(letter));
  const total: counts = { l: 0, w: 0, c: 0 };
  let status = 0;
  for (const path of operands.length === 0 ? ["-"] : operands) {
    const from = yield* open_input("wc", path, io);
    if (from === null) status = 1;
    if (from === null) continue;
    const own: counts = { l: 0, w: 0, c: 0 };
    yield* count(from, own);
    yield* from.close();
    yield* io.write(line(own, letters, operands.length === 0 ? "" : path));
    total.l += own.l;
    total.w += own.w;
    total.c += own.c;
  }
  if (operands.length > 1) yield* io.write(line(total, letters, "total"));
  return status;
}
