/** The state of a shell, and what a running command asks of it. */
import type { stdio, stdio_files } from "xenolith/linux/binfmts";
import { type Sleeps, type task_struct, current } from "xenolith/linux/sched";
import { TIOCSPGRP } from "xenolith/linux/termios";
import { vfs_ioctl } from "xenolith/linux/fs";
import type { and_or } from "./syntax";

/** A list that runs in the background. */
export interface job {
  readonly number: number;
  readonly task: task_struct;
  readonly text: string;
}

/** Why a list is left before its end. */
export type leaving = "no" | "break" | "continue" | "interrupted" | "exit";

export class shell {
  readonly variables = new Map<string, string>();
  /** `$0`, `$1` and so on. */
  parameters: readonly string[] = ["sh"];
  /** `$?`. */
  status = 0;
  /** Why the running list is being left; loops still to leave for break and continue. */
  leaving: leaving = "no";
  levels = 0;
  readonly jobs: job[] = [];
  /** `$!`. */
  last_background = 0;
  /** Lines that were typed, oldest first. */
  readonly history: string[] = [];

  constructor(
    /** The streams that it was started with. */
    readonly files: stdio_files,
    /** Somebody types: jobs get process groups of their own, and the keys' signals. */
    readonly interactive: boolean,
  ) {}

  /** A copy for a subshell, which never has job control. */
  fork(files: stdio_files): shell {
    const child = new shell(files, false);
    for (const [name, value] of this.variables) child.variables.set(name, value);
    child.parameters = this.parameters;
    child.status = this.status;
    child.history.push(...this.history);
    return child;
  }

  value(name: string): string {
    if (name === "?") return String(this.status);
    if (name === "$") return String(current().pid);
    if (name === "!") return this.last_background === 0 ? "" : String(this.last_background);
    if (name === "#") return String(this.parameters.length - 1);
    if (/^\d+$/.test(name)) return this.parameters[Number(name)] ?? "";
    return this.variables.get(name) ?? "";
  }

  /** The process group of a new job: one of its own when there is job control. */
  job_group(): number {
    return this.interactive ? 0 : current().pgrp;
  }

  /** Lets a process group have the terminal. Sleeps. */
  *set_foreground(pgrp: number): Sleeps<void> {
    if (this.interactive) yield* vfs_ioctl(this.files[0], TIOCSPGRP, pgrp);
  }
}

/** What a built-in command is: as a program's `main`, with the shell that it acts on. */
export type builtin = (sh: shell, argv: readonly string[], io: stdio) => Sleeps<number>;

/** Carries out an and-or list; made by `run.ts`, used by those that start one. */
export type runner = (sh: shell, item: and_or, files: stdio_files) => Sleeps<void>;
