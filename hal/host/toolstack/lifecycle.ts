/**
 * Domains come and go: building them with their disks, taking them down, and what follows when one ends by itself.
 *
 *   SCHEDOP_shutdown, crash ─► note() ─► poll(): by policy ─┬─ preserve: it stays
 *                                                           ├─ destroy: remove()
 *                                                           └─ restart: remove(), its disks kept ─► back ends let go ─► build()
 *
 * A domain's RAM is one piece, so the next life begins when the back ends have unmapped the last one's pages, or after libxl's patience
 * with them. Nothing is done inside of a slice: the machine polls between two of them.
 */
import { UserError, errorNoBackEnd } from "../errors";
import type { Hypervisor } from "../hypervisor/hypervisor";
import type { HostConnection } from "../xenstored/host-connection";
import type { Attachment, Attachments, DiskFate } from "./attachments";
import type { Disks } from "./disks";
import { actionFor, endReason } from "./domain-actions";
import type { DomainBuilder, DomainEnd, MachineDomain } from "./domains";
import type { DomainConfig } from "./machine-file";
import type { Vbd } from "./vbd";
import { type Programs, execPath, readyPath } from "./programs";

/** Tokens of the toolstack's watches on a domain. */
export const EXEC_TOKEN = "exec";
export const READY_TOKEN = "ready";

/** A domain between two lives; plain data. */
interface Rebirth {
  readonly config: DomainConfig;
  readonly earlyDeaths: number;
  /** Disks of the last life as they were attached; those of the host are still open. */
  readonly disks: readonly Attachment[];
  /** Domid of the last life, whose pages back ends may still hold. */
  readonly domid: number;
  /** Virtual ns at which the toolstack loses patience with them. */
  readonly deadline: number;
}

/** All that there is to save; plain data. */
export interface LifecycleState {
  /** Domains that have shut down since the last poll. */
  noted: number[];
  rebirths: Rebirth[];
  /** Ends of domains, oldest first; the last few. */
  ends: DomainEnd[];
  /** How many there were. */
  endCount: number;
  /** Whether the event that ends the patience is queued. */
  isTimed: boolean;
}

/** Nothing has ended. */
export function createLifecycleState(): LifecycleState {
  return { noted: [], rebirths: [], ends: [], endCount: 0, isTimed: false };
}

/** Ends that are remembered. */
const ENDS_MAX = 64;
/** How long libxl waits for back ends when it destroys a domain, ns. */
const PATIENCE_NS = 10e9;
/** A domain that dies so often in a row before it takes programs is not started again. */
const EARLY_DEATHS_MAX = 3;
const EVENT_PATIENCE = "toolstack-patience";

export interface LifecycleParts {
  readonly hypervisor: Hypervisor;
  readonly builder: DomainBuilder;
  readonly attachments: Attachments;
  readonly disks: Disks;
  readonly programs: Programs;
  readonly store: HostConnection;
  /** A domain has ended by itself, and this is what is done about it. */
  readonly onEnd: (end: DomainEnd) => void;
}

export class Lifecycle {
  constructor(private readonly parts: LifecycleParts, private current: LifecycleState = createLifecycleState()) {
    parts.hypervisor.on(EVENT_PATIENCE, () => {
      this.state.isTimed = false;
    });
  }

  get state(): LifecycleState {
    return this.current;
  }

  /** Goes on from another state. */
  restore(state: LifecycleState): void {
    this.current = state;
  }

  /** How many domains have ended by themselves so far. */
  get endCount(): number {
    return this.state.endCount;
  }

  /** Ends of domains since there were `count` of them, as far as they are remembered. */
  endsSince(count: number): readonly DomainEnd[] {
    const { ends, endCount } = this.state;
    return ends.slice(Math.max(0, ends.length - (endCount - count)));
  }

  /** Whether a domain of this name is between two lives; without a name: any. */
  isRestarting(name?: string): boolean {
    return this.state.rebirths.some(({ config }) => name === undefined || config.name === name);
  }

  /** Builds a domain with the disks of its configuration. Throws UserError; then nothing is left of it. */
  create(config: DomainConfig): MachineDomain {
    const domain = this.build(config, 0);
    try {
      for (const spec of config.disks)
        this.parts.disks.attach(domain.domid, spec, undefined, (name) => this.parts.builder.find(name).domid);
    } catch (error) {
      this.destroy(domain);
      throw error;
    }
    return domain;
  }

  /** Ends a domain at once; its disks go. */
  destroy(domain: MachineDomain): void {
    this.remove(domain.domid, "close");
  }

  /** Ends a domain at once, and builds it anew with the disks that it has now, once the back ends have let go. */
  restart({ domid, config }: MachineDomain, earlyDeaths = 0): void {
    const disks = this.parts.attachments.list.filter(
      ({ vbd, phase }) => vbd.frontDomid === domid && phase !== "detaching",
    );
    this.remove(domid, "keep");
    this.state.rebirths.push({ config, earlyDeaths, disks, domid, deadline: this.parts.hypervisor.now + PATIENCE_NS });
    this.poll();
  }

