import pc from "picocolors";
import { describe, expect, it } from "vitest";
import { runCommandLine } from "../../../../../hal/host/cli/command-line";
import { KeyFilter } from "../../../../../hal/host/cli/interactive/keys";
import { MarkFilter } from "../../../../../hal/host/cli/interactive/marks";
import type { CommandIo, Output } from "../../../../../hal/host/cli/io";
import { ScriptedKeyboard, type Stroke } from "./keyboard";

interface Ended {
  readonly code: number;
  readonly out: string;
  readonly err: string;
  readonly keyboard: ScriptedKeyboard;
}

/** Runs `boot -i` with a script at the keyboard. */
async function sit(strokes: readonly Stroke[], kind: "terminal" | "pipe", ...flags: string[]): Promise<Ended> {
  const text = { out: "", err: "" };
  const output = (to: "out" | "err"): Output => ({
    write: (more) => void (text[to] += typeof more === "string" ? more : Buffer.from(more).toString("utf8")),
    isTerminal: kind === "terminal",
    columns: 80,
    colours: pc.createColors(false),
  });
  const keyboard = new ScriptedKeyboard(kind === "terminal", strokes, () => text.out);
  const io: CommandIo = { stdout: output("out"), stderr: output("err"), thread: keyboard, exitCode: 0 };
  const code = await runCommandLine(["boot", "-q", "-i", "--disk", "ram:1M", ...flags], io);
  return { code, ...text, keyboard };
}

const PROMPT = /domU:\S*# (\x1b\[K\r\x1b\[\d+C)?$/;
const DOM0 = /dom0:\S*# (\x1b\[K\r\x1b\[\d+C)?$/;
const typed = (...lines: string[]): Stroke[] => lines.map((line) => ({ after: PROMPT, input: `${line}\r` }));

