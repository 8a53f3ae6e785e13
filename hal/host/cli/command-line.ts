/**
 * The command line. One file per verb; here is what they share: how words are parsed and how errors end.
 *
 * An error that the user can mend is one line; our own fault shows its stack.
 */
import { Command, CommanderError } from "commander";
import { EXIT_FAILED, EXIT_INTERNAL, EXIT_OK, EXIT_PANIC, EXIT_TIMEOUT, EXIT_USAGE, UserError } from "../errors";
import { MachineError } from "../machine-error";
import { packageVersion } from "../package-info";
import { addBoot } from "./boot";
import { addBuild } from "./build";
import { addDoctor } from "./doctor";
import { addInspect } from "./inspect";
import type { CommandIo } from "./io";

/** Commander's complaint in one line, with what to do next when it does not say itself. */
function oneLine(text: string): string {
  const line = text
    .trim()
    .replace(/^error: /, "")
    .replace(/\s*\n\s*/g, " ");
  const advised = /\(Did you mean|Allowed choices|must be/.test(line);
  return `xenolith: ${line}${advised ? "" : "; see xenolith --help"}\n`;
}

function makeProgram(io: CommandIo): Command {
  const program = new Command("xenolith");
  program
    .description("A unikernel lab for Xen split block drivers")
    .version(packageVersion())
    .showSuggestionAfterError()
    .exitOverride()
    .configureOutput({
      writeOut: (text) => io.stdout.write(text),
      writeErr: (text) => io.stderr.write(text),
      getOutHelpWidth: () => io.stdout.columns,
      getErrHelpWidth: () => io.stderr.columns,
      outputError: (text, write) => write(oneLine(text)),
    });
  addBoot(program, io);
  addBuild(program, io);
  addInspect(program, io);
  addDoctor(program, io);
  for (const verb of program.commands) verb.copyInheritedSettings(program);
  return program;
}

function explain(error: unknown, io: CommandIo): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT_OK : EXIT_USAGE;
  if (error instanceof UserError) {
    io.stderr.write(`xenolith: ${error.message}\n`);
    return error.exitCode;
  }
  if (error instanceof MachineError) {
    io.stderr.write(`xenolith: ${error.message}\n`);
    return { death: EXIT_PANIC, stuck: EXIT_FAILED, hang: EXIT_TIMEOUT }[error.kind];
  }
  const text = error instanceof Error ? error.stack ?? error.message : String(error);
  io.stderr.write(`xenolith: this is our own fault, please report it:\n${text}\n`);
  return EXIT_INTERNAL;
}

/** Runs one command line; resolves to the exit code. Never rejects. */
export async function runCommandLine(argv: readonly string[], io: CommandIo): Promise<number> {
  try {
    await makeProgram(io).parseAsync([...argv], { from: "user" });
    return io.exitCode;
  } catch (error) {
    return explain(error, io);
  }
}
