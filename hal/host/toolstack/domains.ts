/**
 * Building domains: hypervisor domain, engine, xenstore home and console in one step, and taking them down again.
 */
import { CONSOLE_PFN, STORE_PFN } from "../hypervisor/domain-layout";
import type { DomainSpec, Engine } from "../engines/engine";
import { errorCommandLineTooLong, errorDomainMemory, errorNoDomain, errorNoModule } from "../errors";
import type { GuestDomain } from "../hypervisor/guest-domain";
import type { Hypervisor } from "../hypervisor/hypervisor";
import type { DomainState } from "../hypervisor/state";
import type { XenConsoled } from "../console/console";
import type { Flavour } from "../image/format";
import type { Image } from "../image/image";
import type { HostConnection } from "../xenstored/host-connection";
import type { XenStored } from "../xenstored/xenstored";
import type { DomainAction, EndReason } from "./domain-actions";
import { execPath, readyPath } from "./programs";
import type { DomainConfig } from "./machine-file";

/** What start_info has room for, without the zero at the end. */
const COMMAND_LINE_BYTES_MAX = 1023;
/** Native stack of a guest, bytes, which every thread has. */
const STACK_BYTES = 128 << 10;
/** Interrupt checks of one entry; about a second of looping. */
const FUEL = 4000;

/** The end of a domain's life; plain data. */
export interface DomainEnd {
  readonly domid: number;
  readonly name: string;
  /** Virtual ns. */
  readonly at: number;
  readonly reason: EndReason;
  /** What it crashed of, or why it was not started again, for people; null when it ended on purpose. */
  readonly report: string | null;
  /** What was done about it. */
  readonly action: DomainAction;
}

/** A domain as the toolstack knows it; plain data. */
export interface MachineDomain {
  readonly domid: number;
  readonly name: string;
  /** What it was built from. */
  readonly config: DomainConfig;
  /** Names its host functions; used again after its end. */
  readonly slot: number;
  /** Lives of the same name that ended, in a row, before they took programs. */
  readonly earlyDeaths: number;
  /** How it ended, when it is kept to be looked at; null while it lives. */
  readonly end: DomainEnd | null;
  readonly createdAt: number;
  /** Virtual time at which it took programs; null until then. */
  readonly readyAt: number | null;
  /** All that it wrote to its console. */
  readonly console: string;
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

export interface DomainBuilderParts {
  readonly hypervisor: Hypervisor;
  readonly engine: Engine;
  readonly image: Image;
  readonly flavour: Flavour;
  readonly xenstored: XenStored;
  readonly consoled: XenConsoled;
  readonly store: HostConnection;
  /** Native stack of a guest, bytes. */
  readonly stackBytes?: number;
  onCreate?(domid: number, name: string): void;
}

export class DomainBuilder {
  private domains: Mutable<MachineDomain>[] = [];

  constructor(private readonly parts: DomainBuilderParts) {}

  /** Domains that exist, by domid. */
  list(): readonly MachineDomain[] {
    return this.domains;
  }

  /** Goes on with other domains, of a restored machine; it takes the list over. */
  restore(domains: MachineDomain[]): void {
    this.domains = domains;
  }

  /** A domain by name. Throws UserError. */
  find(name: string): MachineDomain {
    const domain = this.domains.find((candidate) => candidate.name === name);
    if (domain !== undefined) return domain;
    throw errorNoDomain(
      name,
      this.domains.map((candidate) => candidate.name),
    );
  }

  nameOf(domid: number): string {
    return this.domains.find((domain) => domain.domid === domid)?.name ?? `domain ${domid}`;
  }

  /** Builds a domain and lets it run; the first one is dom0. Throws UserError. Then nothing is left of it. */
  create(config: DomainConfig, earlyDeaths = 0): MachineDomain {
    const { hypervisor } = this.parts;
    const commandLine = this.commandLine(config);
    const privileged = this.domains.length === 0 && hypervisor.state.nextDomid === 1;
    const state = this.hypervisorDomain(config, commandLine, privileged);
    const domain = {
      domid: state.domid,
      name: config.name,
      config,
      slot: this.freeSlot(),
      earlyDeaths,
      end: null,
      createdAt: hypervisor.now,
      readyAt: null,
      console: "",
    };
    this.domains.push(domain);
    this.parts.onCreate?.(domain.domid, domain.name);
    this.writeHome(domain, config);
    this.parts.xenstored.introduce(state.domid, state.firstFrame + STORE_PFN);
    this.parts.consoled.introduce(state.domid, state.firstFrame + CONSOLE_PFN);
    try {
      hypervisor.attach(state.domid, this.engineDomain(state, domain));
    } catch (error) {
      hypervisor.destroyDomain(state.domid);
      this.remove(state.domid);
      throw error;
    }
    return domain;
  }

  /** Notes how a domain ended that is kept. */
  noteEnd(end: DomainEnd): void {
    const domain = this.domains.find(({ domid }) => domid === end.domid);
    if (domain !== undefined) domain.end = end;
  }

