/**
 * Source maps for debuggers of V8 guests. A bundle comes out of an image, so its map cannot lie beside it: it goes into the script itself, with the
 * TypeScript files as absolute URLs. That takes time and memory, and is done only when a debugger may be there to read it.
 */
import * as inspector from "node:inspector";
import { pathToFileURL } from "node:url";
import { packageFolder } from "../package-info";

/** Whether a debugger is attached to this process, or was asked for when it was started (VS Code sets the second variable). */
export function isDebugged(): boolean {
  const asked = [...process.execArgv, process.env["NODE_OPTIONS"] ?? ""].some((word) => word.includes("--inspect"));
  return asked || process.env["VSCODE_INSPECTOR_OPTIONS"] !== undefined || inspector.url() !== undefined;
}

/** The script with its source map; `map` is the image's, as JSON, whose sources are relative to the project. */
export function withSourceMap(code: string, map: string): string {
  const parsed = JSON.parse(map) as { sources: string[] };
  const root = pathToFileURL(`${packageFolder()}/`);
  const sources = parsed.sources.map((source) => new URL(source.replace(/^(\.\.\/)+/, ""), root).href);
  const text = Buffer.from(JSON.stringify({ ...parsed, sources })).toString("base64");
  return `${code.trimEnd()}\n//# sourceMappingURL=data:application/json;base64,${text}\n`;
}
