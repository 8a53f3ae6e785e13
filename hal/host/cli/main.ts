#!/usr/bin/env node
/** The program `xenolith`: runs the command line of this process. What it does is in `command-line.ts`. */
import { runCommandLine } from "./command-line";
import { processIo } from "./io";

// A reader that has seen enough (`xenolith inspect | head`) is no error.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
  process.exit();
});
process.exitCode = await runCommandLine(process.argv.slice(2), processIo());
