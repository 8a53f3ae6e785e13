/** xenstore-ls [-f] [PATH]: lists a part of xenstore, as a tree or (-f) with full paths. */
import type { stdio } from "xenolith/linux/binfmts";
import { IS_ERR, PTR_ERR } from "xenolith/linux/err";
import type { Sleeps } from "xenolith/linux/sched";
import { ptr } from "xenolith/linux/types";
import { XBT_NIL, xenbus_directory, xenbus_read } from "xenolith/xen/xenbus";
import { strerror } from "./lib/strerror";

/** The value in quotes, with what cannot be printed escaped. */
function quote(value: string): string {
  let text = "";
  for (const c of value) {
    const code = c.charCodeAt(0);
    if (c === '"' || c === "\\") text += `\\${c}`;
    else if (code < 32 || code > 126) text += `\\x${(code < 16 ? "0" : "") + code.toString(16)}`;
    else text += c;
  }
  return `"${text}"`;
}

/** Lists below `path`. Returns 0 or a negative errno. Sleeps. */
function* list(path: string, depth: number, full: boolean, io: stdio): Sleeps<number> {
  const names = yield* xenbus_directory(XBT_NIL, path, "", ptr(0));
  if (IS_ERR(names)) return PTR_ERR(names);
  for (const name of [...names].sort()) {
    const child = path === "/" ? `/${name}` : `${path}/${name}`;
    const value = yield* xenbus_read(XBT_NIL, child, "", null);
    const shown = IS_ERR(value) ? `<${strerror(PTR_ERR(value))}>` : quote(value);
    yield* io.write(`${full ? child : " ".repeat(depth) + name} = ${shown}\n`);
    yield* list(child, depth + 1, full, io);
  }
  return 0;
}

/** Exit status 0, or 1 after a message. */
export function* main(argv: readonly string[], io: stdio): Sleeps<number> {
  const paths = argv.slice(1).filter((word) => word !== "-f");
  const path = paths[0] ?? "/";
  const error = yield* list(path, 0, argv.includes("-f"), io);
  if (error === 0) return 0;
  yield* io.error(`xenstore-ls: ${path}: ${strerror(error)}\n`);
  return 1;
}
