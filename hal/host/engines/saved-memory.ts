/**
 * Copying an engine's memory out and back: only the pages that hold something else than zeros.
 *
 *   memory: [ static data, heaps … | frame 0 | frame 1 … | heaps … | never used ]
 *             every page is looked at  only touched frames           ▲ end        not looked at
 */
import { FRAME_SIZE } from "../hypervisor/memory";

/** A copy of an engine's memory; plain data. */
export interface SavedMemory {
  /** Bytes that the memory had, and how many of them the allocator had taken. */
  readonly length: number;
  readonly end: number;
  /** Byte offset of frame 0, and frames. */
  readonly base: number;
  readonly frameCount: number;
  /** `MachineMemory.touched`. */
  readonly touched: Uint8Array;
  /** Numbers of the pages that were not zero, ascending. */
  readonly pages: Uint32Array;
  /** Their contents, in that order. */
  readonly bytes: Uint8Array;
}

/** Where a memory's frames are, and which of them may hold something. */
export interface FrameRegion {
  readonly base: number;
  readonly frameCount: number;
  readonly touched: Uint8Array;
}

const ZEROS = new Uint8Array(FRAME_SIZE);

function isZero(heap: Buffer, page: number): boolean {
  const start = page * FRAME_SIZE;
  return heap.compare(ZEROS, 0, FRAME_SIZE, start, start + FRAME_SIZE) === 0;
}

/** Whether the page is a frame that is known to be zero. */
function isUntouched(frames: FrameRegion, page: number): boolean {
  const frame = page - frames.base / FRAME_SIZE;
  return frame >= 0 && frame < frames.frameCount && frames.touched[frame] === 0;
}

function asBuffer(heap: Uint8Array): Buffer {
  return Buffer.from(heap.buffer, heap.byteOffset, heap.length);
}

/** Calls `body` with each run of consecutive numbers: the first, how many, and where in the list it begins. */
function forEachRun(pages: Uint32Array, body: (first: number, count: number, at: number) => void): void {
  for (let at = 0; at < pages.length; ) {
    let count = 1;
    while (at + count < pages.length && pages[at + count] === pages[at] + count) count++;
    body(pages[at], count, at);
    at += count;
  }
}

/** Copies a memory of which the first `end` bytes were used. */
export function saveMemory(heap: Uint8Array, end: number, frames: FrameRegion): SavedMemory {
  const buffer = asBuffer(heap);
  const pageCount = Math.ceil(end / FRAME_SIZE);
  const found = new Uint32Array(pageCount);
  let count = 0;
  for (let page = 0; page < pageCount; page++) {
    if (!isUntouched(frames, page) && !isZero(buffer, page)) found[count++] = page;
  }
  const pages = found.slice(0, count);
  const bytes = Buffer.allocUnsafeSlow(count * FRAME_SIZE);
  forEachRun(pages, (first, length, at) => {
    bytes.set(heap.subarray(first * FRAME_SIZE, (first + length) * FRAME_SIZE), at * FRAME_SIZE);
  });
  const { base, frameCount, touched } = frames;
  return { length: heap.length, end, base, frameCount, touched: touched.slice(), pages, bytes };
}

/**
 * Makes a memory, at least `saved.length` bytes long, what it was. The first `end` bytes of it have been used since it was zero, but for frames
 * that nobody has touched.
 */
export function loadMemory(heap: Uint8Array, end: number, frames: FrameRegion, saved: SavedMemory): void {
  const buffer = asBuffer(heap);
  const pageCount = Math.ceil(Math.max(end, saved.end) / FRAME_SIZE);
  let next = 0;
  for (let page = 0; page < pageCount; page++) {
    if (saved.pages[next] === page) next++;
    else if (isUntouched(frames, page)) continue;
    else if (page * FRAME_SIZE < end && !isZero(buffer, page)) {
      heap.fill(0, page * FRAME_SIZE, (page + 1) * FRAME_SIZE);
    }
  }
  forEachRun(saved.pages, (first, count, at) => {
    heap.set(saved.bytes.subarray(at * FRAME_SIZE, (at + count) * FRAME_SIZE), first * FRAME_SIZE);
  });
}
