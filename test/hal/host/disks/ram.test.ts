import { expect, it } from "vitest";
import { RamDisk } from "../../../../hal/host/disks/ram";
import { diskContract } from "./contract";

diskContract((bytes, options) => new RamDisk(bytes.slice(), options));

it("resize: another capacity and generation, the same bytes", () => {
  const disk = new RamDisk(new Uint8Array(4096).fill(1));
  disk.resize(4);
  expect(disk.info).toMatchObject({ sectors: 4, generation: 1 });
  disk.resize(8);
  expect(disk.info).toMatchObject({ sectors: 8, generation: 2 });
  expect(disk.bytes.every((byte) => byte === 1)).toBe(true);
  expect(() => disk.resize(9)).toThrow(RangeError);
});

it("has no write cache unless told so", () => {
  expect(new RamDisk(new Uint8Array(512)).info.writeCache).toBe(false);
  expect(new RamDisk(new Uint8Array(512), { writeCache: true }).info.writeCache).toBe(true);
});
