/** CRC-32 as GPT uses it (polynomial 0xEDB88320, reflected). */

let table: Uint32Array | null = null;

function make_table(): Uint32Array {
  const made = new Uint32Array(256);
  for (let n = 0; n < 256; n++) {
    let c = n;
    for (let bit = 0; bit < 8; bit++) c = (c & 1) !== 0 ? (c >>> 1) ^ 0xedb88320 : c >>> 1;
    made[n] = c;
  }
  return made;
}

/** The sum over bytes [from, to) of `bytes`, continuing from `crc` (0 to begin). */
export function efi_crc32(bytes: Uint8Array, from: number, to: number, crc = 0): number {
  table ??= make_table();
  let sum = ~crc;
  for (let i = from; i < to; i++) sum = table[(sum ^ bytes[i]) & 0xff] ^ (sum >>> 8);
  return ~sum >>> 0;
}
