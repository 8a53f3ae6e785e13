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
import type { EngineName } from "./engines/engine";
import { copyQuickJSEngine } from "./engines/quickjs";
import {
  errorDomainDom0,
  errorDomainEnded,
  errorDomainExists,
  errorDomainNotPaused,
  errorDomainPaused,
  errorNoProgram,
} from "./errors";
import type { Hypervisor } from "./hypervisor/hypervisor";
import type { Ledger } from "./hypervisor/ledger";
import type { DomainState, InputRecord } from "./hypervisor/state";
import type { Flavour } from "./image/format";
import { MachineError } from "./machine-error";
import type { LogLine, MachineOptions, RestoreOptions, RunResult } from "./machine-options";
import { Machinery } from "./machinery";
import { type MachineSnapshot, applySnapshot, takeSnapshot } from "./snapshot/snapshot";
import type { Attachment } from "./toolstack/attachments";
import { type Counters, countersOf } from "./toolstack/counters";
import type { ShutdownRequest } from "./toolstack/domain-actions";
import type { DomainEnd, MachineDomain } from "./toolstack/domains";
import type { DomainConfig } from "./toolstack/machine-file";
import { createEngine } from "./toolstack/machine-parts";
import type { Execution, Terminal } from "./toolstack/programs";
import type { HostConnection } from "./xenstored/host-connection";
import type { XenStored } from "./xenstored/xenstored";

