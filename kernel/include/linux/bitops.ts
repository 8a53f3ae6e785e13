/** `<linux/bitops.h>` and `<linux/bitmap.h>`: bits of 32-bit words and of bitmaps held in a Uint32Array. */

/** 1 << n, unsigned. */
export function BIT(n: number): number {
  return (1 << n) >>> 0;
}

/** Number of the lowest bit that is set; `word` is not 0. */
export function __ffs(word: number): number {
  return 31 - Math.clz32(word & -word);
}

/** One more than the lowest bit that is set; 0 for 0. */
export function ffs(word: number): number {
  return word === 0 ? 0 : 32 - Math.clz32(word & -word);
}

/** One more than the highest bit that is set; 0 for 0. */
export function fls(word: number): number {
  return 32 - Math.clz32(word);
}

/** Number of bits that are set. */
export function hweight32(word: number): number {
  let w = word - ((word >>> 1) & 0x55555555);
  w = (w & 0x33333333) + ((w >>> 2) & 0x33333333);
  return Math.imul((w + (w >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}

/** Logarithm to base 2 rounded down; n from 1 to 2^53. */
export function ilog2(n: number): number {
  return n >= 0x100000000 ? 32 + ilog2(Math.floor(n / 0x100000000)) : 31 - Math.clz32(n);
}

export function is_power_of_2(n: number): boolean {
  return n > 0 && (n < 0x100000000 ? ((n >>> 0) & ((n >>> 0) - 1)) === 0 : n === 2 * roundHalf(n));
}

function roundHalf(n: number): number {
  return is_power_of_2(n / 2) ? n / 2 : 0;
}

/** The largest power of two that is not more than n; n below 2^31. */
export function rounddown_pow_of_two(n: number): number {
  return (1 << (31 - Math.clz32(n))) >>> 0;
}

/** The smallest power of two that is not less than n; n up to 2^31. */
export function roundup_pow_of_two(n: number): number {
  return n <= 1 ? 1 : rounddown_pow_of_two(n - 1) * 2;
}

/** A bitmap of `nbits` zero bits. */
export function bitmap_zalloc(nbits: number): Uint32Array {
  return new Uint32Array((nbits + 31) >>> 5);
}

export function test_bit(nr: number, map: Uint32Array): boolean {
  return (map[nr >>> 5] & (1 << (nr & 31))) !== 0;
}

export function set_bit(nr: number, map: Uint32Array): void {
  map[nr >>> 5] |= 1 << (nr & 31);
}

export function clear_bit(nr: number, map: Uint32Array): void {
  map[nr >>> 5] &= ~(1 << (nr & 31));
}

/** Sets the bit. Returns what it was. */
export function test_and_set_bit(nr: number, map: Uint32Array): boolean {
  const was = test_bit(nr, map);
  set_bit(nr, map);
  return was;
}

/** Clears the bit. Returns what it was. */
export function test_and_clear_bit(nr: number, map: Uint32Array): boolean {
  const was = test_bit(nr, map);
  clear_bit(nr, map);
  return was;
}

function find_bit(map: Uint32Array, size: number, offset: number, invert: number): number {
  for (let nr = offset; nr < size; nr = ((nr >>> 5) + 1) << 5) {
    const word = ((map[nr >>> 5] ^ invert) >>> (nr & 31)) >>> 0;
    if (word === 0) continue;
    const found = nr + __ffs(word);
    return found < size ? found : size;
  }
  return size;
}

/** The first bit at or after `offset` that is set, or `size`. */
export function find_next_bit(map: Uint32Array, size: number, offset: number): number {
  return find_bit(map, size, offset, 0);
}

/** The first bit at or after `offset` that is clear, or `size`. */
export function find_next_zero_bit(map: Uint32Array, size: number, offset: number): number {
  return find_bit(map, size, offset, -1);
}

export function find_first_bit(map: Uint32Array, size: number): number {
  return find_bit(map, size, 0, 0);
}

export function find_first_zero_bit(map: Uint32Array, size: number): number {
  return find_bit(map, size, 0, -1);
}

export function bitmap_empty(map: Uint32Array, size: number): boolean {
  return find_bit(map, size, 0, 0) === size;
}

/** Number of bits that are set among the first `size`. */
export function bitmap_weight(map: Uint32Array, size: number): number {
  let weight = 0;
  for (let nr = find_first_bit(map, size); nr < size; nr = find_next_bit(map, size, nr + 1)) weight++;
  return weight;
}
