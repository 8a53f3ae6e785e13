/**
 * A machine: the public face of everything on the host's side. One object per machine; nothing is shared between two of them but the image
 * and the engine's compiled code.
 *
 *   Machine.create ─► boot ─► run, attachDisk, advance, … ─► dispose
 *
 * All calls but `create` are synchronous: the machine runs on its own virtual time until what was asked for has happened. A call that waits
 * throws MachineError when it cannot happen any more: the domain died, nothing is left to run, or its virtual time limit passed.
 */
import { vbd_identify } from "../abi/io/vbd";
import type { HostDisk } from "./disks/disk";
import type { Engine, EngineName } from "./engines/engine";
import { errorNoDomain, errorNoProgram } from "./errors";
import { Hypervisor } from "./hypervisor/hypervisor";
import type { Ledger } from "./hypervisor/ledger";
import type { DomainState, InputRecord } from "./hypervisor/state";
import type { Image } from "./image/image";
import { type Flavour } from "./image/format";
import { MachineError } from "./machine-error";
import { type Attachment, Attachments } from "./toolstack/attachments";
import { type Counters, countersOf } from "./toolstack/counters";
import { DomainBuilder, type MachineDomain } from "./toolstack/domains";
import { Disks } from "./toolstack/disks";
import { Hindrances } from "./toolstack/hindrances";
import { costsOf, createEngine } from "./toolstack/machine-parts";
import { type Execution, Programs, execPath, readyPath } from "./toolstack/programs";
import type { DomainConfig, MachineConfig } from "./toolstack/machine-file";
import { StackTranslator } from "./toolstack/stack-trace";
import { XenConsoled } from "./console/console";
import type { HostConnection } from "./xenstored/host-connection";
import { XenStored } from "./xenstored/xenstored";

/** What a machine is made of. */
export interface MachineOptions {
  readonly image: Image;
  readonly config: MachineConfig;
  /** Default "quickjs". */
  readonly engine?: EngineName;
  /** Default "debug". */
  readonly flavour?: Flavour;
  /** Default: the machine file's. */
  readonly seed?: number;
  /** Words to append to the kernel command line, by domain name. */
  readonly append?: Readonly<Record<string, string>>;
  /** "keep" keeps every word of the trace for `trace()`; default "hash". */
  readonly trace?: "hash" | "keep" | "off";
  /** Called with every line of a kernel log, `at` in virtual ns. */
  readonly onLog?: (line: LogLine) => void;
  /** Called at each step of the boot, with its name: for bootcharts. */
  readonly onPhase?: (name: string) => void;
  /** Folder that relative disk files are in; default the working directory. */
  readonly folder?: string;
}

/** One line of a domain's kernel log. */
export interface LogLine {
  readonly domain: string;
  readonly at: number;
  readonly text: string;
}

/** How a program ended. */
export interface RunResult {
  /** Exit status, 0 to 255. */
  readonly status: number;
  /** What it wrote to the console. */
  readonly output: string;
}

/** Virtual limits of the calls that wait, ns. */
const BOOT_NS_MAX = 300e9;
const RUN_NS_MAX = 3600e9;
const DETACH_NS_MAX = 60e9;
/** Tokens of the toolstack's watches; those of disks are `INDEX front` and `INDEX back`. */
const EXEC_TOKEN = "exec";
const READY_TOKEN = "ready";

/** The cause of a wait's end that is not success, in words. */
type Hindrance = () => string | null;

export class Machine {
  readonly engineName: EngineName;
  readonly flavour: Flavour;
  readonly seed: number;
  /** xenstore with the toolstack's rights. */
  readonly xenstore: HostConnection;
  readonly hypervisor: Hypervisor;
  readonly xenstored: XenStored;
  private readonly builder: DomainBuilder;
  private readonly consoled: XenConsoled;
  private readonly attachments: Attachments;
  private readonly programs: Programs;
  private readonly disks: Disks;
  private readonly translator: StackTranslator;
  private readonly hindrances: Hindrances;
  private disposed = false;