/** Virtual limits of the calls that wait, ns. */
const BOOT_NS_MAX = 300e9;
const RUN_NS_MAX = 3600e9;
const DETACH_NS_MAX = 60e9;
const SHUTDOWN_NS_MAX = 60e9;

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
  private disposed = false;
  private isStepping = false;

  private constructor(private readonly parts: Machinery) {
    this.engineName = parts.engine.name;
    this.flavour = parts.flavour;
    this.seed = parts.seed;
    this.hypervisor = parts.hypervisor;
    this.xenstored = parts.xenstored;
    this.xenstore = parts.store;
  }

  /** Makes a machine with the domains and disks of its configuration; nothing has run yet. Throws UserError. */
  static async create(options: MachineOptions): Promise<Machine> {
    const engine = await createEngine(options.engine ?? "quickjs", options.config);
    const machine = new Machine(new Machinery(options, engine));
    for (const domain of options.config.domains) machine.addDomain(domain);
    return machine;
  }

  /**
   * A second machine that goes on where the snapshot was taken, in an engine of its own. Throws UserError when a disk's file has changed since;
   * RangeError when the memory is not to be had.
   */
  static async fromSnapshot(snapshot: MachineSnapshot, options: RestoreOptions = {}): Promise<Machine> {
    const { image, data } = snapshot;
    const { imageId: _id, ...origin } = data.origin;
    const engine = await copyQuickJSEngine(data.engine);
    const machine = new Machine(new Machinery({ image, ...origin, ...options }, engine));
    try {
      machine.restore(snapshot);
      return machine;
    } catch (error) {
      machine.dispose();
      throw error;
    }
  }

  /** SHA-256 that identifies the image. */
  get imageId(): string {
    return this.parts.options.image.id;
  }

  // ---- snapshots

  /** A copy of all that the machine is. Throws UserError when the engine or a disk cannot be copied. */
  snapshot(): MachineSnapshot {
    this.requireOutside("snapshot");
    return takeSnapshot(this.parts);
  }

  /**
   * Goes back, or over, to where a snapshot of this or an equally made machine was taken. Throws UserError when it is of another one, or a disk's
   * file has changed since; then nothing has happened. What was handed out before (executions, attachments, states) belongs to the past.
   */
  restore(snapshot: MachineSnapshot): void {
    this.requireOutside("restore");
    applySnapshot(this.parts, snapshot);
  }

  // ---- domains

  /** Adds a domain with its disks; it starts with the next call that lets the machine run. The first one is dom0. Throws UserError. */
  createDomain(config: DomainConfig): void {
    if (this.domainNames().includes(config.name)) throw errorDomainExists(config.name);
    this.record("create", `${config.name} ${config.disks.join(" ")}`.trim());
    this.addDomain(config);
  }

  /** Names of the domains that exist, dom0 first. */
  domainNames(): string[] {
    return this.parts.builder.list().map(({ name }) => name);
  }

  /** What is known of a domain, by name. Throws UserError. */
  domain(name: string): MachineDomain & { readonly state: DomainState } {
    const domain = this.parts.builder.find(name);
    return { ...domain, state: this.hypervisor.domain(domain.domid) };
  }

  /** Stops giving it time; counted. Throws UserError. */
  pause(name: string): void {
    const { domid } = this.living(name);
    this.record("pause", name);
    this.hypervisor.pauseDomain(domid);
  }

  /** Takes one pause back. Throws UserError. */
  unpause(name: string): void {
    const { domid, state } = this.living(name);
    if (state.pauseCount === 0) throw errorDomainNotPaused(name);
    this.record("unpause", name);
    this.hypervisor.unpauseDomain(domid);
  }

  /** Ends a domain at once, as `xl destroy`: its disks go, its peers see it. One between two lives does not come back. Throws UserError. */
  destroy(name: string): void {
    const { lifecycle } = this.parts;
    if (lifecycle.isRestarting(name)) {
      this.record("destroy", name);
      lifecycle.cancelRestart(name);
      return;
    }
    const domain = this.domain(name);
    if (domain.domid === 0) throw errorDomainDom0("destroyed");
    this.record("destroy", name);
    lifecycle.destroy(domain);
  }

  /** Ends a domain at once, and starts it again with the disks that it has; waits until it takes programs. Throws UserError. */
  restart(name: string): void {
    const domain = this.domain(name);
    if (domain.domid === 0) throw errorDomainDom0("restarted");
    const since = this.parts.lifecycle.endCount;
    this.record("restart", name);
    this.parts.lifecycle.restart(domain);
    this.waitForDomain(name, since);
  }

  /** Writes the request into control/shutdown, as `xl shutdown` does; the guest acts on it when it runs. Throws UserError. */
  requestShutdown(name: string, request: ShutdownRequest): void {
    const { domid } = this.living(name);
    this.record("shutdown", `${name} ${request}`);
    this.xenstore.write(`/local/domain/${domid}/control/shutdown`, request);
  }

  /** Asks a domain to end, waits until it has, and says how it went; what becomes of it is its configuration's choice. Throws UserError. */
  shutdown(name: string, request: ShutdownRequest = "poweroff"): DomainEnd {
    const { domid, state } = this.living(name);
    if (state.pauseCount > 0) throw errorDomainPaused(name, "shut down");
    const { lifecycle, hindrances } = this.parts;
    const since = lifecycle.endCount;
    const end = () => lifecycle.endsSince(since).find((candidate) => candidate.domid === domid);
    this.requestShutdown(name, request);
    this.runUntil(
      () => end() !== undefined,
      SHUTDOWN_NS_MAX,
      () => hindrances.endOf("", since),
      () => `${name} does not shut down: nobody acts on control/shutdown`,
    );
    return end() as DomainEnd;
  }

  /** Asks a domain to reboot, and waits until it takes programs again, if that is what its configuration says. Throws UserError. */
  reboot(name: string): void {
    const since = this.parts.lifecycle.endCount;
    const { action } = this.shutdown(name, "reboot");
    if (action === "restart") this.waitForDomain(name, since);
  }

  /** How domains have ended by themselves, oldest first; the last few. */
  ends(): readonly DomainEnd[] {
    const { lifecycle, translator } = this.parts;
    const inSources = (report: string | null) => (report === null ? null : translator.translate(report));
    return lifecycle.endsSince(0).map((end) => ({ ...end, report: inSources(end.report) }));
  }

  // ---- running

  /** Virtual nanoseconds since the machine was made. */
  get now(): number {
    return this.hypervisor.now;
  }

  /** Runs until every domain takes programs and every disk is connected. */
  boot(): void {
    const since = this.parts.lifecycle.endCount;
    this.runUntil(
      () => this.parts.hindrances.isBooted(),
      BOOT_NS_MAX,
      () => this.parts.hindrances.loss(since),
      () => `the machine does not finish booting: ${this.parts.hindrances.bootProblems()}`,
    );
  }

  /** Starts a program in a domain; its `status` is null until it has ended. Throws UserError for an unknown domain or program. */
  start(name: string, command: string): Execution {
    const { domid } = this.domain(name);
    this.checkProgram(command);
    this.record("run", `${name} ${command}`);
    return this.parts.programs.start(domid, command);
  }

  /** Runs a program in a domain and waits for its end. Throws as `start`. */
  run(name: string, command: string): RunResult {
    const { lifecycle, hindrances } = this.parts;
    const since = lifecycle.endCount;
    const execution = this.start(name, command);
    if (this.domain(name).state.pauseCount > 0)
      throw new MachineError("stuck", `"${command}" in ${name} does not run: it is paused`);
    this.runUntil(
      () => execution.status !== null,
      RUN_NS_MAX,
      () => hindrances.endOf(name, since),
      () => `"${command}" in ${name} does not end: nothing is left that could run`,
    );
    return { status: execution.status as number, output: execution.output };
  }

  /**
   * Starts a program with the domain's console as its terminal; type with `consoleInput`. It runs beside other programs; one at a time can have
   * the terminal. "pipe" is a plain stream, without echo, editing and signals. Throws as `start`.
   */
  openConsole(name: string, terminal: Terminal, command = "sh"): Execution {
    const { domid } = this.domain(name);
    this.checkProgram(command);
    this.record("console-open", `${name} ${JSON.stringify(terminal)} ${command}`);
    return this.parts.programs.open(domid, command, terminal);
  }

  /** The terminal of a program of `openConsole` has changed: another size, or "closed" after the last input. */
  setTerminal(execution: Execution, terminal: Terminal): void {
    this.record("console-set", `${execution.domid} ${execution.number} ${JSON.stringify(terminal)}`);
    this.parts.programs.setTerminal(execution, terminal);
  }

  /** Types on a domain's console, text as UTF-8. What its ring has no room for follows as the guest reads. Throws UserError. */
  consoleInput(name: string, input: string | Uint8Array): void {
    const { domid } = this.domain(name);
    const bytes = Buffer.from(input);
    this.record("console", `${name} ${bytes.toString("base64")}`);
    this.parts.consoled.type(domid, bytes);
  }

  /** Bytes of `consoleInput` that the domain's ring had no room for yet. */
  pendingConsoleInput(name: string): number {
    return this.parts.consoled.pendingInput(this.domain(name).domid);
  }

  /** Lets virtual time pass. */
  advance(ns: number): void {
    const end = this.now + ns;
    this.parts.pump.run(() => this.hypervisor.nextAt() <= end && this.step());
    this.hypervisor.runTo(end);
  }

  /** Runs while `pending` says so; false if nothing is left to run or `limitNs` have passed before it said no. */
  runWhile(pending: () => boolean, limitNs: number): boolean {
    const deadline = this.now + limitNs;
    let isPending = true;
    this.parts.pump.run(() => (isPending = pending()) && this.hypervisor.nextAt() <= deadline && this.step());
    return !isPending;
  }

  /** The programs that run, oldest first: also those that a snapshot was taken with. */
  executions(): readonly Execution[] {
    return this.parts.programs.running();
  }

  /**
   * One event, timer or slice; false when nothing will ever happen without input from outside. In the V8 engine nobody ends a guest that does not
   * return from it: `runWhile` does.
   */
  step(): boolean {
    this.isStepping = true;
    try {
      const ran = this.hypervisor.step();
      this.parts.takeStoreEvents();
      this.parts.lifecycle.poll();
      return ran;
    } finally {
      this.isStepping = false;
    }
  }

  // ---- disks

  /**
   * Attaches a disk to a domain: an xl specification, or a disk object with one. It connects as the machine runs (`boot`, `waitForDisks`).
   * Returns the device's name. Throws UserError.
   */
  attachDisk(name: string, spec: string, disk?: HostDisk): string {
    const { domid } = this.living(name);
    this.record("attach", `${name} ${spec}`);
    return this.parts.disks.attach(domid, spec, disk, (backend) => this.living(backend).domid);
  }

  /**
   * Detaches a disk and waits until both drivers have let go; "force" does not ask them, and may lose what is in flight. Throws UserError.
   */
  detachDisk(name: string, vdev: string, how: "ask" | "force" = "ask"): void {
    const { domid, state } = this.domain(name);
    const attachment = this.parts.disks.find(domid, vdev);
    if (how === "ask" && state.pauseCount > 0) throw errorDomainPaused(name, `let go of ${vdev}`);
    this.record("detach", `${name} ${vdev}${how === "force" ? " force" : ""}`);
    if (how === "force") return this.parts.attachments.drop(attachment);
    this.parts.attachments.detach(attachment);
    const since = this.parts.lifecycle.endCount;
    this.runUntil(
      () => attachment.phase === "gone",
      DETACH_NS_MAX,
      () => this.parts.hindrances.endOf(this.parts.builder.nameOf(attachment.vbd.backDomid), since),
      () => `${vdev} of ${name} is still in use`,
    );
  }

  /** Runs until every disk that is being attached is connected; those of paused domains cannot. */
  waitForDisks(): void {
    const since = this.parts.lifecycle.endCount;
    this.runUntil(
      () => this.parts.hindrances.pendingDisks().length === 0,
      BOOT_NS_MAX,
      () => this.parts.hindrances.loss(since),
      () => `disks do not connect: ${this.parts.hindrances.bootProblems()}`,
    );
  }

  /** All disks that are attached or on their way, oldest first. */
  attachedDisks(): readonly Attachment[] {
    return this.parts.attachments.list;
  }

  /** The host disk behind an attachment. Throws RangeError when it was taken away. */
  hostDisk(diskIndex: number): HostDisk {
    return this.parts.disks.hostDisk(diskIndex);
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
    return log.map(({ at, text }) => ({ domain: name, at, text: this.parts.translator.translate(text) }));
  }

  /** All that the domain wrote to its console. */
  console(name: string): string {
    return this.domain(name).console;
  }

  /** Frees what the machine holds of the host: the engine and open disks. The machine cannot be used afterwards. */
  dispose(): void {
    if (this.disposed) return;
    this.disposed = true;
    this.parts.engine.dispose();
    this.parts.disks.closeAll();
  }

  // ---- inside

  private addDomain(config: DomainConfig): void {
    const extra = this.parts.options.append?.[config.name] ?? "";
    this.parts.lifecycle.create({ ...config, cmdline: `${config.cmdline} ${extra}`.trim() });
  }

  /** A domain that has not ended. Throws UserError. */
  private living(name: string): MachineDomain & { readonly state: DomainState } {
    const domain = this.domain(name);
    if (domain.end !== null) throw errorDomainEnded(name, domain.end.reason);
    return domain;
  }

  /** Runs until a domain that is being started takes programs and has its disks. */
  private waitForDomain(name: string, since: number): void {
    const { hindrances } = this.parts;
    this.runUntil(
      () => hindrances.isUp(name),
      BOOT_NS_MAX,
      () => hindrances.loss(since),
      () => `${name} does not finish booting: ${hindrances.bootProblems()}`,
    );
  }

  private runUntil(done: () => boolean, limitNs: number, death: Hindrance, problem: () => string): void {
    const deadline = this.now + limitNs;
    this.parts.pump.run(() => {
      if (done()) return false;
      const report = death();
      if (report !== null) throw new MachineError("death", report);
      if (this.hypervisor.nextAt() > deadline || !this.step()) throw new MachineError("stuck", problem());
      return true;
    });
  }

  /** What is asked of a machine while it is in the middle of something would see half of it. */
  private requireOutside(what: string): void {
    if (this.disposed) throw new Error(`${what} of a machine that was disposed of`);
    if (this.isStepping)
      throw new Error(`${what} is called from inside of the machine: wait for the call that runs it`);
  }

  private checkProgram(command: string): void {
    const program = command.trim().split(/\s+/, 1)[0];
    const known = this.parts.options.image.list("programs");
    if (!known.includes(program)) throw errorNoProgram(program, known);
  }

  private record(kind: string, data: string): void {
    this.hypervisor.input(kind, data);
  }
}
