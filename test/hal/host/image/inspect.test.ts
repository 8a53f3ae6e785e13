import { expect, it } from "vitest";
import { packImage } from "../../../../build/image";
import type { BundleManifest } from "../../../../hal/host/image/format";
import { readImage } from "../../../../hal/host/image/image";
import { inspectImage } from "../../../../hal/host/image/inspect";

const BRD: BundleManifest = {
  kind: "modules",
  name: "brd",
  license: "GPL",
  description: "RAM disk",
  version: "",
  authors: [],
  aliases: [],
  softdep: [],
  params: [{ name: "rd_nr", type: "int", perm: 0o444, description: "" }],
  sources: ["drivers/block/brd.ts"],
  undefined: ["printk"],
  exports: [],
  depends: [],
  files: { debug: "debug/modules/brd.js", release: "release/modules/brd.js" },
};

async function pack(): Promise<Buffer> {
  const files = new Map([
    ["debug/modules/brd.js", "(function () { })\n"],
    ["release/modules/brd.js", "(function(){})\n"],
    ["machines/default.json", "{}\n"],
  ]);
  const contents = { xenolith: "1.2.3", machine: "machines/default.json", bundles: [BRD], files };
  return Buffer.from((await packImage(contents)).bytes);
}

it("inspectImage: says what is inside", async () => {
  const image = readImage(await pack(), "x.img");
  expect(inspectImage(image, "quick")).toEqual({
    name: "x.img",
    id: image.id,
    version: 1,
    xenolith: "1.2.3",
    flavours: ["debug", "release"],
    size: 18 + 15 + 3,
    fileCount: 3,
    machine: "machines/default.json",
    machines: ["machines/default.json"],
    bundles: [
      {
        kind: "modules",
        name: "brd",
        license: "GPL",
        description: "RAM disk",
        sizes: { debug: 18, release: 15 },
        depends: [],
        params: BRD.params,
        undefinedCount: 1,
        exportsCount: 0,
      },
    ],
    problems: null,
  });
});

it("inspectImage: verify names every file that was changed", async () => {
  const bytes = await pack();
  expect(inspectImage(readImage(bytes), "verify").problems).toEqual([]);
  bytes.write("[]", bytes.indexOf("{}\n", 0x800));
  expect(inspectImage(readImage(bytes), "verify").problems?.join()).toMatch(
    /^corrupt: (machines|release|debug).* expected /,
  );
});
