/* eslint-disable no-template-curly-in-string -- the shell has ${} too */
import * as fc from "fast-check";
import { msleep, usleep_range } from "xenolith/linux/delay";
import { kill_pgrp } from "xenolith/linux/sched";
import { SIGINT } from "xenolith/linux/signal";
import { describe, expect, it } from "vitest";
import type { BundleFactory } from "../../../../hal/abi/hal";
import { set_hal } from "../../../../hal/guest/hal";
import { main as cat } from "../../../../images/programs/cat";
import { main as echo } from "../../../../images/programs/echo";
import { main as sh } from "../../../../images/programs/sh";
import type { program_main } from "xenolith/linux/binfmts";
import { bootWorld } from "../world";

const world = bootWorld();
const { kernel, run, feed } = world;

const status_of = (status: number): program_main =>
  function* () {
    return status;
  };
const programs: Record<string, program_main> = {
  cat,
  echo,
  true: status_of(0),
  false: status_of(1),
  three: status_of(3),
  *args(argv, io) {
    yield* io.write(
      `${argv
        .slice(1)
        .map((word) => `<${word}>`)
        .join("")}\n`,
    );
    return 0;
  },
  *both(_argv, io) {
    yield* io.write("out\n");
    yield* io.error("err\n");
    return 0;
  },
  *forever(_argv, io) {
    for (;;) {
      yield* msleep(1);
      yield* io.write("y");
    }
  },
};
set_hal({
  ...kernel.hal,
  load: (kind, name): BundleFactory | null =>
    kind === "programs" && Object.hasOwn(programs, name)
      ? (_ksym, exports) => void (exports.main = programs[name])
      : null,
  list: (kind) => (kind === "programs" ? Object.keys(programs).sort() : []),
});

const shell = (text: string) => run(sh, "sh", "-c", text);
const out = (text: string) => shell(text).out;

describe("words", () => {
  it.each([
    ["args a 'b  c' \"d  e\" f\\ g", "<a><b  c><d  e><f g>"],
    ["args '' \"\" a''b", "<><><ab>"],
    ["args a#b # comment", "<a#b>"],
    ["X='a  b'; args $X \"$X\" ${X}c '$X' \\$X", "<a><b><a  b><a><bc><$X><$X>"],
    ['args $NONE "$NONE"', "<>"],
    ["X=1 Y=$X; args $X$Y", "<11>"],
    ["args $(echo a b) \"$(echo 'c  d')\"", "<a><b><c  d>"],
    ["args $(echo $(echo deep))", "<deep>"],
    ["args /pro?/v[e]rsion /sy* '/sy*' /none*", "</proc/version></sys></sy*></none*>"],
    ["args a=b c={d}", "<a=b><c={d}>"],
    ["args one \\\n two", "<one><two>"],
    ["args $#", "<0>"],
  ])("%s", (text, line) => expect(out(text)).toBe(`${line}\n`));

  it("positional parameters", () => {
    expect(run(sh, "sh", "-c", "args $0 $1 $2 $#", "name", "a", "b").out).toBe("<name><a><b><2>\n");
  });
});

describe("lists", () => {
  it.each([
    ["echo a; echo b", "a\nb\n", 0],
    ["true && echo yes || echo no", "yes\n", 0],
    ["false && echo yes || echo no", "no\n", 0],
    ["false || false && echo never; echo $?", "1\n", 0],
    ["three; echo $?", "3\n", 0],
    ["three", "", 3],
    ["! three; echo $?; ! true", "0\n", 1],
    ["none; echo $?", "127\n", 0],
    ["if false; then echo a; elif true; then echo b; else echo c; fi", "b\n", 0],
    ["if false; then echo a; else echo c; fi", "c\n", 0],
    ["for i in 1 2 3; do echo $i; done", "1\n2\n3\n", 0],
    ["for i in 1 2 3; do if [ $i = 2 ]; then continue; fi; echo $i; done", "1\n3\n", 0],
    ["for i in 1 2; do for j in a b; do break 2; done; done; echo $i$j", "1a\n", 0],
    ['X=; until [ "$X" = aaa ]; do X=a$X; done; echo $X', "aaa\n", 0],
    ["while true; do break; done; echo done", "done\n", 0],
    ["{ echo a; echo b; } | cat", "a\nb\n", 0],
    ["(cd /sys; pwd); pwd", "/sys\n/\n", 0],
    ["cd /sys/block/..; pwd; cd -; cd /none", "/sys\n/\n", 1],
    ["exit 7; echo never", "", 7],
    ["echo a | { read X Y; echo $Y$X; }", "a\n", 0],
    ["echo a b c | { read X Y; echo $Y-$X; }", "b c-a\n", 0],
    ["test -d /sys && [ -e /dev/null ] && [ ! -e /none ] && [ 2 -lt 10 ] && echo ok", "ok\n", 0],
    ["echo a & wait; echo b", "a\nb\n", 0],
    ["three & wait $!; echo $?", "3\n", 0],
  ])("%s", (text, expected, status) => expect(shell(text)).toMatchObject({ out: expected, status }));

  it("time says how long it took, in virtual time", () => {
    expect(shell("time echo a")).toMatchObject({
      out: "a\n",
      err: expect.stringMatching(/^real \d\.\d{6}\n$/) as string,
    });
  });
});

