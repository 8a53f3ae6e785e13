/**
 * The frame table: who owns each machine frame, and what still holds it.
 *
 *   free ──allocate──► domain or Xen ──owner dies, nothing holds it──► free
 *                          └── owner dies, foreign mappings left ──► orphan ──last unpin──► free
 *
 * A frame is zeroed when it is handed out again, never while somebody still has it mapped. The first time it is zero already, and is not
 * touched: what no domain uses takes no memory of the host.
 */
import { CONTROL_ALIAS_EPOCH } from "../../abi/control";
import type { Context } from "./context";
import { FRAME_SHIFT, FRAME_SIZE } from "./memory";
import type { DomainState, FrameTable } from "./state";
import { FRAME_FREE, FRAME_ORPHAN, FRAME_XEN } from "./state";

/** Byte offset of a frame in the memory's views. */
export function frameOffset(context: Context, frame: number): number {
  return context.memory.base + frame * FRAME_SIZE;
}

/** First frame of the lowest run of `count` free frames, or -1. */
function findRun(frames: FrameTable, count: number): number {
  const { owner } = frames;
  for (let start = 0; start + count <= owner.length; ) {
    let length = 0;
    while (length < count && owner[start + length] === FRAME_FREE) length++;
    if (length === count) return start;
    start += length + 1;
  }
  return -1;
}

/** The highest free frame, or -1: single frames come from the other end, so that they do not break the runs up. */
function findLast(frames: FrameTable): number {
  return frames.owner.lastIndexOf(FRAME_FREE);
}

/** Tells `domain` to forget its views of frames in the run; they are about to mean something else. */
function dropAliases(context: Context, domain: DomainState, first: number, count: number): void {
  if (domain.foreign === null) return;
  const { aliased } = domain.foreign;
  const stale: number[] = [];
  for (let frame = first; frame < first + count; frame++) {
    if (aliased[frame] === 1) {
      aliased[frame] = 0;
      stale.push(frame);
    }
  }
  if (stale.length === 0) return;
  context.memory.u32[(frameOffset(context, domain.controlFrame) >>> 2) + CONTROL_ALIAS_EPOCH]++;
  context.guests.get(domain.domid)?.dropFrames(stale);
}

/**
 * Takes `count` contiguous frames, zeroed, for `owner` (a domid or FRAME_XEN). Returns the first, or -1 when there is no such run. Called
 * between slices only.
 */
export function allocateFrames(context: Context, owner: number, count: number): number {
  const { frames, domains } = context.state;
  const first = owner === FRAME_XEN && count === 1 ? findLast(frames) : findRun(frames, count);
  if (first < 0) return -1;
  for (const domain of domains) if (domain !== undefined) dropAliases(context, domain, first, count);
  frames.owner.fill(owner, first, first + count);
  frames.freeCount -= count;
  for (let frame = first; frame < first + count; frame++) {
    if (frames.used[frame] === 0) continue;
    const offset = frameOffset(context, frame);
    context.memory.u8.fill(0, offset, offset + FRAME_SIZE);
  }
  frames.used.fill(1, first, first + count);
  return first;
}

/** Gives frames up: free at once, or orphans until their last foreign mapping is gone. */
export function releaseFrames(context: Context, first: number, count: number): void {
  const { frames } = context.state;
  for (let frame = first; frame < first + count; frame++) {
    const held = frames.pins[frame] !== 0;
    frames.owner[frame] = held ? FRAME_ORPHAN : FRAME_FREE;
    if (!held) frames.freeCount++;
  }
}

/** Holds a frame. */
export function pinFrame(context: Context, frame: number): void {
  context.state.frames.pins[frame]++;
}

/** Drops one hold; the last hold on an orphan frees it. */
export function unpinFrame(context: Context, frame: number): void {
  const { frames } = context.state;
  if (frames.pins[frame] === 0) throw new Error(`frame ${frame} is unpinned more often than pinned`);
  frames.pins[frame]--;
  if (frames.pins[frame] === 0 && frames.owner[frame] === FRAME_ORPHAN) {
    frames.owner[frame] = FRAME_FREE;
    frames.freeCount++;
  }
}

/** Whether `frame` (any u32) is RAM of `domain`. */
export function ownsFrame(domain: DomainState, frame: number): boolean {
  return frame >= domain.firstFrame && frame < domain.firstFrame + domain.pageCount;
}

/** The machine address of a frame, low and high word. */
export function frameAddressLow(frame: number): number {
  return (frame << FRAME_SHIFT) >>> 0;
}

export function frameAddressHigh(frame: number): number {
  return frame >>> (32 - FRAME_SHIFT);
}
