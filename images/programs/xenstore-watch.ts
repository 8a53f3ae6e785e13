/** xenstore-watch [-n COUNT] PATH...: prints the path of every node at or below that changes, first the watched ones. Ctrl-C ends it. */
import type { stdio } from "xenolith/linux/binfmts";
import { type Sleeps, current, signal_pending } from "xenolith/linux/sched";
import { wait_event_interruptible, wait_queue_head, wake_up } from "xenolith/linux/wait";
import { register_xenbus_watch, unregister_xenbus_watch, xenbus_watch } from "xenolith/xen/xenbus";
import { getopt } from "./lib/getopt";
import { strerror } from "./lib/strerror";

/** Prints what comes in until there were `count` events or a signal comes. Sleeps. */
function* print_events(events: string[], changed: wait_queue_head, count: number, io: stdio): Sleeps<void> {
  for (let seen = 0; seen < count; ) {
    yield* wait_event_interruptible(changed, () => events.length > 0);
    if (signal_pending(current())) return;
    for (let path = events.shift(); path !== undefined && seen < count; path = events.shift()) {
      seen++;
      yield* io.write(`${path}\n`);
    }
  }
}

/** Exit status 0, or 1 if a path cannot be watched. */
export function* main(argv: readonly string[], io: stdio): Sleeps<number> {
  const { options, operands, complaint } = getopt(argv, { short: "n:", long: {} });
  const count = Number(options.get("n") ?? Number.MAX_SAFE_INTEGER);
  if (complaint !== null || operands.length === 0 || !Number.isInteger(count)) {
    yield* io.error(
      `${complaint === null ? "" : `xenstore-watch: ${complaint}\n`}usage: xenstore-watch [-n COUNT] PATH...\n`,
    );
    return 2;
  }
  const changed = new wait_queue_head();
  const events: string[] = [];
  const watches: xenbus_watch[] = [];
  let status = 0;
  try {
    for (const node of operands) {
      const watch = new xenbus_watch(null);
      watch.node = node;
      watch.callback = (_watch, path) => {
        events.push(path);
        wake_up(changed);
      };
      const error = yield* register_xenbus_watch(watch);
      if (error === 0) watches.push(watch);
      else {
        status = 1;
        yield* io.error(`xenstore-watch: ${node}: ${strerror(error)}\n`);
      }
    }
    if (status === 0) yield* print_events(events, changed, count, io);
  } finally {
    for (const watch of watches) yield* unregister_xenbus_watch(watch);
  }
  return status;
}
