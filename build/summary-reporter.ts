/** Ends a test run with one line for scripts: `N passed, N failed`, and `, N skipped` if any were. */
import type { Reporter, SerializedError, TestModule } from "vitest/node";

export class SummaryReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], errors: readonly SerializedError[]): void {
    const line = summaryLine(modules, errors.length);
    process.once("exit", () => process.stdout.write(`${line}\n`));
  }
}

/** Counts tests; a file that could not be collected, and an error outside of any test, count as one failed test each. */
export function summaryLine(modules: readonly TestModule[], errors: number): string {
  const counts = { passed: 0, failed: errors, skipped: 0, pending: 0 };
  for (const module of modules) {
    for (const test of module.children.allTests()) counts[test.result().state]++;
    if (module.errors().length > 0) counts.failed++;
  }
  const skipped = counts.skipped + counts.pending;
  return `${counts.passed} passed, ${counts.failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`;
}
