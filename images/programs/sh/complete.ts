/** What the Tab key offers: programs and built-in commands at the beginning of a command, paths elsewhere. */
import { program_names } from "xenolith/linux/binfmts";
import { IS_ERR } from "xenolith/linux/err";
import { S_IFDIR, S_IFMT, kern_path } from "xenolith/linux/fs";
import { builtins } from "./builtins";
import { names_in } from "./glob";

export interface completion {
  /** Where the text that is completed begins. */
  readonly start: number;
  /** What it may become, sorted; directories end with a slash. */
  readonly candidates: readonly string[];
}

/** Where the word begins that ends at the end of `before`. */
function word_start(before: string): number {
  let start = before.length;
  while (start > 0 && (!" \t;&|<>()=,".includes(before[start - 1]) || before[start - 2] === "\\")) start--;
  return start;
}

/** Whether a command begins where `before` ends. */
function begins_command(before: string): boolean {
  const text = before.trimEnd();
  return text === "" || /(?:[;&|(!{]|\b(?:then|else|elif|do|while|until|if|time))$/.test(text);
}

function is_directory(path: string): boolean {
  const node = kern_path(path);
  return !IS_ERR(node) && (node.i_mode & S_IFMT) === S_IFDIR;
}

function paths(typed: string): string[] {
  const slash = typed.lastIndexOf("/") + 1;
  const directory = typed.slice(0, slash);
  const matching = names_in(directory).filter((name) => name.startsWith(typed.slice(slash)));
  return matching.map((name) => directory + name + (is_directory(directory + name) ? "/" : "")).sort();
}

/** What the text before the cursor may be continued with. */
export function complete(before: string): completion {
  const start = word_start(before);
  const typed = before.slice(start);
  const is_command = begins_command(before.slice(0, start)) && !typed.includes("/");
  if (!is_command) return { start, candidates: paths(typed) };
  const names = [...new Set([...program_names(), ...Object.keys(builtins)])];
  return { start, candidates: names.filter((name) => name.startsWith(typed)).sort() };
}

/** The longest text that all begin with. */
export function common_prefix(texts: readonly string[]): string {
  let prefix = texts[0] ?? "";
  for (const text of texts) while (!text.startsWith(prefix)) prefix = prefix.slice(0, -1);
  return prefix;
}
