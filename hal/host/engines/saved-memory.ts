/**
 * Copying an engine's memory out and back: only the pages that hold something else than zeros.
 *
 *   memory: [ static data | stack | heaps … | frame 0 | frame 1 … | heaps … | never used ]
 *             looked at     not      looked at  touched ones          looked at ▲ end   not
 *
 * Between slices nothing is on the engine's stack: what is left there means nothing.
 */
import { type SparseBytes, SPARSE_PAGE, asBuffer, copyPages, isZeroPage, pastePages } from "../disks/sparse";

/** A copy of an engine's memory; plain data. `length` is what it had. */
export interface SavedMemory extends SparseBytes {
  /** Bytes of it that the allocator had taken. */
  readonly end: number;
  /** Byte offset of frame 0, and frames. */
  readonly base: number;
  readonly frameCount: number;
  /** `MachineMemory.touched`. */
  readonly touched: Uint8Array;
}

/** Bytes that are neither saved nor restored. */
export interface DeadRegion {
  readonly from: number;
  readonly to: number;
}

/** Where a memory's frames are, and which of them may hold something. */
export interface FrameRegion {
  readonly base: number;
  readonly frameCount: number;
  readonly touched: Uint8Array;
}

/** Whether the page is a frame that is known to be zero. */
function isUntouched(frames: FrameRegion, page: number): boolean {
  const frame = page - frames.base / SPARSE_PAGE;
  return frame >= 0 && frame < frames.frameCount && frames.touched[frame] === 0;
}

function isDead(region: DeadRegion, page: number): boolean {
  return page * SPARSE_PAGE >= region.from && (page + 1) * SPARSE_PAGE <= region.to;
}

/** Copies a memory of which the first `end` bytes were used. */
export function saveMemory(heap: Uint8Array, end: number, frames: FrameRegion, dead: DeadRegion): SavedMemory {
  const buffer = asBuffer(heap);
  const pageCount = Math.ceil(end / SPARSE_PAGE);
  const found = new Uint32Array(pageCount);
  let count = 0;
  for (let page = 0; page < pageCount; page++) {
    const isSkipped = isDead(dead, page) || isUntouched(frames, page);
    if (!isSkipped && !isZeroPage(buffer, page)) found[count++] = page;
  }
  const pages = found.slice(0, count);
  const { base, frameCount, touched } = frames;
  const bytes = copyPages(heap, pages);
  return { length: heap.length, end, base, frameCount, touched: touched.slice(), pages, bytes };
}

/**
 * Makes a memory, at least `saved.length` bytes long, what it was. The first `end` bytes of it have been used since it was zero, but for frames
 * that nobody has touched.
 */
export function loadMemory(
  heap: Uint8Array,
  end: number,
  frames: FrameRegion,
  dead: DeadRegion,
  saved: SavedMemory,
): void {
  const buffer = asBuffer(heap);
  const pageCount = Math.ceil(end / SPARSE_PAGE);
  let next = 0;
  for (let page = 0; page < pageCount; page++) {
    if (saved.pages[next] === page) next++;
    else if (!isDead(dead, page) && !isUntouched(frames, page) && !isZeroPage(buffer, page)) {
      heap.fill(0, page * SPARSE_PAGE, (page + 1) * SPARSE_PAGE);
    }
  }
  pastePages(heap, saved);
}
