import * as path from "node:path";
import { defineConfig } from "vitest/config";
import { linker } from "./build/linker.ts";
import { machineSchema } from "./build/schema.ts";
import { SummaryReporter } from "./build/summary-reporter.ts";

const root = import.meta.dirname;

export default defineConfig({
  plugins: [machineSchema(root), linker({ root, mode: "kernel", debug: true })],
  resolve: {
    alias: [
      { find: /^xenolith$/, replacement: path.join(root, "hal/host/index.ts") },
      { find: /^xenolith\/kit$/, replacement: path.join(root, "test/kit/index.ts") },
      { find: /^xenolith\/build$/, replacement: path.join(root, "build/index.ts") },
    ],
  },
  test: {
    include: ["test/**/*.test.ts"],
    globalSetup: ["build/vitest-setup.ts"],
    testTimeout: 60_000,
    hookTimeout: 120_000,
    pool: "threads",
    reporters: ["default", new SummaryReporter()],
    maxWorkers: 2,
    // Tests boot; those of the boot cache have folders of their own.
    env: { XENOLITH_CACHE: "" },
  },
});
