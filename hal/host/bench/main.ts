/**
 * `npm run bench`: what the full stack costs against the bare ring of the same engine and depth, in one process and one run, because only
 * ratios within one run mean anything on a shared machine. Rounds alternate between the cases; the median of the rounds is printed.
 *
 * `npm run bench -- machine`: how long one waits for a start, a snapshot, a restore, a second machine.
 */
import { Argument, Command, Option } from "commander";
import { ENGINE_NAMES, type EngineName } from "../engines/engine";
import { FLAVOURS, type Flavour } from "../image/format";
import { listTable } from "../cli/table";
import { measureFloor } from "./floor";
import { makeBenchMachine, measureFull } from "./full";
import { type MachineRow, measureMachine } from "./machine";
import { median } from "./median";

/** One measured case. */
interface Row {
  readonly engine: EngineName;
  readonly flavour: Flavour;
  readonly case: string;
  readonly iops: number;
  readonly bytesPerSec: number;
  /** How many times slower than the floor of the same engine and depth. */
  readonly timesFloor: number;
}

/** What can be measured. */
const SUBJECTS = ["io", "machine"] as const;

interface Flags {
  readonly subject: (typeof SUBJECTS)[number];
  readonly flavour: Flavour;
  readonly engine?: EngineName;
  readonly seconds: string;
  readonly rounds: string;
  readonly json?: true;
}

const DEPTHS = [1, 32];

async function measureEngine(engine: EngineName, flags: Flags): Promise<Row[]> {
  const [seconds, rounds] = [Number(flags.seconds), Number(flags.rounds)];
  const machine = await makeBenchMachine(engine, flags.flavour);
  const samples = new Map<string, number[]>();
  const ratios = new Map<number, number[]>();
  for (let round = 0; round < rounds; round++) {
    for (const depth of DEPTHS) {
      const floor = await measureFloor(engine, depth, seconds);
      const full = measureFull(machine, depth, seconds);
      add(samples, `floor-qd${depth}`, floor);
      add(samples, `full-qd${depth}`, full);
      add(ratios, depth, floor / full);
    }
  }
  machine.dispose();
  return [...samples].map(([name, values]) => {
    const iops = median(values);
    const depth = Number(name.replace(/^.*qd/, ""));
    const timesFloor = name.startsWith("floor") ? 1 : median(ratios.get(depth) as number[]);
    return { engine, flavour: flags.flavour, case: name, iops, bytesPerSec: iops * 4096, timesFloor };
  });
}

function add<K>(to: Map<K, number[]>, key: K, value: number): void {
  const values = to.get(key);
  if (values === undefined) to.set(key, [value]);
  else values.push(value);
}

function table(rows: readonly Row[]): string {
  return listTable(
    ["engine", "flavour", "case", "IOPS", "MB/s", "times floor"],
    rows.map((row) => {
      const megabytes = (row.bytesPerSec / 1e6).toFixed(1);
      return [row.engine, row.flavour, row.case, Math.round(row.iops), megabytes, row.timesFloor.toFixed(1)];
    }),
  );
}

function machineTable(rows: readonly MachineRow[]): string {
  return listTable(
    ["engine", "flavour", "case", "ms", "CPU ms", "KiB", "at most"],
    rows.map(({ engine, flavour, case: name, ms, cpuMs, bytes, target }) => {
      const kib = (size: number | undefined): string => (size === undefined ? "" : (size / 1024).toFixed(0));
      const limit = target === undefined ? "" : bytes === undefined ? `${target} ms` : `${kib(target)} KiB`;
      return [engine, flavour, name, ms?.toFixed(1) ?? "", cpuMs?.toFixed(1) ?? "", kib(bytes), limit];
    }),
  );
}

function parseFlags(): Flags {
  const command = new Command("bench")
    .description("measure the full stack against the bare ring, 4 KiB random reads; or what one waits for")
    .addArgument(new Argument("[subject]", "what to measure").choices(SUBJECTS).default("io"))
    .addOption(new Option("--flavour <name>", "build of the guests").choices(FLAVOURS).default("release"))
    .addOption(new Option("--engine <name>", "only this engine").choices(ENGINE_NAMES))
    .option("--seconds <number>", "wall time of each sample", "0.5")
    .option("--rounds <number>", "samples of each case", "5")
    .option("--json", "print one JSON document")
    .parse();
  return { ...command.opts<Omit<Flags, "subject">>(), subject: command.processedArgs[0] as Flags["subject"] };
}

async function main(): Promise<void> {
  const flags = parseFlags();
  if (flags.subject === "machine") {
    const machineRows = await measureMachine(flags.flavour, Number(flags.rounds));
    process.stdout.write(
      `${flags.json ? JSON.stringify({ rows: machineRows }, null, 2) : machineTable(machineRows)}\n`,
    );
    return;
  }
  const rows: Row[] = [];
  for (const engine of flags.engine === undefined ? ENGINE_NAMES : [flags.engine]) {
    rows.push(...(await measureEngine(engine, flags)));
  }
  process.stdout.write(`${flags.json ? JSON.stringify({ rows }, null, 2) : table(rows)}\n`);
}

await main();
