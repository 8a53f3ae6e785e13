/** Reference counts that saturate with a warning instead of going through 0. */
import { EXPORT_SYMBOL } from "xenolith/linux/export";
import { WARN } from "xenolith/linux/kernel";
import type { refcount_t } from "xenolith/linux/refcount";

/** Where a broken counter stays: its object is leaked rather than used after it was freed. */
const REFCOUNT_SATURATED = -0x40000000;

function saturate(r: refcount_t, problem: string): void {
  r.refs = REFCOUNT_SATURATED;
  WARN(true, "refcount_t: %s\n", problem);
}

export function refcount_inc(r: refcount_t): void {
  if (r.refs > 0) r.refs++;
  else if (r.refs === 0) saturate(r, "addition on 0; use-after-free.");
}
EXPORT_SYMBOL(refcount_inc);

export function refcount_inc_not_zero(r: refcount_t): boolean {
  if (r.refs === 0) return false;
  if (r.refs > 0) r.refs++;
  return true;
}
EXPORT_SYMBOL(refcount_inc_not_zero);

export function refcount_dec(r: refcount_t): void {
  if (r.refs === 1) saturate(r, "decrement hit 0; leaking memory.");
  else refcount_dec_and_test(r);
}
EXPORT_SYMBOL(refcount_dec);

export function refcount_dec_and_test(r: refcount_t): boolean {
  if (r.refs > 0) return --r.refs === 0;
  if (r.refs === 0) saturate(r, "underflow; use-after-free.");
  return false;
}
EXPORT_SYMBOL(refcount_dec_and_test);
