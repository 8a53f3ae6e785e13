import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { openHostDisk } from "../../../../hal/host/toolstack/host-disk";
import { spec } from "./toolstack-world";

let folder: string;
beforeAll(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), "xenolith-host-disk-"));
  fs.writeFileSync(path.join(folder, "a.img"), new Uint8Array(8192));
});
afterAll(() => fs.rmSync(folder, { recursive: true }));

it.each([
  ["ram:1M,raw,xvda,w", { sectors: 2048, writeCache: false, readonly: false, discard: true }],
  ["null:8K,raw,xvda,r", { sectors: 16, readonly: true }],
  ["a.img,raw,xvda,w", { sectors: 16, writeCache: true, logicalBlockSize: 512 }],
  ["a.img,raw,xvda,r,no-discard", { readonly: true, discard: false }],
  ["a.img,raw,xvda,w,sector-size=4096", { sectors: 16, logicalBlockSize: 4096, physicalBlockSize: 4096 }],
  ["a.img,raw,xvda,w,physical-sector-size=4096,no-write-cache", { physicalBlockSize: 4096, writeCache: false }],
  ["a.img,raw,xvda,cdrom", { cdrom: true, removable: true, readonly: true }],
])("%s", (text, info) => {
  const disk = openHostDisk(spec(text), folder);
  expect(disk.info).toMatchObject(info);
  disk.close();
});

it("a missing file is named with the folder it was looked for in", () => {
  expect(() => openHostDisk(spec("none.img,raw,xvda,w"), folder)).toThrow(path.join(folder, "none.img"));
});
