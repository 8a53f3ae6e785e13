/**
 * A domain's end of running: it shut itself down, crashed, or was condemned by the hypervisor. Its memory, grants and ports stay until it is
 * destroyed; none of its vCPUs is entered again, and its hypercalls are refused.
 */
import { SHUTDOWN_crash } from "../../abi/sched";
import { VIRQ_DOM_EXC } from "../../abi/xen";
import { TRACE_DOMAIN_SHUTDOWN } from "../trace/records";
import { lowerSlices } from "./clock";
import type { Context } from "./context";
import { queueEvent } from "./event-queue";
import { raiseGlobalVirq } from "./ports";
import type { DomainState } from "./state";

/** Kind of the queued event that follows every shutdown; its argument is the reason. */
export const EVENT_SHUTDOWN = "shutdown";

function enterShutdown(context: Context, domain: DomainState, reason: number, at: number): void {
  domain.state = "shutdown";
  domain.shutdownReason = reason;
  queueEvent(context, at, EVENT_SHUTDOWN, domain.domid, domain.generation, reason);
  lowerSlices(context, at - context.state.quantumNs);
  for (const other of context.state.domains) {
    if (other !== undefined && other.privileged && other !== domain) raiseGlobalVirq(context, other, VIRQ_DOM_EXC, at);
  }
}

/** The domain asked for it (SCHEDOP_shutdown, SHUTDOWN_*). Traced. */
export function shutdownDomain(context: Context, domain: DomainState, reason: number, at: number): void {
  if (domain.state !== "running") return;
  context.trace.domain(domain.domid, TRACE_DOMAIN_SHUTDOWN, reason, at);
  enterShutdown(context, domain, reason, at);
}

/** The domain cannot go on; `report` is for people. Not traced: what kills a guest may differ between engines. */
export function crashDomain(context: Context, domain: DomainState, report: string, at: number): void {
  if (domain.report === null) domain.report = report;
  if (domain.state === "running") enterShutdown(context, domain, SHUTDOWN_crash, at);
}
