/** The disk of the default machine: made when it is not there, filled with a pattern that anybody can make again. */
import * as fs from "node:fs";
import * as path from "node:path";

/** Bytes of the default disk. */
export const DEFAULT_DISK_BYTES = 16 << 20;

/** Makes the file if it is absent: word i of the disk is i * 2654435761 (mod 2^32), little-endian. Returns whether it was made. */
export function makeDefaultDisk(file: string): boolean {
  if (fs.existsSync(file)) return false;
  const words = new Uint32Array(DEFAULT_DISK_BYTES / 4);
  for (let i = 0; i < words.length; i++) words[i] = Math.imul(i, 2654435761);
  fs.mkdirSync(path.dirname(file), { recursive: true });
  fs.writeFileSync(file, words);
  return true;
}
