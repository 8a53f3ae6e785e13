/** echo [-n] WORD...: writes its words; with -n no newline. */
import type { stdio } from "xenolith/linux/binfmts";
import type { Sleeps } from "xenolith/linux/sched";
import { strerror } from "./lib/strerror";

/** Exit status 0, or 1 if they could not be written. */
export function* main(argv: readonly string[], io: stdio): Sleeps<number> {
  const bare = argv[1] === "-n";
  const error = yield* io.write(argv.slice(bare ? 2 : 1).join(" ") + (bare ? "" : "\n"));
  if (error === 0) return 0;
  yield* io.error(`echo: write error: ${strerror(error)}\n`);
  return 1;
}
