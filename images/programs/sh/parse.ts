/**
 * The grammar of the shell (POSIX 2.10, as much of it as a small shell has): one pass over the text, no separate tokens.
 *
 *   list ─► and_or ─► pipeline ─► command ─► words, assignments, redirections          $( … ) and ( … ) are lists again
 *
 * `failed` is "incomplete" when the text ends before the command does: another line may mend it.
 */
import type { and_or, assignment, command, list, part, pipeline, redirection, word } from "./syntax";

export interface parsed {
  readonly body: list;
  /** "" or what is wrong; "incomplete" when more text may mend it. */
  readonly failed: string;
}

const RESERVED = /^(?:if|then|elif|else|fi|for|while|until|do|done|\{|\})(?![^\s;&|<>()])/;
const OPERATOR = /^(?:&&|\|\||;|&|\||\(|\)|\n)/;
const REDIRECTION = /^(\d?)(<<|<&|>>|>&|<|>)/;
const ASSIGNMENT = /^[A-Za-z_]\w*=/;
const NAME = /^[A-Za-z_]\w*/;
const ENDS_WORD = " \t\n;&|<>()";

/** A here-document whose text begins after the line. */
interface pending_text {
  readonly delimiter: string;
  readonly parts: part[];
}

class parser {
  private at = 0;
  private readonly pending: pending_text[] = [];
  failed = "";

  constructor(private readonly text: string) {}

  // ---- characters

  private skip_blanks(): void {
    for (;;) {
      const c = this.text[this.at];
      if (c === " " || c === "\t") this.at++;
      else if (c === "\\" && this.text[this.at + 1] === "\n") this.at += 2;
      else if (c === "#") while (this.at < this.text.length && this.text[this.at] !== "\n") this.at++;
      else return;
    }
  }

  /** What the pattern finds here, after blanks. */
  private look(pattern: RegExp): RegExpExecArray | null {
    this.skip_blanks();
    return pattern.exec(this.text.slice(this.at));
  }

  private operator(): string {
    return this.look(OPERATOR)?.[0] ?? "";
  }

  private reserved(): string {
    return this.look(RESERVED)?.[0] ?? "";
  }

  /** Takes an operator or a reserved word if it is there. */
  private take(wanted: string): boolean {
    if (this.operator() !== wanted && this.reserved() !== wanted) return false;
    this.at += wanted.length;
    if (wanted === "\n") this.take_texts();
    return true;
  }

  private skip_newlines(): void {
    while (this.take("\n"));
  }

  private at_end(): boolean {
    this.skip_blanks();
    return this.at >= this.text.length;
  }

  private fail(problem: string): void {
    if (this.failed === "") this.failed = problem;
  }

  /** Complains of what is here, or asks for more when nothing is. */
  private unexpected(): void {
    if (this.at_end()) this.fail("incomplete");
    const found = this.operator() || this.reserved() || this.text.slice(this.at).split(/\s/, 1)[0];
    this.fail(`syntax error near unexpected token \`${found === "\n" ? "newline" : found}'`);
  }

  private expect(wanted: string): void {
    this.skip_newlines();
    if (!this.take(wanted)) this.unexpected();
  }

  // ---- lists

  all(): list {
    const body = this.list([]);
    if (this.failed === "" && !this.at_end()) this.unexpected();
    if (this.failed === "" && this.pending.length > 0) this.fail("incomplete");
    return body;
  }

  /** And-or lists up to one of the words or operators in `stops`, which is left. */
  private list(stops: readonly string[]): list {
    const items: list = [];
    for (;;) {
      this.skip_newlines();
      if (this.failed !== "" || this.at_end() || stops.includes(this.operator()) || stops.includes(this.reserved())) {
        return items;
      }
      items.push(this.and_or());
      if (this.take("&")) items[items.length - 1].background = true;
      else if (!this.take(";") && this.operator() !== "\n") return items;
    }
  }

  /** A list that is not empty, and what ends it. */
  private body(end: string, ...others: string[]): list {
    const items = this.list([end, ...others]);
    if (this.failed === "" && items.length === 0) this.unexpected();
    if (others.length === 0) this.expect(end);
    return items;
  }

