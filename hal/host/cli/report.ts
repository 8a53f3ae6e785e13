/** What `boot` prints for people. */
import Table from "cli-table3";
import pc from "picocolors";
import type { LogLine, Machine } from "../machine";
import type { Attachment } from "../toolstack/attachments";
import type { WorkloadResult } from "../toolstack/workload";
import type { Bootchart } from "./bootchart";

const STATE_NAMES = [
  "Unknown",
  "Initialising",
  "InitWait",
  "Initialised",
  "Connected",
  "Closing",
  "Closed",
  "Reconfiguring",
  "Reconfigured",
];
const PLAIN = { head: [], border: [] };

/** `[    0.001234] dom0 | text`, coloured by its level. */
export function colourLog(line: LogLine): string {
  const match = /^(?:<(\d)>)?(?:\[\s*\d+\.\d+\] )?([^]*)$/.exec(line.text);
  const level = Number(match?.[1] ?? 6);
  const text = match?.[2] ?? line.text;
  const stamp = `[${(line.at / 1e9).toFixed(6).padStart(12)}]`;
  const body = level <= 3 ? pc.red(text) : level === 4 ? pc.yellow(text) : text;
  return `${pc.green(stamp)} ${pc.cyan(line.domain.padEnd(5))}| ${body}`;
}

function ladderLine(attachment: Attachment): string[] {
  return attachment.ladder.map(({ at, end, state }) => {
    const arrow = end === "front" ? "front ─►" : "back  ─►";
    return `  ${(at / 1e6).toFixed(3).padStart(10)} ms  ${arrow} ${state} ${STATE_NAMES[state]}`;
  });
}

/** The states that the two ends of each disk went through. */
export function printLadder(machine: Machine, stream: NodeJS.WriteStream): void {
  for (const attachment of machine.attachedDisks()) {
    const { name, frontDomid, backDomid } = attachment.vbd;
    const title = `${name}: domain ${frontDomid} (front) and domain ${backDomid} (back), ${attachment.phase}`;
    stream.write(`\n${pc.bold(title)}\n${ladderLine(attachment).join("\n")}\n`);
  }
}

/** A program's output. */
export function printExecution(output: string): void {
  process.stdout.write(output);
}

function microseconds(ns: number): string {
  return `${(ns / 1000).toFixed(1)} µs`;
}

/** The workload's table and verdict. */
export function printWorkload(machine: Machine, result: WorkloadResult, chart: Bootchart): void {
  const counters = machine.counters();
  const wallMs = chart.between("booted", "workload done");
  const table = new Table({ style: PLAIN });
  const { p50, p99, max } = result.latencyNs;
  table.push(
    ["operations", `${result.ops} (4 KiB, depth ${result.depth}, ${result.blocks} blocks)`],
    ["errors", String(result.errors)],
    ["virtual time", `${result.iopsVirtual} IOPS, ${(result.elapsedNs / 1e6).toFixed(1)} ms`],
    ["virtual latency", `p50 ${microseconds(p50)}, p99 ${microseconds(p99)}, max ${microseconds(max)}`],
    ["wall time", `${Math.round((result.ops * 1000) / Math.max(1, wallMs))} IOPS, ${wallMs.toFixed(0)} ms`],
    ["hypercalls", String(counters.hypercalls)],
    ["events sent", String(counters.events)],
    ["grants mapped", `${counters.grantMaps}, unmapped ${counters.grantUnmaps}`],
    ["trace hash", machine.traceHash()],
  );
  process.stdout.write(`\n${table.toString()}\n`);
  for (const problem of result.problems) process.stdout.write(`${pc.red(problem)}\n`);
  const verdict = result.verified
    ? pc.green(`verified: ${result.blocks} blocks read back, and the disk compared byte for byte`)
    : pc.red("NOT verified: the disk is not what the guest believes");
  process.stdout.write(`${verdict}\n`);
}
