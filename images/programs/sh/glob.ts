/** File name patterns: `*`, `?`, `[…]`; a backslash makes the next character ordinary. */
import { IS_ERR } from "xenolith/linux/err";
import { kern_path } from "xenolith/linux/fs";

/** The regular expression of one component of a pattern. */
function component_pattern(component: string): RegExp {
  let source = "";
  for (let i = 0; i < component.length; i++) {
    const c = component[i];
    if (c === "\\" && i + 1 < component.length) source += component[++i].replace(/\W/, "\\$&");
    else if (c === "*") source += ".*";
    else if (c === "?") source += ".";
    else if (c === "[" && component.indexOf("]", i + 2) > 0) {
      const end = component.indexOf("]", i + 2);
      const body = component.slice(i + 1, end).replaceAll("\\", "\\\\");
      source += `[${body.startsWith("!") ? `^${body.slice(1)}` : body}]`;
      i = end;
    } else source += c.replace(/\W/, "\\$&");
  }
  return new RegExp(`^${source}$`, "s");
}

function is_pattern(component: string): boolean {
  return /(?:^|[^\\])(?:\\\\)*[*?[]/.test(component);
}

/** The text that a pattern without magic stands for. */
export function unescape(pattern: string): string {
  return pattern.replace(/\\(.)/gs, "$1");
}

/** Names in a directory; none if it is none. */
export function names_in(directory: string): string[] {
  const node = kern_path(directory === "" ? "." : directory);
  return IS_ERR(node) || node.iterate === undefined ? [] : node.iterate();
}

/** Paths that match a pattern, sorted; empty if there are none. */
export function glob(pattern: string): string[] {
  let found = [pattern.startsWith("/") ? "/" : ""];
  const components = pattern.split("/").filter((component) => component !== "");
  for (const component of components) {
    const wanted = component_pattern(component);
    found = found.flatMap((base) => {
      if (!is_pattern(component)) return [`${base}${unescape(component)}/`];
      const matching = names_in(base).filter((name) => wanted.test(name) && !name.startsWith("."));
      return matching.map((name) => `${base}${name}/`);
    });
  }
  const paths = pattern.endsWith("/") ? found : found.map((path) => path.slice(0, -1));
  return paths.filter((path) => !IS_ERR(kern_path(path))).sort();
}

/** Whether the pattern has anything to match. */
export function has_magic(pattern: string): boolean {
  return pattern.split("/").some(is_pattern);
}
