/** Builds the image of one source tree again and again: what is remembered from the last time makes the next one fast. */
import * as path from "node:path";
import type { Flavour } from "../hal/host/image/format";
import { type BuiltImage, buildImage } from "./image";
import { type Tools, localTools } from "./tools";

export interface Rebuilder {
  /** Builds the image as the sources are now, in one flavour. Throws BuildError. */
  build(): Promise<BuiltImage>;
}

/** A rebuilder for the sources in `root`. Compiled bundles are kept in its `dist/.cache`, as by every build. */
export function createRebuilder(root: string, flavour: Flavour): Rebuilder {
  const tools = rememberingTools(localTools());
  const cache = path.join(root, "dist", ".cache");
  return { build: () => buildImage({ root, cache, tools, flavours: [flavour] }) };
}

/** The same tools; a file whose text and treatment are what they were the last time is not transpiled or looked through again. */
function rememberingTools(tools: Tools): Tools {
  const transpiled = remembering(tools.transpile);
  return {
    ...tools,
    transpile: (options, code, id) => transpiled(`${JSON.stringify(options)} ${id}`, code, [options, code, id]),
  };
}

/** Remembers the last result for each key, as long as the text stays the same. */
function remembering<Args extends unknown[], Result>(work: (...args: Args) => Result) {
  const known = new Map<string, { readonly text: string; readonly result: Result }>();
  return (key: string, text: string, args: Args): Result => {
    const last = known.get(key);
    if (last?.text === text) return last.result;
    const result = work(...args);
    known.set(key, { text, result });
    return result;
  };
}
