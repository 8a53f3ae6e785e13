/** Redirections: a command's three descriptors, some of them others than the shell's. */
import type { stdio_files } from "xenolith/linux/binfmts";
import { IS_ERR, PTR_ERR } from "xenolith/linux/err";
import {
  FMODE_READ,
  O_APPEND,
  O_CREAT,
  O_RDONLY,
  O_TRUNC,
  O_WRONLY,
  file,
  filp_close,
  filp_open,
  get_file,
} from "xenolith/linux/fs";
import type { Sleeps } from "xenolith/linux/sched";
import { string_to_bytes } from "xenolith/linux/string";
import { strerror } from "../lib/strerror";
import { type expander, expand_text } from "./expand";
import type { redirection } from "./syntax";

const FLAGS: Readonly<Record<string, number>> = {
  "<": O_RDONLY,
  ">": O_WRONLY | O_CREAT | O_TRUNC,
  ">>": O_WRONLY | O_CREAT | O_APPEND,
};

/** A file that gives a text. */
function text_file(text: string): file {
  const opened = new file();
  let left = string_to_bytes(text);
  opened.f_mode = FMODE_READ;
  opened.f_op = {
    *read(_file, to) {
      const count = Math.min(left.length, to.length);
      to.set(left.subarray(0, count));
      left = left.subarray(count);
      return count;
    },
  };
  return opened;
}

/** What one redirection leads to, as a descriptor of its own, or a complaint. Sleeps. */
function* open_target(step: redirection, files: stdio_files, shell: expander): Sleeps<file | string> {
  const target = yield* expand_text(step.target, shell);
  if (step.op === "<<") return text_file(target);
  if (step.op === "<&" || step.op === ">&") {
    return /^[0-2]$/.test(target) ? get_file(files[Number(target)]) : `${target}: bad file descriptor`;
  }
  const opened = yield* filp_open(target, FLAGS[step.op], 0o666);
  return IS_ERR(opened) ? `${target}: ${strerror(PTR_ERR(opened))}` : opened;
}

/** Descriptors of a command, each to be closed by `close_opened`; or a complaint. Sleeps. */
export function* redirect(
  steps: readonly redirection[],
  files: stdio_files,
  shell: expander,
): Sleeps<stdio_files | string> {
  const opened: [file, file, file] = [get_file(files[0]), get_file(files[1]), get_file(files[2])];
  for (const step of steps) {
    const target = yield* open_target(step, opened, shell);
    if (typeof target === "string") {
      yield* close_opened(opened);
      return target;
    }
    yield* filp_close(opened[step.fd]);
    opened[step.fd] = target;
  }
  return opened;
}

/** Closes what `redirect` opened. Sleeps. */
export function* close_opened(opened: stdio_files): Sleeps<void> {
  for (const descriptor of opened) yield* filp_close(descriptor);
}