  private constructor(private readonly options: MachineOptions, private readonly engine: Engine) {
    this.engineName = engine.name;
    this.flavour = options.flavour ?? "debug";
    this.seed = options.seed ?? options.config.seed;
    this.translator = new StackTranslator(options.image);
    this.hypervisor = new Hypervisor({
      memory: engine.memory,
      seed: String(this.seed),
      costs: costsOf(options.config),
      quantumNs: options.config.quantumNs,
      trace: options.trace ?? "hash",
    });
    const memory = () => engine.memory;
    this.xenstored = new XenStored({
      memory,
      notify: (domid) => this.hypervisor.notifyStore(domid, this.hypervisor.now),
      trace: (domid, type, ...words) => this.traceStore(domid, type, words),
    });
    this.xenstore = this.xenstored.connectHost();
    this.consoled = new XenConsoled({
      memory,
      notify: (domid) => this.hypervisor.notifyConsole(domid, this.hypervisor.now),
    });
    this.builder = new DomainBuilder({
      hypervisor: this.hypervisor,
      engine,
      image: options.image,
      flavour: this.flavour,
      xenstored: this.xenstored,
      consoled: this.consoled,
      store: this.xenstore,
    });
    this.programs = new Programs(this.xenstore, (domid) => this.drainConsole(domid));
    this.attachments = new Attachments(
      this.hypervisor,
      this.xenstore,
      (domid, device, done) => this.programs.statDevice(domid, device, done),
      [],
    );
    this.disks = new Disks(this.attachments, options.folder ?? process.cwd());
    this.hindrances = new Hindrances(this.hypervisor, this.builder, this.attachments, this.translator);
    this.connectServices();
  }

  /** Makes a machine with the domains and disks of its configuration; nothing has run yet. Throws UserError. */
  static async create(options: MachineOptions): Promise<Machine> {
    const machine = new Machine(options, await createEngine(options.engine ?? "quickjs", options.config));
    for (const domain of options.config.domains) machine.createDomain(domain);
    return machine;
  }

  /** SHA-256 that identifies the image. */
  get imageId(): string {
    return this.options.image.id;
  }

  // ---- domains

  /** Adds a domain with its disks; it starts with the next call that lets the machine run. The first one is dom0. */
  createDomain(config: DomainConfig): void {
    const extra = this.options.append?.[config.name] ?? "";
    const domain = this.builder.create({ ...config, cmdline: `${config.cmdline} ${extra}`.trim() });
    this.xenstore.watch(readyPath(domain.domid), READY_TOKEN);
    this.xenstore.watch(execPath(domain.domid), EXEC_TOKEN);
    for (const spec of config.disks) this.attachDisk(config.name, spec);
  }

  /** Names of the domains that exist, dom0 first. */
  domainNames(): string[] {
    return this.builder.list().map(({ name }) => name);
  }

  /** What is known of a domain, by name. Throws UserError. */
  domain(name: string): MachineDomain & { readonly state: DomainState } {
    const domain = this.builder.list().find((candidate) => candidate.name === name);
    if (domain === undefined) throw errorNoDomain(name, this.domainNames());
    return { ...domain, state: this.hypervisor.domain(domain.domid) };
  }

  /** Stops giving it time; counted. */
  pause(name: string): void {
    this.record("pause", name);
    this.hypervisor.pauseDomain(this.domain(name).domid);
  }

  unpause(name: string): void {
    this.record("unpause", name);
    this.hypervisor.unpauseDomain(this.domain(name).domid);
  }

  /** Ends a domain at once, as `xl destroy`: its disks go, its peers see it. */
  destroy(name: string): void {
    this.record("destroy", name);
    const { domid } = this.domain(name);
    this.hypervisor.destroyDomain(domid);
    this.builder.remove(domid);
    this.xenstore.unwatch(readyPath(domid), READY_TOKEN);
    this.xenstore.unwatch(execPath(domid), EXEC_TOKEN);
    for (const attachment of this.attachments.list) {
      if (attachment.phase === "gone") continue;
      if (attachment.vbd.backDomid === domid) this.attachments.drop(attachment);
      else if (attachment.vbd.frontDomid === domid) this.attachments.detach(attachment);
    }
  }

