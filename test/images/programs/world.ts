/** A bare kernel with files and programs: runs a program as `run_program` would, feeds it, and keeps what it wrote. */
import "../../../kernel/module/modinfo";
import { type program_main, spawn_program, wait_program } from "xenolith/linux/binfmts";
import { FMODE_READ, FMODE_WRITE, file } from "xenolith/linux/fs";
import type { task_struct } from "xenolith/linux/sched";
import { bytes_to_string, string_to_bytes } from "xenolith/linux/string";
import { bootBareKernel, type BareKernel, type BareKernelOptions } from "../../kit/bare-kernel";
import "../../kernel/fs/files";

export interface Outcome {
  readonly status: number;
  readonly out: string;
  readonly err: string;
}

/** What `feed` may choose. */
export interface Feeding {
  /** Standard input; empty by default. */
  readonly input?: string;
  /** Called with the task once it is there, before it runs. */
  readonly started?: (task: task_struct) => void;
}

export interface World {
  readonly kernel: BareKernel;
  /** Runs `main` with these words (the first is the program's name) to its end. */
  run(main: program_main, ...argv: string[]): Outcome;
  /** The same, with something to read. */
  feed(main: program_main, argv: readonly string[], feeding: Feeding): Outcome;
}

/** A stream that gives `input` and takes what is written. */
function stream(input: string, take: (text: string) => void): file {
  const opened = new file();
  let left = input;
  opened.f_mode = FMODE_READ | FMODE_WRITE;
  opened.f_op = {
    *read(_file, to) {
      const text = left.slice(0, to.length);
      left = left.slice(text.length);
      to.set(string_to_bytes(text));
      return text.length;
    },
    *write(_file, from) {
      take(bytes_to_string(from));
      return from.length;
    },
  };
  return opened;
}

/** Boots the kernel; once per test file. */
export function bootWorld(options: BareKernelOptions = {}): World {
  const kernel = bootBareKernel(options);
  kernel.runInitcalls();
  const feed: World["feed"] = (main, argv, { input = "", started }) => {
    const text = { out: "", err: "" };
    const status = kernel.run(function* () {
      const out = stream(input, (more) => void (text.out += more));
      const err = stream("", (more) => void (text.err += more));
      const task = spawn_program(main, argv, [out, out, err], 0);
      if (typeof task === "number") throw new Error(`spawn_program: ${task}`);
      started?.(task);
      return yield* wait_program(task);
    });
    return { status, ...text };
  };
  return { kernel, feed, run: (main, ...argv) => feed(main, argv, {}) };
}
