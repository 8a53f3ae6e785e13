/**
 * Pausing, unpausing and destroying domains.
 *
 * Destruction undoes what the domain shares, in this order: ports (peers go back to unbound), mappings, engine, frames. Frames that others still
 * map, and frames under disk transfers, are freed with their last holder. A domain with an entry on the stack is condemned first, and
 * destroyed when that entry has returned.
 */
import { TRACE_DOMAIN_DESTROYED, TRACE_DOMAIN_PAUSED, TRACE_DOMAIN_UNPAUSED } from "../trace/records";
import type { Context } from "./context";
import { lowerSlices } from "./clock";
import { releaseFrames } from "./frames";
import { releaseAllMappings } from "./grant-map";
import { closeAllPorts } from "./ports";
import type { DomainState } from "./state";

/** Kind of the queued event that follows a destruction. */
export const EVENT_DESTROYED = "destroyed";

/** Pauses count: as many unpauses are needed. A running slice goes on to its end. */
export function pauseDomain(context: Context, domain: DomainState): void {
  domain.pauseCount++;
  context.trace.domain(domain.domid, TRACE_DOMAIN_PAUSED, domain.pauseCount, context.state.now);
}

/** Takes one pause back; the vCPUs go on from now. Throws RangeError when the domain is not paused. */
export function unpauseDomain(context: Context, domain: DomainState): void {
  if (domain.pauseCount === 0) throw new RangeError(`domain ${domain.domid} is not paused`);
  domain.pauseCount--;
  context.trace.domain(domain.domid, TRACE_DOMAIN_UNPAUSED, domain.pauseCount, context.state.now);
  if (domain.pauseCount !== 0) return;
  for (const vcpu of domain.vcpus) {
    if (vcpu.state !== "runnable") continue;
    vcpu.wakeAt = Math.max(vcpu.wakeAt, context.state.now);
    lowerSlices(context, vcpu.wakeAt);
  }
}

/** Ends a domain. Done at once, or when its last entry on the stack has returned. */
export function destroyDomain(context: Context, domain: DomainState): void {
  if (domain.state === "dying") return;
  domain.state = "dying";
  if (domain.depth === 0) finishDestroy(context, domain);
  else lowerSlices(context, -Infinity);
}

/** The second half of `destroyDomain`, when nothing of the domain is on the stack. */
export function finishDestroy(context: Context, domain: DomainState): void {
  const { state } = context;
  closeAllPorts(context, domain);
  releaseAllMappings(context, domain);
  const guest = context.guests.get(domain.domid);
  context.guests.delete(domain.domid);
  guest?.dispose();
  releaseFrames(context, domain.firstFrame, domain.pageCount);
  releaseFrames(context, domain.controlFrame, 1);
  state.domains[domain.domid] = undefined;
  state.vcpus = state.vcpus.filter((vcpu) => vcpu.domid !== domain.domid);
  context.trace.domain(domain.domid, TRACE_DOMAIN_DESTROYED, 0, state.now);
  const destroyed = context.handlers.get(EVENT_DESTROYED);
  const { domid, generation } = domain;
  destroyed?.({ at: state.now, seq: state.nextSeq++, kind: EVENT_DESTROYED, domid, generation, arg: 0 });
}
