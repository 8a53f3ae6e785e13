import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { isDebugged, withSourceMap } from "../../../../hal/host/engines/source-maps";

const root = path.resolve(import.meta.dirname, "../../../..");
const FILE = "drivers/block/xen-blkfront.ts";

/** Number of the line that begins the body of a function. */
function lineOf(text: string): number {
  const lines = fs.readFileSync(path.join(root, FILE), "utf8").split("\n");
  return lines.findIndex((line) => line.includes(text)) + 1;
}

it("a debugger stops at a line of a TypeScript driver, under V8", { timeout: 120_000 }, () => {
  const line = lineOf("function blkif_interrupt(") + 1;
  expect(line, "the function that takes responses").toBeGreaterThan(1);
  const script = path.join(import.meta.dirname, "debugged-machine.mjs");
  const args = ["--inspect=127.0.0.1:0", script, FILE, String(line)];
  const { stdout, stderr } = spawnSync(process.execPath, args, { encoding: "utf8", timeout: 100_000 });
  expect(stdout, stderr).not.toBe("");
  const { status, frames } = JSON.parse(stdout) as { status: number; frames: string[] };
  expect(status, "the program goes on after the stop").toBe(0);
  const [, where, found] = /^blkif_interrupt (file:.*):(\d+)$/.exec(frames[0]) ?? [];
  expect(fileURLToPath(where)).toBe(path.join(root, FILE));
  expect(Number(found)).toBeGreaterThanOrEqual(line);
  expect(Number(found)).toBeLessThan(line + 4);
  expect(frames.some((frame) => frame.includes("/kernel/irq/"))).toBe(true);
});

it("a script keeps its lines, and its map names files that are there", () => {
  const map = JSON.stringify({ version: 3, file: "debug/x.js", names: [], sources: [`../${FILE}`], mappings: "AAEI" });
  const code = "(function () {\n})\n";
  const text = withSourceMap(code, map);
  expect(text.startsWith(code)).toBe(true);
  const data = /\n\/\/# sourceMappingURL=data:application\/json;base64,(\S+)\n$/.exec(text)?.[1] ?? "";
  const { sources } = JSON.parse(Buffer.from(data, "base64").toString("utf8")) as { sources: string[] };
  expect(fs.existsSync(fileURLToPath(sources[0]))).toBe(true);
});

it("costs nothing where no debugger was asked for", () => {
  expect(isDebugged()).toBe(process.execArgv.some((word) => word.includes("--inspect")));
});
