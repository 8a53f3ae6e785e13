/** xenstore-read [-p] PATH...: values of nodes, one a line; with -p the path before each. */
import type { stdio } from "xenolith/linux/binfmts";
import { IS_ERR, PTR_ERR } from "xenolith/linux/err";
import type { Sleeps } from "xenolith/linux/sched";
import { XBT_NIL, xenbus_read } from "xenolith/xen/xenbus";
import { strerror } from "./lib/strerror";

/** Exit status 0, or 1 if a node could not be read. */
export function* main(argv: readonly string[], io: stdio): Sleeps<number> {
  const paths = argv.slice(1).filter((word) => word !== "-p");
  if (paths.length === 0) {
    yield* io.error("usage: xenstore-read [-p] PATH...\n");
    return 2;
  }
  for (const path of paths) {
    const value = yield* xenbus_read(XBT_NIL, path, "", null);
    if (IS_ERR(value)) {
      yield* io.error(`xenstore-read: couldn't read path ${path}: ${strerror(PTR_ERR(value))}\n`);
      return 1;
    }
    yield* io.write(`${argv.includes("-p") ? `${path}: ` : ""}${value}\n`);
  }
  return 0;
}
