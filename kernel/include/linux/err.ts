/** `<linux/err.h>`: a pointer or an error. The error is a negative number, so `typeof` tells them apart in every bundle. */

/** A negative errno in the place of an object. */
export type err_ptr = number;

/** An errno as a return value of a function that otherwise returns an object. */
export function ERR_PTR(error: number): err_ptr {
  return error;
}

/** Whether `value` is an error. */
export function IS_ERR<T>(value: T | err_ptr): value is err_ptr {
  return typeof value === "number";
}

/** Whether `value` is an error or NULL. */
export function IS_ERR_OR_NULL<T>(value: T | err_ptr | null): value is err_ptr | null {
  return value === null || typeof value === "number";
}

/** The negative errno. */
export function PTR_ERR(value: err_ptr): number {
  return value;
}

/** The negative errno, or 0 when `value` is an object. */
export function PTR_ERR_OR_ZERO<T>(value: T | err_ptr): number {
  return typeof value === "number" ? value : 0;
}
