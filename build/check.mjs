#!/usr/bin/env node
/**
 * `npm run check`: types, lint, source checks and format, two at a time. Prints what fails, then one line per check.
 *
 *   node build/check.mjs [types|guest|lint|tidy|format]...
 */
import { spawn } from "node:child_process";
import * as path from "node:path";
import { loadTypeScript, root } from "./load.mjs";

const CHECKS = {
  types: ["typescript/bin/tsc", "-p", "tsconfig.json"],
  lint: ["eslint/bin/eslint.js", "--max-warnings", "0", "."],
  guest: ["typescript/bin/tsc", "-p", "tsconfig.guest.json"],
  tidy: [path.join(import.meta.dirname, "check.mjs"), "--tidy"],
  format: [
    "@mixer/parallel-prettier/dist/index.js",
    "--check",
    "{build,docs,drivers,hal,images,kernel,test}/**/*.{ts,mjs,json,md}",
    "*.{ts,mjs,json,md}",
  ],
};
const PARALLEL = 2;

/** Runs one check as a process of its own; resolves to whether it passed. */
function run(name) {
  const [script, ...args] = CHECKS[name];
  const file = path.resolve(root, "node_modules", script);
  const start = performance.now();
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [file, ...args], { cwd: root, stdio: ["ignore", "pipe", "pipe"] });
    const output = [];
    child.stdout.on("data", (chunk) => output.push(chunk));
    child.stderr.on("data", (chunk) => output.push(chunk));
    child.on("close", (status) => {
      if (status !== 0) process.stdout.write(Buffer.concat(output));
      console.log(
        `${status === 0 ? "ok    " : "FAILED"} ${name} (${((performance.now() - start) / 1000).toFixed(1)} s)`,
      );
      resolve(status === 0);
    });
  });
}

async function main(names) {
  const unknown = names.find((name) => !Object.hasOwn(CHECKS, name));
  if (unknown !== undefined) {
    console.error(`no check "${unknown}"; there are: ${Object.keys(CHECKS).join(", ")}`);
    return 2;
  }
  const waiting = names.length > 0 ? [...names] : Object.keys(CHECKS);
  let failed = 0;
  const worker = async () => {
    for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) if (!(await run(name))) failed++;
  };
  await Promise.all(Array.from({ length: PARALLEL }, worker));
  return failed === 0 ? 0 : 1;
}

const args = process.argv.slice(2);
if (args[0] === "--tidy") process.exitCode = (await loadTypeScript("tidy/main")).runTidy(root);
else process.exitCode = await main(args);
