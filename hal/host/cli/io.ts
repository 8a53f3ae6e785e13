/**
 * Where a command writes and how it ends. Commands get this object instead of the process, so that tests run them in their own process.
 *
 * Data goes to standard output, everything else to standard error. Colours and progress are for terminals only.
 */
import pc from "picocolors";
import { EXIT_OK } from "../exit-codes";
import type { Input, InputMode } from "../runner/protocol";

export type Colours = ReturnType<typeof pc.createColors>;

/** One output stream. */
export interface Output {
  write(text: string | Uint8Array): void;
  /** Whether a person watches: progress is shown only there. */
  readonly isTerminal: boolean;
  /** Characters of a line. */
  readonly columns: number;
  readonly colours: Colours;
}

/** The thread of its own that a command runs in, with somebody in the main thread who watches it and serves its input. */
export interface CommandThread {
  /** For the machine to beat in. */
  readonly pulse: Float64Array;
  /** Native stack that each guest may have here, bytes. */
  readonly guestStackBytes: number;
  /** When the process began, milliseconds of the epoch. */
  readonly timeOrigin: number;
  /** Whether a person types. */
  readonly stdinIsTerminal: boolean;
  /** Begins, changes or ends the reading of standard input. */
  readInput(mode: InputMode): void;
  /** Whether `poll` has something: cheap enough to ask between any two slices. */
  readonly hasInput: boolean;
  /** The oldest input that has not been taken yet, or null. */
  poll(): Input | null;
  /** Sleeps until there is input, or `ms` wall milliseconds have passed. Returns whether there is some. */
  wait(ms?: number): boolean;
  /** Tells the watchdog what a domain is called. */
  nameDomain(domid: number, name: string): void;
  /** Sets how long a guest may run without a pause, wall seconds; 0: for ever. */
  setWatchdog(seconds: number): void;
}

/** A command's surroundings. */
export interface CommandIo {
  readonly stdout: Output;
  readonly stderr: Output;
  /** Absent where the command runs in the thread of whoever called it. */
  readonly thread?: CommandThread;
  /** What the command line ends with unless an error ends it. */
  exitCode: number;
}

/** Characters of a line where nobody says. */
export const COLUMNS_DEFAULT = 100;

/** Whether what is written to the stream is coloured. */
export function wantsColours(isTerminal: boolean, env: NodeJS.ProcessEnv): boolean {
  return isTerminal && (env.NO_COLOR ?? "") === "" && env.TERM !== "dumb";
}

function outputOf(stream: NodeJS.WriteStream, env: NodeJS.ProcessEnv): Output {
  const isTerminal = stream.isTTY === true;
  return {
    write: (text) => void stream.write(text),
    isTerminal,
    columns: isTerminal ? stream.columns : COLUMNS_DEFAULT,
    colours: pc.createColors(wantsColours(isTerminal, env)),
  };
}

/** The process's own streams. */
export function processIo(): CommandIo {
  return {
    stdout: outputOf(process.stdout, process.env),
    stderr: outputOf(process.stderr, process.env),
    exitCode: EXIT_OK,
  };
}

/** Shows what is being waited for while `body` runs, where a person watches. */
export function withProgress<T>(output: Output, text: string, body: () => T): T {
  if (!output.isTerminal) return body();
  output.write(output.colours.dim(text));
  try {
    return body();
  } finally {
    output.write("\r\u001b[K");
  }
}
