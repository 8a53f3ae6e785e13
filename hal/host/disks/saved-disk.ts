/** What a snapshot keeps of a disk, and how a disk is made of that again. All of it is plain data. */
import type { HostDisk, HostDiskInfo } from "./disk";
import { openFileDiskAs } from "./file";
import type { FileIdentity } from "./file-identity";
import { createNullDisk } from "./null";
import { type SavedBlocks, OverlayDisk } from "./overlay";
import { RamDisk } from "./ram";
import { type SparseBytes, expandSparse } from "./sparse";

/** A RAM disk with its bytes. */
export interface SavedRamDisk {
  readonly kind: "ram";
  readonly info: HostDiskInfo;
  readonly content: SparseBytes;
}

/** A null disk. */
export interface SavedNullDisk {
  readonly kind: "null";
  readonly info: HostDiskInfo;
}

/** A file of the host, by name and content, with what an overlay kept from it. */
export interface SavedFileDisk {
  readonly kind: "file";
  readonly info: HostDiskInfo;
  readonly file: string;
  /** null: whoever restores it has compared what matters. */
  readonly content: FileIdentity | null;
  /** Blocks that were written; null: they were written to the file itself. */
  readonly overlay: SavedBlocks | null;
}

export type SavedDisk = SavedRamDisk | SavedNullDisk | SavedFileDisk;

/**
 * Opens a disk that goes on where the saved one was. `file` is where its file is now; "overlay" keeps what is written in memory. Throws
 * UserError when the file is not to be had. Whether it is what it was, the caller asks (`isSameContent`).
 */
export function openSavedDisk(saved: SavedDisk, file: string, writes: "overlay" | "file"): HostDisk {
  if (saved.kind === "null") return createNullDisk(saved.info.sectors, {}, saved.info);
  if (saved.kind === "ram") {
    const disk = new RamDisk(expandSparse(saved.content));
    disk.info = saved.info;
    return disk;
  }
  const keepsWrites = writes === "overlay" || saved.overlay !== null;
  if (!keepsWrites) return openFileDiskAs(file, saved.info);
  const overlay = new OverlayDisk(openFileDiskAs(file, { ...saved.info, readonly: true }), saved.info);
  if (saved.overlay !== null) overlay.loadBlocks(saved.overlay);
  return overlay;
}
