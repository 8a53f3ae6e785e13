#!/usr/bin/env node
/**
 * The command line. One file per verb; here is what they share: how words are parsed and how errors end.
 *
 * Data goes to standard output, everything else to standard error. An error that the user can mend is one line; our own fault shows its stack.
 */
import { Command, CommanderError } from "commander";
import { EXIT_FAILED, EXIT_INTERNAL, EXIT_OK, EXIT_PANIC, EXIT_USAGE, UserError } from "../errors";
import { MachineError } from "../machine-error";
import { packageVersion } from "../package-info";
import { addBoot } from "./boot";
import { addBuild } from "./build";
import { addInspect } from "./inspect";

function makeProgram(): Command {
  const program = new Command("xenolith");
  program
    .description("A unikernel lab for Xen split block drivers")
    .version(packageVersion())
    .showSuggestionAfterError()
    .showHelpAfterError("(xenolith --help lists the verbs, xenolith VERB --help its options)")
    .exitOverride()
    .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, "xenolith: ")) });
  addBoot(program);
  addBuild(program);
  addInspect(program);
  for (const verb of program.commands) verb.exitOverride().copyInheritedSettings(program);
  return program;
}

function explain(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT_OK : EXIT_USAGE;
  if (error instanceof UserError) {
    process.stderr.write(`xenolith: ${error.message}\n`);
    return error.exitCode;
  }
  if (error instanceof MachineError) {
    process.stderr.write(`xenolith: ${error.message}\n`);
    return error.kind === "death" ? EXIT_PANIC : EXIT_FAILED;
  }
  const text = error instanceof Error ? error.stack ?? error.message : String(error);
  process.stderr.write(`xenolith: this is our own fault, please report it:\n${text}\n`);
  return EXIT_INTERNAL;
}

/** Runs one command line; resolves to the exit code. */
export async function main(argv: readonly string[]): Promise<number> {
  try {
    await makeProgram().parseAsync([...argv], { from: "user" });
    return process.exitCode === undefined ? EXIT_OK : Number(process.exitCode);
  } catch (error) {
    return explain(error);
  }
}

process.exitCode = await main(process.argv.slice(2));
