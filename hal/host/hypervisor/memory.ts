/**
 * The machine's physical memory: frames of 4096 bytes, contiguous in the engine's memory.
 *
 * The engine owns the bytes and replaces the views in place when its memory grows. Always read the property afresh after a guest ran; never
 * keep a view over a guest entry.
 */

/** Bytes in a frame. */
export const FRAME_SIZE = 4096;
/** log2(FRAME_SIZE). */
export const FRAME_SHIFT = 12;

/** What an engine gives the hypervisor. All views begin at byte 0 of the engine's memory, not at frame 0. */
export interface MachineMemory {
  /** Byte offset of frame 0 in the views; a multiple of 4096. */
  readonly base: number;
  /** Frames in the machine. */
  readonly frameCount: number;
  /**
   * One byte per frame: 0 while it is known to be zero. Whoever is about to make a frame writable sets it, so that neither a new owner nor a
   * snapshot has to look at memory that nobody used.
   */
  readonly touched: Uint8Array;
  u8: Uint8Array;
  u16: Uint16Array;
  u32: Uint32Array;
  i32: Int32Array;
  f64: Float64Array;
}

/** Memory of a machine without an engine of its own: one ArrayBuffer. `base` must be a multiple of 4096. */
export function createPlainMemory(frameCount: number, base = 0): MachineMemory {
  return memoryOver(new ArrayBuffer(base + frameCount * FRAME_SIZE), base, frameCount);
}

/** Memory over an existing buffer whose frame 0 is at byte `base`. */
export function memoryOver(buffer: ArrayBuffer, base: number, frameCount: number): MachineMemory {
  return {
    base,
    frameCount,
    touched: new Uint8Array(frameCount),
    u8: new Uint8Array(buffer),
    u16: new Uint16Array(buffer),
    u32: new Uint32Array(buffer),
    i32: new Int32Array(buffer),
    f64: new Float64Array(buffer),
  };
}
