/**
 * `xenolith boot [MACHINE|IMAGE]`: boots a machine, then runs programs (--exec) or the verified workload.
 *
 * Everything that the user can have got wrong is checked before the machine is made. The table, the programs' output and the document are data;
 * the boot log is data too, unless --exec or --json ask for something else.
 */
import { type Command, InvalidArgumentError, Option } from "commander";
import { prepareQuickJS } from "../engines/quickjs-module";
import { ENGINE_NAMES, type EngineName } from "../engines/engine";
import {
  EXIT_FAILED,
  EXIT_OK,
  errorAppend,
  errorEmptyCommand,
  errorInteractiveJson,
  errorNoDomain,
  errorNoProgram,
  errorNoWorkloadDisk,
  errorWatchFlag,
} from "../errors";
import { FLAVOURS, type Flavour } from "../image/format";
import type { Image } from "../image/image";
import type { Machine } from "../machine";
import { MachineError } from "../machine-error";
import type { LogLine, MachineOptions } from "../machine-options";
import { packageFolder } from "../package-info";
import { makeDefaultDisk } from "../toolstack/default-disk";
import { parseDiskSpec } from "../toolstack/disk-spec";
import { checkWorkloadDisk, runDiskWorkload } from "../toolstack/disk-workload";
import { checkKernelParameters } from "../toolstack/kernel-parameters";
import type { MachineConfig } from "../toolstack/machine-file";
import { Interaction } from "./interactive/interact";
import { PACES, type PaceName } from "./interactive/pace";
import { Bootchart } from "./bootchart";
import {
  type MachineOrigin,
  type PreparedMachine,
  type Wishes,
  makeMachine,
  readForBoot,
  restoreMachine,
  saveMachine,
} from "./boot-machine";
import { type Work, bootDocument } from "./document";
import { type CommandIo, type CommandThread, type Output, withProgress } from "./io";
import { ladders, logLine, workloadReport } from "./report";
import { type Target, loadTarget, targetOf } from "./target";
import { watchSources } from "./watch";

interface BootFlags {
  readonly image?: string;
  readonly disk: readonly string[];
  readonly exec: readonly string[];
  readonly domain?: string;
  readonly append: readonly string[];
  readonly engine: EngineName;
  readonly flavour: Flavour;
  /** Whether the user asked for that flavour. */
  readonly hasFlavour: boolean;
  readonly seed?: number;
  readonly blocks: number;
  readonly depth: number;
  readonly json?: true;
  readonly watchdog: number;
  readonly bootchart?: true;
  readonly snapshot?: string;
  readonly restore?: string;
  readonly diskOverlay?: true;
  readonly cache: boolean;
  readonly quiet?: true;
  /** A folder with sources, or the package's own. */
  readonly watch?: string | true;
  readonly interactive?: true;
  readonly time: PaceName;
}

/** As commander gives them: a list that nobody began is not there. */
type Lists = "disk" | "exec" | "append";
type GivenFlags = Omit<BootFlags, Lists | "hasFlavour"> & Partial<Pick<BootFlags, Lists>>;

/** A boot that is under way. */
interface Boot {
  readonly flags: BootFlags;
  readonly io: CommandIo;
  readonly chart: Bootchart;
  /** The domain that the workload and the programs are for. */
  readonly guest: string;
  /** Lines of the kernel logs, for the one who did not see them and needs them. */
  readonly log: LogLine[];
  /** With --interactive. */
  readonly interaction: Interaction | null;
}

/** Blocks at each end of a disk that the workload leaves alone: what a boot reads there is then the same after it as before. */
const SPARED_BLOCKS = 256;
/** What the bootchart calls the moment from which there is a machine. */
const MADE_MARKS: Readonly<Record<MachineOrigin, string>> = {
  boot: "machine made",
  cache: "restored from the boot cache",
  snapshot: "restored from a snapshot",
};
/** Lines of a dead domain's log that are shown to whom the log was not shown. */
const LAST_LINES = 24;

/** Wall seconds that a guest may run without a pause. */
const WATCHDOG_SECONDS = 10;
const WATCHDOG_SECONDS_MAX = 86_400;

