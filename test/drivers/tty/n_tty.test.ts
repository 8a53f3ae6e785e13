import { bytes_to_string, string_to_bytes } from "xenolith/linux/string";
import { ECHO, ECHOCTL, ECHOKE, ICANON, ICRNL, IEXTEN, ISIG, OPOST, cfmakeraw } from "xenolith/linux/termios";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { N_TTY_BUF_SIZE, n_tty } from "../../../drivers/tty/hvc_xen/n_tty";

/** A line discipline with what it showed and which signals it sent. */
class Desk {
  screen = "";
  readonly signals: number[] = [];
  readonly tty = new n_tty({
    echo: (text) => void (this.screen += text),
    signal: (sig) => void this.signals.push(sig),
  });

  type(text: string): this {
    const bytes = string_to_bytes(text);
    this.tty.receive_buf(bytes, bytes.length);
    return this;
  }

  /** All reads until nothing is left, each of at most `size` bytes. */
  reads(size = 4096): string[] {
    const found: string[] = [];
    while (this.tty.input_available()) {
      const buffer = new Uint8Array(size);
      found.push(bytes_to_string(buffer, 0, this.tty.read(buffer)));
    }
    return found;
  }
}

/** What a screen shows after a text: carriage returns, backspaces, newlines. */
function rendered(text: string): string {
  const lines: string[][] = [[]];
  let column = 0;
  for (const c of text) {
    const line = lines[lines.length - 1];
    if (c === "\r") column = 0;
    else if (c === "\b") column = Math.max(0, column - 1);
    else if (c === "\n") lines.push([]);
    else if (c === "\t") column = (column | 7) + 1;
    else if (c !== "\x07") line[column++] = c;
  }
  return lines
    .map((line) =>
      Array.from(line, (c) => c ?? " ")
        .join("")
        .trimEnd(),
    )
    .join("\n");
}