  /** The hypervisor's part. Throws UserError when the machine has no room. */
  private hypervisorDomain({ name, memoryBytes, vcpus }: DomainConfig, commandLine: string, privileged: boolean) {
    const pages = memoryBytes / 4096;
    const dom0 = privileged ? { domid: 0 } : {};
    try {
      return this.parts.hypervisor.createDomain({ ...dom0, name, pages, vcpus, commandLine, privileged });
    } catch (error) {
      if (error instanceof RangeError) throw errorDomainMemory(name, error.message);
      throw error;
    }
  }

  private freeSlot(): number {
    let slot = 0;
    while (this.domains.some((domain) => domain.slot === slot)) slot++;
    return slot;
  }

  /** Forgets a domain that was destroyed. Its services let go of its pages before anything changes that they would tell it. */
  remove(domid: number): void {
    const index = this.domains.findIndex((domain) => domain.domid === domid);
    if (index >= 0) this.domains.splice(index, 1);
    this.parts.xenstored.release(domid);
    this.parts.consoled.release(domid);
    this.parts.store.rm(`/local/domain/${domid}`);
  }

  /** A watch on one of the ready nodes fired. Returns the name of the domain that has become ready, or null. */
  noteReady(path: string, at: number): string | null {
    const domain = this.domains.find(({ domid }) => readyPath(domid) === path);
    if (domain === undefined || domain.readyAt !== null || this.parts.store.read(path) === null) return null;
    domain.readyAt = at;
    return domain.name;
  }

  /** All that a domain wrote to its console; empty for one that is gone. */
  consoleOf(domid: number): string {
    return this.domains.find((domain) => domain.domid === domid)?.console ?? "";
  }

  /** Console output that the console daemon took from a domain. */
  addConsole(domid: number, bytes: Uint8Array): void {
    const domain = this.domains.find((candidate) => candidate.domid === domid);
    if (domain !== undefined) domain.console += Buffer.from(bytes).toString("latin1");
  }

  private commandLine(config: DomainConfig): string {
    const known = this.parts.image.list("modules");
    for (const name of config.modules) if (!known.includes(name)) throw errorNoModule(name, known);
    const modules = config.modules.length === 0 ? "" : `modules=${config.modules.join(",")}`;
    const line = `random.seed=${this.parts.hypervisor.random("guests")} ${modules} ${config.cmdline}`.trim();
    const length = Buffer.byteLength(line);
    if (length > COMMAND_LINE_BYTES_MAX) throw errorCommandLineTooLong(config.name, length, COMMAND_LINE_BYTES_MAX);
    return line;
  }

  /** The domain's part of xenstore, as libxl lays it out. */
  private writeHome(domain: MachineDomain, config: DomainConfig): void {
    const { domid, name } = domain;
    const home = `/local/domain/${domid}`;
    const own = [`n${domid}`];
    this.parts.store.transaction((inside) => {
      inside.mkdir(home);
      inside.setPerms(home, ["n0", `r${domid}`]);
      inside.write(`${home}/name`, name);
      inside.write(`${home}/domid`, String(domid));
      inside.write(`${home}/memory/target`, String(config.memoryBytes / 1024));
      for (let vcpu = 0; vcpu < config.vcpus; vcpu++) inside.write(`${home}/cpu/${vcpu}/availability`, "online");
      for (const directory of ["device", "control", "control/shutdown", execPath(domid), "error", "data"]) {
        const path = directory.startsWith("/") ? directory : `${home}/${directory}`;
        inside.mkdir(path);
        inside.setPerms(path, directory === "device" ? ["n0", `r${domid}`] : own);
      }
    });
  }

  private engineDomain(state: DomainState, domain: MachineDomain): GuestDomain {
    return this.parts.engine.createDomain(this.engineSpec(state, domain));
  }

  /** What the engine has to know of a domain that exists. */
  engineSpec(state: DomainState, { slot, config }: MachineDomain): DomainSpec {
    const { hypervisor, image, flavour } = this.parts;
    const { domid } = state;
    return {
      slot,
      domid,
      mfnBase: state.firstFrame,
      pages: state.pageCount,
      controlMfn: state.controlFrame,
      limits: { heap: config.heapBytes, stack: this.parts.stackBytes ?? STACK_BYTES, fuel: FUEL },
      get kernel() {
        return image.kernel(flavour);
      },
      bundle: (kind, name) => image.bundle(kind, name, flavour),
      manifest: (kind, name) => {
        const entry = image.bundleManifest(kind, name);
        if (entry === null) return null;
        const size = image.manifest.files.find((file) => file.path === entry.files[flavour])?.size ?? 0;
        return JSON.stringify({ ...entry, size });
      },
      list: (kind) => image.list(kind),
      sourceMap: (file) => image.sourceMap(file),
      hypercall: (op, a0, a1, a2) => hypervisor.hypercall(domid, hypervisor.currentVcpu(domid), op, a0, a1, a2),
      mayAccess: (mfn) => hypervisor.mayAccess(domid, mfn),
      isDying: () => hypervisor.isDying(domid),
    };
  }
}
