/** kill [-SIGNAL] PID...: sends a signal to tasks, SIGTERM by default. */
import type { stdio } from "xenolith/linux/binfmts";
import { type Sleeps, find_task_by_pid, send_sig } from "xenolith/linux/sched";
import { SIGHUP, SIGINT, SIGKILL, SIGPIPE, SIGQUIT, SIGTERM } from "xenolith/linux/signal";

const NAMES: Readonly<Record<string, number>> = {
  HUP: SIGHUP,
  INT: SIGINT,
  QUIT: SIGQUIT,
  KILL: SIGKILL,
  PIPE: SIGPIPE,
  TERM: SIGTERM,
};

/** The signal's number, or -1. */
function signal_of(word: string): number {
  const name = word.toUpperCase().replace(/^SIG/, "");
  if (Object.hasOwn(NAMES, name)) return NAMES[name];
  return /^\d+$/.test(name) && Number(name) <= 30 ? Number(name) : -1;
}

/** Exit status 0, or 1 if a task was not there. */
export function* main(argv: readonly string[], io: stdio): Sleeps<number> {
  const given = argv[1]?.startsWith("-") === true;
  const sig = given ? signal_of(argv[1].slice(1)) : SIGTERM;
  const pids = argv.slice(given ? 2 : 1);
  if (sig < 0 || pids.length === 0) {
    yield* io.error(
      sig < 0 ? `kill: ${argv[1].slice(1)}: invalid signal specification\n` : "usage: kill [-SIGNAL] PID...\n",
    );
    return 1;
  }
  let status = 0;
  for (const word of pids) {
    const task = /^\d+$/.test(word) ? find_task_by_pid(Number(word)) : null;
    // Signal 0 only asks whether the task is there.
    if (task !== null && (sig === 0 || send_sig(sig, task, 0) === 0)) continue;
    yield* io.error(`kill: (${word}) - No such process\n`);
    status = 1;
  }
  return status;
}