describe("canonical", () => {
  it.each([
    ["plain lines", "one\rtwo\n", ["one\n", "two\n"], "one\r\ntwo\r\n"],
    ["erase", "helk\x7flo\n", ["hello\n"], "helk\b \blo\r\n"],
    ["erase at the beginning", "\x7f\x7fa\n", ["a\n"], "a\r\n"],
    ["a backspace erases too", "ab\x08c\n", ["ac\n"], "ab\b \bc\r\n"],
    ["kill", "garbage\x15ok\n", ["ok\n"], `garbage${"\b \b".repeat(7)}ok\r\n`],
    ["erase a word", "one two  \x17x\n", ["one x\n"], `one two  ${"\b \b".repeat(5)}x\r\n`],
    ["erase a control character", "a\x01\x7f\n", ["a\n"], "a^A\b \b\b \b\r\n"],
    ["erase a tab", "ab\t\x7fc\n", ["abc\n"], `ab\t${"\b".repeat(6)}c\r\n`],
    ["literal next", "a\x16\x03b\n", ["a\x03b\n"], "a^Cb\r\n"],
    ["end of file after text hands it over", "ab\x04c\n", ["ab", "c\n"], "abc\r\n"],
    ["end of file alone", "\x04x\n", ["", "x\n"], "x\r\n"],
    ["reprint", "ab\x12c\n", ["abc\n"], "ab^R\r\nabc\r\n"],
  ])("%s", (_name, typed, reads, screen) => {
    const desk = new Desk().type(typed);
    expect(desk.reads()).toEqual(reads);
    expect(desk.screen).toBe(screen);
  });

  it("a line is not seen before it is over", () => {
    const desk = new Desk().type("half");
    expect(desk.tty.input_available()).toBe(false);
    desk.tty.hang_up();
    expect(desk.reads()).toEqual(["half"]);
  });

  it("a short read leaves the rest of the line, and an end of file right behind it is no empty file", () => {
    expect(new Desk().type("abcdef\n").reads(4)).toEqual(["abcd", "ef\n"]);
    expect(new Desk().type("abcd\x04x\n").reads(4)).toEqual(["abcd", "x\n"]);
  });

  it("keys send signals and drop the line", () => {
    const desk = new Desk().type("sleep\x03a\x1cb\n");
    expect(desk.signals).toEqual([2, 3]);
    expect(desk.reads()).toEqual(["b\n"]);
    expect(desk.screen).toBe("sleep^Ca^\\b\r\n");
  });

  it("a line that never ends is cut, rings the bell, and still ends", () => {
    const desk = new Desk();
    for (let i = 0; i < N_TTY_BUF_SIZE + 10; i++) {
      expect(desk.tty.receive_room()).toBeGreaterThan(0);
      desk.type("x");
    }
    expect(desk.screen.endsWith("\x07")).toBe(true);
    desk.type("\n");
    expect(desk.reads()).toEqual([`${"x".repeat(N_TTY_BUF_SIZE - 1)}\n`]);
  });

  it("whole lines that nobody reads fill the buffer, and no more is taken", () => {
    const desk = new Desk();
    while (desk.tty.receive_room() > 0) desk.type("\n");
    expect(desk.reads()).toHaveLength(N_TTY_BUF_SIZE);
    expect(desk.tty.receive_room()).toBe(N_TTY_BUF_SIZE);
  });

  it("without ECHOKE the kill key starts a new line; without ECHO nothing is shown", () => {
    const desk = new Desk();
    desk.tty.termios.c_lflag &= ~ECHOKE;
    expect(desk.type("ab\x15c\n").screen).toBe("ab^U\r\nc\r\n");
    const silent = new Desk();
    silent.tty.termios.c_lflag &= ~ECHO;
    expect(silent.type("ab\x7f\x15c\n").screen).toBe("");
    expect(silent.reads()).toEqual(["c\n"]);
  });

  it("without IEXTEN its keys are characters, without ISIG the signals' are, without ICRNL return is", () => {
    const desk = new Desk();
    desk.tty.termios.c_lflag &= ~(IEXTEN | ISIG | ECHOCTL);
    desk.tty.termios.c_iflag &= ~ICRNL;
    expect(desk.type("a\x17\x03\r\n").reads()).toEqual(["a\x17\x03\r\n"]);
    expect(desk.signals).toEqual([]);
  });
});

describe("raw", () => {
  it("every byte at once, unchanged and unseen", () => {
    const desk = new Desk();
    cfmakeraw(desk.tty.termios);
    expect(desk.type("\x03\x04\r\x7f").reads(3)).toEqual(["\x03\x04\r", "\x7f"]);
    expect(desk.screen).toBe("");
    expect(desk.tty.process_output("a\nb")).toBe("a\nb");
    expect(desk.tty.termios.c_oflag & OPOST).toBe(0);
  });

  it("sees a line that was begun before", () => {
    const desk = new Desk().type("ab");
    desk.tty.termios.c_lflag &= ~ICANON;
    desk.tty.settings_changed();
    expect(desk.reads()).toEqual(["ab"]);
  });
});

it("output: a newline is a carriage return as well", () => {
  expect(new Desk().tty.process_output("a\nb\n")).toBe("a\r\nb\r\n");
});

it("whatever is typed, the screen shows the line that is read", () => {
  const key = fc.constantFrom(..."ab \t\x01\x7f\x15\x17");
  fc.assert(
    fc.property(fc.array(key, { maxLength: 30 }), fc.nat(12), (keys, prompt) => {
      const desk = new Desk();
      desk.screen = desk.tty.process_output("#".repeat(prompt));
      desk.type(`${keys.join("")}\n`);
      const [line] = desk.reads();
      const expected = "#".repeat(prompt) + line.replaceAll("\x01", "^A");
      expect(rendered(desk.screen)).toBe(rendered(expected));
    }),
  );
});
