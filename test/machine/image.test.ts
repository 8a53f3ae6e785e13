import * as fs from "node:fs";
import { expect, it } from "vitest";
import { ImageError, defaultImagePath, readImage } from "xenolith";
import { createMachine, packageImage } from "xenolith/kit";

const bytes = fs.readFileSync(defaultImagePath());
const EXIT_IMAGE = 3;

/** The error of opening these bytes and, if they open, of booting from them. */
async function failure(broken: Uint8Array): Promise<ImageError> {
  try {
    const image = readImage(broken, "broken.img");
    const machine = await createMachine({ image });
    machine.boot();
    machine.dispose();
  } catch (error) {
    if (error instanceof ImageError) return error;
    throw error;
  }
  throw new Error("it booted");
}

it("the project's image: every file in it is what its manifest says", () => {
  expect(packageImage().verify()).toEqual([]);
  expect(packageImage().id).toMatch(/^[0-9a-f]{64}$/);
});

it.each([0, 1, 511, 512, 4096, bytes.length / 2, bytes.length - 1024, bytes.length - 1])(
  "an image cut off at byte %i is refused, with a clear error",
  async (length) => {
    const error = await failure(bytes.subarray(0, length));
    expect(error.message).toMatch(/^broken\.img: .*; /);
    expect(error.exitCode).toBe(EXIT_IMAGE);
  },
);

it("an image with one flipped bit is refused when it is opened or when the file is needed, wherever the bit is", async () => {
  const kernel = bytes.indexOf("(function", bytes.indexOf("debug/kernel.js\0"));
  expect(kernel).toBeGreaterThan(0);
  for (const at of [10, 600, 5000, kernel + 100]) {
    const broken = Uint8Array.from(bytes);
    broken[at] ^= 0x01;
    const error = await failure(broken);
    expect(error.message).toMatch(/^broken\.img: (corrupt|not an image|truncated|.*checksum)/);
  }
});

it("a file that is no image, a folder, and nothing at all are refused", () => {
  expect(() => readImage(import.meta.filename)).toThrow(ImageError);
  expect(() => readImage("/nowhere/x.img")).toThrow(/\/nowhere\/x\.img: no such file/);
  expect(() => readImage("/")).toThrow(/is a directory/);
});
