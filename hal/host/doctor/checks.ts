/** What `xenolith doctor` looks at: everything outside of the program that a machine needs. Each check says what it found, or what to do. */
import * as fs from "node:fs";
import * as path from "node:path";
import { Worker } from "node:worker_threads";
import { RawQuickJS } from "../engines/quickjs-raw";
import { compileQuickJS } from "../engines/quickjs-module";
import { readImage } from "../image/image";
import { defaultImagePath, packageFolder } from "../package-info";
import { cacheFolder } from "../snapshot/boot-cache";

/** One thing that must be right. */
export interface Check {
  readonly name: string;
  /** What to do when it is not. */
  readonly remedy: string;
  /** What was found. Throws Error with what is wrong. */
  look(): string | Promise<string>;
}

/** What became of a check. */
export interface Finding {
  readonly name: string;
  readonly ok: boolean;
  readonly found: string;
  /** null when all is well. */
  readonly remedy: string | null;
}

/** Memory of the engine that is tried, bytes. */
const ENGINE_BYTES = 64 << 20;
/** Native stack of the thread that is tried, MiB, and calls that must fit: ten times of what a thread has by default. */
const STACK_MIB = 64;
const CALLS = 100_000;

/** Looks, one after the other. */
export async function runChecks(checks: readonly Check[]): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const { name, remedy, look } of checks) {
    try {
      findings.push({ name, ok: true, found: await look(), remedy: null });
    } catch (error) {
      findings.push({ name, ok: false, found: error instanceof Error ? error.message : String(error), remedy });
    }
  }
  return findings;
}

/** The checks of this host and this package. */
export function hostChecks(imageFile = defaultImagePath()): Check[] {
  return [
    {
      name: "Node.js",
      remedy: `install Node.js ${nodeFloor()} or later`,
      look: () => checkNode(process.versions.node),
    },
    {
      name: "WebAssembly",
      remedy: "run node without --jitless and without options that turn WebAssembly off; or boot with --engine v8",
      look: async () => (await compileQuickJS(), "the QuickJS engine compiles"),
    },
    {
      name: "engine self-test",
      remedy: "reinstall with npm ci, so that the engine has the pinned version; until then boot with --engine v8",
      look: async () => (await RawQuickJS.create(ENGINE_BYTES), "shared memory, its finaliser, fast calls"),
    },
    {
      name: "thread stack",
      remedy: "raise the limit of virtual memory (ulimit -v); machines in the caller's own thread need none",
      look: checkThread,
    },
    {
      name: "image",
      remedy: "build it again: npm run build, or xenolith build",
      look: () => checkImage(imageFile),
    },
    {
      name: "boot cache",
      remedy: "make the folder writable, or set XDG_CACHE_HOME; or boot with --no-cache, which takes longer",
      look: () => checkCache(cacheFolder()),
    },
  ];
}

/** Throws Error unless the version is at least the package's floor. */
export function checkNode(version: string): string {
  const floor = nodeFloor();
  const [have, need] = [version, floor].map((text) => text.split(".").map(Number));
  if (have[0] < need[0] || (have[0] === need[0] && have[1] < need[1])) throw new Error(`${version} is before ${floor}`);
  return version;
}

/** Throws Error unless every byte of the image is what its manifest says. */
export function checkImage(file: string): string {
  const image = readImage(file);
  const problems = image.verify();
  if (problems.length > 0) throw new Error(`${file}: ${problems[0]}`);
  return `${image.manifest.files.length} files are what the manifest says`;
}

/** Throws Error unless a file can be written there. */
export function checkCache(folder: string | null): string {
  if (folder === null) return "turned off";
  const probe = path.join(folder, `.doctor-${process.pid}`);
  fs.mkdirSync(folder, { recursive: true });
  fs.writeFileSync(probe, "");
  fs.rmSync(probe);
  return `${folder} is writable`;
}

function nodeFloor(): string {
  const text = fs.readFileSync(path.join(packageFolder(), "package.json"), "utf8");
  return (JSON.parse(text) as { engines: { node: string } }).engines.node.replace(">=", "");
}

function checkThread(): Promise<string> {
  const code = `const down = (n) => (n === 0 ? 0 : 1 + down(n - 1)); require("node:worker_threads").parentPort.postMessage(down(${CALLS}));`;
  return new Promise((resolve, reject) => {
    const worker = new Worker(code, { eval: true, resourceLimits: { stackSizeMb: STACK_MIB } });
    worker.once("message", () => resolve(`a thread with ${STACK_MIB} MiB of stack`));
    worker.once("error", reject);
  });
}
