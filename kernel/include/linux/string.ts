/** `<linux/string.h>`, `<linux/kstrtox.h>` and sscanf. Strings are JS strings; bytes are Uint8Arrays. */
import type { Ptr } from "./types";

export function strcmp(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

export function strncmp(a: string, b: string, count: number): number {
  return strcmp(a.slice(0, count), b.slice(0, count));
}

export function strlen(s: string): number {
  return s.length;
}

/** The text from the last `c` on, or null. */
export function strrchr(s: string, c: string): string | null {
  const at = s.lastIndexOf(c);
  return at < 0 ? null : s.slice(at);
}

/** The text from the first `c` on, or null. */
export function strchr(s: string, c: string): string | null {
  const at = s.indexOf(c);
  return at < 0 ? null : s.slice(at);
}

/** Without white space at both ends. */
export function strim(s: string): string {
  return s.replace(/^[ \t\n\v\f\r]+|[ \t\n\v\f\r]+$/g, "");
}

/**
 * C's sscanf: `%d %i %u %x %o %s %c %n %[set]`, widths, `*`, length modifiers. Returns the number of conversions stored, or -1 for an empty input
 * before the first one. 64-bit values must stay below 2^53. `into` takes what the pointers would: a number, or a string for %s, %c and %[.
 */
export declare function sscanf(text: string, fmt: string, ...into: Ptr<number | string>[]): number;

/** Parses a whole number; base 0 takes 0x and 0 prefixes; one trailing newline is allowed. Returns 0, -EINVAL or -ERANGE. */
export declare function kstrtouint(s: string, base: number, res: Ptr<number>): number;
export declare function kstrtoint(s: string, base: number, res: Ptr<number>): number;
/** Up to 2^53 - 1; beyond it -ERANGE. */
export declare function kstrtoull(s: string, base: number, res: Ptr<number>): number;
export declare function kstrtoul(s: string, base: number, res: Ptr<number>): number;
export declare function kstrtoll(s: string, base: number, res: Ptr<number>): number;
export declare function kstrtou8(s: string, base: number, res: Ptr<number>): number;
export declare function kstrtou16(s: string, base: number, res: Ptr<number>): number;
/** y, Y, 1, t, on / n, N, 0, f, off. Returns 0 or -EINVAL. */
export declare function kstrtobool(s: string, res: Ptr<boolean>): number;
/** The number at the start of `s`, 0 if there is none; `rest.value` is what follows. */
export declare function simple_strtoul(s: string, rest: Ptr<string> | null, base: number): number;

/** The bytes of a string of 8-bit characters. */
export function string_to_bytes(s: string): Uint8Array {
  const bytes = new Uint8Array(s.length);
  for (let i = 0; i < s.length; i++) bytes[i] = s.charCodeAt(i);
  return bytes;
}

/** `length` bytes from `offset` on as a string of 8-bit characters. */
export function bytes_to_string(bytes: Uint8Array, offset = 0, length = bytes.length - offset): string {
  let text = "";
  for (let i = offset; i < offset + length; i++) text += String.fromCharCode(bytes[i]);
  return text;
}
