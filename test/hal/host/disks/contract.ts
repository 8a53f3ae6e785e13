/** What every host disk that keeps its bytes must do. */
import { EROFS } from "../../../../hal/abi/errno";
import type { HostDisk } from "../../../../hal/host/disks/disk";
import type { DiskOptions } from "../../../../hal/host/disks/options";
import { expect, it } from "vitest";

/** Runs the contract over a kind of disk; `make` gives a disk over a copy of the bytes. */
export function diskContract(make: (bytes: Uint8Array, options?: DiskOptions) => HostDisk): void {
  const bytes = Uint8Array.from({ length: 64 * 512 }, (_, i) => (i * 7 + (i >>> 9)) & 0xff);
  const read = (disk: HostDisk, sector: number, count: number): Uint8Array => {
    const into = new Uint8Array(count * 512);
    expect(disk.read(sector, into)).toBe(0);
    return into;
  };

  it("reads what is there, at every place and of every size", () => {
    const disk = make(bytes);
    for (const [sector, count] of [
      [0, 1],
      [0, 64],
      [63, 1],
      [7, 9],
    ]) {
      expect(read(disk, sector, count)).toEqual(bytes.slice(sector * 512, (sector + count) * 512));
    }
    disk.close();
  });

  it("keeps what was written, and nothing else changes", () => {
    const disk = make(bytes);
    const data = new Uint8Array(3 * 512).fill(0xa5);
    expect(disk.write(10, data)).toBe(0);
    expect(disk.flush()).toBe(0);
    const expected = bytes.slice();
    expected.set(data, 10 * 512);
    expect(read(disk, 0, 64)).toEqual(expected);
    disk.close();
  });

  it.each(["ordinary", "secure"] as const)("a %s discard leaves zeros", (kind) => {
    const disk = make(bytes);
    expect(disk.discard(1, 62, kind)).toBe(0);
    expect(read(disk, 0, 64)).toEqual(bytes.slice().fill(0, 512, 63 * 512));
    disk.close();
  });

  it("a read-only disk refuses every change and keeps its bytes", () => {
    const disk = make(bytes, { access: "r" });
    expect(disk.info.readonly).toBe(true);
    expect(disk.write(0, new Uint8Array(512))).toBe(-EROFS);
    expect(disk.discard(0, 1, "ordinary")).toBe(-EROFS);
    expect(disk.flush()).toBe(0);
    expect(read(disk, 0, 64)).toEqual(bytes);
    disk.close();
  });

  it("says what it is", () => {
    const disk = make(bytes, { logicalBlockSize: 4096, removable: true, discard: false });
    expect(disk.info).toMatchObject({
      sectors: 64,
      logicalBlockSize: 4096,
      physicalBlockSize: 4096,
      discard: false,
      secureErase: false,
      discardGranularity: 0,
      removable: true,
      cdrom: false,
      readonly: false,
      generation: 0,
    });
    disk.close();
  });
}
