/** The image that tests boot: the package's own, read once per process. */
import { type Image, defaultImagePath, readImage } from "xenolith";

/** Returns its argument's value, computed at the first call. */
function once<T>(make: () => T): () => T {
  let value: { readonly of: T } | null = null;
  return () => (value ??= { of: make() }).of;
}

/** The image that the package was built with. Throws ImageError when it has not been built. */
export const packageImage: () => Image = once(() => readImage(defaultImagePath()));
