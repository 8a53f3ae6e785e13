/**
 * A reader of the tar files that images are: POSIX ustar, plain files only, all in memory, nothing decoded before it is asked for.
 *
 *   512-byte header (name, octal size, checksum) | data, padded to 512 | ... | two zero blocks
 */

const BLOCK_SIZE = 512;
const NAME = { offset: 0, size: 100 };
const SIZE = { offset: 124, size: 12 };
const CHECKSUM = { offset: 148, size: 8 };
const TYPE_OFFSET = 156;
const MAGIC = { offset: 257, size: 5 };
const PREFIX = { offset: 345, size: 155 };
const TYPE_FILE = 0x30;
const ZEROS = new Uint8Array(BLOCK_SIZE);
const SPACE = 0x20;

/** A file's place in the tar. */
export interface TarEntry {
  readonly path: string;
  readonly offset: number;
  readonly size: number;
}

/** The bytes are not a tar file of the kind that images are; the message says where and why. */
export class TarError extends Error {}

/** Lists the entries of a tar in their order. Throws TarError on anything that an image packer does not write. */
export function tarEntries(bytes: Uint8Array): TarEntry[] {
  const entries: TarEntry[] = [];
  let offset = 0;
  while (!isZero(block(bytes, offset))) {
    const entry = header(block(bytes, offset), offset);
    const end = entry.offset + entry.size;
    const next = entry.offset + Math.ceil(entry.size / BLOCK_SIZE) * BLOCK_SIZE;
    if (next > bytes.length) {
      throw new TarError(`truncated: ${entry.path} should end at byte ${end}, the file at ${bytes.length}`);
    }
    if (!isZero(bytes.subarray(end, next))) throw new TarError(`corrupt: the padding after ${entry.path} is not zero`);
    entries.push(entry);
    offset = next;
  }
  if (!isZero(bytes.subarray(offset))) throw new TarError(`corrupt: data after the end mark at byte ${offset}`);
  if (bytes.length < offset + 2 * BLOCK_SIZE) throw new TarError("truncated: the end mark is incomplete");
  return entries;
}

function block(bytes: Uint8Array, offset: number): Uint8Array {
  if (offset + BLOCK_SIZE > bytes.length) throw new TarError(`truncated: no end mark at byte ${offset}`);
  return bytes.subarray(offset, offset + BLOCK_SIZE);
}

function header(bytes: Uint8Array, offset: number): TarEntry {
  if (text(bytes, MAGIC) !== "ustar") throw new TarError(`not an image: no tar header at byte ${offset}`);
  if (octal(bytes, CHECKSUM) !== checksum(bytes)) throw new TarError(`corrupt: bad header checksum at byte ${offset}`);
  const prefix = text(bytes, PREFIX);
  const path = prefix === "" ? text(bytes, NAME) : `${prefix}/${text(bytes, NAME)}`;
  if (bytes[TYPE_OFFSET] !== TYPE_FILE) throw new TarError(`corrupt: ${path} is not a plain file`);
  return { path, offset: offset + BLOCK_SIZE, size: octal(bytes, SIZE) };
}

function text(bytes: Uint8Array, field: { offset: number; size: number }): string {
  const raw = bytes.subarray(field.offset, field.offset + field.size);
  const end = raw.indexOf(0);
  return Buffer.from(end < 0 ? raw : raw.subarray(0, end)).toString("utf8");
}

function octal(bytes: Uint8Array, field: { offset: number; size: number }): number {
  const digits = text(bytes, field).trim();
  if (!/^[0-7]+$/.test(digits)) throw new TarError(`corrupt: ${JSON.stringify(digits)} is not an octal number`);
  return Number.parseInt(digits, 8);
}

/** Sum of the header's bytes, the checksum field counted as spaces. */
function checksum(bytes: Uint8Array): number {
  let sum = CHECKSUM.size * SPACE;
  for (let i = 0; i < BLOCK_SIZE; i++) sum += bytes[i];
  for (let i = CHECKSUM.offset; i < CHECKSUM.offset + CHECKSUM.size; i++) sum -= bytes[i];
  return sum;
}

function isZero(bytes: Uint8Array): boolean {
  for (let at = 0; at < bytes.length; at += ZEROS.length) {
    const piece = bytes.subarray(at, at + ZEROS.length);
    if (Buffer.compare(piece, ZEROS.subarray(0, piece.length)) !== 0) return false;
  }
  return true;
}
