/**
 * Programs: from a command line to a task that runs a bundle of the image (Linux fs/exec.c, as much of it as a unikernel has).
 */
import { EAGAIN, ENOENT } from "xenolith/linux/errno";
import type { program, stdio } from "xenolith/linux/binfmts";
import { wait_for_completion, wait_for_completion_interruptible } from "xenolith/linux/completion";
import { IS_ERR } from "xenolith/linux/err";
import { EXPORT_SYMBOL } from "xenolith/linux/export";
import { kthread_run } from "xenolith/linux/kthread";
import type { Sleeps } from "xenolith/linux/sched";
import { hal } from "../hal/guest/hal";
import { find_symbol } from "./module/ksymtab";

/** What a shell returns for a program that does not exist, and for one that cannot be run. */
const EXIT_NOT_FOUND = 127;
const EXIT_NOT_EXECUTABLE = 126;

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

/** Loads and links a program; `missing` is the first symbol that the kernel does not have. */
function load_program(name: string): { found: program | null; missing: string | null } {
  const factory = hal.load("programs", name);
  if (factory === null) return { found: null, missing: null };
  const exported: Record<string, unknown> = {};
  let missing: string | null = null;
  factory((symbol) => {
    const found = find_symbol(symbol);
    if (found === undefined) missing ??= symbol;
    return found?.value;
  }, exported);
  return { found: exported as unknown as program, missing };
}

interface execution {
  readonly loaded: program;
  readonly argv: readonly string[];
  readonly io: stdio;
}

function* program_thread(run: execution): Sleeps<number> {
  return yield* run.loaded.main(run.argv, run.io);
}

/** Runs a program in a task of its own and waits for it. Returns its exit status. Sleeps. Linux: do_execve and wait4. */
export function* run_program(argv: readonly string[], io: stdio): Sleeps<number> {
  const { found, missing } = load_program(argv[0]);
  if (found === null) {
    yield* io.error(`${argv[0]}: not found\n`);
    return EXIT_NOT_FOUND;
  }
  if (missing !== null) {
    yield* io.error(`${argv[0]}: Unknown symbol ${missing} (err ${-ENOENT})\n`);
    return EXIT_NOT_EXECUTABLE;
  }
  if (typeof found.main !== "function") {
    yield* io.error(`${argv[0]}: cannot execute: it has no main\n`);
    return EXIT_NOT_EXECUTABLE;
  }
  const task = kthread_run(program_thread, { loaded: found, argv, io }, "%s", argv[0]);
  if (IS_ERR(task)) {
    yield* io.error(`${argv[0]}: cannot make a task (err ${-EAGAIN})\n`);
    return EXIT_NOT_EXECUTABLE;
  }
  // A program may take as long as it likes: whoever waits for it is no hung task.
  const signalled = yield* wait_for_completion_interruptible(task.exited);
  if (signalled !== 0) yield* wait_for_completion(task.exited);
  return task.exit_code & 0xff;
}
EXPORT_SYMBOL(run_program);
