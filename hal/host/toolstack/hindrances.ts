/** Why a machine does not get any further, in words: domains that died, kernels that did not start, disks that did not connect. */
import type { Hypervisor } from "../hypervisor/hypervisor";
import type { Attachment, Attachments } from "./attachments";
import type { DomainBuilder } from "./domains";
import type { StackTranslator } from "./stack-trace";

export class Hindrances {
  constructor(
    private readonly hypervisor: Hypervisor,
    private readonly builder: DomainBuilder,
    private readonly attachments: Attachments,
    private readonly translator: StackTranslator,
  ) {}

  /** What the first of the domains (all of them, unless named) died of, or null while they live. */
  death(domids: readonly number[] = this.builder.list().map(({ domid }) => domid)): string | null {
    for (const domid of domids) {
      const domain = this.hypervisor.state.domains[domid];
      if (domain === undefined || domain.state === "running") continue;
      const reason = domain.report === null ? "shut down" : this.translator.translate(domain.report);
      return `domain ${domain.name} is gone: ${reason}`;
    }
    return null;
  }

  /** Disks on their way to being connected. */
  pendingDisks(): Attachment[] {
    return this.attachments.list.filter(({ phase }) => phase === "attaching" || phase === "hotplugged");
  }

  /** Whether every domain takes programs and every disk is connected. */
  isBooted(): boolean {
    return this.builder.list().every(({ readyAt }) => readyAt !== null) && this.pendingDisks().length === 0;
  }

  /** What is missing for that. */
  bootProblems(): string {
    const domains = this.builder.list().filter(({ readyAt }) => readyAt === null);
    const problems = [
      ...domains.map(({ name }) => `${name} has not started its programs`),
      ...this.pendingDisks().map((disk) => diskProblem(disk)),
    ];
    return problems.join("; ");
  }
}

function diskProblem({ vbd, ladder, problem }: Attachment): string {
  const state = (end: string) => ladder.filter((step) => step.end === end).at(-1)?.state ?? 0;
  if (problem !== null) return `${vbd.name} of domain ${vbd.frontDomid}: ${problem}`;
  return `${vbd.name} of domain ${vbd.frontDomid} is in states front ${state("front")}, back ${state("back")}`;
}
