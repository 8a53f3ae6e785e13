/**
 * What a runner and a tester wait for: a start, a second machine, going back. The default machine, in QuickJS, with its disk file.
 *
 * Wall time is what one waits; on a shared machine the processor's time says more. Medians of the rounds.
 */
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Flavour } from "../image/format";
import { readImage } from "../image/image";
import { Machine } from "../machine";
import { defaultImagePath, packageFolder } from "../package-info";
import { packSnapshot } from "../snapshot/file";
import type { MachineSnapshot } from "../snapshot/snapshot";
import { makeDefaultDisk } from "../toolstack/default-disk";
import { parseDiskSpec } from "../toolstack/disk-spec";
import { parseMachineFile } from "../toolstack/machine-file";
import { median } from "./median";

/** One measured case; what does not apply is left out. */
export interface MachineRow {
  readonly engine: "quickjs";
  readonly flavour: Flavour;
  readonly case: string;
  /** Wall time, and the processor's time of this process. */
  readonly ms?: number;
  readonly cpuMs?: number;
  readonly bytes?: number;
  /** What it should be at most, of `ms` or `bytes`. */
  readonly target?: number;
}

interface Sample {
  readonly ms: number;
  readonly cpuMs: number;
}

/** What is measured of one machine. */
interface Case {
  readonly name: string;
  readonly target: number;
  /** Prepares, and returns what is measured. */
  run(machine: Machine): (() => void) | (() => Promise<void>);
  /** After the last round. */
  end?(): void;
}

/** A file that was written a moment ago is known by its digest instead of its times; a disk that lies there for a while is the usual one. */
const SETTLE_MS = 2100;
/** From Node's first line of the program on: Node's own start, measured beside it, does not count. */
const START_MS_MAX = 150;
/** Beside the guest's own boot. */
const RESTART_MS_MAX = 5;
const FILE_BYTES_MAX = 2 << 20;

/** Whatever a machine in this process can be asked to do. */
function cases(): Case[] {
  // All of one snapshot, as a tester has it, and none is let go of before the end: Node gives a machine's memory back when it likes, which is
  // the price of an earlier one.
  let original: MachineSnapshot | null = null;
  const forks: Machine[] = [];
  return [
    { name: "snapshot", target: 15, run: (machine) => () => void machine.snapshot() },
    {
      name: "restore",
      target: 5,
      run: (machine) => {
        const snapshot = machine.snapshot();
        machine.run("domU", "lsblk");
        return () => machine.restore(snapshot);
      },
    },
    {
      name: "fork",
      target: 10,
      run: (machine) => {
        const snapshot = (original ??= machine.snapshot());
        return async () => void forks.push(await Machine.fromSnapshot(snapshot));
      },
      end: () => forks.splice(0).forEach((fork) => fork.dispose()),
    },
  ];
}

/** Starts to measure; what it returns ends it. */
function stopwatch(): () => Sample {
  const cpu = process.cpuUsage();
  const begin = performance.now();
  return () => {
    const ms = performance.now() - begin;
    const { user, system } = process.cpuUsage(cpu);
    return { ms, cpuMs: (user + system) / 1000 };
  };
}

async function measure(body: () => void | Promise<void>): Promise<Sample> {
  const stop = stopwatch();
  await body();
  return stop();
}

/** The default machine, booted, in a folder of its own. */
async function makeMachine(folder: string, flavour: Flavour): Promise<Machine> {
  const image = readImage(defaultImagePath());
  const config = parseMachineFile(image.defaultMachine(), "the built-in machine");
  for (const spec of config.domains.flatMap(({ disks }) => disks)) {
    makeDefaultDisk(path.resolve(folder, parseDiskSpec(spec).target));
  }
  const machine = await Machine.create({ image, config, flavour, folder });
  machine.boot();
  return machine;
}

