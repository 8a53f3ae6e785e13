/** xenstore-write PATH VALUE [PATH VALUE...]: sets nodes, all or none. */
import type { stdio } from "xenolith/linux/binfmts";
import { EAGAIN } from "xenolith/linux/errno";
import type { Sleeps } from "xenolith/linux/sched";
import {
  xenbus_transaction,
  xenbus_transaction_end,
  xenbus_transaction_start,
  xenbus_write,
} from "xenolith/xen/xenbus";
import { strerror } from "./lib/strerror";

/** Writes all pairs in one transaction. Returns 0 or a negative errno and the path that it is about. Sleeps. */
function* write_all(pairs: readonly string[]): Sleeps<{ error: number; path: string }> {
  for (;;) {
    const t = new xenbus_transaction();
    let error = yield* xenbus_transaction_start(t);
    let path = pairs[0];
    if (error !== 0) return { error, path };
    for (let i = 0; i < pairs.length && error === 0; i += 2) {
      path = pairs[i];
      error = yield* xenbus_write(t, path, "", pairs[i + 1]);
    }
    const ended = yield* xenbus_transaction_end(t, error === 0 ? 0 : 1);
    if (error !== 0) return { error, path };
    if (ended !== -EAGAIN) return { error: ended, path };
  }
}

/** Exit status 0, or 1 if a node could not be written. */
export function* main(argv: readonly string[], io: stdio): Sleeps<number> {
  const pairs = argv.slice(1);
  if (pairs.length === 0 || pairs.length % 2 !== 0) {
    yield* io.error("usage: xenstore-write PATH VALUE [PATH VALUE...]\n");
    return 2;
  }
  const { error, path } = yield* write_all(pairs);
  if (error === 0) return 0;
  yield* io.error(`xenstore-write: could not write path ${path}: ${strerror(error)}\n`);
  return 1;
}
