/** What `boot` prints for people. */
import type { Machine } from "../machine";
import type { LogLine } from "../machine-options";
import type { Attachment } from "../toolstack/attachments";
import type { WorkloadResult } from "../toolstack/workload";
import type { Colours } from "./io";
import { framedTable } from "./table";

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
const LEVELS = ["emerg", "alert", "crit", "err", "warn", "notice", "info", "debug"];
const LEVEL_DEFAULT = 6;

/** `[    0.001234] dom0 info   | text`, coloured by its level. The guest's own stamp gives way to the machine's. */
export function logLine(line: LogLine, colours: Colours): string {
  const match = /^(?:<(\d)>)?(?:\[\s*\d+\.\d+\] )?([^]*)$/.exec(line.text);
  const level = Number(match?.[1] ?? LEVEL_DEFAULT);
  const text = match?.[2] ?? line.text;
  const stamp = `[${(line.at / 1e9).toFixed(6).padStart(12)}]`;
  const name = LEVELS[level].padEnd(6);
  const paint = level <= 3 ? colours.red : level === 4 ? colours.yellow : String;
  return `${colours.green(stamp)} ${colours.cyan(line.domain.padEnd(5))} ${paint(`${name} | ${text}`)}`;
}

function ladderLines(attachment: Attachment): string[] {
  return attachment.ladder.map(({ at, end, state }) => {
    const arrow = end === "front" ? "front ─►" : "back  ─►";
    return `  ${(at / 1e6).toFixed(3).padStart(10)} ms  ${arrow} ${state} ${STATE_NAMES[state]}`;
  });
}

/** The states that the two ends of each disk went through. */
export function ladders(machine: Machine, colours: Colours): string {
  return machine
    .attachedDisks()
    .map((attachment) => {
      const { name, frontDomid, backDomid } = attachment.vbd;
      const title = `${name}: domain ${frontDomid} (front) and domain ${backDomid} (back), ${attachment.phase}`;
      return `\n${colours.bold(title)}\n${ladderLines(attachment).join("\n")}\n`;
    })
    .join("");
}

function microseconds(ns: number): string {
  return `${(ns / 1000).toFixed(1)} µs`;
}

/** The workload's table and verdict. */
export function workloadReport(machine: Machine, result: WorkloadResult, wallMs: number, colours: Colours): string {
  const counters = machine.counters();
  const { p50, p99, max } = result.latencyNs;
  const table = framedTable([
    ["operations", `${result.ops} (4 KiB, depth ${result.depth}, ${result.blocks} blocks)`],
    ["errors", String(result.errors)],
    ["virtual time", `${result.iopsVirtual} IOPS, ${(result.elapsedNs / 1e6).toFixed(1)} ms`],
    ["virtual latency", `p50 ${microseconds(p50)}, p99 ${microseconds(p99)}, max ${microseconds(max)}`],
    ["wall time", `${Math.round((result.ops * 1000) / Math.max(1, wallMs))} IOPS, ${wallMs.toFixed(0)} ms`],
    ["hypercalls", String(counters.hypercalls)],
    ["events sent", String(counters.events)],
    ["grants mapped", `${counters.grantMaps}, unmapped ${counters.grantUnmaps}`],
  ]);
  const problems = result.problems.map((problem) => `${colours.red(problem)}\n`).join("");
  const verdict = result.verified
    ? colours.green(`verified: ${result.blocks} blocks read back, and the disk compared byte for byte`)
    : colours.red("NOT verified: the disk is not what the guest believes");
  return `\n${table}\ntrace ${machine.traceHash()}\n${problems}${verdict}\n`;
}
