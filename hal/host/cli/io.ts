/**
 * Where a command writes and how it ends. Commands get this object instead of the process, so that tests run them in their own process.
 *
 * Data goes to standard output, everything else to standard error. Colours and progress are for terminals only.
 */
import pc from "picocolors";
import { EXIT_OK } from "../errors";

export type Colours = ReturnType<typeof pc.createColors>;

/** One output stream. */
export interface Output {
  write(text: string): void;
  /** Whether a person watches: progress is shown only there. */
  readonly isTerminal: boolean;
  /** Characters of a line. */
  readonly columns: number;
  readonly colours: Colours;
}

/** A command's surroundings. */
export interface CommandIo {
  readonly stdout: Output;
  readonly stderr: Output;
  /** What the command line ends with unless an error ends it. */
  exitCode: number;
}

const COLUMNS_DEFAULT = 100;

function outputOf(stream: NodeJS.WriteStream, env: NodeJS.ProcessEnv): Output {
  const isTerminal = stream.isTTY === true;
  const coloured = isTerminal && (env.NO_COLOR ?? "") === "" && env.TERM !== "dumb";
  return {
    write: (text) => void stream.write(text),
    isTerminal,
    columns: isTerminal ? stream.columns : COLUMNS_DEFAULT,
    colours: pc.createColors(coloured),
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
