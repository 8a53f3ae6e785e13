/**
 * `<linux/binfmts.h>`: programs. A program is a bundle of the image that exports `main`; it runs as a task of its own, in the kernel's address
 * space: a unikernel has no other.
 *
 * A signal that the program does not take (`flush_signals`) ends it where it next uses its standard streams: `main` is left as by a return, so
 * that its `finally` blocks give back what it holds. Every other call that moves data fails with -EINTR before.
 */
import type { err_ptr } from "xenolith/linux/err";
import type { file } from "xenolith/linux/fs";
import type { Sleeps, task_struct } from "xenolith/linux/sched";

/** Standard input, output and error: descriptors 0, 1 and 2. */
export type stdio_files = readonly [file, file, file];

/** A program's standard streams. Text is 8-bit characters. All sleep. */
export interface stdio {
  readonly files: stdio_files;
  /** Writes to standard output. Returns 0 or a negative errno. */
  write(text: string): Sleeps<number>;
  /** The same for bytes. */
  write_bytes(bytes: Uint8Array): Sleeps<number>;
  /** Writes to standard error. Returns 0 or a negative errno. */
  error(text: string): Sleeps<number>;
  /** At most `count` characters of standard input; "" at the end, or a negative errno. */
  read(count: number): Sleeps<string | err_ptr>;
  /** The next line of standard input without its newline; null at the end and after an error. */
  read_line(): Sleeps<string | null>;
}

export type program_main = (argv: readonly string[], io: stdio) => Sleeps<number>;

/** What a program bundle exports. The result is its exit status, 0 to 255. */
export interface program {
  readonly main: program_main;
}

/** A program that was looked for: `main`, or why there is none, and what a shell returns then (126, 127). */
export type found_program =
  | { readonly main: program_main }
  | { readonly main: null; readonly complaint: string; readonly status: number };

/** Splits a command line into words; quotes and backslashes work as in a shell. Null when a quote is left open. */
export declare function split_command(line: string): string[] | null;
/** Loads a program of the image. */
export declare function load_program(name: string): found_program;
/**
 * Starts `main` in a task of its own, in process group `pgrp` (0: a new one). The task inherits the caller's directory, has descriptors of its own
 * for `files`, and stays a zombie until `wait_program`. Returns it, or a negative errno.
 */
export declare function spawn_program(
  main: program_main,
  argv: readonly string[],
  files: stdio_files,
  pgrp: number,
): task_struct | err_ptr;
/** Waits for a task of `spawn_program` to end. Returns its exit status, 128 and the signal's number if one ended it. Sleeps. */
export declare function wait_program(task: task_struct): Sleeps<number>;
/** Runs program argv[0] in a task of its own and waits for it: its exit status, 127 if the image has no such program. Sleeps. */
export declare function run_program(argv: readonly string[], files: stdio_files): Sleeps<number>;
/** Standard streams over three open files, for the task that calls. */
export declare function open_stdio(files: stdio_files): stdio;
/** Names of the programs of the image, sorted. */
export declare function program_names(): string[];