  private and_or(): and_or {
    const begin = this.at;
    const result: and_or = { links: [{ op: "&&", pipeline: this.pipeline() }], background: false, text: "" };
    for (let op = this.operator(); (op === "&&" || op === "||") && this.failed === ""; op = this.operator()) {
      this.at += 2;
      this.skip_newlines();
      result.links.push({ op, pipeline: this.pipeline() });
    }
    result.text = this.text.slice(begin, this.at).trim();
    return result;
  }

  private pipeline(): pipeline {
    const timed = this.take_word("time");
    const negated = this.take_word("!");
    const commands = [this.command()];
    while (this.failed === "" && this.operator() === "|") {
      this.at++;
      this.skip_newlines();
      commands.push(this.command());
    }
    return { commands, negated, timed };
  }

  private take_word(wanted: string): boolean {
    const found = this.look(/^[^\s;&|<>()]+/)?.[0] === wanted;
    if (found) this.at += wanted.length;
    return found;
  }

  // ---- commands

  private command(): command {
    const result = this.compound() ?? this.simple();
    if (result.kind !== "simple") {
      for (let next = this.redirection(); next !== null; next = this.redirection()) result.redirections.push(next);
    }
    return result;
  }

  private compound(): command | null {
    if (this.operator() === "(") {
      this.at++;
      return { kind: "group", body: this.body(")"), subshell: true, redirections: [] };
    }
    const keyword = this.reserved();
    if (keyword === "") return null;
    if (this.take("{")) return { kind: "group", body: this.body("}"), subshell: false, redirections: [] };
    if (this.take("if")) return this.if_command();
    if (this.take("for")) return this.for_command();
    if (keyword !== "while" && keyword !== "until") {
      this.unexpected();
      return null;
    }
    this.take(keyword);
    const test = this.body("do");
    return { kind: "loop", until: keyword === "until", test, body: this.body("done"), redirections: [] };
  }

  private if_command(): command {
    const arms: { test: list; body: list }[] = [];
    let otherwise: list = [];
    do {
      const test = this.body("then");
      arms.push({ test, body: this.body("elif", "else", "fi") });
    } while (this.take("elif") && this.failed === "");
    if (this.take("else")) otherwise = this.body("fi");
    else this.expect("fi");
    return { kind: "if", arms, otherwise, redirections: [] };
  }

  private for_command(): command {
    const name = this.look(NAME)?.[0] ?? "";
    if (name === "") this.unexpected();
    this.at += name.length;
    const words: word[] = [];
    if (!this.take_word("in")) this.unexpected();
    while (this.failed === "" && !this.at_end() && this.operator() === "") words.push(this.word());
    this.take(";");
    this.expect("do");
    return { kind: "for", name, words, body: this.body("done"), redirections: [] };
  }

  private simple(): command {
    const assignments: assignment[] = [];
    const words: word[] = [];
    const redirections: redirection[] = [];
    while (this.failed === "" && !this.at_end() && this.operator() === "") {
      const redirected = this.redirection();
      if (redirected !== null) {
        redirections.push(redirected);
        continue;
      }
      const name = words.length === 0 ? this.look(ASSIGNMENT)?.[0] : undefined;
      if (name === undefined) words.push(this.word());
      else {
        this.at += name.length;
        assignments.push({ name: name.slice(0, -1), value: this.word() });
      }
    }
    if (assignments.length + words.length + redirections.length === 0) this.unexpected();
    return { kind: "simple", assignments, words, redirections };
  }

  private redirection(): redirection | null {
    const found = this.look(REDIRECTION);
    if (found === null) return null;
    this.at += found[0].length;
    const op = found[2] as redirection["op"];
    const fd = found[1] === "" ? (op.startsWith("<") ? 0 : 1) : Number(found[1]);
    if (fd > 2) this.fail(`${fd}: bad file descriptor`);
    if (this.at_end() || this.operator() !== "") this.unexpected();
    if (op !== "<<") return { fd, op, target: this.word() };
    return { fd, op, target: this.here_text() };
  }

  // ---- here-documents

  private here_text(): word {
    const delimiter = this.word()
      .map((piece) => (piece.kind === "text" ? piece.text : ""))
      .join("");
    const parts: part[] = [];
    this.pending.push({ delimiter, parts });
    return parts;
  }

