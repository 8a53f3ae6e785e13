/** `<linux/refcount.h>`: counters that complain, with Linux's words, instead of going through 0. */

export class refcount_t {
  refs: number;

  constructor(refs = 1) {
    this.refs = refs;
  }
}

export function refcount_set(r: refcount_t, n: number): void {
  r.refs = n;
}

export function refcount_read(r: refcount_t): number {
  return r.refs;
}

/** Adds 1; "addition on 0; use-after-free" when it was 0. */
export declare function refcount_inc(r: refcount_t): void;
/** Adds 1 unless it is 0. Returns whether it did. */
export declare function refcount_inc_not_zero(r: refcount_t): boolean;
/** Takes 1; "decrement hit 0; leaking memory" when that gives 0. */
export declare function refcount_dec(r: refcount_t): void;
/** Takes 1. Returns whether it is 0 now; "underflow; use-after-free" when it was 0. */
export declare function refcount_dec_and_test(r: refcount_t): boolean;
