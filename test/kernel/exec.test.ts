import type { Sleeps } from "xenolith/linux/sched";
import { type stdio, program_names, run_program, split_command } from "xenolith/linux/binfmts";
import { msleep } from "xenolith/linux/delay";
import { set_hal } from "../../hal/guest/hal";
import type { BundleFactory } from "../../hal/abi/hal";
import "../../kernel/exec";
import { describe, expect, it } from "vitest";
import { bootBareKernel } from "../kit/bare-kernel";

const kernel = bootBareKernel();
kernel.runInitcalls();

type Main = (argv: readonly string[], io: stdio) => Sleeps<number>;
const programOf =
  (main: Main): BundleFactory =>
  (_ksym, exports) =>
    void (exports.main = main);

const programs: Record<string, BundleFactory> = {
  true: programOf(function* () {
    return 0;
  }),
  words: programOf(function* (argv, io) {
    yield* io.write(argv.join("|"));
    return argv.length;
  }),
  sleeper: programOf(function* (_argv, io) {
    yield* msleep(5);
    yield* io.error("awake");
    return 300;
  }),
  lost: (ksym, exports) => {
    ksym("no_such_symbol");
    ksym("nor_this");
    exports.main = () => undefined;
  },
  library: (_ksym, exports) => void (exports.helper = 1),
};
set_hal({
  ...kernel.hal,
  load: (kind, name) => (kind === "programs" ? programs[name] ?? null : null),
  list: (kind) => (kind === "programs" ? Object.keys(programs).sort() : []),
});

function run(...argv: string[]): { status: number; text: string } {
  let text = "";
  const io: stdio = {
    *write(out) {
      text += out;
    },
    *error(err) {
      text += `!${err}`;
    },
    *read_line() {
      return null;
    },
  };
  return { status: kernel.run(() => run_program(argv, io)), text };
}

describe("run_program", () => {
  it.each([
    [["true"], 0, ""],
    [["words", "a", "b c"], 3, "words|a|b c"],
    [["sleeper"], 300 & 0xff, "!awake"],
    [["none"], 127, "!none: not found\n"],
    [["lost"], 126, "!lost: Unknown symbol no_such_symbol (err -2)\n"],
    [["library"], 126, "!library: cannot execute: it has no main\n"],
  ])("%j: exit status %i", (argv, status, text) => expect(run(...argv)).toEqual({ status, text }));

  it("the names of the programs, sorted", () => expect(program_names()).toEqual(Object.keys(programs).sort()));
});

describe("split_command", () => {
  it.each([
    ["", []],
    ["  \t ", []],
    ["dd if=/dev/zero  of=/dev/xvda", ["dd", "if=/dev/zero", "of=/dev/xvda"]],
    ["echo 'a b' \"c d\" ''", ["echo", "a b", "c d", ""]],
    ["echo a'b c'd", ["echo", "ab cd"]],
    ['echo a\\ b \\"', ["echo", "a b", '"']],
    ["echo \"it's\" '\\'", ["echo", "it's", "\\"]],
    ['echo "a\\"b"', ["echo", 'a"b']],
    ["echo 'open", null],
    ['echo "open', null],
  ])("%j", (line, words) => expect(split_command(line)).toEqual(words));
});
