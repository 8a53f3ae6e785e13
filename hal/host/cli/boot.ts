/**
 * `xenolith boot [MACHINE|IMAGE]`: boots a machine, then runs programs (--exec) or the verified workload.
 */
import { type Command, InvalidArgumentError, Option } from "commander";
import { ENGINE_NAMES, type EngineName } from "../engines/engine";
import { EXIT_FAILED, errorAppend, errorNoDomain } from "../errors";
import { FLAVOURS, type Flavour } from "../image/format";
import { type Image, readImage } from "../image/image";
import { type LogLine, Machine } from "../machine";
import { defaultImagePath } from "../package-info";
import { makeDefaultDisk } from "../toolstack/default-disk";
import { parseDiskSpec } from "../toolstack/disk-spec";
import { runDiskWorkload } from "../toolstack/disk-workload";
import { type MachineConfig, parseMachineFile, readMachineFile } from "../toolstack/machine-file";
import { Bootchart } from "./bootchart";
import { bootDocument } from "./document";
import { colourLog, printExecution, printLadder, printWorkload } from "./report";

interface BootFlags {
  readonly image?: string;
  readonly disk: string[];
  readonly exec: string[];
  readonly domain?: string;
  readonly append: string[];
  readonly engine: EngineName;
  readonly flavour: Flavour;
  readonly seed?: number;
  readonly blocks: number;
  readonly depth: number;
  readonly json?: true;
  readonly bootchart?: true;
  readonly quiet?: true;
}

function collect(value: string, all: string[]): string[] {
  return [...all, value];
}

function wholeNumber(low: number, high: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= low && value <= high) return value;
    throw new InvalidArgumentError(`It must be a whole number from ${low} to ${high}.`);
  };
}

/** Adds the verb. */
export function addBoot(program: Command): void {
  program
    .command("boot")
    .description("boot a machine and run the verified workload, or programs")
    .argument("[target]", "machine file (.json) or image (.img); default: the built-in machine")
    .option("--image <file>", "image to boot; default: the one that the package was built with")
    .option("--disk <spec>", "disk of the guest in xl's syntax, instead of its own (repeatable)", collect, [])
    .option("--exec <command>", "guest program to run instead of the workload (repeatable)", collect, [])
    .option("--domain <name>", "domain that --disk, --exec and the workload mean; default: the last one")
    .option("--append <name=words>", "kernel command line to add, such as domU=loglevel=7 (repeatable)", collect, [])
    .addOption(new Option("--engine <name>", "how guests run").choices(ENGINE_NAMES).default("quickjs"))
    .addOption(new Option("--flavour <name>", "build of the guests").choices(FLAVOURS).default("release"))
    .option("--seed <number>", "what everything random comes from", wholeNumber(0, 0xffffffff))
    .option("--blocks <number>", "4 KiB blocks that the workload uses", wholeNumber(1, 1 << 18), 2048)
    .option("--depth <number>", "operations of the workload in flight", wholeNumber(1, 256), 32)
    .option("--json", "print one JSON document and nothing else")
    .option("--bootchart", "print what each phase of the boot took")
    .option("-q, --quiet", "do not print the boot log")
    .action(boot);
}

async function boot(target: string | undefined, flags: BootFlags): Promise<void> {
  const chart = new Bootchart();
  const { image, config } = load(target, flags);
  chart.mark("image read");
  const guest = flags.domain ?? config.domains[config.domains.length - 1].name;
  const machine = await Machine.create({
    image,
    config: withDisks(config, guest, flags.disk),
    engine: flags.engine,
    flavour: flags.flavour,
    append: parseAppend(flags.append, config),
    onPhase: (name) => chart.mark(name),
    ...(flags.seed === undefined ? {} : { seed: flags.seed }),
    ...(showsLog(flags) ? { onLog: logPrinter(flags) } : {}),
  });
  try {
    chart.mark("machine made");
    runMachine(machine, guest, flags, chart);
  } finally {
    machine.dispose();
  }
}

function runMachine(machine: Machine, guest: string, flags: BootFlags, chart: Bootchart): void {
  machine.boot();
  chart.mark("booted");
  if (flags.json === undefined && flags.quiet === undefined) printLadder(machine, chatter(flags));
  if (flags.bootchart) chart.print(chatter(flags));
  if (flags.exec.length > 0) return execute(machine, guest, flags);
  const result = runDiskWorkload(machine, guest, flags.blocks, flags.depth);
  chart.mark("workload done");
  if (flags.json) process.stdout.write(`${JSON.stringify(bootDocument(machine, result, chart), null, 2)}\n`);
  else printWorkload(machine, result, chart);
  if (!result.verified) process.exitCode = EXIT_FAILED;
}

/** Runs the programs one after the other; the exit code is that of the first one that failed. */
function execute(machine: Machine, guest: string, flags: BootFlags): void {
  const runs = flags.exec.map((command) => ({ command, ...machine.run(guest, command) }));
  if (flags.json) {
    process.stdout.write(`${JSON.stringify({ ...bootDocument(machine, null, null), runs }, null, 2)}\n`);
  } else {
    for (const { output } of runs) printExecution(output);
  }
  const failed = runs.find(({ status }) => status !== 0);
  if (failed !== undefined) process.exitCode = failed.status;
}

function load(target: string | undefined, flags: BootFlags): { image: Image; config: MachineConfig } {
  const isMachine = target !== undefined && target.endsWith(".json");
  const image = readImage(flags.image ?? (isMachine || target === undefined ? defaultImagePath() : target));
  if (isMachine) return { image, config: readMachineFile(target) };
  const config = parseMachineFile(image.defaultMachine(), `${image.name}: ${image.manifest.machine}`);
  if (flags.disk.length === 0) makeDisks(config);
  return { image, config };
}

/** Makes the files that the built-in machine names and nobody has made yet. */
function makeDisks(config: MachineConfig): void {
  for (const { target } of config.domains.flatMap(({ disks }) => disks.map(parseDiskSpec))) {
    if (target !== "" && makeDefaultDisk(target)) process.stderr.write(`made ${target} (16 MiB)\n`);
  }
}

function withDisks(config: MachineConfig, guest: string, disks: readonly string[]): MachineConfig {
  const names = config.domains.map(({ name }) => name);
  if (!names.includes(guest)) throw errorNoDomain(guest, names);
  if (disks.length === 0) return config;
  const domains = config.domains.map((domain) => (domain.name === guest ? { ...domain, disks } : domain));
  return { ...config, domains };
}

function parseAppend(words: readonly string[], config: MachineConfig): Record<string, string> {
  const names = config.domains.map(({ name }) => name);
  const result: Record<string, string> = {};
  for (const word of words) {
    const equals = word.indexOf("=");
    if (equals < 0) throw errorAppend(word);
    const name = word.slice(0, equals);
    if (!names.includes(name)) throw errorNoDomain(name, names);
    result[name] = `${result[name] ?? ""} ${word.slice(equals + 1)}`.trim();
  }
  return result;
}

function showsLog(flags: BootFlags): boolean {
  return flags.json === undefined && flags.quiet === undefined;
}

/** Where what is not data goes: with --exec the programs' output is the data. */
function chatter(flags: BootFlags): NodeJS.WriteStream {
  return flags.exec.length > 0 ? process.stderr : process.stdout;
}

function logPrinter(flags: BootFlags): (line: LogLine) => void {
  const stream = chatter(flags);
  return (line) => void stream.write(`${colourLog(line)}\n`);
}
