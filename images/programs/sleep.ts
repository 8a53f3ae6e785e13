/** sleep NUMBER[smhd]...: waits, in virtual time. */
import type { stdio } from "xenolith/linux/binfmts";
import { ktime_get_ns } from "xenolith/linux/ktime";
import {
  type Sleeps,
  TASK_INTERRUPTIBLE,
  current,
  schedule_hrtimeout,
  set_current_state,
  signal_pending,
} from "xenolith/linux/sched";

const UNITS: Readonly<Record<string, number>> = { "": 1, s: 1, m: 60, h: 3600, d: 86400 };
/** Whole nanoseconds stay exact below this. */
const SECONDS_MAX = 4_000_000;

/** Nanoseconds, or -1. */
function parse(word: string): number {
  const match = /^(\d+(?:\.\d+)?)([smhd]?)$/.exec(word);
  const seconds = match === null ? -1 : Number(match[1]) * UNITS[match[2]];
  return seconds > SECONDS_MAX ? -1 : Math.floor(seconds * 1e9);
}

/** Exit status 0, or 1 for wrong usage. */
export function* main(argv: readonly string[], io: stdio): Sleeps<number> {
  let ns = 0;
  for (const word of argv.slice(1)) {
    const time = parse(word);
    if (time < 0) {
      yield* io.error(`sleep: invalid time interval '${word}'\n`);
      return 1;
    }
    ns += time;
  }
  if (argv.length < 2) {
    yield* io.error("sleep: missing operand\n");
    return 1;
  }
  const deadline = ktime_get_ns() + ns;
  while (!signal_pending(current()) && ktime_get_ns() < deadline) {
    set_current_state(TASK_INTERRUPTIBLE);
    yield* schedule_hrtimeout(deadline);
  }
  return 0;
}
