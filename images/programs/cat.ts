/** cat [FILE...]: writes files, or its standard input (`-`, or no file), to standard output. */
import type { stdio } from "xenolith/linux/binfmts";
import { IS_ERR, PTR_ERR } from "xenolith/linux/err";
import { O_RDONLY, type file, filp_close, filp_open, kernel_read } from "xenolith/linux/fs";
import type { Sleeps } from "xenolith/linux/sched";
import { strerror } from "./lib/strerror";

const BUFFER_SIZE = 4096;

/** Copies a file to standard output. Returns 0 or a negative errno. Sleeps. */
function* copy(from: file, io: stdio): Sleeps<number> {
  const bytes = new Uint8Array(BUFFER_SIZE);
  for (;;) {
    const count = yield* kernel_read(from, bytes);
    if (count <= 0) return count;
    const error = yield* io.write_bytes(bytes.subarray(0, count));
    if (error !== 0) return error;
  }
}

function* print_file(path: string, io: stdio): Sleeps<number> {
  if (path === "-") return yield* copy(io.files[0], io);
  const opened = yield* filp_open(path, O_RDONLY, 0);
  if (IS_ERR(opened)) return PTR_ERR(opened);
  try {
    return yield* copy(opened, io);
  } finally {
    yield* filp_close(opened);
  }
}

/** Exit status 0, or 1 if a file could not be read. */
export function* main(argv: readonly string[], io: stdio): Sleeps<number> {
  let status = 0;
  for (const path of argv.length > 1 ? argv.slice(1) : ["-"]) {
    const error = yield* print_file(path, io);
    if (error === 0) continue;
    yield* io.error(`cat: ${path}: ${strerror(error)}\n`);
    status = 1;
  }
  return status;
}