  // ---- running

  /** Virtual nanoseconds since the machine was made. */
  get now(): number {
    return this.hypervisor.now;
  }

  /** Runs until every domain takes programs and every disk is connected. */
  boot(): void {
    this.runUntil(
      () => this.hindrances.isBooted(),
      BOOT_NS_MAX,
      () => this.hindrances.death(),
      () => `the machine does not finish booting: ${this.hindrances.bootProblems()}`,
    );
  }

  /** Starts a program in a domain; its `status` is null until it has ended. Throws UserError for an unknown domain or program. */
  start(name: string, command: string): Execution {
    const { domid } = this.domain(name);
    const program = command.trim().split(/\s+/, 1)[0];
    const known = this.options.image.list("programs");
    if (!known.includes(program)) throw errorNoProgram(program, known);
    this.record("run", `${name} ${command}`);
    return this.programs.start(domid, command);
  }

  /** Runs a program in a domain and waits for its end. Throws as `start`. */
  run(name: string, command: string): RunResult {
    const domain = this.domain(name);
    const execution = this.start(name, command);
    if (domain.state.pauseCount > 0)
      throw new MachineError("stuck", `"${command}" in ${name} does not run: it is paused`);
    this.runUntil(
      () => execution.status !== null,
      RUN_NS_MAX,
      () => this.hindrances.death([domain.domid]),
      () => `"${command}" in ${name} does not end: nothing is left that could run`,
    );
    return { status: execution.status as number, output: execution.output };
  }

  /** Lets virtual time pass. */
  advance(ns: number): void {
    const end = this.now + ns;
    while (this.hypervisor.nextAt() <= end) this.step();
    this.hypervisor.runTo(end);
  }

  /** Runs while `pending` says so; false if nothing is left to run or `limitNs` have passed before it said no. */
  runWhile(pending: () => boolean, limitNs: number): boolean {
    const deadline = this.now + limitNs;
    while (pending()) {
      if (this.hypervisor.nextAt() > deadline || !this.step()) return false;
    }
    return true;
  }

  /** One event, timer or slice; false when nothing will ever happen without input from outside. */
  step(): boolean {
    const ran = this.hypervisor.step();
    const { connections } = this.xenstored.state;
    if ((connections.get(this.xenstore.id)?.events.length ?? 0) > 0) this.takeStoreEvents();
    return ran;
  }

  // ---- disks

  /**
   * Attaches a disk to a domain: an xl specification, or a disk object with one. It connects as the machine runs (`boot`, `waitForDisks`).
   * Returns the device's name. Throws UserError.
   */
  attachDisk(name: string, spec: string, disk?: HostDisk): string {
    this.record("attach", `${name} ${spec}`);
    const { domid } = this.domain(name);
    return this.disks.attach(domid, spec, disk, (backend) => this.domain(backend).domid);
  }

  /** Detaches a disk and waits until both drivers have let go. */
  detachDisk(name: string, vdev: string): void {
    const attachment = this.disks.find(this.domain(name).domid, vdev);
    this.record("detach", `${name} ${vdev}`);
    this.attachments.detach(attachment);
    this.runUntil(
      () => attachment.phase === "gone",
      DETACH_NS_MAX,
      () => this.hindrances.death([attachment.vbd.backDomid]),
      () => `${vdev} of ${name} is still in use`,
    );
    this.disks.close(attachment.diskIndex);
  }

  /** Runs until every disk that is being attached is connected. */
  waitForDisks(): void {
    this.runUntil(
      () => this.hindrances.pendingDisks().length === 0,
      BOOT_NS_MAX,
      () => this.hindrances.death(),
      () => `disks do not connect: ${this.hindrances.bootProblems()}`,
    );
  }

  /** All disks that were ever attached, oldest first. */
  attachedDisks(): readonly Attachment[] {
    return this.attachments.list;
  }