describe.each(["quickjs", "v8"])("%s: a person at the terminal", (engine) => {
  it("works in both domains, pauses, and leaves with the shell's status", async () => {
    const { code, out, keyboard } = await sit(
      [
        { after: "", input: { kind: "resize", rows: 40, columns: 132 } },
        ...typed("lsblk", "false"),
        { after: PROMPT, input: "\x1d?" },
        { after: "quit", input: "\x1dn" },
        { after: DOM0, input: "lsmod\r" },
        { after: /hvc_xen[^]*# /, input: "\x1dp" },
        { after: "paused", input: "echo later\r" },
        { after: "", input: "\x1dp" },
        { after: /\nlater[^]*# /, input: "\x1d1" },
        { after: PROMPT, input: "exit 3\r" },
      ],
      "terminal",
      "--engine",
      engine,
    );
    expect(keyboard.left).toEqual([]);
    expect(code).toBe(3);
    expect(out).toContain("xvda           202:0  0     1M  0 disk\r\n");
    expect(out).toContain("[dom0]\r\n");
    expect(out).not.toContain("\x1b]133");
    expect(keyboard.modes).toEqual(["raw", "off"]);
  });

  it("ends a long run with Ctrl-C, and quits with the escape", async () => {
    const { code, out } = await sit(
      [
        ...typed("fio --name=long --filename=/dev/xvda --rw=randread --number_ios=1000000 --iodepth=8"),
        { after: "Starting", input: "\x03" },
        ...typed("echo status $?"),
        { after: "status 130\r\n", input: "\x1dq" },
      ],
      "terminal",
      "--engine",
      engine,
    );
    expect(code).toBe(0);
    expect(out).toContain("fio: terminating on signal 2\r\n");
  });

  it("a domain that reboots gets a shell again; one that powers off ends the session", async () => {
    const { code, out } = await sit(
      [
        { after: PROMPT, input: "X=1; reboot\r" },
        { after: /starting again[^]*# (\x1b\[K\r\x1b\[\d+C)?$/, input: "echo X is $X.\r" },
        { after: "X is .\r\n", input: "poweroff\r" },
      ],
      "terminal",
      "--engine",
      engine,
    );
    expect(code).toBe(0);
    expect(out).toContain("domU: reboot, starting again\r\n");
    expect(out).toContain("domU: poweroff\r\n");
  });
});

describe("snapshots of a session", () => {
  it("go back to the screen, the shell and the disk of then", async () => {
    const { code, out, keyboard } = await sit(
      [
        ...typed("X=before", "verify /dev/xvda blocks=4 > /dev/null"),
        { after: PROMPT, input: "\x1ds" },
        {
          after: "[snapshot at",
          input: "X=after; dd if=/dev/zero of=/dev/xvda bs=4k count=4 oflag=direct status=none\r",
        },
        ...typed("hexdump -C -n 4 /dev/xvda; echo $X"),
        { after: "after\r\n", input: "\x1dr" },
        { after: PROMPT, input: "echo $X; hexdump -C -n 4 /dev/xvda\r" },
        { after: /00000004\r\n[^]*# /, input: "\x04" },
      ],
      "terminal",
    );
    expect(keyboard.left).toEqual([]);
    expect(code).toBe(0);
    expect(out).toMatch(/00000000 {2}00 00 00 00[^]*after\r\n[^]*\[back at[^]*before\r\n00000000 {2}58 4c 42 4b/);
  });

  it("there is none at first, and engine v8 has none", async () => {
    const { out } = await sit(
      [
        { after: PROMPT, input: "\x1dr" },
        { after: "no snapshot", input: "\x1ds" },
        { after: /v8/, input: "\x1dq" },
      ],
      "terminal",
      "--engine",
      "v8",
    );
    expect(out).toContain("there is no snapshot; Ctrl-] s takes one\r\n");
  });
});

describe("commands from a pipe", () => {
  const pipe = (text: string, ...flags: string[]) =>
    sit(
      [
        { after: "", input: text },
        { after: "", input: { kind: "end" } },
      ],
      "pipe",
      ...flags,
    );

  it.each([
    ["lsblk", 0, "NAME         MAJ:MIN RM   SIZE RO TYPE\nxvda           202:0  0     1M  0 disk\n"],
    ["echo ä; sh -c 'exit 5'\n", 5, "ä\n"],
    ["none 2>&1", 127, "sh: none: not found\n"],
    ["cat\nto the end", 0, "to the end"],
    ["", 0, ""],
    ["poweroff\necho never\n", 0, ""],
  ])("%j", async (text, code, out) => {
    expect(await pipe(text)).toMatchObject({ code, out, keyboard: { modes: ["lines", "off"] } });
  });

  it("a guest that panics ends with 255 and its reason", async () => {
    const { code, err } = await pipe("xenstore-write control/sysrq c; sleep 1000\n");
    expect(code).toBe(255);
    expect(err).toContain("sysrq triggered crash");
  });

  it("does not go with --json", async () => {
    expect(await pipe("lsblk", "--json")).toMatchObject({
      code: 2,
      err: "xenolith: --interactive and --json exclude each other; for one document of programs use --exec\n",
    });
  });
});

it("the keys after the escape are ours, the others the domain's, wherever the pieces end", () => {
  const text = Buffer.from("ab\x1dpc\x1d\x1dd\x1dq");
  for (let cut = 0; cut <= text.length; cut++) {
    const filter = new KeyFilter();
    const found = [...filter.split(text.subarray(0, cut)), ...filter.split(text.subarray(cut))];
    expect(
      found.map((typed) => (typed.kind === "text" ? Buffer.from(typed.bytes).toString() : `<${typed.key}>`)).join(""),
    ).toBe("ab<p>c\x1dd<q>");
  }
});

it("marks are taken out and understood, wherever the pieces end", () => {
  const text = "a\x1b]133;A\x07prompt\x1b[K\x1b]133;C\x07b\x1b]133;D;1\x07c";
  for (let cut = 0; cut <= text.length; cut++) {
    const filter = new MarkFilter();
    expect(filter.take(text.slice(0, cut)) + filter.take(text.slice(cut))).toBe("aprompt\x1b[Kbc");
    expect(filter.atPrompt).toBe(false);
  }
  const filter = new MarkFilter();
  filter.take("\x1b]133;A\x07# ");
  expect(filter.atPrompt).toBe(true);
});
