import { expect, it } from "vitest";
import { resolveSymbols } from "../../build/modpost";
import type { BundleManifest } from "../../hal/host/image/format";

function module(name: string, needs: readonly string[], gives: readonly string[]): BundleManifest {
  return {
    kind: name === "kernel" ? "kernel" : "modules",
    name,
    license: "GPL",
    description: "",
    version: "",
    authors: [],
    aliases: [],
    softdep: [],
    params: [],
    sources: [],
    undefined: needs,
    exports: gives,
    depends: [],
    files: { debug: "", release: "" },
  };
}

it("resolveSymbols: depends names other modules only, sorted, once", () => {
  const { bundles, unresolved, conflicts } = resolveSymbols([
    module("kernel", [], ["printk"]),
    module("c", ["printk", "b1", "a1", "b2", "c1"], ["c1"]),
    module("b", [], ["b1", "b2"]),
    module("a", [], ["a1"]),
  ]);
  expect(bundles.map((bundle) => bundle.depends)).toEqual([[], ["a", "b"], [], []]);
  expect([unresolved, conflicts]).toEqual([[], []]);
});

it("resolveSymbols: names symbols without owner, with two owners, and circles", () => {
  const { unresolved, conflicts } = resolveSymbols([
    module("a", ["b1", "ghost"], ["a1"]),
    module("b", ["a1"], ["b1"]),
    module("d", [], ["a1"]),
  ]);
  expect(unresolved).toEqual(["ghost undefined, needed by a"]);
  expect(conflicts).toEqual(["a1 is exported by a and by d", "circular dependency: a -> b -> a"]);
});
