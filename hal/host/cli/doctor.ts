/** `xenolith doctor`: looks whether this host has what a machine needs, and says what to do where it has not. */
import type { Command } from "commander";
import { type Check, type Finding, hostChecks, runChecks } from "../doctor/checks";
import { EXIT_FAILED } from "../exit-codes";
import type { CommandIo } from "./io";
import { listTable } from "./table";

/** Version of the document's own layout. */
const DOCUMENT_VERSION = 1;

interface DoctorFlags {
  readonly image?: string;
  readonly json?: true;
}

/** Adds the verb. */
export function addDoctor(program: Command, io: CommandIo): void {
  program
    .command("doctor")
    .description("check whether this host has what a machine needs")
    .option("--image <file>", "image to check; default: the one that the package was built with")
    .option("--json", "print one JSON document and nothing else")
    .action((flags: DoctorFlags) => doctor(hostChecks(flags.image), flags.json === true ? "json" : "table", io));
}

/** Runs the checks and prints what they found. */
export async function doctor(checks: readonly Check[], form: "json" | "table", io: CommandIo): Promise<void> {
  const findings = await runChecks(checks);
  const ok = findings.every((finding) => finding.ok);
  if (!ok) io.exitCode = EXIT_FAILED;
  if (form === "json") {
    io.stdout.write(`${JSON.stringify({ version: DOCUMENT_VERSION, ok, checks: findings }, null, 2)}\n`);
    return;
  }
  io.stdout.write(`${listTable(["CHECK", "", "FOUND"], findings.map(row))}\n`);
  const { isTerminal, columns } = io.stdout;
  io.stdout.write(`terminal: ${isTerminal ? `${columns} columns` : "no, so no colours and no progress"}\n`);
  for (const { name, remedy } of findings) if (remedy !== null) io.stderr.write(`xenolith: ${name}: ${remedy}\n`);
}

function row({ name, ok, found }: Finding): string[] {
  return [name, ok ? "ok" : "WRONG", found];
}
