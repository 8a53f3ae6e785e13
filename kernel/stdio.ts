/**
 * A program's standard streams over its descriptors, and the place where a signal ends it (Linux: the way back to user mode).
 *
 * Between two of these calls a program is somewhere in the kernel, which must not be left in the middle. At one of them nothing of the kernel's is
 * on its stack: it says `ending`, and whoever drives the program returns from it (`kernel/exec.ts`).
 */
import type { stdio, stdio_files } from "xenolith/linux/binfmts";
import { EINTR } from "xenolith/linux/errno";
import { ERR_PTR, type err_ptr } from "xenolith/linux/err";
import { EXPORT_SYMBOL } from "xenolith/linux/export";
import { type file, kernel_read, kernel_write } from "xenolith/linux/fs";
import { type Sleeps, current } from "xenolith/linux/sched";
import { bytes_to_string, string_to_bytes } from "xenolith/linux/string";

/** Characters that `read_line` takes at a time. */
const LINE_CHUNK = 512;

export class program_io implements stdio {
  /** The program is to be left. */
  ending = false;
  /** Read by `read_line`, and not used yet. */
  private ahead = "";

  constructor(readonly files: stdio_files) {}

  *write(text: string): Sleeps<number> {
    return yield* this.put(this.files[1], string_to_bytes(text));
  }

  *write_bytes(bytes: Uint8Array): Sleeps<number> {
    return yield* this.put(this.files[1], bytes);
  }

  *error(text: string): Sleeps<number> {
    return yield* this.put(this.files[2], string_to_bytes(text));
  }

  *read(count: number): Sleeps<string | err_ptr> {
    if (this.ahead !== "") {
      const text = this.ahead.slice(0, count);
      this.ahead = this.ahead.slice(count);
      return text;
    }
    const bytes = new Uint8Array(count);
    const got = yield* kernel_read(this.files[0], bytes);
    if (current().pending_signals !== 0) return ERR_PTR(yield* this.end());
    return got < 0 ? ERR_PTR(got) : bytes_to_string(bytes, 0, got);
  }

  *read_line(): Sleeps<string | null> {
    let line = "";
    for (;;) {
      const text = yield* this.read(LINE_CHUNK);
      if (typeof text === "number" || text === "") return line === "" ? null : line;
      const end = text.indexOf("\n");
      if (end < 0) {
        line += text;
        continue;
      }
      this.ahead = text.slice(end + 1) + this.ahead;
      return line + text.slice(0, end);
    }
  }

  private *put(to: file, bytes: Uint8Array): Sleeps<number> {
    let done = 0;
    while (done < bytes.length) {
      const count = yield* kernel_write(to, done === 0 ? bytes : bytes.subarray(done));
      if (current().pending_signals !== 0) return yield* this.end();
      if (count <= 0) return count;
      done += count;
    }
    return 0;
  }

  /** A signal waits. Does not come back, unless the program is on its way out already. */
  private *end(): Sleeps<number> {
    if (!this.ending) {
      this.ending = true;
      yield;
    }
    return -EINTR;
  }
}

export function open_stdio(files: stdio_files): stdio {
  return new program_io(files);
}
EXPORT_SYMBOL(open_stdio);
