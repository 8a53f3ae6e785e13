/**
 * What lies behind a machine's public face: the hypervisor, the host's daemons and the toolstack, wired to one another and to an engine.
 *
 *   guest rings a port ─► hypervisor ─► xenstored, console daemon ─► watch events ─► domains ready, programs ended, disks connected
 */
import { XenConsoled } from "./console/console";
import type { Engine } from "./engines/engine";
import { Hypervisor } from "./hypervisor/hypervisor";
import { createPulse } from "./hypervisor/pulse";
import type { Flavour } from "./image/format";
import type { MachineOptions } from "./machine-options";
import { Pump } from "./pump";
import { Attachments, createAttachmentsState } from "./toolstack/attachments";
import { Disks } from "./toolstack/disks";
import { DomainBuilder } from "./toolstack/domains";
import { Hindrances } from "./toolstack/hindrances";
import { costsOf } from "./toolstack/machine-parts";
import { EXEC_TOKEN, Lifecycle, READY_TOKEN } from "./toolstack/lifecycle";
import { Programs } from "./toolstack/programs";
import { StackTranslator } from "./toolstack/stack-trace";
import type { HostConnection } from "./xenstored/host-connection";
import { XenStored } from "./xenstored/xenstored";

/** Wall time that a guest of the V8 engine may run without a pause, ms. */
const GUEST_LIMIT_MS = 30_000;

export class Machinery {
  readonly seed: number;
  readonly flavour: Flavour;
  readonly hypervisor: Hypervisor;
  readonly xenstored: XenStored;
  /** The toolstack's own connection. */
  readonly store: HostConnection;
  readonly consoled: XenConsoled;
  readonly builder: DomainBuilder;
  readonly programs: Programs;
  readonly attachments: Attachments;
  readonly disks: Disks;
  readonly translator: StackTranslator;
  readonly lifecycle: Lifecycle;
  readonly hindrances: Hindrances;
  /** Folder that relative disk files are in. */
  readonly folder: string;
  /** Lets the machine run. */
  readonly pump: Pump;

  /** Parts of a machine without domains. Throws UserError. */
  constructor(readonly options: MachineOptions, readonly engine: Engine) {
    this.flavour = options.flavour ?? "debug";
    this.seed = options.seed ?? options.config.seed;
    this.folder = options.folder ?? process.cwd();
    this.translator = new StackTranslator(options.image);
    const pulse = options.pulse ?? createPulse();
    this.hypervisor = new Hypervisor({
      memory: engine.memory,
      seed: String(this.seed),
      costs: costsOf(options.config),
      quantumNs: options.config.quantumNs,
      trace: options.trace ?? "hash",
      pulse,
    });
    this.pump = new Pump({
      limitMs: engine.name === "v8" ? options.guestLimitMs ?? GUEST_LIMIT_MS : 0,
      pulse,
      nameOf: (domid) => this.builder.nameOf(domid),
    });
    const memory = () => engine.memory;
    this.xenstored = new XenStored({
      memory,
      notify: (domid) => this.hypervisor.notifyStore(domid, this.hypervisor.now),
      trace: (domid, type, ...words) => this.traceStore(domid, type, words),
    });
    this.store = this.xenstored.connectHost();
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
      store: this.store,
      ...(options.guestStackBytes === undefined ? {} : { stackBytes: options.guestStackBytes }),
      onCreate: (domid, name) => options.onDomain?.(domid, name),
    });
    this.programs = new Programs(
      this.store,
      (domid) => this.drainConsole(domid),
      (serial, device) => this.attachments.onDevice(serial, device),
    );
    this.attachments = new Attachments(
      this.hypervisor,
      this.store,
      (domid, device, serial) => this.programs.statDevice(domid, device, serial),
      createAttachmentsState(),
      (diskIndex) => this.disks.close(diskIndex),
    );
    this.disks = new Disks(this.hypervisor, this.attachments, this.folder, options.diskWrites);
    this.lifecycle = new Lifecycle({
      hypervisor: this.hypervisor,
      builder: this.builder,
      attachments: this.attachments,
      disks: this.disks,
      programs: this.programs,
      store: this.store,
      onEnd: (end) => this.options.onEnd?.(end),
    });
    this.hindrances = new Hindrances(this.builder, this.attachments, this.lifecycle, this.translator);
    this.connectServices();
  }

  /** Hands on what the store has told the toolstack since the last call. */
  takeStoreEvents(): void {
    const { connections } = this.xenstored.state;
    if ((connections.get(this.store.id)?.events.length ?? 0) === 0) return;
    for (const { path, token } of this.store.takeEvents()) {
      if (token === READY_TOKEN) this.noteReady(path);
      else if (token === EXEC_TOKEN) this.programs.poll();
      else this.noteState(token);
    }
  }

  private connectServices(): void {
    this.hypervisor.setServices({
      store: (domid) => void this.xenstored.service(domid),
      console: (domid) => this.takeConsole(domid),
      shutdown: (domid) => {
        this.xenstored.announceShutdown();
        this.lifecycle.note(domid);
      },
    });
    const { onDisk } = this.options;
    this.hypervisor.setObserver({
      ...(onDisk === undefined ? {} : { disk: onDisk }),
      logLine: (domid, at, text) => {
        const domain = this.builder.nameOf(domid);
        this.options.onLog?.({ domain, at, text: this.translator.translate(text) });
      },
    });
  }

  /** All that a domain wrote, up to what is still in the ring: a program's status may be seen before the console's event was handled. */
  private drainConsole(domid: number): string {
    this.takeConsole(domid);
    return this.builder.consoleOf(domid);
  }

  private takeConsole(domid: number): void {
    const bytes = this.consoled.service(domid);
    this.builder.addConsole(domid, bytes);
    if (bytes.length > 0) this.options.onConsole?.({ domain: this.builder.nameOf(domid), bytes });
  }

  /** One message to or from xenstored: request, transaction, length and checksum. */
  private traceStore(domid: number, type: number, words: readonly number[]): void {
    const [request, transaction, ...payload] = words;
    const bytes = new Uint8Array(Uint32Array.from(payload).buffer);
    this.hypervisor.trace.xenstore(domid, type, request, transaction, bytes);
  }

  private noteReady(path: string): void {
    const name = this.builder.noteReady(path, this.hypervisor.now);
    if (name !== null) this.options.onPhase?.(`${name} takes programs`);
  }

  private noteState(token: string): void {
    const step = this.attachments.onStateChange(token);
    if (step !== null) this.options.onPhase?.(`${step.end} end in state ${step.state}`);
  }
}
