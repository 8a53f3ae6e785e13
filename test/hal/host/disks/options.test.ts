import { expect, it } from "vitest";
import { diskInfo } from "../../../../hal/host/disks/options";

it("the defaults: 512-byte sectors, writable, a write cache, discard", () => {
  expect(diskInfo(100, {})).toEqual({
    sectors: 100,
    logicalBlockSize: 512,
    physicalBlockSize: 512,
    discardGranularity: 512,
    readonly: false,
    writeCache: true,
    discard: true,
    secureErase: true,
    cdrom: false,
    removable: false,
    generation: 0,
  });
});

it("a physical block of its own, and a granularity that follows the logical one", () => {
  expect(diskInfo(100, { physicalBlockSize: 4096 })).toMatchObject({
    physicalBlockSize: 4096,
    discardGranularity: 512,
  });
  expect(diskInfo(100, { logicalBlockSize: 4096 })).toMatchObject({
    physicalBlockSize: 4096,
    discardGranularity: 4096,
  });
});
