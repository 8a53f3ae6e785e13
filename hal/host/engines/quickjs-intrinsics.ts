/** Which parts of the language a context of QuickJS has. */

/** Bits of the intrinsics that a guest gets: all of the language but Date (2), so that nothing tells it the host's time. */
const INTRINSICS = {
  baseObjects: 1,
  eval: 4,
  stringNormalize: 8,
  regExp: 16,
  regExpCompiler: 32,
  json: 64,
  proxy: 128,
  mapSet: 256,
  typedArrays: 512,
  promise: 1024,
  bigInt: 2048,
};
/** The guests'. */
export const GUEST_INTRINSICS = Object.values(INTRINSICS).reduce((sum, bit) => sum | bit, 0);
/** All intrinsics: for the context that counts another one's memory. */
export const ALL_INTRINSICS = 0;
