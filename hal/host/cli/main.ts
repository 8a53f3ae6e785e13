#!/usr/bin/env node
/**
 * The program `xenolith`. What runs a machine does so in a worker, so that this thread can always end it; the other commands run right here. What
 * they do is in `command-line.ts`, which is loaded where it is needed: this thread starts fast.
 */
import { compileQuickJS } from "../engines/quickjs-module";
import { runInWorker } from "../runner/runner";

/** Commands that run guests. */
const MACHINES = ["boot"];

async function runHere(argv: readonly string[]): Promise<number> {
  const [{ runCommandLine }, { processIo }] = await Promise.all([import("./command-line"), import("./io")]);
  // A reader that has seen enough (`xenolith inspect | head`) is no error.
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") throw error;
    process.exit();
  });
  return runCommandLine(argv, processIo());
}

const argv = process.argv.slice(2);
process.exitCode = MACHINES.includes(argv[0])
  ? await runInWorker(new URL("./command-worker.js", import.meta.url), argv, compileQuickJS())
  : await runHere(argv);
