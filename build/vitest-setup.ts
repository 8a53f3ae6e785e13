/** Vitest's global setup: builds `dist/` and the image, in a process of its own, unless they are fresh. */
import { spawnSync } from "node:child_process";
import * as path from "node:path";

export function setup(): void {
  if (process.env.XENOLITH_SKIP_BUILD === "1") return;
  const script = path.join(import.meta.dirname, "build.mjs");
  const { status } = spawnSync(process.execPath, [script], { stdio: ["ignore", "inherit", "inherit"] });
  if (status !== 0)
    throw new Error("the build failed; its errors are above (XENOLITH_SKIP_BUILD=1 runs tests without it)");
}
