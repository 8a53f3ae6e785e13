/**
 * What is written to a disk stays in memory; the disk below is read, and never changed.
 *
 * Kept in blocks of 4096 bytes: a write to part of a block takes the rest of it from below.
 */
import { EROFS } from "../../abi/errno";
import type { HostDisk, HostDiskInfo } from "./disk";
import type { SavedDisk } from "./saved-disk";

const SECTOR = 512;
const BLOCK = 4096;
const BLOCK_SECTORS = BLOCK / SECTOR;

/** The blocks that were written; plain data. */
export interface SavedBlocks {
  /** Numbers, ascending. */
  readonly blocks: Uint32Array;
  /** Their contents in that order. */
  readonly bytes: Uint8Array;
}

export class OverlayDisk implements HostDisk {
  private readonly blocks = new Map<number, Uint8Array>();

  /** `info`: what the guest sees; the disk below may be read-only although this one is not. */
  constructor(private readonly below: HostDisk, readonly info: HostDiskInfo) {}

  read(sector: number, dst: Uint8Array): number {
    const status = this.below.read(sector, dst);
    if (status !== 0 || this.blocks.size === 0) return status;
    this.forEachPart(sector, dst.length / SECTOR, (block, from, at, size) => {
      const written = this.blocks.get(block);
      if (written !== undefined) dst.set(written.subarray(from, from + size), at);
    });
    return 0;
  }

  write(sector: number, src: Uint8Array): number {
    if (this.info.readonly) return -EROFS;
    return this.forEachPart(sector, src.length / SECTOR, (block, from, at, size) => {
      const bytes = this.own(block, size);
      if (typeof bytes === "number") return bytes;
      bytes.set(src.subarray(at, at + size), from);
    });
  }

  flush(): number {
    return 0;
  }

  discard(sector: number, count: number): number {
    if (this.info.readonly) return -EROFS;
    return this.forEachPart(sector, count, (block, from, _at, size) => {
      const bytes = this.own(block, size);
      if (typeof bytes === "number") return bytes;
      bytes.fill(0, from, from + size);
    });
  }

  close(): void {
    this.below.close();
  }

  save(): SavedDisk | null {
    const below = this.below.save?.();
    if (below?.kind !== "file") return null;
    return { ...below, info: this.info, overlay: this.saveBlocks() };
  }

  /** Puts other blocks over the disk below. */
  loadBlocks({ blocks, bytes }: SavedBlocks): void {
    this.blocks.clear();
    blocks.forEach((block, index) => this.blocks.set(block, bytes.slice(index * BLOCK, (index + 1) * BLOCK)));
  }

  load(saved: SavedDisk): boolean {
    if (saved.kind !== "file" || saved.overlay === null) return false;
    this.loadBlocks(saved.overlay);
    return true;
  }

  private saveBlocks(): SavedBlocks {
    const blocks = Uint32Array.from(this.blocks.keys()).sort();
    const bytes = new Uint8Array(blocks.length * BLOCK);
    blocks.forEach((block, index) => bytes.set(this.blocks.get(block) as Uint8Array, index * BLOCK));
    return { blocks, bytes };
  }

  /** The block's own bytes, made from what is below unless all of it is about to change; or the errno of reading them. */
  private own(block: number, size: number): Uint8Array | number {
    const known = this.blocks.get(block);
    if (known !== undefined) return known;
    const bytes = new Uint8Array(BLOCK);
    const count = Math.min(BLOCK_SECTORS, this.info.sectors - block * BLOCK_SECTORS);
    const status = size === BLOCK ? 0 : this.below.read(block * BLOCK_SECTORS, bytes.subarray(0, count * SECTOR));
    if (status !== 0) return status;
    this.blocks.set(block, bytes);
    return bytes;
  }

  /** Calls `body` for the part of each block that lies in the range, until it returns an errno. */
  private forEachPart(
    sector: number,
    count: number,
    body: (block: number, from: number, at: number, size: number) => number | void,
  ): number {
    for (let done = 0; done < count; ) {
      const within = (sector + done) % BLOCK_SECTORS;
      const sectors = Math.min(BLOCK_SECTORS - within, count - done);
      const block = (sector + done - within) / BLOCK_SECTORS;
      const status = body(block, within * SECTOR, done * SECTOR, sectors * SECTOR);
      if (typeof status === "number" && status !== 0) return status;
      done += sectors;
    }
    return 0;
  }
}
