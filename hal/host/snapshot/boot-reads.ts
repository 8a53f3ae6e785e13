/**
 * What a boot has read of disk files: a machine that was booted from other bytes is another one. A boot that wrote, or that read a lot, is not
 * worth keeping.
 */
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import { HOSTDISK_FLUSH, HOSTDISK_READ } from "../../abi/hostdisk";

/** One piece that was read; plain data. */
export interface DiskRead {
  /** Index of the host disk. */
  readonly disk: number;
  readonly sector: number;
  /** Bytes. */
  readonly size: number;
  readonly sha256: string;
}

const BYTES_MAX = 4 << 20;

function digest(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** Listens to the disks of a machine that boots (`MachineOptions.onDisk`). */
export class BootReads {
  private readonly reads = new Map<string, DiskRead>();
  private bytes = 0;
  private isSpoilt = false;
  private isOver = false;

  readonly listen = (disk: number, op: number, sector: number, data: Uint8Array | null): void => {
    if (this.isOver || this.isSpoilt || op === HOSTDISK_FLUSH) return;
    if (op !== HOSTDISK_READ || data === null) {
      this.isSpoilt = true;
      return;
    }
    const key = `${disk} ${sector} ${data.length}`;
    if (this.reads.has(key)) return;
    this.bytes += data.length;
    this.isSpoilt = this.bytes > BYTES_MAX;
    this.reads.set(key, { disk, sector, size: data.length, sha256: digest(data) });
  };

  /** Ends the listening. What was read, or null when the boot did something else with a disk, or read too much. */
  finish(): DiskRead[] | null {
    this.isOver = true;
    return this.isSpoilt ? null : [...this.reads.values()];
  }
}

/** Whether reading a file at the same places gives the same bytes. */
export function readsTheSame(file: string, reads: readonly DiskRead[]): boolean {
  let fd: number;
  try {
    fd = fs.openSync(file, "r");
  } catch {
    return false;
  }
  try {
    return reads.every(({ sector, size, sha256 }) => {
      const bytes = Buffer.alloc(size);
      return fs.readSync(fd, bytes, 0, size, sector * 512) === size && digest(bytes) === sha256;
    });
  } finally {
    fs.closeSync(fd);
  }
}
