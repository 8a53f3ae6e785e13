import { describe, expect, it } from "vitest";
import { BLOCK_BYTES, compareDisk, makeBlock } from "../../../../hal/host/toolstack/workload";

const SEED = 42;
const BLOCKS = 16;

function blockOf(seed: number, block: number, generation: number): Uint8Array {
  const bytes = new Uint8Array(BLOCK_BYTES);
  makeBlock(bytes, seed, block, generation);
  return bytes;
}

/** A disk of zeros, the generations of what a guest wrote, and the disk afterwards. */
function world() {
  const before = new Uint8Array(BLOCKS * BLOCK_BYTES);
  const generations = Uint8Array.from({ length: BLOCKS }, (_, block) => block % 3);
  const after = before.slice();
  generations.forEach((generation, block) => {
    if (generation > 0) after.set(blockOf(SEED, block, generation), block * BLOCK_BYTES);
  });
  const at = (block: number): Uint8Array => after.subarray(block * BLOCK_BYTES, (block + 1) * BLOCK_BYTES);
  return { before, after, generations, at, compare: () => compareDisk(before, after, generations, SEED) };
}

describe("makeBlock", () => {
  it("a header that says what it is, then words in equal steps", () => {
    const words = new Uint32Array(blockOf(SEED, 5, 2).buffer);
    expect([...words.slice(0, 4), words[6]]).toEqual([0x4b424c58, SEED, 5, 2, 0]);
    const [first, step] = [words[4], words[5]];
    expect(step % 2).toBe(1);
    for (const i of [8, 9, 500, 1023]) expect(words[i]).toBe((first + Math.imul(i, step)) >>> 0);
  });

  it("seed, block and generation each make another block", () => {
    const all = [blockOf(1, 1, 1), blockOf(2, 1, 1), blockOf(1, 2, 1), blockOf(1, 1, 2)];
    expect(new Set(all.map((bytes) => Buffer.from(bytes.subarray(32)).toString("hex"))).size).toBe(4);
  });
});

describe("compareDisk", () => {
  it("is content with what the guest believes", () => expect(world().compare()).toEqual([]));

  it("finds one flipped bit, wherever it is", () => {
    for (const byte of [0, 31, 32, 2000, BLOCK_BYTES - 1]) {
      for (const block of [0, 1, 2]) {
        const { at, compare } = world();
        at(block)[byte] ^= 0x80;
        expect(compare()).toEqual([`disk: block ${block} differs from what the guest believes at byte ${byte}`]);
      }
    }
  });

  it("finds two swapped blocks", () => {
    const { at, compare } = world();
    const [four, seven] = [at(4).slice(), at(7).slice()];
    at(4).set(seven);
    at(7).set(four);
    expect(compare().map((line) => line.slice(0, 14))).toEqual(["disk: block 4 ", "disk: block 7 "]);
  });

  it("finds a write that was lost, one that came twice too late, and one that nobody made", () => {
    const { at, compare } = world();
    at(1).fill(0);
    at(2).set(blockOf(SEED, 2, 1));
    at(3).set(blockOf(SEED, 3, 1));
    expect(compare()).toHaveLength(3);
  });
});
