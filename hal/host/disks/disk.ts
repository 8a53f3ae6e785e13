/**
 * A host disk as the hypervisor's doorbell sees it (`hypervisor/hostdisk.ts`). Implementations are beside this file.
 *
 * All calls are synchronous and are made at the virtual time of the request's completion. Sectors are 512 bytes. The hypervisor has checked
 * that the range lies within `info.sectors` and that a read-only disk is never written; an implementation checks again what it depends on.
 */

import type { SavedDisk } from "./saved-disk";

/** What a disk is. Everything but `sectors` and `generation` is fixed for the disk's life. */
export interface HostDiskInfo {
  /** Capacity in 512-byte sectors. */
  readonly sectors: number;
  /** Bytes; 512 or 4096. */
  readonly logicalBlockSize: number;
  /** Bytes; a multiple of logicalBlockSize. */
  readonly physicalBlockSize: number;
  /** Bytes; 0 when the disk cannot discard. */
  readonly discardGranularity: number;
  readonly readonly: boolean;
  /** Writes are durable only after a flush. */
  readonly writeCache: boolean;
  readonly discard: boolean;
  readonly secureErase: boolean;
  readonly cdrom: boolean;
  readonly removable: boolean;
  /** Changes whenever `sectors` changes. */
  readonly generation: number;
}

/** One disk. Every operation returns 0 or a negative errno (Xen's numbers, `hal/abi/errno.ts`); none throws. */
export interface HostDisk {
  readonly info: HostDiskInfo;
  /** Fills `dst` (a multiple of 512 bytes, possibly straight guest memory) from `sector` on. */
  read(sector: number, dst: Uint8Array): number;
  /** Stores `src` (a multiple of 512 bytes, possibly straight guest memory) from `sector` on. */
  write(sector: number, src: Uint8Array): number;
  /** Makes all completed writes durable. */
  flush(): number;
  /** Drops `count` sectors; `secure` also makes the old contents unreadable. */
  discard(sector: number, count: number, secure: "secure" | "ordinary"): number;
  /** What a snapshot keeps of the disk, or null when it cannot be kept. A disk without it cannot be part of a snapshot. */
  save?(): SavedDisk | null;
  /** Becomes again what `save` described; false when it cannot. The content of a file is not its affair: whoever calls has compared it. */
  load?(saved: SavedDisk): boolean;
  /** Releases what the disk holds (file handles). */
  close(): void;
}
