import { expect, it } from "vitest";
import { EROFS } from "../../../../hal/abi/errno";
import { createNullDisk } from "../../../../hal/host/disks/null";

it("reads are zeros, writes go nowhere", () => {
  const disk = createNullDisk(8);
  const into = new Uint8Array(1024).fill(9);
  expect(disk.write(0, into)).toBe(0);
  expect(disk.read(0, into)).toBe(0);
  expect(into.every((byte) => byte === 0)).toBe(true);
  expect([disk.flush(), disk.discard(0, 8, "secure")]).toEqual([0, 0]);
  expect(disk.info).toMatchObject({ sectors: 8, writeCache: false });
  disk.close();
});

it("a read-only one refuses changes", () => {
  const disk = createNullDisk(8, { access: "r" });
  expect([disk.write(0, new Uint8Array(512)), disk.discard(0, 1, "ordinary")]).toEqual([-EROFS, -EROFS]);
});
