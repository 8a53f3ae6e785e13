/** What a command line ends with when a guest, not the user, is at fault. */
import * as fs from "node:fs";
import * as path from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { ENGINE_NAMES } from "xenolith";
import { type Unit, buildImage, projectUnits } from "xenolith/build";
import { scratchFolder, xenolith } from "./run";

const ROOT = path.resolve(import.meta.dirname, "../../../..");
const at = scratchFolder();

const CRASH = `
import { module_init } from "xenolith/linux/module";
import { panic } from "xenolith/linux/kernel";
function crash_init(): number {
  return panic("crash: as asked");
}
module_init(crash_init);
`;

const THROWS = `
import { module_init } from "xenolith/linux/module";
function throws_init(): number {
  const nothing = null as unknown as { length: number };
  return nothing.length;
}
module_init(throws_init);
`;

const UNRESOLVED = `
import { module_init } from "xenolith/linux/module";
declare function __ksym(name: string): () => number;
const nobody_has_this = __ksym("nobody_has_this");
function unresolved_init(): number {
  return nobody_has_this();
}
module_init(unresolved_init);
`;

function unit(name: string, text: string): Unit {
  const file = at(`${name}.ts`);
  fs.writeFileSync(file, text);
  return { kind: "modules", name, entries: [file] };
}

function machine(name: string): void {
  const domains = [{ name: "dom0", modules: [name] }];
  fs.writeFileSync(at(`${name}.json`), JSON.stringify({ version: 1, domains }));
}

beforeAll(async () => {
  const units = projectUnits(ROOT).filter(({ name }) => name === "lsmod");
  units.push(unit("crash", CRASH), unit("throws", THROWS), unit("unresolved", UNRESOLVED));
  const cache = path.join(ROOT, "dist", ".cache");
  const { bytes } = await buildImage({ root: ROOT, units, cache, unresolved: "warn" });
  fs.writeFileSync(at("bad.img"), bytes);
  for (const name of ["crash", "throws", "unresolved"]) machine(name);
});

describe.each(ENGINE_NAMES)("guests at fault, %s", (engine) => {
  const boot = (name: string, ...more: string[]) =>
    xenolith(["boot", at(`${name}.json`), "--image", at("bad.img"), "--engine", engine, "--exec", "lsmod", ...more]);

  it("a panic ends with 255, the kernel's words and positions in TypeScript", async () => {
    const { code, stdout, stderr } = await boot("crash");
    expect(stderr).toMatch(/dom0 +emerg +\| Kernel panic - not syncing: crash: as asked/);
    expect(stderr).toMatch(/crash_init.*crash\.ts:5:\d+/);
    expect(stderr).toMatch(/xenolith: domain dom0 is gone: /);
    expect({ code, stdout }).toEqual({ code: 255, stdout: "" });
  });

  it.each([["--quiet"], ["--json"]])("a panic is shown with %s too", async (flag) => {
    const { code, stdout, stderr } = await boot("crash", flag);
    expect(stderr).toMatch(/Kernel panic - not syncing: crash: as asked/);
    expect({ code, stdout }).toEqual({ code: 255, stdout: "" });
  });

  it("an exception in a module ends with 255 and its position", async () => {
    const { code, stderr } = await boot("throws");
    expect(stderr).toMatch(/xenolith: domain dom0 is gone: TypeError: .*\n +at .*throws_init .*throws\.ts:\d+:\d+/);
    expect(code).toBe(255);
  });

  it("a module with an unresolved symbol is not loaded, and the log says why", async () => {
    const { code, stdout, stderr } = await boot("unresolved");
    expect(stderr).toMatch(/unresolved: Unknown symbol nobody_has_this \(err -2\)/);
    expect(stdout).not.toMatch(/unresolved/);
    expect(code).toBe(0);
  });
});
