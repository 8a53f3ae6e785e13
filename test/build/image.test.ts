import * as fs from "node:fs";
import * as vm from "node:vm";
import { afterEach, expect, it } from "vitest";
import { linker } from "../../build/linker";
import { BuildError } from "../../build/build-error";
import { type BuiltImage, buildImage } from "../../build/image";
import { FLAVOURS } from "../../hal/host/image/format";
import { type Image, readImage } from "../../hal/host/image/image";
import { makeProject } from "./project";

type Factory = (ksym: (name: string) => unknown, exports: Record<string, unknown>) => void;

const projects: string[] = [];
afterEach(() => projects.splice(0).forEach((root) => fs.rmSync(root, { recursive: true })));

function project(changes: Record<string, string | null> = {}): string {
  const root = makeProject(changes);
  projects.push(root);
  return root;
}

async function problemsOf(changes: Record<string, string | null>): Promise<readonly string[]> {
  try {
    await buildImage({ root: project(changes) });
  } catch (error) {
    if (error instanceof BuildError) return error.problems;
    throw error;
  }
  return [];
}

function run(code: string): Factory {
  return vm.runInThisContext(code) as Factory;
}

interface Booted {
  readonly log: string[];
  readonly symbols: Map<string, unknown>;
  boot(): void;
}

function bootKernel(image: Image, flavour: "debug" | "release"): Booted {
  const exports: Record<string, unknown> = {};
  run(image.kernel(flavour).code)(() => undefined, exports);
  return exports as unknown as Booted;
}

it.each(FLAVOURS)("buildImage: the %s kernel boots and a module links to it by symbol name", async (flavour) => {
  const { bytes } = await buildImage({ root: project() });
  const image = readImage(bytes);
  const kernel = bootKernel(image, flavour);
  kernel.boot();
  const module = image.bundle("modules", "brd", flavour);
  run(module?.code ?? "")((name) => kernel.symbols.get(name), {});
  (kernel.symbols.get("init") as () => number)();
  expect(kernel.log).toEqual([`${flavour} kernel\n`, "brd: module loaded\n"]);
});

it("buildImage: the manifest says what a module is, needs and takes", async () => {
  const { manifest } = await buildImage({ root: project() });
  expect(manifest.bundles.map((bundle) => `${bundle.kind} ${bundle.name}`)).toEqual([
    "kernel kernel",
    "modules brd",
    "programs true",
  ]);
  expect(manifest.bundles[1]).toEqual({
    kind: "modules",
    name: "brd",
    license: "GPL",
    description: "",
    version: "",
    authors: [],
    aliases: [],
    softdep: [],
    params: [{ name: "rd_nr", type: "int", perm: 0o444, description: "Maximum number of brd devices" }],
    sources: ["drivers/block/brd.ts", "kernel/include/linux/module.ts", "kernel/include/linux/printk.ts"],
    undefined: ["MODULE_LICENSE", "MODULE_PARM_DESC", "module_init", "module_param_named", "printk"],
    exports: [],
    depends: [],
    files: { debug: "debug/modules/brd.js", release: "release/modules/brd.js" },
  });
  expect(manifest).toMatchObject({ xenolith: "9.8.7", machine: "machines/default.json", version: 1 });
});

it("buildImage: equal sources give equal bytes, wherever the project lies", async () => {
  const build = async (): Promise<BuiltImage> => buildImage({ root: project() });
  const [a, b] = [await build(), await build()];
  expect(Buffer.compare(a.bytes, b.bytes)).toBe(0);
});

it("buildImage: a stack in the release flavour names its function, and the map leads to the source", async () => {
  const image = readImage((await buildImage({ root: project() })).bytes);
  expect(image.kernel("release").code).toContain("function enter(");
  const map = JSON.parse(image.sourceMap("release/kernel.js") ?? "null") as { sources: string[] };
  expect(map.sources).toContain("kernel/main.ts");
  expect(image.kernel("release").code).not.toContain("debug kernel");
});

