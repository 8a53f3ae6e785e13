import * as path from "node:path";
import ts from "typescript";
import { expect, it } from "vitest";
import { createTranspiler } from "../../build/transpile";
import { readImage } from "../../hal/host/image/image";

const root = path.resolve(import.meta.dirname, "../..");
const transpile = createTranspiler();

async function compiled(code: string, file = "kernel/file.ts"): Promise<string> {
  return (await transpile({ root, mode: "module", debug: false }, code, path.join(root, file))).code;
}

/** Runs a compiled class. */
function made(code: string, name: string): object {
  return (0, eval)(`(() => { ${code.replace(/export /g, "")}; return new ${name}(1); })()`) as object;
}

const CLASS = `
  export class list { first = 1; rest!: number; last: number | null = null; constructor(given: number) { this.rest = given; } }
  export class more extends list { own = this.first + 1; none?: string; }`;

it("a guest's fields are assigned by the constructor, all of them, in their order", async () => {
  const code = await compiled(CLASS);
  expect(code).not.toMatch(/^\s*(first|rest|last|own|none)\b/m);
  expect(Object.entries(made(code, "list"))).toEqual([
    ["first", 1],
    ["rest", 1],
    ["last", null],
  ]);
  expect(Object.entries(made(code, "more"))).toEqual([
    ["first", 1],
    ["rest", 1],
    ["last", null],
    ["own", 2],
    ["none", undefined],
  ]);
});

it("the host's fields stay what they are", async () => {
  expect(await compiled(CLASS, "hal/host/file.ts")).toMatch(/^\s*first = 1;/m);
});

it("a field's value that would mean a name of the constructor's is refused", async () => {
  const field = (inside: string) => `const a = 1; class list { first = a; constructor(${inside} }`;
  await expect(compiled(field("a: number) {}"))).rejects.toThrow(
    "class list: the value of a field names a, which the constructor declares too",
  );
  await expect(compiled(field(") { const a = 2; use(a); }"))).rejects.toThrow("names a");
  expect(await compiled(field("b: number) {}"))).toContain("this.first = a");
});

it("no bundle of the image makes a function of a class's fields, or stands in parentheses, which QuickJS reads twice", () => {
  const image = readImage(path.join(root, "dist", "xenolith.img"));
  const fields: string[] = [];
  const visit = (node: ts.Node, file: string): void => {
    if (ts.isPropertyDeclaration(node)) fields.push(`${file}: ${node.getText()}`);
    ts.forEachChild(node, (child) => visit(child, file));
  };
  for (const { path: file } of image.manifest.files.filter(({ path: name }) => /^(debug|release)\//.test(name))) {
    expect(image.text(file)).toMatch(/^0,function/);
    visit(ts.createSourceFile(file, image.text(file), ts.ScriptTarget.ESNext, true, ts.ScriptKind.JS), file);
  }
  expect(fields).toEqual([]);
});
