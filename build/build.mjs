#!/usr/bin/env node
/**
 * `npm run build`: compiles the host's code and the image into dist/. Plain JavaScript, because it compiles the compiler:
 *
 *   build/*.ts ──load.mjs──► dist/.compiler/compile.mjs ──► dist/{index,cli,kit,bench}.js, dist/xenolith.img
 *
 * Does nothing, fast, while no input has changed since the last build. What is heavy runs in processes of its own, one compiler each, none of
 * which needs 200 MiB.
 *
 *   node build/build.mjs [--force] [--quiet]
 */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import * as path from "node:path";
import { dist, root } from "./load.mjs";

const lockFile = path.join(dist, ".lock");
const stampFile = path.join(dist, ".stamp");
const INPUTS = ["build", "drivers", "hal", "images", "kernel", "test/kit", "package.json", "package-lock.json"];
const force = process.argv.includes("--force");
const quiet = process.argv.includes("--quiet");

/** SHA-256 over the names and contents of every input. */
function hashInputs() {
  const hash = createHash("sha256").update(process.version.split(".")[0]);
  const add = (name) => {
    const file = path.join(root, name);
    const stat = fs.statSync(file, { throwIfNoEntry: false });
    if (stat === undefined) return;
    if (stat.isDirectory()) for (const entry of fs.readdirSync(file).sort()) add(`${name}/${entry}`);
    else hash.update(`${name}\0${stat.size}\0`).update(fs.readFileSync(file));
  };
  INPUTS.forEach(add);
  return hash.digest("hex");
}

/** Runs `body` while no other process builds here; a lock whose owner is gone does not count. */
async function exclusively(body) {
  fs.mkdirSync(dist, { recursive: true });
  while (!takeLock()) await new Promise((resolve) => setTimeout(resolve, 100));
  try {
    await body();
  } finally {
    fs.rmSync(lockFile, { force: true });
  }
}

function takeLock() {
  try {
    fs.writeFileSync(lockFile, String(process.pid), { flag: "wx" });
    return true;
  } catch (error) {
    if (error.code !== "EEXIST") throw error;
    const owner = Number(fs.existsSync(lockFile) ? fs.readFileSync(lockFile, "utf8") : 0);
    if (owner > 0 && !isAlive(owner)) fs.rmSync(lockFile, { force: true });
    return false;
  }
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === "EPERM";
  }
}

function isFresh(stamp) {
  return !force && fs.existsSync(stampFile) && fs.readFileSync(stampFile, "utf8") === stamp;
}

/** V8's options that keep a process small: it collects when its heap is a little larger than what is alive. */
const SMALL_HEAP = ["--max-semi-space-size=1", "--heap-growing-percent=10"];

/** Runs a program of the build; resolves to its exit code. */
function run(...argv) {
  return new Promise((resolve, reject) => {
    // One arena of glibc's allocator for all threads: else each keeps what it has freed.
    const env = { ...process.env, MALLOC_ARENA_MAX: "1" };
    const child = spawn(process.execPath, [...SMALL_HEAP, ...argv], { env, stdio: "inherit" });
    child.on("error", reject);
    child.on("close", (code) => resolve(code ?? 1));
  });
}

/** Resolves to the exit code. */
async function build() {
  const start = performance.now();
  fs.rmSync(stampFile, { force: true });
  const compiler = path.join(dist, ".compiler", "compile.mjs");
  const code =
    (await run(path.join(root, "build", "load.mjs"), "compile", "service")) ||
    (await run(compiler, "image", root, dist)) ||
    (await run(compiler, "host", root, dist));
  if (code === 0 && !quiet) console.error(`built dist/ in ${((performance.now() - start) / 1000).toFixed(1)} s`);
  return code;
}

const stamp = hashInputs();
if (!isFresh(stamp)) {
  await exclusively(async () => {
    if (isFresh(stamp)) return;
    process.exitCode = await build();
    if (process.exitCode === 0) fs.writeFileSync(stampFile, stamp);
  });
}
