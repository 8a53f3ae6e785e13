/** sync [FILE...]: writes back the page cache of all block devices; with files, makes those durable. */
import type { stdio } from "xenolith/linux/binfmts";
import { all_bdevs, sync_blockdev } from "xenolith/linux/blkdev";
import { IS_ERR, PTR_ERR } from "xenolith/linux/err";
import { O_RDONLY, filp_close, filp_open, vfs_fsync } from "xenolith/linux/fs";
import type { Sleeps } from "xenolith/linux/sched";
import { strerror } from "./lib/strerror";

/** Makes one file durable. Returns a complaint, or null. Sleeps. */
function* sync_file(path: string): Sleeps<string | null> {
  const opened = yield* filp_open(path, O_RDONLY, 0);
  if (IS_ERR(opened)) return `error opening '${path}': ${strerror(PTR_ERR(opened))}`;
  const error = yield* vfs_fsync(opened, 0);
  yield* filp_close(opened);
  return error === 0 ? null : `error syncing '${path}': ${strerror(error)}`;
}

/** Exit status 0, or 1 if a file could not be made durable. */
export function* main(argv: readonly string[], io: stdio): Sleeps<number> {
  const paths = argv.slice(1);
  if (paths.length === 0) for (const bdev of all_bdevs()) yield* sync_blockdev(bdev);
  let status = 0;
  for (const path of paths) {
    const complaint = yield* sync_file(path);
    if (complaint === null) continue;
    yield* io.error(`sync: ${complaint}\n`);
    status = 1;
  }
  return status;
}
