/** Why a machine does not get any further, in words: domains that ended, kernels that did not start, disks that did not connect. */
import type { Attachment, Attachments } from "./attachments";
import type { DomainBuilder, DomainEnd, MachineDomain } from "./domains";
import type { Lifecycle } from "./lifecycle";
import type { StackTranslator } from "./stack-trace";

export class Hindrances {
  constructor(
    private readonly builder: DomainBuilder,
    private readonly attachments: Attachments,
    private readonly lifecycle: Lifecycle,
    private readonly translator: StackTranslator,
  ) {}

  /**
   * How the domain that somebody waits for ended, or dom0, without which nothing goes on; null while both live. A new life of the name counts as
   * an end of the old one if it began after there had been `since` ends.
   */
  endOf(name: string, since: number): string | null {
    const concerns = (domain: { readonly domid: number; readonly name: string }) =>
      domain.name === name || domain.domid === 0;
    const kept = this.builder.list().find((domain) => domain.end !== null && concerns(domain))?.end;
    const end = kept ?? this.lifecycle.endsSince(since).find(concerns);
    return end === undefined || end === null ? null : this.describe(end);
  }

  /** How a domain ended, since there were `since` ends, that is not started again, or one that will never boot; null if there is none. */
  loss(since: number): string | null {
    const kept = this.builder.list().find((domain) => domain.end !== null && this.holdsUp(domain))?.end;
    const end = kept ?? this.lifecycle.endsSince(since).find(({ action }) => action !== "restart");
    return end === undefined || end === null ? null : this.describe(end);
  }

  /** Disks on their way to being connected; without a domid: all. */
  pendingDisks(frontDomid?: number): Attachment[] {
    return this.attachments.list.filter(
      ({ phase, vbd }) =>
        (phase === "attaching" || phase === "hotplugged") &&
        (frontDomid === undefined || vbd.frontDomid === frontDomid),
    );
  }

  /** Whether every domain takes programs and every disk is connected. */
  isBooted(): boolean {
    const ready = this.builder.list().every(({ readyAt }) => readyAt !== null);
    return ready && this.pendingDisks().length === 0 && !this.lifecycle.isRestarting();
  }

  /** Whether this one does. */
  isUp(name: string): boolean {
    const domain = this.builder.list().find((candidate) => candidate.name === name);
    if (domain === undefined || this.lifecycle.isRestarting(name)) return false;
    return domain.readyAt !== null && this.pendingDisks(domain.domid).length === 0;
  }

  /** What is missing for that. */
  bootProblems(): string {
    const domains = this.builder.list().filter(({ readyAt }) => readyAt === null);
    const problems = [
      ...domains.map(({ name }) => `${name} has not started its programs`),
      ...this.pendingDisks().map((disk) => diskProblem(disk)),
      ...(this.lifecycle.isRestarting() ? ["a domain waits for its next life"] : []),
    ];
    return problems.join("; ");
  }

  private holdsUp({ domid, readyAt }: MachineDomain): boolean {
    return domid === 0 || readyAt === null || this.pendingDisks(domid).length > 0;
  }

  private describe({ name, reason, report }: DomainEnd): string {
    const why = report !== null ? this.translator.translate(report) : reason === "crash" ? "it crashed" : "shut down";
    return `domain ${name} is gone: ${why}`;
  }
}

function diskProblem({ vbd, ladder, problem }: Attachment): string {
  const state = (end: string) => ladder.filter((step) => step.end === end).at(-1)?.state ?? 0;
  if (problem !== null) return `${vbd.name} of domain ${vbd.frontDomid}: ${problem}`;
  return `${vbd.name} of domain ${vbd.frontDomid} is in states front ${state("front")}, back ${state("back")}`;
}
