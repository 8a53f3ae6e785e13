/** A bare kernel with files and programs: runs a program as `run_program` would and keeps what it wrote. */
import "../../../kernel/module/modinfo";
import type { program, stdio } from "xenolith/linux/binfmts";
import type { Sleeps } from "xenolith/linux/sched";
import { bootBareKernel, type BareKernel, type BareKernelOptions } from "../../kit/bare-kernel";
import "../../kernel/fs/files";

export interface Outcome {
  readonly status: number;
  readonly out: string;
  readonly err: string;
}

export interface World {
  readonly kernel: BareKernel;
  /** Runs `main` with these words (the first is the program's name) to its end. */
  run(main: program["main"], ...argv: string[]): Outcome;
}

/** Boots the kernel; once per test file. */
export function bootWorld(options: BareKernelOptions = {}): World {
  const kernel = bootBareKernel(options);
  kernel.runInitcalls();
  return {
    kernel,
    run(main, ...argv) {
      const text = { out: "", err: "" };
      const keep = (to: "out" | "err") =>
        function* (written: string): Sleeps<void> {
          text[to] += written;
        };
      const io: stdio = {
        write: keep("out"),
        error: keep("err"),
        *read_line() {
          return null;
        },
      };
      const status = kernel.run(() => main(argv, io));
      return { status, ...text };
    },
  };
}
