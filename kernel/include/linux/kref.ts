/** `<linux/kref.h>`: a reference count that releases its object. */
import { refcount_dec_and_test, refcount_inc, refcount_inc_not_zero, refcount_t } from "./refcount";

export class kref {
  readonly refcount = new refcount_t(1);
}

export function kref_init(kref: kref): void {
  kref.refcount.refs = 1;
}

export function kref_read(kref: kref): number {
  return kref.refcount.refs;
}

export function kref_get(kref: kref): void {
  refcount_inc(kref.refcount);
}

/** Returns whether there was an object to take a reference to. */
export function kref_get_unless_zero(kref: kref): boolean {
  return refcount_inc_not_zero(kref.refcount);
}

/** Drops a reference and calls `release` if it was the last. Returns 1 if it was. */
export function kref_put(kref: kref, release: (kref: kref) => void): number {
  if (!refcount_dec_and_test(kref.refcount)) return 0;
  release(kref);
  return 1;
}
