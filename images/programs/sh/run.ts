/**
 * Carries out what was parsed.
 *
 *   list ─► and_or ─► pipeline ─► one command: here, or in a task     several: each in a task, joined by pipes
 *
 * A key's SIGINT goes to the foreground's process group. Whoever waits for it sees 130 and leaves everything up to the prompt.
 */
import {
  type program_main,
  type stdio_files,
  load_program,
  open_stdio,
  spawn_program,
  wait_program,
} from "xenolith/linux/binfmts";
import { IS_ERR, PTR_ERR } from "xenolith/linux/err";
import { create_pipe_files, file, filp_close, get_file, kernel_read, kernel_write } from "xenolith/linux/fs";
import { charge_ns, ktime_get_ns } from "xenolith/linux/ktime";
import { kasprintf } from "xenolith/linux/printk";
import {
  type Sleeps,
  type task_struct,
  current,
  flush_signals,
  signal_pending,
  yield_task,
} from "xenolith/linux/sched";
import { SIGINT } from "xenolith/linux/signal";
import { bytes_to_string, string_to_bytes } from "xenolith/linux/string";
import { strerror } from "../lib/strerror";
import { builtins } from "./builtins";
import { type expander, expand_text, expand_word } from "./expand";
import { close_opened, redirect } from "./redirect";
import type { shell } from "./shell";
import type { and_or, command, list, pipeline, word } from "./syntax";

/** Status after SIGINT. */
export const STATUS_INTERRUPTED = 128 + SIGINT;
/** Output that `$( )` takes at a time, bytes. */
const CAPTURE_CHUNK = 4096;

function expander_of(sh: shell, files: stdio_files): expander {
  return { value: (name) => sh.value(name), output: (body) => capture(sh, body, files) };
}

/** Says something on a standard error. Sleeps. */
function* complain(files: stdio_files, text: string): Sleeps<void> {
  yield* kernel_write(files[2], string_to_bytes(`${text}\n`));
}

// ---- lists ------------------------------------------------------------------------------------------------------------------------------

/** Runs a list. Its last status is the shell's. Sleeps. */
export function* run_list(sh: shell, body: list, files: stdio_files): Sleeps<void> {
  for (const item of body) {
    if (sh.leaving !== "no") return;
    if (signal_pending(current())) yield* interrupted(sh);
    else if (item.background) yield* run_background(sh, item, files);
    else yield* run_and_or(sh, item, files);
  }
}

/** A signal came for the shell itself. */
function* interrupted(sh: shell): Sleeps<void> {
  sh.leaving = "interrupted";
  sh.status = STATUS_INTERRUPTED;
  if (sh.interactive) {
    flush_signals(current());
    yield* new_line(sh);
  }
  yield* yield_task();
}

/** After the terminal's `^C`. */
function* new_line(sh: shell): Sleeps<void> {
  yield* kernel_write(sh.files[1], string_to_bytes("\n"));
}

function* run_and_or(sh: shell, item: and_or, files: stdio_files): Sleeps<void> {
  for (let i = 0; i < item.links.length && sh.leaving === "no"; i++) {
    const { op, pipeline } = item.links[i];
    if (i === 0 || (op === "&&") === (sh.status === 0)) yield* run_pipeline(sh, pipeline, files);
  }
}

function* run_background(sh: shell, item: and_or, files: stdio_files): Sleeps<void> {
  const nothing = new file();
  nothing.f_op = {};
  nothing.f_mode = 0;
  const body: program_main = subshell(sh, (child, own) => run_and_or(child, item, own));
  const task = spawn_program(body, ["sh"], [nothing, files[1], files[2]], sh.job_group());
  sh.status = 0;
  if (IS_ERR(task)) {
    sh.status = 1;
    yield* complain(files, `sh: cannot fork: ${strerror(task)}`);
    return;
  }
  const number = sh.jobs.reduce((most, { number }) => Math.max(most, number), 0) + 1;
  sh.jobs.push({ number, task, text: item.text });
  sh.last_background = task.pid;
  if (sh.interactive) yield* complain(files, `[${number}] ${task.pid}`);
}

