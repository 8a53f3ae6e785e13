/** C's sscanf, as xenstore's users need it. See `xenolith/linux/string`. */
import { EXPORT_SYMBOL } from "xenolith/linux/export";
import type { Ptr } from "xenolith/linux/types";

interface conversion {
  readonly skip: boolean;
  readonly width: number;
  readonly type: string;
  /** For `%[`: the characters, and whether they are excluded. */
  readonly set: string;
  readonly inverted: boolean;
  /** Where the format goes on. */
  readonly next: number;
}

const SPACE = /[ \t\n\v\f\r]/;

function skip_space(text: string, at: number): number {
  let i = at;
  while (i < text.length && SPACE.test(text[i])) i++;
  return i;
}

/** Reads the conversion after the `%` at `at - 1`; null if it is none that we know. */
function parse_conversion(fmt: string, at: number): conversion | null {
  const match = /^(\*?)(\d*)(hh|h|ll|l|z|j|t|L)?(\[\^?\]?[^\]]*\]|[a-zA-Z%])/.exec(fmt.slice(at));
  if (match === null) return null;
  const body = match[4];
  const is_set = body.startsWith("[");
  const inverted = is_set && body[1] === "^";
  return {
    skip: match[1] !== "",
    width: match[2] === "" ? Infinity : Number(match[2]),
    type: is_set ? "[" : body,
    set: is_set ? expand_ranges(body.slice(inverted ? 2 : 1, -1)) : "",
    inverted,
    next: at + match[0].length,
  };
}

function expand_ranges(set: string): string {
  return set.replace(/(.)-(.)/g, (_whole, from: string, to: string) => {
    let all = "";
    for (let c = from.charCodeAt(0); c <= to.charCodeAt(0); c++) all += String.fromCharCode(c);
    return all;
  });
}

/** Length of the number at the start of `text` in the given conversion; 0 if there is none. */
function number_length(text: string, type: string): number {
  const pattern =
    type === "x" || type === "X"
      ? /^[+-]?(?:0[xX](?=[0-9a-fA-F]))?[0-9a-fA-F]+/
      : type === "o"
      ? /^[+-]?[0-7]+/
      : type === "i"
      ? /^[+-]?(?:0[xX][0-9a-fA-F]+|[0-9]+)/
      : type === "d"
      ? /^[+-]?[0-9]+/
      : /^\+?[0-9]+/;
  const match = pattern.exec(text);
  return match === null ? 0 : match[0].length;
}

function number_value(text: string, type: string): number {
  const negative = text.startsWith("-");
  const digits = text.replace(/^[+-]/, "");
  const hex = /^0[xX]/.test(digits);
  const octal = type === "o" || (type === "i" && !hex && digits.length > 1 && digits.startsWith("0"));
  const base = type === "x" || type === "X" || (type === "i" && hex) ? 16 : octal ? 8 : 10;
  const magnitude = parseInt(base === 16 ? digits.replace(/^0[xX]/, "") : digits, base);
  return negative ? -magnitude : magnitude;
}

/** Length that a conversion takes of `text`; -1 if it does not match. */
function match_length(text: string, c: conversion): number {
  const limited = text.slice(0, Math.min(text.length, c.width));
  switch (c.type) {
    case "c": {
      const count = c.width === Infinity ? 1 : c.width;
      return text.length >= count ? count : -1;
    }
    case "s":
    case "[": {
      let length = 0;
      const fits = (ch: string): boolean => (c.type === "s" ? !SPACE.test(ch) : c.set.includes(ch) !== c.inverted);
      while (length < limited.length && fits(limited[length])) length++;
      return length === 0 ? -1 : length;
    }
    default: {
      const length = number_length(limited, c.type);
      return length === 0 ? -1 : length;
    }
  }
}

export function sscanf(text: string, fmt: string, ...into: Ptr<number | string>[]): number {
  let at = 0;
  let stored = 0;
  let taken = 0;
  for (let f = 0; f < fmt.length; ) {
    const ch = fmt[f];
    if (SPACE.test(ch)) {
      at = skip_space(text, at);
      f++;
      continue;
    }
    const c = ch === "%" ? parse_conversion(fmt, f + 1) : null;
    if (c === null || c.type === "%") {
      if (text[at] !== ch) return stored;
      at++;
      f = c === null ? f + 1 : c.next;
      continue;
    }
    f = c.next;
    if (c.type === "n") {
      into[taken++].value = at;
      continue;
    }
    if (c.type !== "c" && c.type !== "[") at = skip_space(text, at);
    if (at >= text.length) return stored === 0 ? -1 : stored;
    const length = match_length(text.slice(at), c);
    if (length < 0) return stored;
    const piece = text.slice(at, at + length);
    at += length;
    if (c.skip) continue;
    into[taken++].value = "cs[".includes(c.type) ? piece : number_value(piece, c.type);
    stored++;
  }
  return stored;
}
EXPORT_SYMBOL(sscanf);
