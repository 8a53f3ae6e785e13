/**
 * What a domain has mapped: handles, and the host addresses at which they are mapped. Handles are reused, last freed first.
 */
import type { DomainState, ForeignFrames, Maptrack } from "./state";

const HANDLES_INITIAL = 64;
const ADDRESSES_INITIAL = 256;
/** Pages of foreign mapping space behind a domain's RAM: 1 GiB. */
const ADDRESSES_MAX = 1 << 18;

/** An empty table. */
export function createMaptrack(): Maptrack {
  return grownMaptrack(null, HANDLES_INITIAL);
}

function grownMaptrack(old: Maptrack | null, size: number): Maptrack {
  const from = old === null ? 0 : old.flags.length;
  const track: Maptrack = {
    flags: new Uint8Array(size),
    ref: new Uint32Array(size),
    domid: new Uint16Array(size),
    generation: new Uint32Array(size),
    frame: new Uint32Array(size),
    hostPfn: new Int32Array(size),
    next: new Int32Array(size),
    freeHead: from,
    used: old === null ? 0 : old.used,
  };
  if (old !== null) {
    for (const name of ["flags", "ref", "domid", "generation", "frame", "hostPfn", "next"] as const) {
      track[name].set(old[name]);
    }
  }
  for (let handle = from; handle < size; handle++) track.next[handle] = handle + 1 < size ? handle + 1 : -1;
  return track;
}

/** Takes a handle: -1 when the domain has as many as it may. Its `flags` are still 0: the caller fills the entry. */
export function allocateHandle(domain: DomainState): number {
  if (domain.maptrack.freeHead < 0) {
    const size = domain.maptrack.flags.length;
    if (size >= domain.maptrackMax) return -1;
    domain.maptrack = grownMaptrack(domain.maptrack, Math.min(size * 2, domain.maptrackMax));
  }
  const track = domain.maptrack;
  const handle = track.freeHead;
  track.freeHead = track.next[handle];
  track.used++;
  return handle;
}

/** Gives a handle back. */
export function freeHandle(domain: DomainState, handle: number): void {
  const track = domain.maptrack;
  track.flags[handle] = 0;
  track.next[handle] = track.freeHead;
  track.freeHead = handle;
  track.used--;
}

/** The domain's table of foreign frames, made at first use. */
export function foreignFrames(domain: DomainState, frameCount: number): ForeignFrames {
  if (domain.foreign === null) {
    domain.foreign = {
      mapped: new Uint32Array(frameCount),
      writable: new Uint32Array(frameCount),
      aliased: new Uint8Array(frameCount),
      handleAt: new Int32Array(ADDRESSES_INITIAL).fill(-1),
    };
  }
  return domain.foreign;
}

/** The page number of a host address (two words), or -1 unless it is a page behind the domain's RAM. */
export function hostPage(domain: DomainState, low: number, high: number): number {
  if (high !== 0 || (low & 0xfff) !== 0) return -1;
  const pfn = low >>> 12;
  return pfn >= domain.pageCount && pfn < domain.pageCount + ADDRESSES_MAX ? pfn : -1;
}

/** The handle mapped at a page that `hostPage` accepted, or -1. */
export function handleAt(domain: DomainState, pfn: number): number {
  const foreign = domain.foreign;
  const index = pfn - domain.pageCount;
  return foreign === null || index >= foreign.handleAt.length ? -1 : foreign.handleAt[index];
}

/** Notes that `handle` (-1: nothing) is mapped at a page that `hostPage` accepted. */
export function setHandleAt(domain: DomainState, foreign: ForeignFrames, pfn: number, handle: number): void {
  const index = pfn - domain.pageCount;
  if (index >= foreign.handleAt.length) {
    let size = foreign.handleAt.length;
    while (size <= index) size *= 2;
    const grown = new Int32Array(size).fill(-1);
    grown.set(foreign.handleAt);
    foreign.handleAt = grown;
  }
  foreign.handleAt[index] = handle;
}
