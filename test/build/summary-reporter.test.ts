import { expect, it } from "vitest";
import type { TestModule } from "vitest/node";
import { summaryLine } from "../../build/summary-reporter";

type State = "passed" | "failed" | "skipped" | "pending";

function module(states: readonly State[], errors = 0): TestModule {
  const tests = states.map((state) => ({ result: () => ({ state }) }));
  return { children: { allTests: () => tests }, errors: () => Array(errors).fill({}) } as unknown as TestModule;
}

it("summaryLine: counts over all files", () => {
  expect(summaryLine([module(["passed", "failed"]), module(["passed"])], 0)).toBe("2 passed, 1 failed");
});

it("summaryLine: a file that did not load and an error outside of tests are failures", () => {
  expect(summaryLine([module(["passed"]), module([], 1)], 2)).toBe("1 passed, 3 failed");
});

it("summaryLine: says what was skipped or never ran", () => {
  expect(summaryLine([module(["passed", "skipped", "pending"])], 0)).toBe("1 passed, 0 failed, 2 skipped");
});
