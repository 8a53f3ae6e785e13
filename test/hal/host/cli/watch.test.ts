/** `boot --watch` as a process, on a copy of the sources. */
import { type ChildProcess, spawn } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";

const root = path.resolve(import.meta.dirname, "../../../..");
const SOURCES = ["kernel", "drivers", "hal/abi", "hal/guest", "images", "package.json", "package-lock.json"];
const BRD = "drivers/block/brd.ts";

let folder: string;
let child: ChildProcess | null;
let stdout = "";
let stderr = "";

beforeEach(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), "xenolith-watch-"));
  for (const name of SOURCES) fs.cpSync(path.join(root, name), path.join(folder, name), { recursive: true });
  child = null;
  [stdout, stderr] = ["", ""];
});
afterEach(() => {
  child?.kill("SIGKILL");
  fs.rmSync(folder, { recursive: true, force: true });
});

function start(...args: string[]): ChildProcess {
  const command = [path.join(root, "dist", "cli.js"), "boot", "--watch", folder, "--flavour", "debug", ...args];
  const started = spawn(process.execPath, command, { cwd: folder });
  started.stdout.on("data", (data) => (stdout += String(data)));
  started.stderr.on("data", (data) => (stderr += String(data)));
  child = started;
  return started;
}

/** Waits until the process has said it. */
async function said(pattern: RegExp, where: () => string): Promise<void> {
  while (!pattern.test(where())) {
    expect(child?.exitCode, stderr).toBe(null);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Writes a file as many editors do: beside the old one, then in its place. */
function edit(file: string, change: (text: string) => string): void {
  const name = path.join(folder, file);
  fs.writeFileSync(`${name}~`, change(fs.readFileSync(name, "utf8")));
  fs.renameSync(`${name}~`, name);
}

it(
  "boots again what a change makes, shows errors with their place, and ends with 130",
  { timeout: 300_000 },
  async () => {
    const process = start("--engine", "v8", "-q", "--disk", "ram:1M", "--exec", "modinfo brd");
    await said(/waiting for a change/, () => stderr);
    const good = fs.readFileSync(path.join(folder, BRD), "utf8");
    const described = (text: string) => good.replace(/MODULE_DESCRIPTION\("[^"]*"\)/, `MODULE_DESCRIPTION("${text}")`);
    expect(described("x")).not.toBe(good);
    edit(BRD, () => described("the first change"));
    await said(/description:\s+the first change/, () => stdout);
    await said(/changed: drivers\/block\/brd\.ts[^]*waiting for a change/, () => stderr);
    stderr = "";
    edit(BRD, () => `${described("never seen")}\nconst = 1;\n`);
    await said(/waiting for a change/, () => stderr);
    const line = good.split("\n").length + 1;
    expect(stderr).toMatch(new RegExp(`error: drivers/block/brd\\.ts:${line}:7: `));
    stderr = "";
    edit(BRD, () => described("the third change"));
    await said(/description:\s+the third change/, () => stdout);
    expect(stdout).not.toContain("never seen");
    const ended = new Promise((resolve) => process.once("exit", resolve));
    process.kill("SIGINT");
    expect(await ended).toBe(130);
  },
);

it("refuses what contradicts it, and a folder without sources", { timeout: 60_000 }, async () => {
  const codeOf = (process: ChildProcess) => new Promise((resolve) => process.once("close", resolve));
  expect(await codeOf(start("--json"))).toBe(2);
  expect(stderr).toBe("xenolith: --watch boots what it builds from sources and cannot be used with --json\n");
  fs.rmSync(path.join(folder, "kernel", "main.ts"));
  stderr = "";
  expect(await codeOf(start())).toBe(2);
  expect(stderr).toMatch(/holds no kernel\/main\.ts/);
});