  /** The line is over: the texts that it announced begin. */
  private take_texts(): void {
    for (let next = this.pending.shift(); next !== undefined; next = this.pending.shift()) {
      let text = "";
      for (;;) {
        const end = this.text.indexOf("\n", this.at);
        const line = this.text.slice(this.at, end < 0 ? undefined : end);
        if (end < 0 && line !== next.delimiter) this.fail("incomplete");
        this.at = end < 0 ? this.text.length : end + 1;
        if (line === next.delimiter || this.failed !== "") break;
        text += `${line}\n`;
      }
      next.parts.push({ kind: "text", text, quoted: true });
    }
  }

  // ---- words

  private word(): word {
    this.skip_blanks();
    const parts: part[] = [];
    let bare = "";
    const flush = (): void => {
      if (bare !== "") parts.push({ kind: "text", text: bare, quoted: false });
      bare = "";
    };
    while (this.at < this.text.length && !ENDS_WORD.includes(this.text[this.at]) && this.failed === "") {
      const c = this.text[this.at];
      if (c !== "'" && c !== '"' && c !== "\\" && !this.at_expansion()) {
        bare += c;
        this.at++;
        continue;
      }
      flush();
      if (c === "'") parts.push(this.single_quoted());
      else if (c === '"') parts.push(...this.double_quoted());
      else if (c === "\\") parts.push(...this.escaped());
      else parts.push(this.expansion(false));
    }
    flush();
    return parts;
  }

  private at_expansion(): boolean {
    return this.text[this.at] === "$" && /^[A-Za-z_0-9?$!#({]/.test(this.text.slice(this.at + 1, this.at + 2));
  }

  private escaped(): part[] {
    const next = this.text[this.at + 1];
    if (next === undefined) this.fail("incomplete");
    this.at += 2;
    return next === undefined || next === "\n" ? [] : [{ kind: "text", text: next, quoted: true }];
  }

  private single_quoted(): part {
    const end = this.text.indexOf("'", this.at + 1);
    if (end < 0) this.fail("incomplete");
    const text = this.text.slice(this.at + 1, end < 0 ? undefined : end);
    this.at = end < 0 ? this.text.length : end + 1;
    return { kind: "text", text, quoted: true };
  }

  private double_quoted(): part[] {
    const parts: part[] = [];
    let text = "";
    this.at++;
    while (this.failed === "") {
      const c = this.text[this.at];
      if (c === undefined) this.fail("incomplete");
      if (c === undefined || c === '"') break;
      if (this.at_expansion()) {
        parts.push({ kind: "text", text, quoted: true }, this.expansion(true));
        text = "";
        continue;
      }
      const next = this.text[this.at + 1] ?? "";
      const escapes = c === "\\" && next !== "" && '$`"\\\n'.includes(next);
      text += escapes ? (next === "\n" ? "" : next) : c;
      this.at += escapes ? 2 : 1;
    }
    this.at++;
    parts.push({ kind: "text", text, quoted: true });
    return parts;
  }

  /** `$name`, `${name}`, `$?` and the like, `$(list)`. */
  private expansion(quoted: boolean): part {
    this.at++;
    if (this.text[this.at] === "(") {
      this.at++;
      const body = this.list([")"]);
      this.expect(")");
      return { kind: "command", body, quoted };
    }
    const braced = /^\{([A-Za-z_]\w*|[?$!#0-9])\}/.exec(this.text.slice(this.at));
    if (braced === null && this.text[this.at] === "{") {
      this.fail(this.text.indexOf("}", this.at) < 0 ? "incomplete" : "bad substitution");
    }
    const name = braced?.[1] ?? NAME.exec(this.text.slice(this.at))?.[0] ?? this.text[this.at] ?? "";
    this.at += braced === null ? name.length : braced[0].length;
    return { kind: "variable", name, quoted };
  }
}

/** Reads a whole command line, or several lines. */
export function parse(text: string): parsed {
  const reader = new parser(text);
  const body = reader.all();
  return { body: reader.failed === "" ? body : [], failed: reader.failed };
}
