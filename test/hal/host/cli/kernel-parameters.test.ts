import * as fs from "node:fs";
import * as path from "node:path";
import { expect, it } from "vitest";
import { KERNEL_PARAMETERS } from "../../../../hal/host/toolstack/kernel-parameters";

const ROOT = path.resolve(import.meta.dirname, "../../../..");
const DECLARED = /\b(__setup|flag|on_off|core_param|module_param_named)\("([^"]+)"/g;

/** Parameters that built-in code declares, as they are written on a command line. */
function declared(folder: string): string[] {
  const files = fs.readdirSync(path.join(ROOT, folder), { recursive: true, encoding: "utf8" });
  return files
    .filter((name) => name.endsWith(".ts") && !name.startsWith("include"))
    .flatMap((name) => [...fs.readFileSync(path.join(ROOT, folder, name), "utf8").matchAll(DECLARED)])
    .map(([, how, name]) => (how === "flag" || name.endsWith("=") ? name : `${name}=`));
}

it("KERNEL_PARAMETERS: what the host knows is what the kernel declares", () => {
  expect([...KERNEL_PARAMETERS]).toEqual([...declared("kernel"), ...declared("drivers/xen")].sort());
});
