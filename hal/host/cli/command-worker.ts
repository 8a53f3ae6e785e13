/** The thread in which `xenolith boot` runs: the same command line, with a large native stack and somebody who watches. */
import pc from "picocolors";
import { adoptQuickJS } from "../engines/quickjs-module";
import { EXIT_OK } from "../exit-codes";
import { RunnerThread } from "../runner/thread";
import type { TerminalFacts } from "../runner/protocol";
import { runCommandLine } from "./command-line";
import { type CommandIo, type Output, wantsColours } from "./io";

function outputOf(thread: RunnerThread, to: "stdout" | "stderr", { isTerminal, columns }: TerminalFacts): Output {
  return {
    write: (text) => thread.write(to, text),
    isTerminal,
    columns,
    colours: pc.createColors(wantsColours(isTerminal, process.env)),
  };
}

const thread = RunnerThread.current();
adoptQuickJS(thread.gift as Promise<WebAssembly.Module | null>);
const { argv, stdout, stderr } = thread.start;

const io: CommandIo = {
  stdout: outputOf(thread, "stdout", stdout),
  stderr: outputOf(thread, "stderr", stderr),
  exitCode: EXIT_OK,
  thread,
};
thread.exit(await runCommandLine(argv, io));
