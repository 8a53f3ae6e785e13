/** hexdump [-C] [-n LENGTH] [-s OFFSET] [FILE...]: bytes of files one after the other, or of standard input. */
import type { stdio } from "xenolith/linux/binfmts";
import { kasprintf } from "xenolith/linux/printk";
import type { Sleeps } from "xenolith/linux/sched";
import { getopt } from "./lib/getopt";
import { open_input } from "./lib/input";
import { strtosize } from "./lib/strtosize";

const LINE = 16;

function hex(code: number): string {
  return (code < 16 ? "0" : "") + code.toString(16);
}

/** `de ad be ef …  |....|`. */
function canonical(text: string): string {
  let left = "";
  let right = "";
  for (let i = 0; i < LINE; i++) {
    const code = text.charCodeAt(i);
    left += `${i === 8 ? "  " : " "}${i < text.length ? hex(code) : "  "}`;
    if (i < text.length) right += code >= 32 && code < 127 ? text[i] : ".";
  }
  return ` ${left}  |${right}|`;
}

/** Words of two bytes, the lower one first. */
function words(text: string): string {
  let line = "";
  for (let i = 0; i < text.length; i += 2) {
    line += ` ${i + 1 < text.length ? hex(text.charCodeAt(i + 1)) : "00"}${hex(text.charCodeAt(i))}`;
  }
  return line;
}

/** Prints lines, with `*` for those that repeat the one before. */
class dumper {
  private held = "";
  private last: string | null = null;
  private starred = false;

  constructor(private readonly io: stdio, private readonly canon: boolean, public offset: number) {}

  private address(): string {
    return kasprintf(this.canon ? "%08lx" : "%07lx", this.offset);
  }

  /** Takes more bytes. Returns false when nobody reads any more. Sleeps. */
  *take(text: string): Sleeps<boolean> {
    this.held += text;
    let out = "";
    while (this.held.length >= LINE) {
      out += this.line(this.held.slice(0, LINE));
      this.held = this.held.slice(LINE);
    }
    return out === "" || (yield* this.io.write(out)) === 0;
  }

  private line(text: string): string {
    const repeated = text === this.last;
    const star = repeated && !this.starred ? "*\n" : "";
    const out = repeated ? star : `${this.address()}${this.canon ? canonical(text) : words(text)}\n`;
    this.starred = repeated;
    this.last = text;
    this.offset += text.length;
    return out;
  }

  /** What is left, and where it ends. Sleeps. */
  *end(): Sleeps<void> {
    if (this.held !== "") yield* this.io.write(this.line(this.held));
    yield* this.io.write(`${this.address()}\n`);
  }
}

/** Exit status 0, or 1 if a file could not be read. */
export function* main(argv: readonly string[], io: stdio): Sleeps<number> {
  const { options, operands, complaint } = getopt(argv, {
    short: "Cn:s:",
    long: { canonical: "C", length: "n", skip: "s" },
  });
  const length = strtosize(options.get("n") ?? String(Number.MAX_SAFE_INTEGER));
  const skip = strtosize(options.get("s") ?? "0");
  if (complaint !== null || length < 0 || skip < 0) {
    yield* io.error(`hexdump: ${complaint ?? "invalid number"}\n`);
    return 1;
  }
  const dump = new dumper(io, options.has("C"), skip);
  let status = 0;
  let to_skip = skip;
  let left = length;
  for (const path of operands.length === 0 ? ["-"] : operands) {
    const from = yield* open_input("hexdump", path, io);
    if (from === null) status = 1;
    if (from === null) continue;
    to_skip -= from.seek(to_skip);
    for (let more = true; more && left > 0; ) {
      const text = yield* from.read(to_skip > 0 ? Math.min(to_skip, 4096) : Math.min(left, 4096));
      more = text !== "";
      if (to_skip > 0) to_skip -= text.length;
      else {
        left -= text.length;
        more = more && (yield* dump.take(text));
      }
    }
    yield* from.close();
  }
  yield* dump.end();
  return status;
}
