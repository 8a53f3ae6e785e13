/** The ledger: counts of everything that is acquired and released, per domain and for the machine. Equal before and after, or there is a leak. */
import type { Context } from "./context";
import type { DomainState } from "./state";
import { FRAME_FREE, FRAME_ORPHAN, FRAME_XEN } from "./state";

export interface DomainLedger {
  readonly domid: number;
  readonly name: string;
  /** Pages of RAM. */
  readonly frames: number;
  /** Own frames that somebody (grants, disk transfers) holds. */
  readonly framesPinned: number;
  /** Holds on them. */
  readonly pins: number;
  /** Own grant entries that are in use by others. */
  readonly grantsInUse: number;
  /** What it has mapped itself. */
  readonly mappings: number;
  readonly ports: number;
  readonly diskRequestsInFlight: number;
}

export interface Ledger {
  readonly framesFree: number;
  readonly framesXen: number;
  /** Frames of domains that are gone, still held. */
  readonly framesOrphaned: number;
  readonly eventsQueued: number;
  readonly diskRequestsInFlight: number;
  readonly domains: readonly DomainLedger[];
}

function countWhere(values: ArrayLike<number>, from: number, to: number, holds: (value: number) => boolean): number {
  let count = 0;
  for (let i = from; i < to; i++) if (holds(values[i])) count++;
  return count;
}

function domainLedger(context: Context, domain: DomainState): DomainLedger {
  const { pins } = context.state.frames;
  const end = domain.firstFrame + domain.pageCount;
  const isSet = (value: number) => value !== 0;
  return {
    domid: domain.domid,
    name: domain.name,
    frames: domain.pageCount,
    framesPinned: countWhere(pins, domain.firstFrame, end, isSet),
    pins: pins.subarray(domain.firstFrame, end).reduce((sum, pin) => sum + pin, 0),
    grantsInUse: countWhere(domain.active.pin, 0, domain.active.pin.length, isSet),
    mappings: domain.maptrack.used,
    ports: domain.ports.count,
    diskRequestsInFlight: domain.doorbell.inFlight,
  };
}

/** Counts everything; a walk over the frame table. */
export function ledger(context: Context): Ledger {
  const { frames, domains, events, diskRequests } = context.state;
  const owned = (owner: number) => countWhere(frames.owner, 0, frames.owner.length, (value) => value === owner);
  return {
    framesFree: owned(FRAME_FREE),
    framesXen: owned(FRAME_XEN),
    framesOrphaned: owned(FRAME_ORPHAN),
    eventsQueued: events.length,
    diskRequestsInFlight: diskRequests.size,
    domains: domains.filter((d): d is DomainState => d !== undefined).map((d) => domainLedger(context, d)),
  };
}
