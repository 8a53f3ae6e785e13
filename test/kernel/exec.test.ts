import type { Sleeps } from "xenolith/linux/sched";
import {
  type stdio,
  load_program,
  open_stdio,
  program_names,
  run_program,
  spawn_program,
  split_command,
  wait_program,
} from "xenolith/linux/binfmts";
import { FMODE_READ, FMODE_WRITE, create_pipe_files, file, filp_close, kernel_read } from "xenolith/linux/fs";
import { current, find_task_by_pid, flush_signals, kill_pgrp, send_sig } from "xenolith/linux/sched";
import { SIGINT, SIGPIPE } from "xenolith/linux/signal";
import { bytes_to_string, string_to_bytes } from "xenolith/linux/string";
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

/** What `forever` did on its way out. */
let given_back = 0;

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
  reader: programOf(function* (_argv, io) {
    for (let line = yield* io.read_line(); line !== null; line = yield* io.read_line()) yield* io.write(`<${line}>`);
    return 0;
  }),
  forever: programOf(function* (_argv, io) {
    try {
      for (;;) {
        yield* io.write("y");
        yield* msleep(1);
      }
    } finally {
      given_back++;
      yield* msleep(1);
      given_back++;
      yield* io.write("not any more");
    }
    return 0;
  }),
  catcher: programOf(function* (_argv, io) {
    while (current().pending_signals === 0) yield* msleep(1);
    flush_signals(current());
    yield* io.write("caught");
    return 7;
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

/** A file that gives `input` and keeps what is written, with `mark` before each piece. */
function stream(input: string, mark: string, written: string[]): file {
  const opened = new file();
  let left = input;
  opened.f_mode = FMODE_READ | FMODE_WRITE;
  opened.f_op = {
    *read(_file, to) {
      const text = left.slice(0, Math.min(to.length, 3));
      left = left.slice(text.length);
      to.set(string_to_bytes(text));
      return text.length;
    },
    *write(_file, from) {
      written.push(mark + bytes_to_string(from));
      return from.length;
    },
  };
  return opened;
}

function run(...argv: string[]): { status: number; text: string } {
  const written: string[] = [];
  const [io, err] = [stream("one\ntwo\nlast", "", written), stream("", "!", written)];
  const status = kernel.run(() => run_program(argv, [io, io, err]));
  return { status, text: written.join("") };
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

  it("lines of standard input, the last one without its end", () =>
    expect(run("reader")).toEqual({ status: 0, text: "<one><two><last>" }));

  it("the names of the programs, sorted", () => expect(program_names()).toEqual(Object.keys(programs).sort()));
});

/** Starts a program of the table with the given streams. */
function spawn(name: string, input: file, output: file) {
  const found = load_program(name);
  if (found.main === null) throw new Error(found.complaint);
  const task = spawn_program(found.main, [name], [input, output, output], 0);
  if (typeof task === "number") throw new Error(`spawn_program: ${task}`);
  return task;
}

describe("signals", () => {
  it.each([
    ["forever", 128 + SIGINT],
    ["catcher", 7],
  ])("%s ends with %i after SIGINT", (name, expected) => {
    given_back = 0;
    const written: string[] = [];
    const io = stream("", "", written);
    const status = kernel.run(function* () {
      const task = spawn(name, io, io);
      yield* msleep(10);
      expect(kill_pgrp(task.pid, SIGINT, 0)).toBe(0);
      const ended = yield* wait_program(task);
      expect(find_task_by_pid(task.pid)).toBe(null);
      expect(kill_pgrp(task.pid, SIGINT, 0)).toBe(-3);
      return ended;
    });
    expect(status).toBe(expected);
    expect(written.includes("not any more")).toBe(false);
    expect(given_back).toBe(name === "forever" ? 2 : 0);
  });

  it("a program that was told to end cannot read", () => {
    const [io] = [stream("text", "", [])];
    const got = kernel.run(function* () {
      send_sig(SIGINT, current(), 0);
      const count = yield* kernel_read(io, new Uint8Array(4));
      flush_signals(current());
      return count;
    });
    expect(got).toBe(-4);
  });
});

describe("pipes", () => {
  it("carry more than they hold from one program to the next, and end", () => {
    const written: string[] = [];
    const text = "0123456789\n".repeat(7_000);
    const statuses = kernel.run(function* () {
      const [reading, writing] = create_pipe_files();
      const io = stream(text, "", written);
      const writer = spawn_program(copy, ["copy"], [io, writing, io], 0);
      const reader = spawn_program(copy, ["copy"], [reading, io, io], 0);
      yield* filp_close(reading);
      yield* filp_close(writing);
      if (typeof writer === "number" || typeof reader === "number") throw new Error("spawn_program");
      return [yield* wait_program(writer), yield* wait_program(reader)];
    });
    expect(statuses).toEqual([0, 0]);
    expect(written.join("") === text).toBe(true);
  });

  it("whose reader is gone end the writer with SIGPIPE", () => {
    const status = kernel.run(function* () {
      const [reading, writing] = create_pipe_files();
      const task = spawn("forever", writing, writing);
      yield* msleep(5);
      yield* filp_close(reading);
      return yield* wait_program(task);
    });
    expect(status).toBe(128 + SIGPIPE);
  });

  it("whose writer is gone give what is left, then the end", () => {
    const got = kernel.run(function* () {
      const [reading, writing] = create_pipe_files();
      const io = open_stdio([reading, writing, writing]);
      yield* io.write("left");
      yield* filp_close(writing);
      return [yield* io.read(2), yield* io.read(9), yield* io.read(9)];
    });
    expect(got).toEqual(["le", "ft", ""]);
  });
});

/** Copies its input to its output. */
function* copy(_argv: readonly string[], io: stdio): Sleeps<number> {
  for (;;) {
    const text = yield* io.read(4096);
    if (typeof text === "number" || text === "") return 0;
    yield* io.write(text);
  }
}

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
