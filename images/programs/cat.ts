/** cat FILE...: writes files to standard output. */
import type { stdio } from "xenolith/linux/binfmts";
import { IS_ERR, PTR_ERR } from "xenolith/linux/err";
import { O_RDONLY, type file, filp_close, filp_open, vfs_iter_read } from "xenolith/linux/fs";
import type { page } from "xenolith/linux/mm_types";
import type { Sleeps } from "xenolith/linux/sched";
import { bytes_to_string } from "xenolith/linux/string";
import { iov_iter } from "xenolith/linux/uio";
import { memcpy_from_page } from "xenolith/xen/page";
import { alloc_buffer, free_buffer } from "./lib/buffer";
import { strerror } from "./lib/strerror";

const BUFFER_SIZE = 4096;

/** Copies a file to standard output, a page at a time. Returns 0 or a negative errno. Sleeps. */
function* copy(from: file, buffer: page[], io: stdio): Sleeps<number> {
  const bytes = new Uint8Array(BUFFER_SIZE);
  for (;;) {
    const count = yield* vfs_iter_read(from, new iov_iter(buffer, 0, BUFFER_SIZE), null);
    if (count <= 0) return count;
    memcpy_from_page(bytes, 0, buffer[0], 0, count);
    yield* io.write(bytes_to_string(bytes, 0, count));
  }
}

function* print_file(path: string, buffer: page[], io: stdio): Sleeps<number> {
  const opened = yield* filp_open(path, O_RDONLY, 0);
  if (IS_ERR(opened)) return PTR_ERR(opened);
  const error = yield* copy(opened, buffer, io);
  yield* filp_close(opened);
  return error;
}

/** Exit status 0, or 1 if a file could not be read. */
export function* main(argv: readonly string[], io: stdio): Sleeps<number> {
  const buffer = alloc_buffer(BUFFER_SIZE);
  if (buffer === null) {
    yield* io.error("cat: memory exhausted\n");
    return 1;
  }
  let status = 0;
  for (const path of argv.slice(1)) {
    const error = yield* print_file(path, buffer, io);
    if (error === 0) continue;
    yield* io.error(`cat: ${path}: ${strerror(error)}\n`);
    status = 1;
  }
  free_buffer(buffer);
  return status;
}
