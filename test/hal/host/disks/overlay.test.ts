import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openFileDisk } from "../../../../hal/host/disks/file";
import { diskInfo } from "../../../../hal/host/disks/options";
import { OverlayDisk } from "../../../../hal/host/disks/overlay";
import { RamDisk } from "../../../../hal/host/disks/ram";
import { type SavedFileDisk, openSavedDisk } from "../../../../hal/host/disks/saved-disk";
import { diskContract } from "./contract";

let folder: string;
beforeEach(() => (folder = fs.mkdtempSync(path.join(os.tmpdir(), "xenolith-overlay-"))));
afterEach(() => fs.rmSync(folder, { recursive: true }));

describe("an overlay over a RAM disk", () => {
  diskContract(
    (bytes, options = {}) => new OverlayDisk(new RamDisk(bytes.slice(), { access: "r" }), diskInfo(64, options)),
  );
});

describe("an overlay over a file", () => {
  const open = (): OverlayDisk => {
    const file = path.join(folder, "disk.img");
    if (!fs.existsSync(file)) fs.writeFileSync(file, new Uint8Array(13 * 512).fill(5));
    return new OverlayDisk(openFileDisk(file, { access: "r" }), diskInfo(13, {}));
  };
  const all = (disk: { read(sector: number, dst: Uint8Array): number }): Uint8Array => {
    const bytes = new Uint8Array(13 * 512);
    expect(disk.read(0, bytes)).toBe(0);
    return bytes;
  };

  it("keeps parts of blocks, also of the last one that is short; the file never changes", () => {
    const disk = open();
    expect(disk.write(7, new Uint8Array(2 * 512).fill(1))).toBe(0);
    expect(disk.write(12, new Uint8Array(512).fill(2))).toBe(0);
    expect(disk.discard(0, 1)).toBe(0);
    const expected = new Uint8Array(13 * 512).fill(5);
    expected
      .fill(0, 0, 512)
      .fill(1, 7 * 512, 9 * 512)
      .fill(2, 12 * 512);
    expect(all(disk)).toEqual(expected);
    expect(fs.readFileSync(path.join(folder, "disk.img")).every((byte) => byte === 5)).toBe(true);
    disk.close();
  });

  it("save, load, and a second one from what was saved: each goes on by itself", () => {
    const disk = open();
    disk.write(1, new Uint8Array(512).fill(1));
    const saved = disk.save() as SavedFileDisk;
    const bytes = all(disk);
    disk.write(1, new Uint8Array(3 * 512).fill(9));
    const other = openSavedDisk(saved, saved.file, "file");
    expect(all(other)).toEqual(bytes);
    other.write(1, new Uint8Array(512).fill(7));
    expect(disk.load(saved)).toBe(true);
    expect(all(disk)).toEqual(bytes);
    for (const one of [disk, other]) one.close();
  });
});