it("buildImage: a folder is one module made of all its files", async () => {
  const root = project({
    "drivers/block/two/a.ts": `import { pr_info } from "xenolith/linux/printk"; pr_info("a");`,
    "drivers/block/two/b.ts": `import { pr_info } from "xenolith/linux/printk"; pr_info("b");`,
  });
  const image = readImage((await buildImage({ root })).bytes);
  const lines: unknown[] = [];
  run(image.bundle("modules", "two", "release")?.code ?? "")(() => (line: string) => lines.push(line), {});
  expect(lines).toEqual(["a\n", "b\n"]);
});

it.each(FLAVOURS)("buildImage: the classes of headers are the kernel's in modules too, in %s", async (flavour) => {
  const header =
    "export class list_head { next = this; }\nexport function list_empty(l: list_head): boolean { return l.next === l; }";
  const { bytes } = await buildImage({
    root: project({
      "kernel/include/linux/list.ts": header,
      "kernel/list.ts": `
        import { EXPORT_SYMBOL } from "./module";
        import { list_head } from "xenolith/linux/list";
        export function is_list(value: unknown): boolean { return value instanceof list_head; }
        EXPORT_SYMBOL(is_list);`,
      "kernel/main.ts": `
        import "virtual:initcalls";
        import { symbols } from "./module";
        export function boot(): void {}
        export function enter(): void {}
        export { symbols };`,
      "drivers/block/brd.ts": `
        import { EXPORT_SYMBOL } from "xenolith/linux/module";
        import { list_empty, list_head } from "xenolith/linux/list";
        EXPORT_SYMBOL("made", new list_head());
        EXPORT_SYMBOL("empty", list_empty(new list_head()));`,
    }),
  });
  const image = readImage(bytes);
  const { symbols } = bootKernel(image, flavour);
  const { code } = image.bundle("modules", "brd", flavour) as { code: string };
  run(code)((name) => symbols.get(name), {});
  expect(code).not.toContain("class list_head");
  expect((symbols.get("is_list") as (value: unknown) => boolean)(symbols.get("made"))).toBe(true);
  expect(symbols.get("empty")).toBe(true);
  expect(image.bundleManifest("modules", "brd")?.undefined).toContain("list_head");
});

it("linker: in a release build nothing is left of what follows __DEBUG__ by the time that calls are inlined", async () => {
  const code =
    "export function f(x) { if (__DEBUG__ && x < 0) check(x); if (__DEBUG__) check(x); else g(x); return __DEBUG__; }";
  const text = async (debug: boolean) =>
    (await linker({ root: "/none", mode: "module", debug }).transform(code, "/f.ts"))?.code;
  expect((await text(true))?.match(/check/g)).toHaveLength(2);
  expect(await text(false)).not.toContain("check");
  expect(await text(false)).toMatch(/g\(x\);[^]*return false/);
});

it("buildImage: sub-folders of programs hold what programs share", async () => {
  const root = project({
    "images/programs/lib/help.ts": "export function help(): number { return 7; }",
    "images/programs/true.ts": `import { help } from "./lib/help"; export function main(): number { return help(); }`,
  });
  const image = readImage((await buildImage({ root })).bytes);
  expect(image.list("programs")).toEqual(["true"]);
  const exports = {} as { main: () => number };
  run(image.bundle("programs", "true", "release")?.code ?? "")(() => undefined, exports);
  expect(exports.main()).toBe(7);
});

it("buildImage: a module that needs another module's symbol depends on it", async () => {
  const root = project({
    "kernel/include/linux/brd.ts": "export declare function brd_lookup(index: number): number;",
    "drivers/block/brd.ts": `
      import { EXPORT_SYMBOL } from "xenolith/linux/module";
      export function brd_lookup(index: number): number { return index; }
      EXPORT_SYMBOL(brd_lookup);`,
    "drivers/block/user.ts": `import { brd_lookup } from "xenolith/linux/brd"; brd_lookup(1);`,
  });
  const { manifest } = await buildImage({ root });
  expect(manifest.bundles.find((bundle) => bundle.name === "user")?.depends).toEqual(["brd"]);
});

