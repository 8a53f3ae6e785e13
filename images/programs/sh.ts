/**
 * sh: the shell.
 *
 *   sh            reads commands from its standard input; with a prompt and line editing on a terminal that echoes
 *   sh -c TEXT [NAME [ARGUMENT...]]
 *
 * Commands are programs of the image and the built-in ones, joined by `;`, `&&`, `||`, `|` and `&`, with `<`, `>`, `>>`, `<<`, `2>&1`, `$NAME`,
 * `$(…)`, `*` and `?`, quotes, comments, `if`, `for`, `while`, `until`, `{ }`, `( )`, `!` and `time`.
 */
import type { stdio, stdio_files } from "xenolith/linux/binfmts";
import { IS_ERR } from "xenolith/linux/err";
import { kernel_read, kernel_write, vfs_ioctl } from "xenolith/linux/fs";
import { type Sleeps, current } from "xenolith/linux/sched";
import { bytes_to_string, string_to_bytes } from "xenolith/linux/string";
import { ECHO, TCGETS, TIOCSPGRP, termios } from "xenolith/linux/termios";
import { XBT_NIL, xenbus_read } from "xenolith/xen/xenbus";
import { report_jobs } from "./sh/builtins";
import { editor } from "./sh/edit";
import { parse } from "./sh/parse";
import { STATUS_INTERRUPTED, run_list } from "./sh/run";
import { shell } from "./sh/shell";

/** Tell the terminal that a prompt begins, and that a command does (FinalTerm's OSC 133, as many terminals know it). */
const PROMPT_BEGINS = "\x1b]133;A\x07";
const COMMAND_BEGINS = "\x1b]133;C\x07";
/** Lines that are remembered. */
const HISTORY_MAX = 500;
/** Status of a command that cannot be understood. */
const STATUS_SYNTAX = 2;

/** Where lines come from: the next one, "interrupted" for one that was given up, null at the end. `more` says that it continues another. */
type line_source = (more: boolean) => Sleeps<{ readonly text: string } | "interrupted" | null>;

/** Whether somebody sits at the file and sees what they type. */
function* is_terminal(files: stdio_files): Sleeps<boolean> {
  const settings = new termios();
  return (yield* vfs_ioctl(files[0], TCGETS, settings)) === 0 && (settings.c_lflag & ECHO) !== 0;
}

/** Lines of a plain input, a byte at a time: what comes after a line is for the programs that it starts. */
function plain_lines(files: stdio_files): line_source {
  return function* () {
    const byte = new Uint8Array(1);
    let text = "";
    for (;;) {
      const count = yield* kernel_read(files[0], byte);
      if (count <= 0) return text === "" ? null : { text };
      if (byte[0] === 10) return { text };
      text += bytes_to_string(byte);
    }
  };
}

/** The domain's name, for the prompt. */
function* host_name(): Sleeps<string> {
  const name = yield* xenbus_read(XBT_NIL, "name", "", null);
  return IS_ERR(name) ? "sh" : name;
}

function typed_lines(sh: shell, host: string): line_source {
  const reader = new editor(sh.files[0], sh.history);
  return function* (more) {
    const say = (text: string): Sleeps<number> => kernel_write(sh.files[2], string_to_bytes(text));
    yield* report_jobs(sh, say);
    yield* say(PROMPT_BEGINS);
    const line = yield* reader.read(more ? "> " : `${host}:${current().pwd}# `);
    if (line === "end") return null;
    if (line !== "interrupted") yield* say(COMMAND_BEGINS);
    return line;
  };
}

function remember(sh: shell, text: string): void {
  if (!sh.interactive || text.trim() === "" || text === sh.history.at(-1)) return;
  sh.history.push(text);
  if (sh.history.length > HISTORY_MAX) sh.history.shift();
}

function* run_text(sh: shell, text: string): Sleeps<"done" | "incomplete"> {
  const { body, failed } = parse(text);
  if (failed === "incomplete") return "incomplete";
  if (failed !== "") {
    sh.status = STATUS_SYNTAX;
    yield* kernel_write(sh.files[2], string_to_bytes(`sh: ${failed}\n`));
    return "done";
  }
  yield* run_list(sh, body, sh.files);
  return "done";
}

/** Reads and runs until the input ends or somebody says exit. Sleeps. */
function* run_lines(sh: shell, next: line_source): Sleeps<void> {
  let text = "";
  for (;;) {
    const line = yield* next(text !== "");
    if (line === "interrupted") {
      text = "";
      sh.status = STATUS_INTERRUPTED;
      continue;
    }
    if (line === null) break;
    text += line.text;
    if ((yield* run_text(sh, text)) === "incomplete") {
      text += "\n";
      continue;
    }
    remember(sh, text);
    text = "";
    if (sh.leaving === "exit" || (sh.leaving === "interrupted" && !sh.interactive)) return;
    sh.leaving = "no";
  }
  if (text !== "") yield* run_incomplete(sh);
}

function* run_incomplete(sh: shell): Sleeps<void> {
  sh.status = STATUS_SYNTAX;
  yield* kernel_write(sh.files[2], string_to_bytes("sh: syntax error: unexpected end of file\n"));
}

/** The last command's exit status, or 2 for a command that cannot be understood. */
export function* main(argv: readonly string[], io: stdio): Sleeps<number> {
  if (argv[1] === "-c") {
    const sh = new shell(io.files, false);
    if (argv.length < 3) {
      yield* io.error("sh: -c: option requires an argument\n");
      return STATUS_SYNTAX;
    }
    sh.parameters = argv.length > 3 ? argv.slice(3) : ["sh"];
    if ((yield* run_text(sh, argv[2])) === "incomplete") yield* run_incomplete(sh);
    return sh.status;
  }
  if (argv.length > 1 && argv[1] !== "-i") {
    yield* io.error(`sh: ${argv[1]}: No such file or directory\n`);
    return 127;
  }
  const interactive = yield* is_terminal(io.files);
  const sh = new shell(io.files, interactive);
  if (interactive) yield* vfs_ioctl(io.files[0], TIOCSPGRP, current().pgrp);
  yield* run_lines(sh, interactive ? typed_lines(sh, yield* host_name()) : plain_lines(io.files));
  return sh.status;
}
