/** cat FILE...: writes files to standard output. */
import type { stdio } from "xenolith/linux/binfmts";
import { IS_ERR, PTR_ERR } from "xenolith/linux/err";
import { read_text_file } from "xenolith/linux/fs";
import type { Sleeps } from "xenolith/linux/sched";
import { strerror } from "./lib/strerror";

/** Exit status 0, or 1 if a file could not be read. */
export function* main(argv: readonly string[], io: stdio): Sleeps<number> {
  let status = 0;
  for (const path of argv.slice(1)) {
    const text = yield* read_text_file(path);
    if (IS_ERR(text)) {
      yield* io.error(`cat: ${path}: ${strerror(PTR_ERR(text))}\n`);
      status = 1;
    } else {
      yield* io.write(text);
    }
  }
  return status;
}
