/**
 * Random numbers: xoshiro128**, seeded from the `random.seed=` that the toolstack put on the command line, which it drew from the machine's seed.
 * Without it the seed is the domain's number, so that a run is repeatable in any case.
 */
import { EXPORT_SYMBOL } from "xenolith/linux/export";

const state = new Uint32Array([0x9e3779b9, 0x243f6a88, 0xb7e15162, 0xdeadbeef]);

function rotl(x: number, k: number): number {
  return (x << k) | (x >>> (32 - k));
}

export function get_random_u32(): number {
  const result = Math.imul(rotl(Math.imul(state[1], 5), 7), 9) >>> 0;
  const t = state[1] << 9;
  state[2] ^= state[0];
  state[3] ^= state[1];
  state[1] ^= state[2];
  state[0] ^= state[3];
  state[2] ^= t;
  state[3] = rotl(state[3], 11);
  return result;
}
EXPORT_SYMBOL(get_random_u32);

export function get_random_u32_below(ceil: number): number {
  return Math.floor((get_random_u32() / 0x100000000) * ceil);
}
EXPORT_SYMBOL(get_random_u32_below);

export function get_random_bytes(bytes: Uint8Array): void {
  for (let i = 0; i < bytes.length; i++) bytes[i] = get_random_u32();
}
EXPORT_SYMBOL(get_random_bytes);

export function add_device_randomness(value: number): void {
  state[0] ^= value;
  for (let i = 0; i < 8; i++) get_random_u32();
}
EXPORT_SYMBOL(add_device_randomness);
