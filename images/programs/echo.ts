/** echo [-n] WORD...: writes its words; with -n no newline. */
import type { stdio } from "xenolith/linux/binfmts";
import type { Sleeps } from "xenolith/linux/sched";

/** Exit status 0. */
export function* main(argv: readonly string[], io: stdio): Sleeps<number> {
  const bare = argv[1] === "-n";
  yield* io.write(argv.slice(bare ? 2 : 1).join(" ") + (bare ? "" : "\n"));
  return 0;
}
