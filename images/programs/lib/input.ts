/** A program's input: a file by its name, or its standard input (`-`). Text is 8-bit characters. */
import type { stdio } from "xenolith/linux/binfmts";
import { IS_ERR, PTR_ERR } from "xenolith/linux/err";
import { O_RDONLY, type file, filp_close, filp_open, kernel_read } from "xenolith/linux/fs";
import type { Sleeps } from "xenolith/linux/sched";
import { bytes_to_string } from "xenolith/linux/string";
import { strerror } from "./strerror";

const CHUNK = 4096;

export class input_reader {
  private readonly buffer = new Uint8Array(CHUNK);
  private ahead = "";

  /** @param opened null for standard input */
  constructor(private readonly opened: file | null, private readonly io: stdio) {}

  /** The next piece, at most `count` (and at most 4096) characters; "" at the end and after an error. Sleeps. */
  *read(count: number): Sleeps<string> {
    if (this.ahead !== "") {
      const text = this.ahead.slice(0, count);
      this.ahead = this.ahead.slice(count);
      return text;
    }
    const length = Math.min(count, CHUNK);
    if (this.opened === null) {
      const text = yield* this.io.read(length);
      return IS_ERR(text) ? "" : text;
    }
    const got = yield* kernel_read(this.opened, this.buffer.subarray(0, length));
    return got <= 0 ? "" : bytes_to_string(this.buffer, 0, got);
  }

  /** Begins at byte `offset` if the file can be moved in. Returns how many bytes need not be skipped any more: all or none. */
  seek(offset: number): number {
    if (this.opened === null || this.opened.f_op.read !== undefined) return 0;
    this.opened.f_pos.value = offset;
    return offset;
  }

  /** The next line with its newline; null at the end. Sleeps. */
  *line(): Sleeps<string | null> {
    let line = "";
    for (;;) {
      const text = yield* this.read(CHUNK);
      if (text === "") return line === "" ? null : line;
      const end = text.indexOf("\n") + 1;
      if (end === 0) line += text;
      else {
        this.ahead = text.slice(end) + this.ahead;
        return line + text.slice(0, end);
      }
    }
  }

  /** Closes the file. Sleeps. */
  *close(): Sleeps<void> {
    if (this.opened !== null) yield* filp_close(this.opened);
  }
}

/** Opens an input, or complains and returns null. Sleeps. */
export function* open_input(program: string, path: string, io: stdio): Sleeps<input_reader | null> {
  if (path === "-") return new input_reader(null, io);
  const opened = yield* filp_open(path, O_RDONLY, 0);
  if (!IS_ERR(opened)) return new input_reader(opened, io);
  yield* io.error(`${program}: ${path}: ${strerror(PTR_ERR(opened))}\n`);
  return null;
}
