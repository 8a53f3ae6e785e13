/** What terser does to a bundle of the release flavour: constants folded, dead checks removed; all names kept. */
import { minify } from "terser";
import type { MapData } from "./combine-maps";

/**
 * What terser must leave alone: shorter text that takes QuickJS more instructions (`a && b()` for an if statement, `!0` for true, `null === x`
 * where `x === null` is one instruction).
 */
const PLAIN = { sequences: false, conditionals: false, if_return: false, lhs_constants: false, booleans: false };

/** Returns the shorter code, and the source map from it to the old code. */
export async function minifyBundle(code: string): Promise<{ code: string; map: MapData }> {
  const result = await minify(code, {
    ecma: 2020,
    // Without `reduce_funcs: false` a function with one caller becomes a closure made at every call.
    compress: { expression: true, keep_fnames: true, keep_classnames: true, reduce_funcs: false, ...PLAIN },
    mangle: false,
    sourceMap: { asObject: true },
    format: { comments: false },
  });
  return { code: result.code as string, map: result.map as unknown as MapData };
}
