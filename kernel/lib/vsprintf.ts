/**
 * C's printf for the kernel log and xenstore: `% [flags] [width] [.precision] [hh h l ll z] conversion`.
 *
 * Conversions d i u x X o c s %. Flags `# 0 - + space`; `*` for width and precision. An integer is taken as 32 bits by `d i` without a length
 * modifier and by `u x X o` of a negative number; with `l` it may be any whole number below 2^53, or a bigint. A missing argument prints as
 * `(missing)`, an unknown conversion as itself: a log line never fails.
 */
import { EXPORT_SYMBOL } from "xenolith/linux/export";

interface spec {
  readonly flags: string;
  readonly width: number;
  readonly precision: number;
  readonly is_long: boolean;
  readonly conversion: string;
}

const DIRECTIVE = /%([-+ #0]*)(\*|\d+)?(?:\.(\*|\d+)?)?(hh|h|ll|l|z|j|t)?([a-zA-Z%])/g;

function is_integer(value: unknown): value is number | bigint | boolean {
  return typeof value === "number" || typeof value === "bigint" || typeof value === "boolean";
}

/** Digits of an integer's magnitude and its sign, as its conversion sees it. */
function digits_of(value: number | bigint | boolean, s: spec): { sign: string; digits: string } {
  const base = s.conversion === "x" || s.conversion === "X" ? 16 : s.conversion === "o" ? 8 : 10;
  const is_signed = s.conversion === "d" || s.conversion === "i";
  if (typeof value === "bigint") return split_sign(is_signed ? value : BigInt.asUintN(64, value), base);
  let n = typeof value === "boolean" ? Number(value) : Math.trunc(value);
  if (Number.isNaN(n)) return { sign: "", digits: "NaN" };
  if (is_signed && !s.is_long && n >= 0x80000000) n |= 0;
  if (!is_signed && n < 0) {
    if (s.is_long) return split_sign(BigInt.asUintN(64, BigInt(n)), base);
    n >>>= 0;
  }
  return split_sign(n, base);
}

function split_sign(n: number | bigint, base: number): { sign: string; digits: string } {
  return n < 0 ? { sign: "-", digits: (-n).toString(base) } : { sign: "", digits: n.toString(base) };
}

function pad(text: string, s: spec): string {
  return s.flags.includes("-") ? text.padEnd(s.width) : text.padStart(s.width);
}

function format_integer(value: number | bigint | boolean, s: spec): string {
  const parts = digits_of(value, s);
  let digits = parts.digits.padStart(s.precision, "0");
  if (s.conversion === "X") digits = digits.toUpperCase();
  let prefix = parts.sign;
  if (prefix === "" && (s.conversion === "d" || s.conversion === "i")) {
    prefix = s.flags.includes("+") ? "+" : s.flags.includes(" ") ? " " : "";
  }
  if (s.flags.includes("#") && parts.digits !== "0") {
    prefix += s.conversion === "x" || s.conversion === "X" ? `0${s.conversion}` : s.conversion === "o" ? "0" : "";
  }
  const fill = s.flags.includes("0") && !s.flags.includes("-") && s.precision < 0;
  return fill ? prefix + digits.padStart(s.width - prefix.length, "0") : pad(prefix + digits, s);
}

function format_value(value: unknown, s: spec): string {
  if (value === undefined) return "(missing)";
  switch (s.conversion) {
    case "s": {
      const text = value === null ? "(null)" : String(value);
      return pad(s.precision >= 0 ? text.slice(0, s.precision) : text, s);
    }
    case "c":
      return pad(typeof value === "number" ? String.fromCharCode(value) : String(value).slice(0, 1), s);
    default:
      return is_integer(value) ? format_integer(value, s) : pad(String(value), s);
  }
}

/** See the file's head. */
export function vsnprintf(fmt: string, args: readonly unknown[]): string {
  if (!fmt.includes("%")) return fmt;
  let next = 0;
  const number_of = (text: string | undefined, missing: number): number => {
    if (text === undefined) return missing;
    return text === "*" ? Number(args[next++]) : Number(text);
  };
  return fmt.replace(
    DIRECTIVE,
    (whole: string, flags: string, width: string, precision: string, length: string, conversion: string) => {
      if (conversion === "%") return "%";
      if (!"diuxXocs".includes(conversion)) return whole;
      const w = number_of(width, 0);
      const has_precision = /\.(\*|\d+)?/.test(whole);
      const s: spec = {
        flags: w < 0 ? `${flags}-` : flags,
        width: Math.abs(w),
        precision: has_precision ? number_of(precision, 0) : -1,
        is_long: length !== undefined && "llzjt".includes(length),
        conversion,
      };
      return format_value(args[next++], s);
    },
  );
}
EXPORT_SYMBOL(vsnprintf);

export function kasprintf(fmt: string, ...args: unknown[]): string {
  return vsnprintf(fmt, args);
}
EXPORT_SYMBOL(kasprintf);