it("buildImage: an unresolved symbol is an error, or a warning on request", async () => {
  const changes = {
    "kernel/include/linux/ghost.ts": "export declare function ghost(): void;",
    "drivers/block/brd.ts": `import { ghost } from "xenolith/linux/ghost"; ghost();`,
  };
  expect(await problemsOf(changes)).toEqual(["ghost undefined, needed by brd"]);
  const { warnings } = await buildImage({ root: project(changes), unresolved: "warn" });
  expect(warnings).toEqual(["ghost undefined, needed by brd"]);
});

it.each([
  [
    "a macro with a computed text",
    'const l = "GPL"; MODULE_LICENSE(l);',
    "MODULE_LICENSE: the argument must be a string literal",
  ],
  [
    "a parameter with a computed mode",
    'module_param_named("a", {}, "int", 1 + 1);',
    "module_param_named: the mode must be a number",
  ],
  ["a description without parameter", 'MODULE_PARM_DESC("b", "x");', "MODULE_PARM_DESC: no parameter b"],
])("buildImage: refuses %s", async (_what, line, message) => {
  const imports = `import { MODULE_LICENSE, MODULE_PARM_DESC, module_param_named } from "xenolith/linux/module";`;
  const problems = await problemsOf({ "drivers/block/brd.ts": `${imports}\n${line}` });
  expect(problems.join("\n")).toContain(message);
});

it("buildImage: refuses a module that would carry kernel code", async () => {
  const problems = await problemsOf({
    "drivers/block/brd.ts": `import { log } from "../../kernel/printk"; log.push("x");`,
  });
  expect(problems).toContain("brd: kernel/printk.ts is kernel code; import its header instead");
});

it("buildImage: refuses a header that uses a symbol that nobody exports", async () => {
  const problems = await problemsOf({
    "kernel/printk.ts":
      "export const log: string[] = []; export function printk(text: string): void { log.push(text); }",
  });
  expect(problems).toContain("printk is used by kernel/include/linux/printk.ts, but nobody exports it");
});

it("buildImage: an import that leads nowhere names file, line and import", async () => {
  const problems = await problemsOf({ "drivers/block/brd.ts": `import { gone } from "./gone"; gone();` });
  expect(problems.join("\n")).toMatch(/^brd: .*drivers\/block\/brd\.ts/);
  expect(problems.join("\n")).toContain("./gone");
});

it("buildImage: assigning to a constant is refused with its place", async () => {
  const problems = await problemsOf({ "drivers/block/brd.ts": `const a = 1;\na = 2;\n` });
  expect(problems.join("\n")).toMatch(/brd: drivers\/block\/brd\.ts:2: .*a/);
});

it("buildImage: says which machine files there are when the default one is missing", async () => {
  const problems = await problemsOf({ "images/machines/default.json": null, "images/machines/big.json": "{}" });
  expect(problems).toEqual(["no machine file default.json; there are: big"]);
});

it("buildImage: a cache changes nothing, and notices changed files, moved symbols and damaged entries", async () => {
  const root = project();
  const cache = `${root}/cache`;
  const build = async (): Promise<string> => {
    const { bytes } = await buildImage({ root, cache });
    expect(Buffer.compare(bytes, (await buildImage({ root })).bytes)).toBe(0);
    return readImage(bytes).id;
  };
  const first = await build();
  expect(await build()).toBe(first);
  fs.writeFileSync(`${cache}/modules-brd-debug.json`, "{");
  expect(await build()).toBe(first);
  fs.appendFileSync(`${root}/kernel/include/linux/printk.ts`, '\nexport function pr_err(): void { printk("err"); }\n');
  fs.appendFileSync(`${root}/drivers/block/brd.ts`, '\nimport { pr_err } from "xenolith/linux/printk"; pr_err();\n');
  const second = await build();
  expect(second).not.toBe(first);
  fs.renameSync(`${root}/kernel/printk.ts`, `${root}/kernel/log.ts`);
  fs.writeFileSync(`${root}/kernel/printk.ts`, 'export { log } from "./log";\n');
  expect(await build()).not.toBe(second);
});
