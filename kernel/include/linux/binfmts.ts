/**
 * `<linux/binfmts.h>`: programs. A program is a bundle of the image that exports `main`; it runs as a task of its own, in the kernel's address
 * space: a unikernel has no other.
 */
import type { Sleeps } from "xenolith/linux/sched";

/** A program's standard streams. Text is 8-bit characters. */
export interface stdio {
  /** Writes to standard output. */
  write(text: string): Sleeps<void>;
  /** Writes to standard error. */
  error(text: string): Sleeps<void>;
  /** The next line of standard input without its newline; null at the end. */
  read_line(): Sleeps<string | null>;
}

/** What a program bundle exports. The result is its exit status, 0 to 255. */
export interface program {
  main(argv: readonly string[], io: stdio): Sleeps<number>;
}

/** Splits a command line into words; quotes and backslashes work as in a shell. Null when a quote is left open. */
export declare function split_command(line: string): string[] | null;
/** Runs program argv[0] in a task of its own and waits for it: its exit status, 127 if the image has no such program. Sleeps. */
export declare function run_program(argv: readonly string[], io: stdio): Sleeps<number>;
/** Names of the programs of the image, sorted. */
export declare function program_names(): string[];
