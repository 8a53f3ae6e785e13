/** Strings to numbers, strictly: the whole string must be the number, but for one newline at its end. */
import { EINVAL, ERANGE } from "xenolith/linux/errno";
import { EXPORT_SYMBOL } from "xenolith/linux/export";
import type { Ptr } from "xenolith/linux/types";

/** The base and the digits behind its prefix. */
function guess_base(s: string, base: number): { base: number; digits: string } {
  const hex = /^0[xX]/.test(s);
  if (base === 0) {
    if (hex) return { base: 16, digits: s.slice(2) };
    return s.startsWith("0") && s.length > 1 ? { base: 8, digits: s.slice(1) } : { base: 10, digits: s };
  }
  return { base, digits: base === 16 && hex ? s.slice(2) : s };
}

function digit_pattern(base: number): RegExp {
  return base === 16 ? /^[0-9a-fA-F]+$/ : base === 8 ? /^[0-7]+$/ : base === 2 ? /^[01]+$/ : /^[0-9]+$/;
}

function parse(s: string, base: number, min: number, max: number, res: Ptr<number>): number {
  const line = s.endsWith("\n") ? s.slice(0, -1) : s;
  const negative = line.startsWith("-");
  if (negative && min >= 0) return -EINVAL;
  const guessed = guess_base(line.replace(/^[+-]/, ""), base);
  if (!digit_pattern(guessed.base).test(guessed.digits)) return -EINVAL;
  const magnitude = parseInt(guessed.digits, guessed.base);
  const value = negative && magnitude !== 0 ? -magnitude : magnitude;
  if (value < min || value > max) return -ERANGE;
  res.value = value;
  return 0;
}

export function kstrtouint(s: string, base: number, res: Ptr<number>): number {
  return parse(s, base, 0, 0xffffffff, res);
}
EXPORT_SYMBOL(kstrtouint);

export function kstrtoint(s: string, base: number, res: Ptr<number>): number {
  return parse(s, base, -0x80000000, 0x7fffffff, res);
}
EXPORT_SYMBOL(kstrtoint);

export function kstrtoull(s: string, base: number, res: Ptr<number>): number {
  return parse(s, base, 0, Number.MAX_SAFE_INTEGER, res);
}
EXPORT_SYMBOL(kstrtoull);

export function kstrtoul(s: string, base: number, res: Ptr<number>): number {
  return parse(s, base, 0, Number.MAX_SAFE_INTEGER, res);
}
EXPORT_SYMBOL(kstrtoul);

export function kstrtoll(s: string, base: number, res: Ptr<number>): number {
  return parse(s, base, Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER, res);
}
EXPORT_SYMBOL(kstrtoll);

export function kstrtou8(s: string, base: number, res: Ptr<number>): number {
  return parse(s, base, 0, 0xff, res);
}
EXPORT_SYMBOL(kstrtou8);

export function kstrtou16(s: string, base: number, res: Ptr<number>): number {
  return parse(s, base, 0, 0xffff, res);
}
EXPORT_SYMBOL(kstrtou16);

export function kstrtobool(s: string, res: Ptr<boolean>): number {
  const word = s.trim();
  if (/^(?:[yY1tT]|on|yes|true)/i.test(word)) res.value = true;
  else if (/^(?:[nN0fF]|of)/i.test(word)) res.value = false;
  else return -EINVAL;
  return 0;
}
EXPORT_SYMBOL(kstrtobool);

export function simple_strtoul(s: string, rest: Ptr<string> | null, base: number): number {
  const guessed = guess_base(s, base);
  const source = digit_pattern(guessed.base).source.slice(0, -1);
  const match = new RegExp(source).exec(guessed.digits);
  const digits = match === null ? "" : match[0];
  if (rest !== null) rest.value = digits === "" ? s : guessed.digits.slice(digits.length);
  return digits === "" ? 0 : parseInt(digits, guessed.base);
}
EXPORT_SYMBOL(simple_strtoul);
