import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  type FileIdentity,
  completeIdentity,
  identifyFile,
  isSameContent,
} from "../../../../hal/host/disks/file-identity";
import { loadSparse, saveSparse } from "../../../../hal/host/disks/sparse";

let file: string;
beforeEach(() => (file = path.join(fs.mkdtempSync(path.join(os.tmpdir(), "xenolith-saved-")), "f")));
afterEach(() => fs.rmSync(path.dirname(file), { recursive: true }));

function identify(): FileIdentity {
  const fd = fs.openSync(file, "r");
  try {
    return identifyFile(fd);
  } finally {
    fs.closeSync(fd);
  }
}

describe("sparse bytes", () => {
  it.each([0, 1, 4096, 4097, 5 * 4096 + 512])(
    "%i bytes: only pages that are not zero, and back into whatever there is",
    (length) => {
      const bytes = new Uint8Array(length);
      for (const at of [0, 4095, 4096, 3 * 4096 + 7, length - 1]) if (at >= 0 && at < length) bytes[at] = at + 1;
      const saved = saveSparse(bytes);
      const pages = [
        ...new Set([0, 4095, 4096, 3 * 4096 + 7, length - 1].filter((at) => at >= 0 && at < length && bytes[at] !== 0)),
      ];
      expect(new Set(saved.pages)).toEqual(new Set(pages.map((at) => at >>> 12)));
      const other = new Uint8Array(length).fill(0xaa);
      loadSparse(other, saved);
      expect(other).toEqual(bytes);
    },
  );

  it("loadSparse refuses an array of another length", () => {
    expect(() => loadSparse(new Uint8Array(2), saveSparse(new Uint8Array(3)))).toThrow(RangeError);
  });
});

describe("the identity of a file", () => {
  it("an old file is known by its times, a young one by its digest", () => {
    fs.writeFileSync(file, "abc");
    expect(identify().sha256).toMatch(/^[0-9a-f]{64}$/);
    expect(isSameContent(file, identify())).toBe(true);
    const young = identify();
    fs.writeFileSync(file, "abd");
    expect(isSameContent(file, young)).toBe(false);
    fs.writeFileSync(file, "abc");
    expect(isSameContent(file, young)).toBe(true);
  });

  it("times that moved mean another file, unless the digest says that it is the same", () => {
    fs.writeFileSync(file, "abc");
    const old = { ...identify(), sha256: null };
    expect(isSameContent(file, old)).toBe(true);
    const complete = completeIdentity(file, old) as FileIdentity;
    fs.utimesSync(file, 1e9, 1e9);
    expect(isSameContent(file, old)).toBe(false);
    expect(completeIdentity(file, old)).toBe(null);
    expect(isSameContent(file, complete)).toBe(true);
    fs.appendFileSync(file, "d");
    expect(isSameContent(file, complete)).toBe(false);
    expect(isSameContent(`${file}.none`, complete)).toBe(false);
  });
});
