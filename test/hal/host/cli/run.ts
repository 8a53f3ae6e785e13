/** Runs command lines in the test's own process, in a folder of their own, with streams that remember what was written. */
import pc from "picocolors";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { afterAll, beforeAll } from "vitest";
import { runCommandLine } from "../../../../hal/host/cli/command-line";
import type { CommandIo, Output } from "../../../../hal/host/cli/io";

export interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

interface Written extends Output {
  readonly text: string;
}

/** What a command writes: to a file (no colours, no progress), or to a terminal. */
function remember(kind: "file" | "terminal"): Written {
  let text = "";
  return {
    write: (more) => void (text += typeof more === "string" ? more : Buffer.from(more).toString("utf8")),
    isTerminal: kind === "terminal",
    columns: 100,
    colours: pc.createColors(kind === "terminal"),
    get text() {
      return text;
    },
  };
}

/** Runs a command line. */
export async function xenolith(argv: readonly string[], kind: "file" | "terminal" = "file"): Promise<Ended> {
  const [stdout, stderr] = [remember(kind), remember(kind)];
  const io: CommandIo = { stdout, stderr, exitCode: 0 };
  const code = await runCommandLine(argv, io);
  return { code, stdout: stdout.text, stderr: stderr.text };
}

/** An empty folder that exists while the tests of a file run. Returns a function that gives the path of a name in it. */
export function scratchFolder(): (name: string) => string {
  let folder = "";
  beforeAll(() => void (folder = fs.mkdtempSync(path.join(os.tmpdir(), "xenolith-cli-"))));
  afterAll(() => fs.rmSync(folder, { recursive: true, force: true }));
  return (name) => path.join(folder, name);
}
