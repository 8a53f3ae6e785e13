/** The line that a failed test prints. */
import * as path from "node:path";
import type { EngineName, Machine } from "xenolith";
import { type BootOptions, testConfig } from "./boot";

/** The parts of vitest's task that a replay needs. */
export interface ReplayTask {
  readonly fullTestName?: string;
  readonly name: string;
  readonly file: { readonly filepath: string };
  readonly suite?: { readonly name: string } | undefined;
}

/** A machine of the test, if it has one already. */
export interface ReplayMachine {
  readonly machine: Machine;
  readonly options: BootOptions;
}

/** One line for a shell that runs the failed test again, and what the machine was for those who want to boot it by hand. */
export function replayLine(task: ReplayTask, engine: EngineName, first: ReplayMachine | undefined): string {
  const file = path.relative(process.cwd(), task.file.filepath);
  const name = [task.suite?.name, task.name].filter((part) => part !== undefined && part !== "").join(" ");
  const seed = first?.machine.seed ?? testConfig().seed;
  const test = `XENOLITH_SEED=${seed} npx vitest run ${file} -t ${quote(escape(name))}`;
  return `replay: ${test}  # ${bootLine(engine, seed, first)}`;
}

/** The same machine from the command line, as far as its options say. */
export function bootLine(engine: EngineName, seed: number, first: ReplayMachine | undefined): string {
  const flavour = first?.options.flavour ?? "debug";
  const words = ["xenolith", "boot", "--engine", engine, "--flavour", flavour, "--seed", String(seed)];
  for (const disk of first?.options.disks ?? []) words.push("--disk", typeof disk === "string" ? disk : disk.spec);
  for (const [domain, line] of Object.entries(first?.options.append ?? {})) words.push("--append", `${domain}=${line}`);
  return words.map((word) => (/^[\w:,.=/-]+$/.test(word) ? word : quote(word))).join(" ");
}

function escape(name: string): string {
  return name.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&");
}

function quote(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`;
}
