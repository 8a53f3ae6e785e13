/** grep [-cinqv] [-E | -F] PATTERN [FILE...]: lines that match; of standard input without files. */
import type { stdio } from "xenolith/linux/binfmts";
import type { Sleeps } from "xenolith/linux/sched";
import { getopt } from "./lib/getopt";
import { type input_reader, open_input } from "./lib/input";

/** A basic regular expression as an extended one: `\+` and the like mean something, `+` alone does not. */
function extended(pattern: string): string {
  return pattern.replace(/\[[^\]]*\]|\\?[+?|(){}]|\\./g, (found) => {
    if (found.startsWith("[")) return found;
    if (/^\\[+?|(){}]$/.test(found)) return found[1];
    return /^[+?|(){}]$/.test(found) ? `\\${found}` : found;
  });
}

/** The expression, or null when it is none. */
function compile(pattern: string, kind: "basic" | "extended" | "fixed", flags: string): RegExp | null {
  const source =
    kind === "fixed" ? pattern.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&") : kind === "basic" ? extended(pattern) : pattern;
  try {
    return new RegExp(source, flags);
  } catch {
    return null;
  }
}

interface search {
  readonly wanted: RegExp;
  readonly options: ReadonlyMap<string, string>;
  /** What lines of a file begin with. */
  readonly prefix: string;
}

/** Prints what matches in one file. Returns how many lines did. Sleeps. */
function* search_file(from: input_reader, { wanted, options, prefix }: search, io: stdio): Sleeps<number> {
  let count = 0;
  for (let number = 1; ; number++) {
    const line = yield* from.line();
    if (line === null) break;
    const text = line.endsWith("\n") ? line.slice(0, -1) : line;
    if (wanted.test(text) === options.has("v")) continue;
    count++;
    if (options.has("q")) break;
    if (options.has("c")) continue;
    if ((yield* io.write(`${prefix}${options.has("n") ? `${number}:` : ""}${text}\n`)) !== 0) break;
  }
  if (options.has("c") && !options.has("q")) yield* io.write(`${prefix}${count}\n`);
  return count;
}

/** Exit status 0 if a line matched, 1 if none did, 2 after an error. */
export function* main(argv: readonly string[], io: stdio): Sleeps<number> {
  const { options, operands, complaint } = getopt(argv, {
    short: "EFcinqv",
    long: { count: "c", "ignore-case": "i", "line-number": "n", quiet: "q", "invert-match": "v" },
  });
  const kind = options.has("F") ? "fixed" : options.has("E") ? "extended" : "basic";
  const wanted = operands.length === 0 ? null : compile(operands[0], kind, options.has("i") ? "i" : "");
  if (complaint !== null || wanted === null) {
    const why = complaint ?? (operands.length === 0 ? "no pattern given" : `invalid pattern '${operands[0]}'`);
    yield* io.error(`grep: ${why}\n`);
    return 2;
  }
  const files = operands.length === 1 ? ["-"] : operands.slice(1);
  let count = 0;
  let failed = false;
  for (const path of files) {
    const from = yield* open_input("grep", path, io);
    if (from === null) failed = true;
    if (from === null) continue;
    count += yield* search_file(from, { wanted, options, prefix: files.length > 1 ? `${path}:` : "" }, io);
    yield* from.close();
  }
  if (failed && count === 0) return 2;
  return count > 0 ? 0 : 1;
}
