/** false: does nothing, unsuccessfully. */
import type { stdio } from "xenolith/linux/binfmts";
import type { Sleeps } from "xenolith/linux/sched";

/** Exit status 1. */
export function* main(_argv: readonly string[], _io: stdio): Sleeps<number> {
  return 1;
}
