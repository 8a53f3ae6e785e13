import { expect, it } from "vitest";
import { StackTranslator } from "../../../../hal/host/toolstack/stack-trace";
import type { Image } from "../../../../hal/host/image/image";

/** Line 1 of the bundle: column 0 is line 3, column 4 of the source; column 10 is line 7, column 0. */
const MAP = JSON.stringify({
  version: 3,
  file: "debug/kernel.js",
  names: [],
  sources: ["../kernel/main.ts"],
  mappings: "AAEI,UAIJ",
});

let read: string[] = [];
const image = {
  sourceMap: (file: string) => {
    read.push(file);
    return file === "debug/kernel.js" ? MAP : null;
  },
} as unknown as Image;

it("bundle positions become places in the sources", () => {
  const translator = new StackTranslator(image);
  expect(translator.translate("    at boot (debug/kernel.js:1:1)\n    at go (debug/kernel.js:1:11)")).toBe(
    "    at boot (kernel/main.ts:3:5)\n    at go (kernel/main.ts:7:1)",
  );
});

it("what no map knows stays, and each map is read once", () => {
  read = [];
  const translator = new StackTranslator(image);
  const text = "at f (release/modules/xen-blkfront.js:9:9) at g (debug/kernel.js:99:1) at eval (other.js:1:1)";
  expect(translator.translate(text)).toBe(text);
  expect(translator.translate(text)).toBe(text);
  expect(read).toEqual(["release/modules/xen-blkfront.js", "debug/kernel.js"]);
});
