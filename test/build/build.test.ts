import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import { expect, it } from "vitest";
import { buildImage } from "../../build/image";
import { readImage } from "../../hal/host/image/image";

const root = path.resolve(import.meta.dirname, "../..");
const image = path.join(root, "dist", "xenolith.img");

function build(): string {
  const { stdout, stderr, status } = spawnSync(process.execPath, [path.join(root, "build", "build.mjs")]);
  expect(status).toBe(0);
  return stdout.toString() + stderr.toString();
}

it("npm run build: does nothing, and says nothing, while no input has changed", () => {
  const before = fs.statSync(image, { bigint: true }).mtimeNs;
  expect(build()).toBe("");
  expect(fs.statSync(image, { bigint: true }).mtimeNs).toBe(before);
});

it(
  "the project's image: reproducible without the cache, intact, every module linked",
  { timeout: 300_000 },
  async () => {
    const built = await buildImage({ root });
    expect(built.warnings).toEqual([]);
    expect(Buffer.compare(built.bytes, fs.readFileSync(image))).toBe(0);
    const opened = readImage(image);
    expect(opened.verify()).toEqual([]);
    expect(opened.list("modules")).toEqual(expect.arrayContaining(["xen-blkback", "xen-blkfront"]));
  },
);

it("the project's image: no module or program carries a definition of a symbol that the kernel exports", () => {
  const { bundles } = readImage(image).manifest;
  const kernel = new Set(bundles.find(({ kind }) => kind === "kernel")?.exports);
  const carried = bundles.filter(({ kind }) => kind !== "kernel").flatMap(({ exports }) => exports);
  expect(carried.filter((name) => kernel.has(name))).toEqual([]);
});
