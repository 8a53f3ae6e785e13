/** What fio prints of a job: IOPS, bandwidth, latencies. All times are virtual. */
import { kasprintf } from "xenolith/linux/printk";
import { strerror } from "../lib/strerror";
import type { direction, job_run } from "./engine";

const PERCENTILES = [1, 5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 95, 99, 99.5, 99.9, 99.95, 99.99];
/** Percentiles of one line. */
const PER_LINE = 3;

/** Four significant digits: `16.0`, `186`, `4096`. */
function digits(value: number): string {
  if (value >= 100) return String(Math.floor(value + 0.5));
  const scale = value >= 10 ? 10 : 100;
  const n = Math.floor(value * scale + 0.5);
  return scale === 10
    ? kasprintf("%d.%d", Math.floor(n / 10), n % 10)
    : kasprintf("%d.%02d", Math.floor(n / 100), n % 100);
}

function scaled(value: number, base: number, units: readonly string[]): string {
  let unit = 0;
  let left = value;
  while (left >= base && unit < units.length - 1) {
    left /= base;
    unit++;
  }
  return unit === 0 ? `${Math.floor(left)}${units[0]}` : `${digits(left)}${units[unit]}`;
}

const iec = (bytes: number): string => scaled(bytes, 1024, ["B", "KiB", "MiB", "GiB", "TiB"]);
const si = (bytes: number): string => scaled(bytes, 1000, ["B", "kB", "MB", "GB", "TB"]);

/** `1234usec`, `22msec`: the largest unit that leaves two digits. */
function duration(ns: number): string {
  if (ns < 10_000_000) return `${Math.floor(ns / 1000)}usec`;
  return `${Math.floor(ns / 1_000_000)}msec`;
}

function per_second(count: number, ns: number): number {
  return ns === 0 ? 0 : Math.floor((count * 1e9) / ns);
}

/** `IOPS=186k, BW=728MiB/s (763MB/s)`. */
function rates(of: direction, ns: number): string {
  const bw = per_second(of.bytes, ns);
  const iops = scaled(per_second(of.latencies.length, ns), 1000, ["", "k", "M"]);
  return `IOPS=${iops}, BW=${iec(bw)}/s (${si(bw)}/s)`;
}

function percentile(sorted: readonly number[], percent: number): number {
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil((sorted.length * percent) / 100) - 1))];
}

function latency_lines(latencies: readonly number[]): string {
  const sorted = [...latencies].sort((a, b) => a - b);
  const sum = sorted.reduce((total, ns) => total + ns, 0);
  const average = sum / sorted.length;
  const square = sorted.reduce((total, ns) => total + (ns - average) * (ns - average), 0);
  const [low, high] = [sorted[0], sorted[sorted.length - 1]];
  const unit = high >= 1_000_000 ? 1000 : 1;
  const name = unit === 1 ? "nsec" : "usec";
  const at = (ns: number): string => String(Math.floor(ns / unit));
  const wide = at(high).length;
  const hundredths = (ns: number): string => {
    const n = Math.floor((ns * 100) / unit + 0.5);
    return kasprintf("%d.%02d", Math.floor(n / 100), n % 100);
  };
  let text =
    `    clat (${name}): min=${at(low)}, max=${at(high)}, ` +
    `avg=${hundredths(average)}, stdev=${hundredths(
      Math.sqrt(square / sorted.length),
    )}\n    clat percentiles (${name}):\n`;
  for (let i = 0; i < PERCENTILES.length; i += PER_LINE) {
    const cells = PERCENTILES.slice(i, i + PER_LINE).map((percent) => {
      const n = Math.floor(percent * 100 + 0.5);
      return kasprintf("%2d.%02dth=[%s]", Math.floor(n / 100), n % 100, at(percentile(sorted, percent)).padStart(wide));
    });
    text += `     | ${cells.join(", ")}${i + PER_LINE < PERCENTILES.length ? "," : ""}\n`;
  }
  return text;
}

function direction_lines(name: string, of: direction, ns: number): string {
  if (of.latencies.length === 0) return "";
  return `  ${name}: ${rates(of, ns)}(${iec(of.bytes)}/${duration(ns)})\n${latency_lines(of.latencies)}`;
}

/** What is printed before jobs run. */
export function opening(run: job_run): string {
  const { name, rw, bs, iodepth } = run.job;
  return `${name}: (g=0): rw=${rw}, bs=${iec(bs)}, ioengine=bio, iodepth=${iodepth}\n`;
}

/** What is printed of one job. */
export function job_report(run: job_run, pid: number): string {
  const { read, write, elapsed_ns, err } = run;
  const error = err === 0 ? " 0" : `${err} (${strerror(-err)})`;
  return (
    `\n${run.job.name}: (groupid=0, jobs=1): err=${error}: pid=${pid}\n` +
    direction_lines("read", read, elapsed_ns) +
    direction_lines("write", write, elapsed_ns) +
    (run.job.verify === "" ? "" : `  verify: ${run.job.verify}, ${run.verified} blocks\n`) +
    `     issued rwts: total=${read.issued},${write.issued},0,0 short=0,0,0,0 dropped=0,0,0,0\n`
  );
}

/** The last lines: all jobs together. */
export function group_report(runs: readonly job_run[]): string {
  let text = "\nRun status group 0 (all jobs):\n";
  for (const name of ["read", "write"] as const) {
    const bytes = runs.reduce((sum, run) => sum + run[name].bytes, 0);
    if (bytes === 0) continue;
    const times = runs.map((run) => run.elapsed_ns);
    const longest = times.reduce((a, b) => Math.max(a, b), 0);
    const shortest = times.reduce((a, b) => Math.min(a, b), longest);
    const bw = per_second(bytes, longest);
    const total = `io=${iec(bytes)} (${si(bytes)}), run=${duration(shortest)}-${duration(longest)}`;
    text += `  ${name.toUpperCase().padStart(5)}: bw=${iec(bw)}/s (${si(bw)}/s), ${total}\n`;
  }
  return text;
}
