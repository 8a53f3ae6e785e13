import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { DEFAULT_DISK_BYTES, makeDefaultDisk } from "../../../../hal/host/toolstack/default-disk";

let folder: string;
beforeAll(() => void (folder = fs.mkdtempSync(path.join(os.tmpdir(), "xenolith-default-"))));
afterAll(() => fs.rmSync(folder, { recursive: true }));

it("made once, with its folder, in the documented pattern; what is there stays", () => {
  const file = path.join(folder, "deep/er/disk.img");
  expect(makeDefaultDisk(file)).toBe(true);
  const bytes = fs.readFileSync(file);
  expect(bytes).toHaveLength(DEFAULT_DISK_BYTES);
  for (const word of [0, 1, 2, 1000, DEFAULT_DISK_BYTES / 4 - 1]) {
    expect(bytes.readUInt32LE(word * 4)).toBe(Number((BigInt(word) * 2654435761n) & 0xffffffffn));
  }
  fs.writeFileSync(file, "mine");
  expect(makeDefaultDisk(file)).toBe(false);
  expect(fs.readFileSync(file, "utf8")).toBe("mine");
});