/**
 * What a new life of the guest takes: the host's work (the old one taken down, the new one built and its kernel not yet entered), and all of it,
 * with the guest's own boot.
 */
function restartRows(row: Pick<MachineRow, "engine" | "flavour">, machine: Machine, rounds: number): MachineRow[] {
  const samples = { host: [] as Sample[], all: [] as Sample[] };
  for (let round = 0; round < rounds; round++) {
    const { config, domid } = machine.domain("domU");
    const down = measureNow(() => machine.destroy("domU"));
    // dom0 lets go of the pages; that is its own work.
    machine.runWhile(() => machine.attachedDisks().some(({ vbd }) => vbd.frontDomid === domid), 1e9);
    const up = measureNow(() => machine.createDomain(config));
    const boot = measureNow(() => machine.boot());
    const host = { ms: down.ms + up.ms, cpuMs: down.cpuMs + up.cpuMs };
    samples.host.push(host);
    samples.all.push({ ms: host.ms + boot.ms, cpuMs: host.cpuMs + boot.cpuMs });
  }
  const rowOf = (name: string, of: readonly Sample[]): MachineRow => ({
    ...row,
    case: name,
    ms: median(of.map((one) => one.ms)),
    cpuMs: median(of.map((one) => one.cpuMs)),
  });
  return [{ ...rowOf("restart", samples.host), target: RESTART_MS_MAX }, rowOf("restart-booted", samples.all)];
}

function measureNow(body: () => void): Sample {
  const stop = stopwatch();
  body();
  return stop();
}

/** Milliseconds from the moment at which Node runs a program's first line to a machine with its disk connected. */
function measureStart(folder: string, flavour: Flavour, flags: readonly string[]): number {
  const env = { ...process.env, XENOLITH_CACHE: path.join(folder, "cache") };
  const run = (args: readonly string[]): string =>
    spawnSync(process.execPath, args, { cwd: folder, env, encoding: "utf8", maxBuffer: 1 << 26 }).stdout;
  const node = Number(run(["-p", "performance.now()"]));
  const cli = path.join(packageFolder(), "dist", "cli.js");
  const boot = ["boot", "--flavour", flavour, "--exec", "sync", "--json", "--bootchart", ...flags];
  const document = JSON.parse(run([cli, ...boot])) as { host: { phases: { phase: string; ms: number }[] } };
  const booted = document.host.phases.find(({ phase }) => phase === "booted")?.ms ?? NaN;
  return booted - node;
}

/** Measures everything; `rounds` samples each. */
export async function measureMachine(flavour: Flavour, rounds: number): Promise<MachineRow[]> {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "xenolith-bench-"));
  const row = { engine: "quickjs", flavour } as const;
  try {
    const machine = await makeMachine(folder, flavour);
    await sleep(SETTLE_MS);
    const rows: MachineRow[] = [];
    for (const { name, target, run, end } of cases()) {
      const samples: Sample[] = [];
      for (let round = 0; round < rounds; round++) {
        samples.push(await measure(run(machine)));
      }
      end?.();
      const [ms, cpuMs] = [median(samples.map((one) => one.ms)), median(samples.map((one) => one.cpuMs))];
      rows.push({ ...row, case: name, ms, cpuMs, target });
    }
    rows.push(...restartRows(row, machine, rounds));
    const bytes = (await packSnapshot(machine.snapshot())).length;
    rows.push({ ...row, case: "snapshot-file", bytes, target: FILE_BYTES_MAX });
    machine.dispose();
    // The first start fills the cache.
    measureStart(folder, flavour, []);
    for (const [name, flags] of [
      ["start-booted", ["--no-cache"]],
      ["start-cached", []],
    ] as const) {
      const samples = Array.from({ length: rounds }, () => measureStart(folder, flavour, flags));
      rows.push({ ...row, case: name, ms: median(samples), ...(flags.length === 0 ? { target: START_MS_MAX } : {}) });
    }
    return rows;
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
}
