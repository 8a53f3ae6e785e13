/** A disk in the host's memory: starts as zeros, is gone with the machine. */
import { EROFS } from "../../abi/errno";
import type { HostDisk, HostDiskInfo } from "./disk";
import { type DiskOptions, diskInfo } from "./options";
import type { SavedDisk, SavedRamDisk } from "./saved-disk";
import { loadSparse, saveSparse } from "./sparse";

/** A RAM disk over `bytes` (a multiple of 512 long), which the caller may inspect and change. */
export class RamDisk implements HostDisk {
  info: HostDiskInfo;

  constructor(readonly bytes: Uint8Array, options: DiskOptions = {}) {
    this.info = diskInfo(bytes.length / 512, { writeCache: false, ...options });
  }

  read(sector: number, dst: Uint8Array): number {
    dst.set(this.bytes.subarray(sector * 512, sector * 512 + dst.length));
    return 0;
  }

  write(sector: number, src: Uint8Array): number {
    if (this.info.readonly) return -EROFS;
    this.bytes.set(src, sector * 512);
    return 0;
  }

  flush(): number {
    return 0;
  }

  discard(sector: number, count: number): number {
    if (this.info.readonly) return -EROFS;
    this.bytes.fill(0, sector * 512, (sector + count) * 512);
    return 0;
  }

  /** Changes the capacity, as an online resize does: the disk keeps its bytes and ends `sectors` sectors long. At most the size of `bytes`. */
  resize(sectors: number): void {
    if (sectors * 512 > this.bytes.length) throw new RangeError(`${sectors} sectors do not fit into the disk's memory`);
    this.info = { ...this.info, sectors, generation: this.info.generation + 1 };
  }

  save(): SavedRamDisk {
    return { kind: "ram", info: this.info, content: saveSparse(this.bytes) };
  }

  load(saved: SavedDisk): boolean {
    if (saved.kind !== "ram" || saved.content.length !== this.bytes.length) return false;
    loadSparse(this.bytes, saved.content);
    this.info = saved.info;
    return true;
  }

  close(): void {
    // The bytes belong to whoever gave them.
  }
}
