/**
 * What verified blocks hold: a header that says what the block is, then words that follow from it.
 *
 *   u16 magic 0xacca · u16 type · u32 length · u64 seed · u64 offset · u32 0 · u32 0 · u32 0 · u32 0 · u32 crc32c of what follows
 */
import { crc32c } from "./crc32c";

const MAGIC = 0xacca;
const TYPE_CRC32C = 3;
const HEADER_BYTES = 44;

/** Fills `block` with what belongs at `offset` of a job with this seed. */
export function fill_block(block: Uint8Array, offset: number, seed: number): void {
  const view = new DataView(block.buffer, block.byteOffset, block.length);
  let x = (seed ^ Math.imul((offset / 512) | 0, 0x9e3779b1)) | 1;
  for (let at = HEADER_BYTES; at < block.length; at += 4) {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    view.setUint32(at, x, true);
  }
  view.setUint16(0, MAGIC, true);
  view.setUint16(2, TYPE_CRC32C, true);
  view.setUint32(4, block.length, true);
  view.setUint32(8, seed, true);
  view.setUint32(12, 0, true);
  view.setUint32(16, offset >>> 0, true);
  view.setUint32(20, Math.floor(offset / 0x100000000), true);
  for (let at = 24; at < 40; at += 4) view.setUint32(at, 0, true);
  view.setUint32(40, crc32c(block, HEADER_BYTES, block.length), true);
}

/** What is wrong with a block that was read at `offset`; null if nothing is. */
export function check_block(block: Uint8Array, offset: number, seed: number): string | null {
  const view = new DataView(block.buffer, block.byteOffset, block.length);
  if (view.getUint16(0, true) !== MAGIC) return `bad magic header ${view.getUint16(0, true).toString(16)}, wanted acca`;
  if (view.getUint32(4, true) !== block.length) return `bad header length ${view.getUint32(4, true)}`;
  if (view.getUint32(8, true) !== seed) return `bad header rand_seed ${view.getUint32(8, true)}, wanted ${seed}`;
  const stored = view.getUint32(16, true) + view.getUint32(20, true) * 0x100000000;
  if (stored !== offset) return `bad header offset ${stored}, wanted ${offset}`;
  const [wanted, got] = [view.getUint32(40, true), crc32c(block, HEADER_BYTES, block.length)];
  return wanted === got ? null : `verify failed: crc32c ${got.toString(16)}, wanted ${wanted.toString(16)}`;
}
