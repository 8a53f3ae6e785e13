/** clear: empties the terminal. */
import type { stdio } from "xenolith/linux/binfmts";
import type { Sleeps } from "xenolith/linux/sched";

/** Exit status 0. */
export function* main(_argv: readonly string[], io: stdio): Sleeps<number> {
  yield* io.write("\x1b[H\x1b[2J\x1b[3J");
  return 0;
}
