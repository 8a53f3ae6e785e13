import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { afterAll, expect, it } from "vitest";
import { BuildError } from "../../build/build-error";
import { processTools } from "../../build/processes";
import { localTools } from "../../build/tools";

const compiler = path.resolve(import.meta.dirname, "../../dist/.compiler");
const tools = processTools(path.join(compiler, "service.mjs"));
afterAll(() => tools.stop());

/** Names of the packages that a compiled program of the build imports before it does anything. */
function importedBy(file: string, seen = new Set<string>()): Set<string> {
  seen.add(file);
  const names = new Set<string>();
  for (const [, name] of fs.readFileSync(path.join(compiler, file), "utf8").matchAll(/^import .*?'([^']+)';$/gm)) {
    if (!name.startsWith("./")) names.add(name);
    else if (!seen.has(name.slice(2))) for (const found of importedBy(name.slice(2), seen)) names.add(found);
  }
  return names;
}

it("the bundler's process holds neither TypeScript nor terser, and theirs holds both only when it is asked to", () => {
  const packages = ["rollup", "typescript", "terser"];
  expect([...importedBy("compile.mjs")].filter((name) => packages.includes(name))).toEqual(["rollup"]);
  expect([...importedBy("service.mjs")].filter((name) => packages.includes(name))).toEqual([]);
});

it("processTools: gives what the same tools give in this process", async () => {
  const code =
    "(function (__ksym, exports) {\nfunction one() {\n  return 1;\n}\nexports.two = () => one() + one();\n})";
  const local = localTools();
  const inlined = await tools.inlineCalls(code);
  expect(inlined).toEqual(await local.inlineCalls(code));
  expect(inlined.code).not.toContain("one() +");
  expect(await tools.minify(code)).toEqual(await local.minify(code));
  const header = "export declare function submit_bio(bio: bio): void;\nexport function own(): void {}";
  expect(await tools.declaredSymbols(header)).toEqual(["submit_bio"]);
});

it("processTools: what is wrong with the sources is a BuildError here too, and other errors keep their words", async () => {
  const file = { file: "a.ts", text: "MODULE_LICENSE(name);" };
  await expect(tools.moduleInfo([file])).rejects.toThrow(BuildError);
  await expect(tools.moduleInfo([file])).rejects.toThrow(/^a\.ts:1: MODULE_LICENSE: /);
  await expect(tools.minify("(")).rejects.toThrow(/Unexpected token/);
});

it("processTools: whoever waits for a process that ends hears of it", async () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "xenolith-service-"));
  fs.writeFileSync(path.join(folder, "service.mjs"), "process.exit(3);");
  const broken = processTools(path.join(folder, "service.mjs"));
  await expect(broken.minify("1")).rejects.toThrow("a compiler's process ended early (3)");
  fs.rmSync(folder, { recursive: true });
});
