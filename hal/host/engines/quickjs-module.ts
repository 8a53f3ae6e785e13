/** The QuickJS engine's WebAssembly code, compiled once per process. It is immutable: machines share it, and so do threads. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";

// tidy: memo, of code that never changes
let compiledModule: Promise<WebAssembly.Module> | null = null;
// tidy: memo, of code that never changes
let codeHash: string | null = null;

function codeFile(): string {
  return createRequire(import.meta.url).resolve("@jitl/quickjs-wasmfile-release-sync/wasm");
}

function compile(): Promise<WebAssembly.Module> {
  return readFile(codeFile()).then((bytes) => WebAssembly.compile(bytes));
}

/** The compiled code; compiles it if nobody has. */
export function compileQuickJS(): Promise<WebAssembly.Module> {
  compiledModule ??= compile();
  return compiledModule;
}

/** Starts compiling, so that it is done, or under way, when the first machine wants it. A failure shows there. */
export function prepareQuickJS(): void {
  compileQuickJS().catch(() => undefined);
}

/** Takes what another thread compiles; what it could not compile is compiled here. */
export function adoptQuickJS(given: Promise<WebAssembly.Module | null>): void {
  compiledModule ??= given.then((module) => module ?? compile());
}

/** SHA-256 of the code: what a copy of its memory fits. */
export function quickJSCode(): string {
  codeHash ??= createHash("sha256").update(readFileSync(codeFile())).digest("hex");
  return codeHash;
}
