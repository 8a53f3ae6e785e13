/**
 * Programs: from a command line to a task that runs a bundle of the image (Linux fs/exec.c, as much of it as a unikernel has).
 */
import type { found_program, program, program_main, stdio_files } from "xenolith/linux/binfmts";
import { wait_for_completion, wait_for_completion_interruptible } from "xenolith/linux/completion";
import { ENOENT } from "xenolith/linux/errno";
import { IS_ERR, type err_ptr } from "xenolith/linux/err";
import { EXPORT_SYMBOL } from "xenolith/linux/export";
import { filp_close, get_file, kernel_write } from "xenolith/linux/fs";
import { kthread_create } from "xenolith/linux/kthread";
import {
  PF_WAITED_FOR,
  type Sleeps,
  type task_struct,
  current,
  wait_task,
  wake_up_process,
} from "xenolith/linux/sched";
import { string_to_bytes } from "xenolith/linux/string";
import { hal } from "../hal/guest/hal";
import { find_symbol } from "./module/ksymtab";
import { program_io } from "./stdio";

/** What a shell returns for a program that does not exist, and for one that cannot be run. */
const EXIT_NOT_FOUND = 127;
const EXIT_NOT_EXECUTABLE = 126;
/** Added to the number of the signal that ended a program. */
const EXIT_SIGNALLED = 128;

/** Splits a command line into words. Null when a quote is left open. */
export function split_command(line: string): string[] | null {
  const words: string[] = [];
  let word: string | null = null;
  let quote = "";
  for (let i = 0; i < line.length; i++) {
    const c = line[i];
    if (quote !== "" && c === quote) {
      quote = "";
    } else if (quote === "" && (c === '"' || c === "'")) {
      quote = c;
      word ??= "";
    } else if (c === "\\" && quote !== "'" && i + 1 < line.length) {
      word = (word ?? "") + line[++i];
    } else if (quote === "" && (c === " " || c === "\t")) {
      if (word !== null) words.push(word);
      word = null;
    } else {
      word = (word ?? "") + c;
    }
  }
  if (quote !== "") return null;
  if (word !== null) words.push(word);
  return words;
}
EXPORT_SYMBOL(split_command);

/** Names of the programs of the image, sorted. */
export function program_names(): string[] {
  return hal.list("programs");
}
EXPORT_SYMBOL(program_names);

export function load_program(name: string): found_program {
  const factory = hal.load("programs", name);
  if (factory === null) return { main: null, complaint: "not found", status: EXIT_NOT_FOUND };
  const exported: Record<string, unknown> = {};
  const missing: string[] = [];
  factory((symbol) => {
    const found = find_symbol(symbol);
    if (found === undefined) missing.push(symbol);
    return found?.value;
  }, exported);
  if (missing.length > 0) {
    const complaint = `Unknown symbol ${missing[0]} (err ${-ENOENT})`;
    return { main: null, complaint, status: EXIT_NOT_EXECUTABLE };
  }
  const { main } = exported as unknown as Partial<program>;
  if (typeof main === "function") return { main };
  return { main: null, complaint: "cannot execute: it has no main", status: EXIT_NOT_EXECUTABLE };
}
EXPORT_SYMBOL(load_program);

interface execution {
  readonly main: program_main;
  readonly argv: readonly string[];
  readonly io: program_io;
}

/** Number of the first signal that waits, or 0. */
function first_signal(pending: number): number {
  return pending === 0 ? 0 : 31 - Math.clz32(pending & -pending);
}

/** Runs a program's body by hand, to be able to leave it: a return runs its `finally` blocks, which may sleep. Returns its result. */
function* drive(body: Sleeps<number>, io: program_io): Sleeps<number> {
  let step = body.next();
  while (step.done !== true && !io.ending) {
    yield;
    step = body.next();
  }
  if (step.done !== true) step = body.return(0);
  while (step.done !== true) {
    yield;
    step = body.next();
  }
  return step.value;
}

function* program_thread({ main, argv, io }: execution): Sleeps<number> {
  const status = yield* drive(main(argv, io), io);
  for (const opened of io.files) yield* filp_close(opened);
  const sig = first_signal(current().pending_signals);
  return sig === 0 ? status & 0xff : EXIT_SIGNALLED + sig;
}

export function spawn_program(
  main: program_main,
  argv: readonly string[],
  files: stdio_files,
  pgrp: number,
): task_struct | err_ptr {
  const io = new program_io([get_file(files[0]), get_file(files[1]), get_file(files[2])]);
  const task = kthread_create(program_thread, { main, argv, io }, "%s", argv[0]);
  if (IS_ERR(task)) return task;
  task.flags |= PF_WAITED_FOR;
  task.pgrp = pgrp === 0 ? task.pid : pgrp;
  task.pwd = current().pwd;
  wake_up_process(task);
  return task;
}
EXPORT_SYMBOL(spawn_program);

export function* wait_program(task: task_struct): Sleeps<number> {
  // A program may take as long as it likes: whoever waits for it is no hung task.
  while (task.exited.done === 0 && (yield* wait_for_completion_interruptible(task.exited)) !== 0) {
    yield* wait_for_completion(task.exited);
  }
  return yield* wait_task(task);
}
EXPORT_SYMBOL(wait_program);

/** Runs a program in a task of its own and waits for it. Returns its exit status. Sleeps. Linux: do_execve and wait4. */
export function* run_program(argv: readonly string[], files: stdio_files): Sleeps<number> {
  const found = load_program(argv[0]);
  if (found.main === null) {
    yield* kernel_write(files[2], string_to_bytes(`${argv[0]}: ${found.complaint}\n`));
    return found.status;
  }
  const task = spawn_program(found.main, argv, files, 0);
  if (!IS_ERR(task)) return yield* wait_program(task);
  yield* kernel_write(files[2], string_to_bytes(`${argv[0]}: cannot make a task (err ${task})\n`));
  return EXIT_NOT_EXECUTABLE;
}
EXPORT_SYMBOL(run_program);
