/** `<linux/atomic.h>`. A plain function is atomic here; the names are kept for those who port drivers. */

export class atomic_t {
  counter: number;

  constructor(counter = 0) {
    this.counter = counter;
  }
}

export function atomic_read(v: atomic_t): number {
  return v.counter;
}

export function atomic_set(v: atomic_t, i: number): void {
  v.counter = i;
}

export function atomic_inc(v: atomic_t): void {
  v.counter++;
}

export function atomic_dec(v: atomic_t): void {
  v.counter--;
}

export function atomic_add(i: number, v: atomic_t): void {
  v.counter += i;
}

export function atomic_sub(i: number, v: atomic_t): void {
  v.counter -= i;
}

export function atomic_inc_return(v: atomic_t): number {
  return ++v.counter;
}

export function atomic_dec_return(v: atomic_t): number {
  return --v.counter;
}

export function atomic_add_return(i: number, v: atomic_t): number {
  v.counter += i;
  return v.counter;
}

/** Takes 1. Returns whether it is 0 now. */
export function atomic_dec_and_test(v: atomic_t): boolean {
  return --v.counter === 0;
}

/** Adds 1 unless it is 0. Returns whether it did. */
export function atomic_inc_not_zero(v: atomic_t): boolean {
  if (v.counter === 0) return false;
  v.counter++;
  return true;
}

/** Stores `i`. Returns what was there. */
export function atomic_xchg(v: atomic_t, i: number): number {
  const old = v.counter;
  v.counter = i;
  return old;
}

/** Stores `to` if it is `from`. Returns what was there. */
export function atomic_cmpxchg(v: atomic_t, from: number, to: number): number {
  const old = v.counter;
  if (old === from) v.counter = to;
  return old;
}
