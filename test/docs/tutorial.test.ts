/**
 * The tutorial is run, block by block, in one folder, as a reader would. What is printed has the shape that is shown: numbers, hashes and the
 * width of columns may differ.
 */
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import { describe, expect, it } from "vitest";
import { scratchFolder } from "../hal/host/cli/run";
import { shape } from "./shape";

const ROOT = path.resolve(import.meta.dirname, "../..");
const tutorial = fs.readFileSync(path.join(ROOT, "docs", "tutorial.md"), "utf8");
const at = scratchFolder();

/** A command for the reader's shell, what is typed into the guest's shell if it begins one, and what both print. */
interface Step {
  readonly command: string;
  readonly typed: string[];
  readonly shown: string[];
}

/** The prompts of the reader's shell and of a guest's. */
const COMMAND = /^\$ (.*)$/;
const TYPED = /^\w+:\S*# (.*)$/;

function stepsOf(block: string): Step[] {
  const steps: Step[] = [];
  for (const line of block.trimEnd().split("\n")) {
    const command = COMMAND.exec(line);
    const typed = TYPED.exec(line);
    if (command !== null) steps.push({ command: command[1], typed: [], shown: [] });
    else if (typed !== null) steps[steps.length - 1].typed.push(typed[1]);
    else steps[steps.length - 1].shown.push(line);
  }
  return steps;
}

const steps = [...tutorial.matchAll(/^```console\n([^]*?)^```$/gm)].flatMap((match) => stepsOf(match[1]));

/** Runs a command of the reader's, with `npx xenolith` for the program that was built. */
function run({ command, typed }: Step): { status: number | null; output: string } {
  const program = `"${process.execPath}" "${path.join(ROOT, "dist", "cli.js")}"`;
  const ended = spawnSync("sh", ["-c", `{ ${command.replace("npx xenolith", program)}\n} 2>&1`], {
    cwd: at("."),
    input: typed.map((line) => `${line}\n`).join(""),
    encoding: "utf8",
    env: { ...process.env, XENOLITH_CACHE: at("cache") },
  });
  return { status: ended.status, output: ended.stdout };
}

/** Commands that fail on purpose, by their part of the text. */
const FAILING = new Map([
  ["--restore ready.snap --exec lsblk", 3],
  ["-i --disk ram:16M\necho c > /proc/sysrq-trigger", 255],
]);

function statusOf({ command, typed }: Step): number {
  const text = [command, ...typed].join("\n");
  for (const [part, status] of FAILING) if (text.includes(part)) return status;
  return 0;
}

describe("the tutorial", () => {
  it("begins with the command that the README begins with", () => {
    const readme = fs.readFileSync(path.join(ROOT, "README.md"), "utf8");
    expect(readme).toContain(`$ ${steps[0].command}\n`);
    expect(steps.length).toBeGreaterThan(8);
  });

  it("has no block of another kind, which nobody would run", () => {
    expect(
      [...tutorial.matchAll(/^```(\w+)$/gm)].map((match) => match[1]).filter((kind) => kind !== "console"),
    ).toEqual([]);
  });

  it.each(steps.slice(1).map((step): [string, Step] => [[step.command, ...step.typed].join(" · "), step]))(
    "%s",
    (_, step) => {
      const { status, output } = run(step);
      const expected = statusOf(step);
      expect({ status, output: shape(expected === 255 ? "" : output) }).toEqual({
        status: expected,
        output: shape(step.shown.join("\n")),
      });
      if (expected === 255) {
        expect(output).toMatch(/at main \(images\/programs\/echo\.ts:\d+:\d+\)/);
        expect(output).toMatch(/at panic \(kernel\/panic\.ts:\d+:\d+\)/);
      }
    },
  );
});
