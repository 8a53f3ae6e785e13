/** reboot: shuts the devices down and asks the toolstack to start the domain again. */
import type { stdio } from "xenolith/linux/binfmts";
import { kernel_restart } from "xenolith/linux/reboot";
import type { Sleeps } from "xenolith/linux/sched";

/** Does not come back. */
export function* main(_argv: readonly string[], _io: stdio): Sleeps<number> {
  yield* kernel_restart();
  return 1;
}