/** A body that runs in a shell of its own. */
function subshell(sh: shell, body: (child: shell, files: stdio_files) => Sleeps<void>): program_main {
  return function* (_argv, io) {
    const child = sh.fork(io.files);
    yield* body(child, io.files);
    return child.status;
  };
}

/** Output of a list that runs in a subshell, without the newlines at its end. Sleeps. */
function* capture(sh: shell, body: list, files: stdio_files): Sleeps<string> {
  const [reading, writing] = create_pipe_files();
  const main = subshell(sh, (child, own) => run_list(child, body, own));
  const task = spawn_program(main, ["sh"], [files[0], writing, files[2]], sh.job_group());
  yield* filp_close(writing);
  let text = "";
  if (!IS_ERR(task)) {
    yield* sh.set_foreground(task.pgrp);
    const bytes = new Uint8Array(CAPTURE_CHUNK);
    for (let count = 1; count > 0; ) {
      count = yield* kernel_read(reading, bytes);
      if (count > 0) text += bytes_to_string(bytes, 0, count);
    }
    yield* finish(sh, [task]);
  }
  yield* filp_close(reading);
  return text.replace(/\n+$/, "");
}

// ---- pipelines --------------------------------------------------------------------------------------------------------------------------

function* run_pipeline(sh: shell, line: pipeline, files: stdio_files): Sleeps<void> {
  const start = line.timed ? ktime_get_ns() : 0;
  if (line.commands.length === 1) yield* run_command(sh, line.commands[0], files);
  else yield* run_stages(sh, line.commands, files);
  if (line.timed) yield* complain(files, `real ${seconds(ktime_get_ns() - start)}`);
  if (line.negated) sh.status = sh.status === 0 ? 1 : 0;
}

/** `1.234567` seconds of virtual time. */
function seconds(ns: number): string {
  const us = Math.floor(ns / 1000);
  return kasprintf("%d.%06d", Math.floor(us / 1_000_000), us % 1_000_000);
}

/** Each command in a task of its own, all in one process group; the last one's status counts. */
function* run_stages(sh: shell, commands: readonly command[], files: stdio_files): Sleeps<void> {
  const tasks: task_struct[] = [];
  let input = get_file(files[0]);
  for (let i = 0; i < commands.length; i++) {
    const [reading, writing] = i < commands.length - 1 ? create_pipe_files() : [null, get_file(files[1])];
    const body = subshell(sh, (child, own) => run_command(child, commands[i], own));
    const pgrp = tasks.length === 0 ? sh.job_group() : tasks[0].pgrp;
    const task = spawn_program(body, [name_of(commands[i])], [input, writing, files[2]], pgrp);
    yield* filp_close(input);
    yield* filp_close(writing);
    if (!IS_ERR(task)) tasks.push(task);
    if (reading !== null) input = reading;
  }
  if (tasks.length > 0) yield* sh.set_foreground(tasks[0].pgrp);
  yield* finish(sh, tasks);
}

function name_of(stage: command): string {
  const first = stage.kind === "simple" ? stage.words[0]?.[0] : undefined;
  return first?.kind === "text" ? first.text : "sh";
}

/** Waits for a job; the last task's status counts. Takes the terminal back. Sleeps. */
function* finish(sh: shell, tasks: readonly task_struct[]): Sleeps<void> {
  let status = 1;
  for (const task of tasks) status = yield* wait_program(task);
  yield* sh.set_foreground(current().pgrp);
  sh.status = status;
  if (status !== STATUS_INTERRUPTED) return;
  sh.leaving = "interrupted";
  if (sh.interactive) yield* new_line(sh);
}

// ---- commands ---------------------------------------------------------------------------------------------------------------------------

function* run_command(sh: shell, run: command, files: stdio_files): Sleeps<void> {
  const opened = yield* redirect(run.redirections, files, expander_of(sh, files));
  if (typeof opened === "string") {
    sh.status = 1;
    yield* complain(files, `sh: ${opened}`);
    return;
  }
  yield* run_redirected(sh, run, opened);
  yield* close_opened(opened);
}

