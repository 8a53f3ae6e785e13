/** Runs the compiled program as a process, which is what the runner is about. */
import { type ChildProcess, spawn } from "node:child_process";
import * as path from "node:path";

const CLI = path.resolve(import.meta.dirname, "../../../../dist/cli.js");

export interface Ended {
  readonly code: number | null;
  /** What killed it. */
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Started {
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
  /** Resolves once standard output contains the text. */
  shows(text: string): Promise<void>;
}

/** Starts `xenolith ARGV`. */
export function startXenolith(argv: readonly string[], cwd: string, env: NodeJS.ProcessEnv = {}): Started {
  const options = { cwd, env: { ...process.env, ...env } };
  const child = spawn(process.execPath, [CLI, ...argv], { ...options, stdio: ["pipe", "pipe", "pipe"] });
  let [stdout, stderr] = ["", ""];
  const watchers: (() => void)[] = [];
  child.stdout.on("data", (bytes: Buffer) => {
    stdout += bytes.toString();
    for (const watcher of watchers) watcher();
  });
  child.stderr.on("data", (bytes: Buffer) => void (stderr += bytes.toString()));
  const ended = new Promise<Ended>((resolve) =>
    child.on("close", (code, signal) => resolve({ code, signal, stdout, stderr })),
  );
  const shows = (text: string) =>
    new Promise<void>((resolve) => {
      const look = () => void (stdout.includes(text) && resolve());
      watchers.push(look);
      look();
    });
  return { child, ended, shows };
}

/** Runs `xenolith ARGV` to its end. */
export function runXenolith(argv: readonly string[], cwd: string, env: NodeJS.ProcessEnv = {}): Promise<Ended> {
  const { child, ended } = startXenolith(argv, cwd, env);
  child.stdin?.end();
  return ended;
}

/** Runs a shell command in which `xenolith` is the program. */
export function runShell(command: string, cwd: string): Promise<Ended> {
  const prelude = `xenolith() { '${process.execPath}' '${CLI}' "$@"; }; `;
  const child = spawn("sh", ["-c", prelude + command], { cwd, stdio: ["ignore", "pipe", "pipe"] });
  let [stdout, stderr] = ["", ""];
  child.stdout.on("data", (bytes: Buffer) => void (stdout += bytes.toString()));
  child.stderr.on("data", (bytes: Buffer) => void (stderr += bytes.toString()));
  return new Promise((resolve) => child.on("close", (code, signal) => resolve({ code, signal, stdout, stderr })));
}