/** An option that may be given several times. */
function collect(value: string, all: readonly string[] = []): string[] {
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
export function addBoot(program: Command, io: CommandIo): void {
  program
    .command("boot")
    .description("boot a machine and run the verified workload, or programs")
    .argument("[target]", "machine file (.json) or image (.img); default: the built-in machine")
    .option("--image <file>", "image to boot; default: the one that the package was built with")
    .option("--disk <spec>", "disk of the guest in xl's syntax, instead of its own (repeatable)", collect)
    .option("--exec <command>", "guest program to run instead of the workload (repeatable)", collect)
    .option("--domain <name>", "domain that --disk, --exec and the workload mean; default: the last one")
    .option("--append <name=words>", "kernel command line to add, such as domU=loglevel=7 (repeatable)", collect)
    .addOption(new Option("--engine <name>", "how guests run").choices(ENGINE_NAMES).default("quickjs"))
    .addOption(new Option("--flavour <name>", "build of the guests").choices(FLAVOURS).default("release"))
    .option("--seed <number>", "what everything random comes from; default: the machine's", wholeNumber(0, 0xffffffff))
    .option("--blocks <number>", "4 KiB blocks that the workload uses", wholeNumber(1, 1 << 18), 2048)
    .option("--depth <number>", "operations of the workload in flight", wholeNumber(1, 256), 32)
    .option(
      "--watchdog <seconds>",
      "wall time that a guest may run without a pause; 0: for ever",
      wholeNumber(0, WATCHDOG_SECONDS_MAX),
      WATCHDOG_SECONDS,
    )
    .option("--json", "print one JSON document and nothing else")
    .option("--bootchart", "print what each phase of the boot took")
    .option(
      "--watch [folder]",
      "boot the sources in a folder (default: the package's own), again when one of them changes",
    )
    .option("-q, --quiet", "do not print the boot log")
    .option(
      "-i, --interactive",
      "a shell in the guest, on the terminal or for commands from a pipe, instead of the workload",
    )
    .addOption(
      new Option("--time <pace>", "with -i: virtual time runs as fast as it can, or with the host's clock")
        .choices(PACES)
        .default("virtual"),
    )
    .option("--snapshot <file>", "save the machine when its boot is done, before the work")
    .option("--restore <file>", "go on from a saved machine instead of booting")
    .option("--disk-overlay", "keep what is written to disk files in memory, and the files as they are")
    .option("--no-cache", "boot, even if the booted machine is in the cache")
    .action((target: string | undefined, flags: GivenFlags, command: Command) => {
      const given = { disk: flags.disk ?? [], exec: flags.exec ?? [], append: flags.append ?? [] };
      const hasFlavour = command.getOptionValueSource("flavour") === "cli";
      return boot(target, { ...flags, ...given, hasFlavour }, io);
    });
}

async function boot(target: string | undefined, flags: BootFlags, io: CommandIo): Promise<void> {
  const { thread } = io;
  const chart = new Bootchart(thread?.timeOrigin);
  thread?.setWatchdog(flags.watchdog);
  if (flags.engine === "quickjs") prepareQuickJS();
  if (flags.watch === undefined) return bootTarget(loadTarget(target, flags.image), flags, io, chart);
  checkWatch(flags);
  const folder = flags.watch === true ? packageFolder() : flags.watch;
  await watchSources(folder, flags.flavour, io, (image) =>
    bootTarget(targetOf(target, image), flags, io, new Bootchart()),
  );
}

/** Boots a machine and does its job. */
async function bootTarget(target: Target, flags: BootFlags, io: CommandIo, chart: Bootchart): Promise<void> {
  const { thread } = io;
  const { image, config: named, isBuiltIn } = target;
  chart.mark("image read");
  const saved = flags.restore === undefined ? null : await readForBoot(flags.restore, flags.engine, image);
  const config = saved !== null && isBuiltIn ? saved.data.origin.config : named;
  const guest = flags.domain ?? config.domains[config.domains.length - 1].name;
  const run: Boot = { flags, io, chart, guest, log: [], interaction: interactionOf(flags, io) };
  const append = parseAppend(flags.append, config);
  const wanted = withDisks(config, guest, flags.disk);
  checkCommandLines(wanted, append, image);
  if (flags.exec.length > 0) checkPrograms(flags.exec, image);
  else if (run.interaction === null) checkWorkload(wanted, guest);
  const made = isBuiltIn && saved === null && flags.disk.length === 0 ? makeDisks(config) : [];
  const options: MachineOptions = {
    image,
    config: wanted,
    engine: flags.engine,
    flavour: flags.flavour,
    append,
    onPhase: (name) => chart.mark(name),
    onLog: (line) => takeLine(run, line),
    ...(run.interaction === null ? {} : { onConsole: (output) => run.interaction?.output(output) }),
    ...(thread === undefined ? {} : threadOptions(thread)),
    ...(flags.diskOverlay ? { diskWrites: "overlay" } : {}),
    ...(flags.seed === undefined ? {} : { seed: flags.seed }),
  };
  const prepared =
    saved === null
      ? await makeMachine(options, flags.cache && flags.watch === undefined)
      : await restoreMachine(flags.restore as string, saved, wishesOf(options, flags), options);
  for (const file of made) io.stderr.write(`made ${file} (16 MiB)\n`);
  await useMachine(prepared, run);
}

/** What the command line asks of a snapshot's machine. */
function wishesOf({ config, append, seed }: MachineOptions, flags: BootFlags): Wishes {
  return {
    config,
    flavour: flags.hasFlavour ? flags.flavour : undefined,
    ...(flags.append.length === 0 ? {} : { append }),
    ...(seed === undefined ? {} : { seed }),
  };
}

async function useMachine(prepared: PreparedMachine, run: Boot): Promise<void> {
  const { machine } = prepared;
  const { flags, io } = run;
  try {
    await runMachine(prepared, run);
  } catch (error) {
    if (error instanceof MachineError && !showsLog(flags)) io.stderr.write(lastLines(run));
    throw error;
  } finally {
    machine.dispose();
    const complaints = await prepared.finish();
    if (flags.bootchart) for (const complaint of complaints) io.stderr.write(`xenolith: ${complaint}\n`);
  }
}

/** What a machine takes from the thread that it runs in. */
function threadOptions(thread: CommandThread): Partial<MachineOptions> {
  return {
    pulse: thread.pulse,
    guestStackBytes: thread.guestStackBytes,
    // The watchdog looks.
    guestLimitMs: 0,
    onDomain: (domid, name) => thread.nameDomain(domid, name),
  };
}

async function runMachine(prepared: PreparedMachine, run: Boot): Promise<void> {
  const { machine, from } = prepared;
  const { flags, io, chart } = run;
  const chatter = chatterOf(run);
  chart.mark(MADE_MARKS[from]);
  withProgress(io.stderr, showsLog(flags) ? "" : "booting ...", () => prepared.boot());
  chart.mark("booted");
  if (showsLog(flags)) chatter.write(ladders(machine, chatter.colours));
  if (flags.snapshot !== undefined) {
    await saveMachine(machine, flags.snapshot);
    io.stderr.write(`saved ${flags.snapshot}: the machine as it is now, before the work\n`);
  }
  const work = flags.exec.length > 0 || run.interaction !== null ? execute(machine, run) : verify(machine, run);
  if (run.interaction !== null) interact(machine, run, run.interaction);
  if (flags.bootchart) chatter.write(`\n${chart.table()}\n`);
  if (flags.json) printDocument(prepared, run, work);
}

/** Throws UserError for flags that contradict --watch, which has an image of its own and waits for the sources. */
function checkWatch({ image, restore, json, interactive }: BootFlags): void {
  if (restore !== undefined) throw errorWatchFlag("--restore");
  if (image !== undefined) throw errorWatchFlag("--image");
  if (json) throw errorWatchFlag("--json");
  if (interactive) throw errorWatchFlag("--interactive");
}

/** What -i needs: a thread that somebody serves with input. Throws UserError when the flags contradict it. */
function interactionOf({ interactive, json }: BootFlags, io: CommandIo): Interaction | null {
  if (!interactive) return null;
  if (json) throw errorInteractiveJson();
  if (io.thread === undefined) throw new Error("--interactive needs a thread with input");
  return new Interaction(io, io.thread);
}

function interact(machine: Machine, { flags, io, guest }: Boot, interaction: Interaction): void {
  const code = interaction.run(machine, guest, flags.time);
  if (io.exitCode === EXIT_OK) io.exitCode = code;
}

function verify(machine: Machine, { flags, io, chart, guest }: Boot): Work {
  const text = `writing and reading ${flags.blocks} blocks in ${guest} ...`;
  const { blocks, depth } = flags;
  const work = () => runDiskWorkload(machine, guest, blocks, depth, SPARED_BLOCKS);
  const workload = withProgress(io.stderr, text, work);
  chart.mark("work done");
  if (!workload.verified) io.exitCode = EXIT_FAILED;
  if (flags.json === undefined) {
    io.stdout.write(workloadReport(machine, workload, chart.between("booted", "work done"), io.stdout.colours));
  }
  return { workload, runs: null };
}

/** Runs the programs one after the other; the exit code is that of the first one that failed. */
function execute(machine: Machine, { flags, io, chart, guest }: Boot): Work {
  const runs = flags.exec.map((command) => {
    const result = withProgress(io.stderr, `${guest}: ${command} ...`, () => machine.run(guest, command));
    if (flags.json === undefined) io.stdout.write(result.output);
    return { domain: guest, command, ...result };
  });
  chart.mark("work done");
  const failed = runs.find(({ status }) => status !== 0);
  if (failed !== undefined) io.exitCode = failed.status;
  return { workload: null, runs };
}

function printDocument({ machine, from }: PreparedMachine, { flags, io, chart }: Boot, work: Work): void {
  const document = bootDocument(machine, work, {
    from,
    start: chart.between(null, MADE_MARKS[from]),
    boot: chart.between(MADE_MARKS[from], "booted"),
    work: chart.between("booted", "work done"),
    phases: flags.bootchart ? chart.phases() : null,
  });
  io.stdout.write(`${JSON.stringify(document, null, 2)}\n`);
}

/** Makes the files that the built-in machine names and nobody has made yet; returns which. */
function makeDisks(config: MachineConfig): string[] {
  const targets = config.domains.flatMap(({ disks }) => disks.map((disk) => parseDiskSpec(disk).target));
  return targets.filter((target) => target !== "" && makeDefaultDisk(target));
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

function checkCommandLines(config: MachineConfig, append: Readonly<Record<string, string>>, image: Image): void {
  for (const { name, cmdline } of config.domains) {
    checkKernelParameters(`command line of ${name}`, cmdline, image.manifest);
    checkKernelParameters(`--append ${name}`, append[name] ?? "", image.manifest);
  }
}

function checkPrograms(commands: readonly string[], image: Image): void {
  const known = image.list("programs");
  for (const command of commands) {
    const program = command.trim().split(/\s+/, 1)[0];
    if (program === "") throw errorEmptyCommand(known);
    if (!known.includes(program)) throw errorNoProgram(program, known);
  }
}

/** The workload is for the first disk of the guest. */
function checkWorkload(config: MachineConfig, guest: string): void {
  const disk = config.domains.find(({ name }) => name === guest)?.disks[0];
  if (disk === undefined) throw errorNoWorkloadDisk(guest);
  const spec = parseDiskSpec(disk);
  checkWorkloadDisk(spec.vdev ?? "its disk", spec);
}

function showsLog(flags: BootFlags): boolean {
  return flags.json === undefined && flags.quiet === undefined;
}

/** Where what is not data goes: with --exec and -i the programs' output is the data, with --json the document. */
function chatterOf({ flags, io }: Boot): Output {
  return flags.exec.length > 0 || flags.json || flags.interactive ? io.stderr : io.stdout;
}

function takeLine(run: Boot, line: LogLine): void {
  if (run.interaction?.log(line)) return;
  const chatter = chatterOf(run);
  if (showsLog(run.flags)) chatter.write(`${logLine(line, chatter.colours)}\n`);
  else run.log.push(line);
}

function lastLines({ log, io }: Boot): string {
  return log
    .slice(-LAST_LINES)
    .map((line) => `${logLine(line, io.stderr.colours)}\n`)
    .join("");
}