  /** Gives up on a domain between two lives; its disks go. */
  cancelRestart(name: string): void {
    const { rebirths } = this.state;
    this.state.rebirths = rebirths.filter(({ config }) => config.name !== name);
    for (const { config, disks } of rebirths) if (config.name === name) this.closeDisks(disks);
  }

  /** A domain has shut down; what follows is done by `poll`. */
  note(domid: number): void {
    this.state.noted.push(domid);
  }

  /** Does what there is to do, between slices. */
  poll(): void {
    const { state } = this;
    if (state.noted.length > 0) for (const domid of state.noted.splice(0)) this.handleEnd(domid);
    if (state.rebirths.length === 0) return;
    this.losePatience();
    const ready = state.rebirths.filter((rebirth) => this.mayBegin(rebirth));
    state.rebirths = state.rebirths.filter((rebirth) => !ready.includes(rebirth));
    for (const rebirth of ready) this.begin(rebirth);
  }

  private handleEnd(domid: number): void {
    const { builder, hypervisor } = this.parts;
    const domain = builder.list().find((candidate) => candidate.domid === domid);
    if (domain === undefined) return;
    const { shutdownReason, report } = hypervisor.domain(domid);
    const reason = endReason(shutdownReason);
    const earlyDeaths = domain.readyAt === null ? domain.earlyDeaths + 1 : 0;
    const wanted = domid === 0 ? "preserve" : actionFor(reason, domain.config);
    const action = wanted === "restart" && earlyDeaths > EARLY_DEATHS_MAX ? "destroy" : wanted;
    this.record({ domid, name: domain.name, at: hypervisor.now, reason, report, action });
    if (action === "destroy") this.remove(domid, "close");
    if (action === "restart") this.restart(domain, earlyDeaths);
  }

  private record(end: DomainEnd): void {
    const { state } = this;
    state.endCount++;
    state.ends = [...state.ends, end].slice(-ENDS_MAX);
    this.parts.builder.noteEnd(end);
    this.parts.onEnd(end);
  }

  private build(config: DomainConfig, earlyDeaths: number): MachineDomain {
    const { builder, store } = this.parts;
    const domain = builder.create(config, earlyDeaths);
    store.watch(readyPath(domain.domid), READY_TOKEN);
    store.watch(execPath(domain.domid), EXEC_TOKEN);
    return domain;
  }

  private remove(domid: number, fate: DiskFate): void {
    const { hypervisor, builder, store, programs, attachments } = this.parts;
    hypervisor.destroyDomain(domid);
    builder.remove(domid);
    store.unwatch(readyPath(domid), READY_TOKEN);
    store.unwatch(execPath(domid), EXEC_TOKEN);
    programs.forget(domid);
    for (const attachment of attachments.list) {
      if (attachment.vbd.backDomid === domid) attachments.drop(attachment);
      else if (attachment.vbd.frontDomid === domid) this.detach(attachment, fate);
    }
  }

  private detach(attachment: Attachment, fate: DiskFate): void {
    const { attachments } = this.parts;
    attachments.detach(attachment, attachment.phase === "detaching" ? attachment.fate : fate);
  }

  private attachmentsOf(domid: number): Attachment[] {
    return this.parts.attachments.list.filter(({ vbd }) => vbd.frontDomid === domid);
  }

  /** Takes the disks away from back ends that do not let go in time, and sees to it that there will be such a time. */
  private losePatience(): void {
    const { hypervisor, attachments } = this.parts;
    for (const { domid, deadline } of this.state.rebirths) {
      if (hypervisor.now >= deadline) for (const attachment of this.attachmentsOf(domid)) attachments.drop(attachment);
    }
    if (this.state.isTimed) return;
    this.state.isTimed = true;
    hypervisor.queue(Math.min(...this.state.rebirths.map(({ deadline }) => deadline)), EVENT_PATIENCE, 0, 0);
  }

  /** Back ends announce that they are closed while requests are in flight, and hold the pages of these until they are done. */
  private mayBegin({ domid, config, deadline }: Rebirth): boolean {
    const { hypervisor } = this.parts;
    if (this.attachmentsOf(domid).length > 0) return false;
    return hypervisor.now >= deadline || hypervisor.hasRoom(config.memoryBytes / 4096);
  }

  private begin({ config, earlyDeaths, disks, domid }: Rebirth): void {
    const { hypervisor } = this.parts;
    try {
      for (const { vbd } of disks) this.requireBackEnd(vbd);
      const domain = this.build(config, earlyDeaths);
      for (const disk of disks) this.parts.disks.reattach(domain.domid, disk);
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      this.closeDisks(disks);
      const { name } = config;
      const report = `it is not started again: ${error.message}`;
      this.record({ domid, name, at: hypervisor.now, reason: "crash", report, action: "destroy" });
    }
  }

  private requireBackEnd({ name, backDomid }: Vbd): void {
    const found = this.parts.builder.list().some(({ domid, end }) => domid === backDomid && end === null);
    if (!found) throw errorNoBackEnd(name, backDomid);
  }

  private closeDisks(disks: readonly Attachment[]): void {
    for (const { diskIndex } of disks) this.parts.disks.close(diskIndex);
  }
}
