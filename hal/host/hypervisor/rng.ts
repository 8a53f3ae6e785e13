/**
 * Named streams of random words (xoshiro128**), all from the machine's seed: one more draw in one stream does not shift another.
 *
 * The state of a stream is four words in `MachineState.streams`.
 */

/** Anything that holds streams by name. */
export interface StreamHolder {
  readonly seed: string;
  streams: Record<string, Uint32Array>;
}

function rotl(word: number, by: number): number {
  return (word << by) | (word >>> (32 - by));
}

/** FNV-1a over UTF-16 units; only to spread a name over 32 bits. */
function hashName(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}

/** One step of splitmix32: fills a stream's words from a 32-bit start. */
function splitmix(word: number): number {
  let mixed = word | 0;
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x21f0aaad);
  mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
  return (mixed ^ (mixed >>> 15)) >>> 0;
}

/** The four words that the stream `name` of `seed` starts with. Never all zero. */
export function seedStream(seed: string, name: string): Uint32Array {
  const words = new Uint32Array(4);
  const start = hashName(`${seed}\u0000${name}`);
  for (let i = 0; i < 4; i++) words[i] = splitmix(start + Math.imul(i + 1, 0x9e3779b9));
  if ((words[0] | words[1] | words[2] | words[3]) === 0) words[0] = 1;
  return words;
}

/** The next 32 random bits of the stream, unsigned. */
export function nextWord(words: Uint32Array): number {
  const result = Math.imul(rotl(Math.imul(words[1], 5), 7), 9) >>> 0;
  const carried = words[1] << 9;
  words[2] ^= words[0];
  words[3] ^= words[1];
  words[1] ^= words[2];
  words[0] ^= words[3];
  words[2] ^= carried;
  words[3] = rotl(words[3], 11);
  return result;
}

/** The stream `name`, started from the seed at its first use. */
export function stream(holder: StreamHolder, name: string): Uint32Array {
  let words = holder.streams[name];
  if (words === undefined) {
    words = seedStream(holder.seed, name);
    holder.streams[name] = words;
  }
  return words;
}

/** An integer in [0, bound), every one equally likely. `bound` is 1 … 2^32. */
export function nextBelow(words: Uint32Array, bound: number): number {
  const limit = 0x100000000 - (0x100000000 % bound);
  let word = nextWord(words);
  while (word >= limit) word = nextWord(words);
  return word % bound;
}
