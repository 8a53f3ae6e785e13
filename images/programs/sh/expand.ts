/** From the words of a command to its arguments: variables, command substitution, splitting at blanks, file names (POSIX 2.6). */
import type { Sleeps } from "xenolith/linux/sched";
import { glob, has_magic, unescape } from "./glob";
import type { list, part, word } from "./syntax";

/** What expansion needs of the shell. */
export interface expander {
  /** Value of a variable or parameter; "" for one that is not set. */
  value(name: string): string;
  /** Output of a list without the newlines at its end. Sleeps. */
  output(body: list): Sleeps<string>;
}

/** Quoted text as a pattern: nothing in it is magic. */
function quote(text: string): string {
  return text.replace(/[\\*?[\]]/g, "\\$&");
}

function* text_of(piece: part, shell: expander): Sleeps<string> {
  if (piece.kind === "text") return piece.text;
  return piece.kind === "variable" ? shell.value(piece.name) : yield* shell.output(piece.body);
}

/** A word as one text: for assignments, redirections and here-documents. Sleeps. */
export function* expand_text(from: word, shell: expander): Sleeps<string> {
  let text = "";
  for (const piece of from) text += yield* text_of(piece, shell);
  return text;
}

/** The arguments that one word stands for. Sleeps. */
export function* expand_word(from: word, shell: expander): Sleeps<string[]> {
  const patterns: string[] = [];
  /** The pattern that is being made; null between two arguments. */
  let pattern: string | null = null;
  for (const piece of from) {
    const text = yield* text_of(piece, shell);
    if (piece.quoted) {
      pattern = (pattern ?? "") + quote(text);
      continue;
    }
    if (piece.kind === "text") {
      pattern = (pattern ?? "") + text;
      continue;
    }
    const fields = text.split(/[ \t\n]+/);
    for (let i = 0; i < fields.length; i++) {
      if (i > 0 && pattern !== null) patterns.push(pattern);
      if (i > 0) pattern = null;
      if (fields[i] !== "") pattern = (pattern ?? "") + fields[i].replaceAll("\\", "\\\\");
    }
  }
  if (pattern !== null) patterns.push(pattern);
  return patterns.flatMap(file_names);
}

function file_names(pattern: string): string[] {
  const found = has_magic(pattern) ? glob(pattern) : [];
  return found.length > 0 ? found : [unescape(pattern)];
}
