/**
 * The frame table: who owns each machine frame, and what still holds it.
 *
 *   free ──allocate──► domain or Xen ──owner dies, nothing holds it──► free
 *                          └── owner dies, foreign mappings left ──► orphan ──last unpin──► free
 *
 * A frame is zeroed when it is handed out again, never while somebody still has it mapped. One that nobody has touched is zero already, and
 * stays as it is: what no domain uses takes no memory of the host, and no time.
 */
import { CONTROL_ALIAS_EPOCH } from "../../abi/control";
import type { Context } from "./context";
import { FRAME_SHIFT, FRAME_SIZE } from "./memory";
import type { DomainState, FrameTable } from "./state";
import { FRAME_FREE, FRAME_ORPHAN, FRAME_XEN } from "./state";

/** Byte offset of a frame in the memory's views, for somebody who may write to it. */
export function frameOffset(context: Context, frame: number): number {
  context.memory.touched[frame] = 1;
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

/** Whether a domain of `pages` pages, and its control page, could be made now. */
export function hasRoom(context: Context, pages: number): boolean {
  const { frames } = context.state;
  return frames.freeCount > pages && findRun(frames, pages) >= 0;
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
  const { touched, base, u8 } = context.memory;
  for (let frame = first; frame < first + count; frame++) {
    if (touched[frame] === 0) continue;
    u8.fill(0, base + frame * FRAME_SIZE, base + (frame + 1) * FRAME_SIZE);
    touched[frame] = 0;
  }
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