describe("pipes and redirections", () => {
  it.each([
    ["echo a | cat | cat", "a\n", ""],
    ["both 2>&1 | cat", "out\nerr\n", ""],
    ["both > /dev/null", "", "err\n"],
    ["both 2> /dev/null", "out\n", ""],
    ["both > /dev/null 2>&1", "", ""],
    ["both 2>&1 >/dev/null | cat", "err\n", ""],
    ["cat < /proc/filesystems | cat", "nodev\tdevtmpfs\nnodev\tproc\nnodev\tsysfs\n", ""],
    ["cat <<X\na $Y\nb\nX\necho c", "a $Y\nb\nc\n", ""],
    ["echo a > /none", "", "sh: /none: No such file or directory\n"],
    ["echo a > /proc/version", "", "sh: /proc/version: Permission denied\n"],
    ["cat < /none; echo $?", "1\n", "sh: /none: No such file or directory\n"],
    ["echo 1 2>&7", "", "sh: 7: bad file descriptor\n"],
    ["echo full > /dev/full; echo $?", "1\n", "echo: write error: No space left on device\n"],
  ])("%s", (text, expected, err) => expect(shell(text)).toMatchObject({ out: expected, err }));

  it("a writer whose reader is gone ends", () => expect(shell("forever | true").status).toBe(0));
});

describe("what cannot be understood", () => {
  it.each([
    ["echo )", "syntax error near unexpected token `)'"],
    ["| cat", "syntax error near unexpected token `|'"],
    ["echo a &&", "syntax error: unexpected end of file"],
    ["echo 'a", "syntax error: unexpected end of file"],
    ["if true", "syntax error: unexpected end of file"],
    ["fi", "syntax error near unexpected token `fi'"],
    ["for 1 in a; do echo; done", "syntax error near unexpected token `1'"],
    ["echo ${a b}", "bad substitution"],
    ["cat <<X\nno end", "syntax error: unexpected end of file"],
  ])("%s", (text, complaint) => expect(shell(text)).toEqual({ status: 2, out: "", err: `sh: ${complaint}\n` }));

  it("nothing that is typed throws, and quoted text is what it was", () => {
    const piece = fc.constantFrom(..."ab $'\"\\;|&<>(){}*?#\n=".split(""), "$(", "if ", "do ", "done", "<<", "2>");
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
        const { status } = shell(`true ${pieces.join("")} </dev/null >/dev/null 2>/dev/null`);
        expect(status).toBeGreaterThanOrEqual(0);
      }),
      { numRuns: 300 },
    );
    fc.assert(
      fc.property(fc.string({ unit: "grapheme-ascii" }), (text) => {
        expect(out(`args '${text.replaceAll("'", "'\\''")}'`)).toBe(`<${text}>\n`);
      }),
    );
  });
});

describe("standard input", () => {
  it("is a script, a line at a time: programs read what follows", () => {
    const input = "echo one\ncat\ntext\n";
    expect(feed(sh, ["sh"], { input })).toEqual({ status: 0, out: "one\ntext\n", err: "" });
  });

  it("ends with the last status; a command may go over several lines; exit ends it early", () => {
    expect(feed(sh, ["sh"], { input: "if true\nthen\nthree\nfi" }).status).toBe(3);
    expect(feed(sh, ["sh"], { input: "exit 4\necho never\n" })).toEqual({ status: 4, out: "", err: "" });
    expect(feed(sh, ["sh"], { input: "echo (\necho on\n" })).toEqual({
      status: 0,
      out: "on\n",
      err: "sh: syntax error near unexpected token `('\n",
    });
  });
});

it.each([
  "forever >/dev/null; echo never",
  "while true; do :; done; echo never",
  "forever | cat >/dev/null; echo never",
])("SIGINT for the process group ends the shell and what it waits for: %s", (text) => {
  const outcome = feed(sh, ["sh", "-c", text], {
    started: (task) =>
      void kernel.spawn(function* () {
        yield* usleep_range(20, 20);
        return kill_pgrp(task.pgrp, SIGINT, 0);
      }),
  });
  expect(outcome).toEqual({ status: 130, out: "", err: "" });
});