function* run_redirected(sh: shell, run: command, files: stdio_files): Sleeps<void> {
  switch (run.kind) {
    case "simple":
      yield* run_simple(sh, run, files);
      return;
    case "group":
      if (run.subshell) yield* run_subshell(sh, run.body, files);
      else yield* run_list(sh, run.body, files);
      return;
    case "if":
      yield* run_if(sh, run, files);
      return;
    case "loop":
      yield* run_loop(sh, run, files);
      return;
    case "for":
      yield* run_for(sh, run, files);
  }
}

function* run_subshell(sh: shell, body: list, files: stdio_files): Sleeps<void> {
  const main = subshell(sh, (child, own) => run_list(child, body, own));
  const task = spawn_program(main, ["sh"], files, sh.job_group());
  if (IS_ERR(task)) return;
  yield* sh.set_foreground(task.pgrp);
  yield* finish(sh, [task]);
}

function* run_if(sh: shell, run: command & { kind: "if" }, files: stdio_files): Sleeps<void> {
  for (const { test, body } of run.arms) {
    yield* run_list(sh, test, files);
    if (sh.leaving !== "no") return;
    if (sh.status !== 0) continue;
    yield* run_list(sh, body, files);
    return;
  }
  sh.status = 0;
  yield* run_list(sh, run.otherwise, files);
}

/** What a shell itself takes for a round of a loop, at the least. */
const ROUND_NS = 2000;

/** After a round of a loop: whether there is another one. Lets others run, and time pass, so that no loop stands still. Sleeps. */
function* goes_on(sh: shell): Sleeps<boolean> {
  charge_ns(ROUND_NS);
  yield* yield_task();
  if (sh.leaving !== "break" && sh.leaving !== "continue") return sh.leaving === "no";
  if (--sh.levels > 0) return false;
  const again = sh.leaving === "continue";
  sh.leaving = "no";
  return again;
}

function* run_loop(sh: shell, run: command & { kind: "loop" }, files: stdio_files): Sleeps<void> {
  let status = 0;
  for (;;) {
    yield* run_list(sh, run.test, files);
    if (sh.leaving !== "no" || (sh.status === 0) === run.until) break;
    yield* run_list(sh, run.body, files);
    status = sh.status;
    if (!(yield* goes_on(sh))) break;
  }
  if (sh.leaving === "no") sh.status = status;
}

function* run_for(sh: shell, run: command & { kind: "for" }, files: stdio_files): Sleeps<void> {
  const values = yield* expand_words(sh, run.words, files);
  sh.status = 0;
  for (const value of values) {
    sh.variables.set(run.name, value);
    yield* run_list(sh, run.body, files);
    if (!(yield* goes_on(sh))) return;
  }
}

function* expand_words(sh: shell, words: readonly word[], files: stdio_files): Sleeps<string[]> {
  const expanded: string[] = [];
  for (const from of words) expanded.push(...(yield* expand_word(from, expander_of(sh, files))));
  return expanded;
}

function* run_simple(sh: shell, run: command & { kind: "simple" }, files: stdio_files): Sleeps<void> {
  const argv = yield* expand_words(sh, run.words, files);
  if (argv.length === 0) sh.status = 0;
  for (const { name, value } of run.assignments) {
    const text = yield* expand_text(value, expander_of(sh, files));
    if (argv.length === 0) sh.variables.set(name, text);
  }
  if (argv.length === 0 || sh.leaving !== "no") return;
  if (Object.hasOwn(builtins, argv[0])) sh.status = yield* builtins[argv[0]](sh, argv, open_stdio(files));
  else yield* run_program(sh, argv, files);
}

function* run_program(sh: shell, argv: readonly string[], files: stdio_files): Sleeps<void> {
  const found = load_program(argv[0]);
  if (found.main === null) {
    sh.status = found.status;
    yield* complain(files, `sh: ${argv[0]}: ${found.complaint}`);
    return;
  }
  const task = spawn_program(found.main, argv, files, sh.job_group());
  if (IS_ERR(task)) {
    sh.status = 126;
    yield* complain(files, `sh: ${argv[0]}: ${strerror(PTR_ERR(task))}`);
    return;
  }
  yield* sh.set_foreground(task.pgrp);
  yield* finish(sh, [task]);
}
