import { expect, it } from "vitest";
import { packImage } from "../../../../build/image";
import { readImage, sha256 } from "../../../../hal/host/image/image";
import { ImageError } from "../../../../hal/host/image/image-error";

const FILES = new Map([
  ["debug/kernel.js", "(function () {})\n"],
  ["machines/default.json", '{"version":1}\n'],
]);

async function pack(): Promise<Buffer> {
  const { bytes } = await packImage({ xenolith: "1.2.3", machine: "machines/default.json", bundles: [], files: FILES });
  return Buffer.from(bytes);
}

function problem(bytes: Uint8Array, use: (image: ReturnType<typeof readImage>) => unknown = () => 0): string {
  try {
    use(readImage(bytes, "x.img"));
  } catch (error) {
    if (error instanceof ImageError) return error.problem;
    throw error;
  }
  return "none";
}

/** Changes text of one length into another of the same, everywhere, manifest hash and all, as a forger would. */
function forge(bytes: Buffer, from: string, to: string): Buffer {
  const copy = Buffer.from(bytes);
  for (let at = copy.indexOf(from); at >= 0; at = copy.indexOf(from)) copy.write(to, at);
  const size = Number.parseInt(copy.toString("latin1", 124, 135), 8);
  const hashAt = 512 + Math.ceil(size / 512) * 512 + 512;
  copy.write(sha256(copy.subarray(512, 512 + size)), hashAt);
  return copy;
}

it("readImage: reads back what was packed, and its identity is the manifest's hash", async () => {
  const image = readImage(await pack());
  expect(image.text("debug/kernel.js")).toBe("(function () {})\n");
  expect(image.defaultMachine()).toBe('{"version":1}\n');
  expect(image.verify()).toEqual([]);
  expect(image.id).toMatch(/^[0-9a-f]{64}$/);
});

it("readImage: every single changed byte is noticed by opening or verifying", async () => {
  const bytes = await pack();
  const unnoticed: number[] = [];
  for (let at = 0; at < bytes.length; at += 1) {
    bytes[at] ^= 0x11;
    if (problem(bytes, (image) => image.verify().length > 0 && image.text("machines/default.json")) === "none") {
      if (readImage(bytes).verify().length === 0) unnoticed.push(at);
    }
    bytes[at] ^= 0x11;
  }
  expect(unnoticed).toEqual([]);
});

it("readImage: every truncation is an ImageError", async () => {
  const bytes = await pack();
  for (let size = 0; size < bytes.length; size += 97) {
    expect(problem(bytes.subarray(0, size)), `${size} bytes`).toMatch(/truncated|not an image/);
  }
});

it("readImage: a file that differs from its hash is named with both hashes, when it is used", async () => {
  const bytes = await pack();
  bytes.write("(function () {;)\n", bytes.indexOf("(function () {})\n"));
  expect(problem(bytes)).toBe("none");
  const [found, expected] = [sha256("(function () {;)\n"), sha256("(function () {})\n")];
  const message = `corrupt: debug/kernel.js has SHA-256 ${found}, expected ${expected}`;
  expect(problem(bytes, (image) => image.text("debug/kernel.js"))).toBe(message);
  expect(readImage(bytes).verify()).toEqual([message]);
});

it("readImage: says what is wrong with a manifest", async () => {
  const bytes = await pack();
  expect(problem(forge(bytes, '"version": 1', '"version": 7'))).toBe("image format version 7, expected 1");
  expect(problem(forge(bytes, "xenolith-image", "xenolith-imagE"))).toContain("not an image: format is");
  expect(problem(forge(bytes, '"bundles"', '"bundlez"'))).toBe("corrupt: manifest.json: bad list of bundles");
  expect(problem(forge(bytes, '"size": 14', '"size": 15'))).toBe("none");
  expect(problem(forge(bytes, '"size": 14', '"size": 15'), (image) => image.defaultMachine())).toBe(
    "corrupt: machines/default.json has 14 bytes, expected 15",
  );
});

it("readImage: a file's problems name the file", async () => {
  expect(() => readImage("/no/such/file.img")).toThrow("/no/such/file.img: no such file; ");
  expect(() => readImage("/")).toThrow("/: is a directory, not an image; name the image file");
  expect(problem(Buffer.from("#!/bin/sh\n".repeat(100)))).toBe("not an image: no tar header at byte 0");
  expect(problem(Buffer.alloc(0))).toMatch(/truncated/);
});

it("Image: asks for nothing that is not there", async () => {
  const image = readImage(await pack());
  expect(image.bundle("modules", "ghost", "debug")).toBeNull();
  expect(image.sourceMap("debug/kernel.js")).toBeNull();
  expect(() => image.text("ghost")).toThrow("no file ghost in it");
});
