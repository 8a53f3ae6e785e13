/** poweroff: shuts the devices down and ends the domain. */
import type { stdio } from "xenolith/linux/binfmts";
import { kernel_power_off } from "xenolith/linux/reboot";
import type { Sleeps } from "xenolith/linux/sched";

/** Does not come back. */
export function* main(_argv: readonly string[], _io: stdio): Sleeps<number> {
  yield* kernel_power_off();
  return 1;
}
