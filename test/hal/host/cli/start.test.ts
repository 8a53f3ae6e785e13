/** What a start of the program loads: each package that it does not need would cost it some milliseconds. */
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { isBuiltin } from "node:module";
import * as path from "node:path";
import { expect, it } from "vitest";
import { scratchFolder } from "./run";

const root = path.resolve(import.meta.dirname, "../../../..");
const at = scratchFolder();

/** Run before the worker: says at its last message which CommonJS modules were loaded, which all of the large packages are. */
const SPY = `
import { createRequire } from "node:module";
import { writeFileSync } from "node:fs";
import { parentPort } from "node:worker_threads";
const { cache } = createRequire(import.meta.url);
const send = parentPort?.postMessage.bind(parentPort);
if (send) parentPort.postMessage = (message) => {
  if (message.kind === "exit") writeFileSync(process.env.LOADED, JSON.stringify(Object.keys(cache)));
  send(message);
};
`;

/** Names of the packages that a program of `dist/` imports before it does anything. */
function importedBy(file: string, seen = new Set<string>()): Set<string> {
  const names = new Set<string>();
  if (seen.has(file)) return names;
  seen.add(file);
  const text = fs.readFileSync(path.join(root, "dist", file), "utf8");
  for (const [, name] of text.matchAll(/^import (?:[^;]*? from )?'([^']+)';$/gm)) {
    if (name.startsWith("./")) for (const found of importedBy(name.slice(2), seen)) names.add(found);
    else if (!isBuiltin(name)) names.add(name);
  }
  return names;
}

it("imports nothing in the main thread, and in the worker the engine, the command line's parser and the colours", () => {
  expect([...importedBy("cli.js")]).toEqual([]);
  expect([...importedBy("command-worker.js")].sort()).toEqual([
    "@jitl/quickjs-wasmfile-release-sync",
    "commander",
    "picocolors",
    "quickjs-emscripten",
  ]);
});

it("boots and runs a program without the compiler, the schema's compiler, tables or source maps", () => {
  fs.writeFileSync(at("spy.mjs"), SPY);
  const argv = [
    "--import",
    at("spy.mjs"),
    "dist/cli.js",
    "boot",
    "--disk",
    "ram:4M",
    "--exec",
    "echo hello",
    "--quiet",
  ];
  const { stdout, stderr } = spawnSync(process.execPath, argv, {
    cwd: root,
    encoding: "utf8",
    env: { ...process.env, LOADED: at("loaded.json") },
  });
  expect({ stdout, stderr }).toEqual({ stdout: "hello\n", stderr: "" });
  const loaded = JSON.parse(fs.readFileSync(at("loaded.json"), "utf8")) as string[];
  const packages = loaded.map((file) => /.*node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(file.replaceAll("\\", "/"))?.[1]);
  expect([...new Set(packages)].sort()).toEqual(["commander", "picocolors"]);
});
