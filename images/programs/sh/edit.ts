/**
 * Line editing on a raw terminal: emacs's keys, history, search in it, completion.
 *
 *   byte ─► key ─► the line changes ─► the screen's line is drawn anew        one screen line; a longer text is shown in part
 */
import { IS_ERR } from "xenolith/linux/err";
import { type file, kernel_read, kernel_write, vfs_ioctl } from "xenolith/linux/fs";
import { type Sleeps, current, flush_signals, signal_pending } from "xenolith/linux/sched";
import { bytes_to_string, string_to_bytes } from "xenolith/linux/string";
import {
  ECHO,
  ICANON,
  IEXTEN,
  ISIG,
  TCGETS,
  TCSETSW,
  TIOCGWINSZ,
  copy_termios,
  termios,
  winsize,
} from "xenolith/linux/termios";
import { common_prefix, complete } from "./complete";
import { key_reader } from "./keys";
import { edited_line, width } from "./line";

/** What came of a line: its text, or that it was given up, or that the input has ended. */
export type typed = { readonly text: string } | "interrupted" | "end";

/** Candidates that are shown without asking. */
const CANDIDATES_MAX = 200;

export class editor {
  private readonly line = new edited_line();
  private readonly keys = new key_reader();
  /** Place in the history, and the line that was being typed before. */
  private place = 0;
  private unfinished = "";
  /** What is searched for, and where the search is; null while there is none. */
  private search: { text: string; place: number } | null = null;
  /** The last key was Tab, and there was nothing to insert. */
  private tabbed = false;
  private columns = 80;

  constructor(private readonly tty: file, private readonly history: string[]) {}

  /** Lets a line be typed after a prompt. The terminal is raw meanwhile. Sleeps. */
  *read(prompt: string): Sleeps<typed> {
    const cooked = new termios();
    const raw = new termios();
    yield* vfs_ioctl(this.tty, TCGETS, cooked);
    copy_termios(raw, cooked);
    raw.c_lflag &= ~(ICANON | ECHO | ISIG | IEXTEN);
    yield* vfs_ioctl(this.tty, TCSETSW, raw);
    const result = yield* this.type(prompt);
    yield* vfs_ioctl(this.tty, TCSETSW, cooked);
    return result;
  }

  private *type(prompt: string): Sleeps<typed> {
    this.line.set("");
    this.place = this.history.length;
    this.search = null;
    yield* this.draw(prompt);
    for (;;) {
      const key = yield* this.key();
      if (key === null) return "end";
      const result = yield* this.press(key, prompt);
      if (result !== null) return result;
    }
  }

  private *put(text: string): Sleeps<void> {
    yield* kernel_write(this.tty, string_to_bytes(text));
  }

  /** The next key; null at the end of the input. */
  private *key(): Sleeps<string | null> {
    const byte = new Uint8Array(1);
    for (;;) {
      const count = yield* kernel_read(this.tty, byte);
      if (signal_pending(current())) {
        flush_signals(current());
        return "interrupt";
      }
      if (count <= 0) return null;
      const key = this.keys.take(bytes_to_string(byte));
      if (key !== null) return key;
    }
  }

  /** Carries out a key. Returns what came of the line when it is over. */
  private *press(key: string, prompt: string): Sleeps<typed | null> {
    const tabbed = this.tabbed;
    this.tabbed = false;
    if (this.search !== null && this.press_in_search(key)) {
      yield* this.draw(prompt);
      return null;
    }
    if (key === "enter") {
      this.line.cursor = this.line.text.length;
      yield* this.draw(prompt);
      yield* this.put("\n");
      return { text: this.line.text };
    }
    if (key === "interrupt") {
      yield* this.put("^C\n");
      return "interrupted";
    }
    if (key === "end-of-file" && this.line.text === "") {
      yield* this.put("\n");
      return "end";
    }
    if (key === "complete") {
      yield* this.complete(tabbed, prompt);
      return null;
    }
    const at_end = this.line.cursor === this.line.text.length;
    if (key === "search") this.search = { text: "", place: this.history.length };
    else if (key === "clear") yield* this.put("\x1b[H\x1b[2J");
    else if (key === "previous" || key === "next") this.recall(key === "next" ? 1 : -1);
    else if (key.length === 1) this.line.insert(key);
    else this.line.edit(key === "end-of-file" ? "delete" : key);
    if (key.length === 1 && at_end && width(prompt + this.line.text) < this.columns) yield* this.put(key);
    else yield* this.draw(prompt);
    return null;
  }