  /** The host disk behind an attachment. Throws RangeError when it was taken away. */
  hostDisk(diskIndex: number): HostDisk {
    return this.disks.hostDisk(diskIndex);
  }

  /** What the guest calls the device: xvda, whatever kind of number it was attached by. */
  guestName(attachment: Attachment): string {
    return vbd_identify(attachment.vbd.vdev)?.name ?? attachment.vbd.name;
  }

  /** Tells dom0's driver that a host disk's size changed. */
  diskChanged(): void {
    this.record("disk-changed", "");
    this.hypervisor.diskChanged();
  }

  // ---- looking

  /** Hash of everything that happened so far, 64 hex digits. */
  traceHash(): string {
    return this.hypervisor.trace.hash();
  }

  /** All words of the trace, if the machine keeps them. */
  trace(): Uint32Array {
    return this.hypervisor.trace.words();
  }

  /** What every domain holds: equal before and after, or there is a leak. */
  ledger(): Ledger {
    return this.hypervisor.ledger();
  }

  counters(): Counters {
    return countersOf(this.hypervisor);
  }

  /** Input from outside so far. */
  inputs(): readonly InputRecord[] {
    return this.hypervisor.state.inputs;
  }

  /** Kernel log of a domain, oldest line first. */
  log(name: string): LogLine[] {
    const { domid } = this.domain(name);
    const { log } = this.hypervisor.domain(domid);
    return log.map(({ at, text }) => ({ domain: name, at, text: this.translator.translate(text) }));
  }

  /** All that the domain wrote to its console. */
  console(name: string): string {
    return this.domain(name).console;
  }

  /** Frees what the machine holds of the host: the engine and open disks. The machine cannot be used afterwards. */
  dispose(): void {
    if (this.disposed) return;
    this.disposed = true;
    this.engine.dispose();
    this.disks.closeAll();
  }

  // ---- inside

  private connectServices(): void {
    this.hypervisor.setServices({
      store: (domid) => void this.xenstored.service(domid),
      console: (domid) => this.builder.addConsole(domid, this.consoled.service(domid)),
      shutdown: () => this.xenstored.announceShutdown(),
    });
    this.hypervisor.setObserver({
      logLine: (domid, at, text) => {
        const name = this.builder.nameOf(domid);
        this.options.onLog?.({ domain: name, at, text: this.translator.translate(text) });
      },
    });
  }

  /** All that a domain wrote, up to what is still in the ring: a program's status may be seen before the console's event was handled. */
  private drainConsole(domid: number): string {
    this.builder.addConsole(domid, this.consoled.service(domid));
    return this.builder.consoleOf(domid);
  }

  /** One message to or from xenstored: request, transaction, length and checksum. */
  private traceStore(domid: number, type: number, words: readonly number[]): void {
    const [request, transaction, ...payload] = words;
    const bytes = new Uint8Array(Uint32Array.from(payload).buffer);
    this.hypervisor.trace.xenstore(domid, type, request, transaction, bytes);
  }

  private takeStoreEvents(): void {
    for (const { path: changed, token } of this.xenstore.takeEvents()) {
      if (token === READY_TOKEN) this.noteReady(changed);
      else if (token === EXEC_TOKEN) this.programs.poll();
      else this.noteState(token);
    }
  }

  private noteReady(path: string): void {
    const name = this.builder.noteReady(path, this.now);
    if (name !== null) this.options.onPhase?.(`${name} takes programs`);
  }

  private noteState(token: string): void {
    const step = this.attachments.onStateChange(token);
    if (step !== null) this.options.onPhase?.(`${step.end} end in state ${step.state}`);
  }

  private runUntil(done: () => boolean, limitNs: number, death: Hindrance, problem: () => string): void {
    const deadline = this.now + limitNs;
    while (!done()) {
      const report = death();
      if (report !== null) throw new MachineError("death", report);
      if (this.hypervisor.nextAt() > deadline || !this.step()) throw new MachineError("stuck", problem());
    }
  }

  private record(kind: string, data: string): void {
    this.hypervisor.input(kind, data);
  }
}