  // ---- history

  private recall(step: number): void {
    const place = this.place + step;
    if (place < 0 || place > this.history.length) return;
    if (this.place === this.history.length) this.unfinished = this.line.text;
    this.place = place;
    this.line.set(place === this.history.length ? this.unfinished : this.history[place]);
  }

  /** A key while the history is searched. Returns false when it ends the search and means something else. */
  private press_in_search(key: string): boolean {
    const search = this.search as { text: string; place: number };
    if (key === "interrupt") {
      this.search = null;
      this.line.set("");
      return true;
    }
    if (key === "search") this.find(search.text, search.place - 1);
    else if (key === "erase") this.find(search.text.slice(0, -1), this.history.length);
    else if (key.length === 1) this.find(search.text + key, search.place);
    else {
      this.search = null;
      return false;
    }
    return true;
  }

  /** The last line at or before `place` that holds the text. */
  private find(text: string, place: number): void {
    for (let at = Math.min(place, this.history.length - 1); at >= 0; at--) {
      if (!this.history[at].includes(text)) continue;
      this.search = { text, place: at };
      this.line.set(this.history[at]);
      return;
    }
    this.search = { text, place };
  }

  // ---- completion

  private *complete(again: boolean, prompt: string): Sleeps<void> {
    const { start, candidates } = complete(this.line.text.slice(0, this.line.cursor));
    const typed = this.line.text.slice(start, this.line.cursor);
    const prefix = common_prefix(candidates);
    if (candidates.length === 0) {
      yield* this.put("\x07");
      return;
    }
    if (candidates.length === 1 || prefix.length > typed.length) {
      this.line.cut(start, this.line.cursor);
      this.line.insert(candidates.length > 1 || prefix.endsWith("/") ? prefix : `${prefix} `);
    } else if (again) yield* this.show(candidates);
    else {
      this.tabbed = true;
      yield* this.put("\x07");
    }
    yield* this.draw(prompt);
  }

  /** Lists candidates in columns below the line. */
  private *show(candidates: readonly string[]): Sleeps<void> {
    const names = candidates.slice(0, CANDIDATES_MAX).map((path) => /[^/]*\/?$/.exec(path)?.[0] ?? path);
    const wide = names.reduce((most, name) => Math.max(most, name.length), 0) + 2;
    const across = Math.max(1, Math.floor(this.columns / wide));
    const rows = Math.ceil(names.length / across);
    let text = "\n";
    for (let row = 0; row < rows; row++) {
      const cells = names.filter((_name, index) => index % rows === row);
      text += `${cells
        .map((name) => name.padEnd(wide))
        .join("")
        .trimEnd()}\n`;
    }
    const more = candidates.length - names.length;
    yield* this.put(more > 0 ? `${text}and ${more} more\n` : text);
  }

  // ---- screen

  /** Draws the prompt and the part of the line that the cursor is in. */
  private *draw(prompt: string): Sleeps<void> {
    const window = new winsize();
    if (!IS_ERR(yield* vfs_ioctl(this.tty, TIOCGWINSZ, window)) && window.ws_col > 0) this.columns = window.ws_col;
    const shown = this.search === null ? prompt : `(search)\`${this.search.text}': `;
    const room = Math.max(8, this.columns - width(shown) - 1);
    const { text, cursor } = this.line;
    let start = 0;
    while (width(text.slice(start, cursor)) > room) start++;
    let end = text.length;
    while (width(text.slice(start, end)) > room) end--;
    const column = width(shown) + width(text.slice(start, cursor));
    yield* this.put(`\r${shown}${text.slice(start, end)}\x1b[K\r${column > 0 ? `\x1b[${column}C` : ""}`);
  }
}
