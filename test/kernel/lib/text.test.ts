import { expect, test } from "vitest";
import { EINVAL, ERANGE } from "xenolith/linux/errno";
import { kasprintf } from "xenolith/linux/printk";
import { kstrtobool, kstrtoint, kstrtouint, kstrtoull, simple_strtoul, sscanf } from "xenolith/linux/string";
import { ptr } from "xenolith/linux/types";
import "../../../kernel/lib/kstrtox";

test.each([
  ["%d", [-5], "-5"],
  ["%d", [0xffffffff], "-1"],
  ["%u", [-1], "4294967295"],
  ["%5d|%-5d|%05d", [42, 42, 42], "   42|42   |00042"],
  ["%+d % d", [1, 1], "+1  1"],
  ["%x %X %#x %#X", [255, 255, 255, 255], "ff FF 0xff 0XFF"],
  ["%#x", [0], "0"],
  ["%08x", [0xbeef], "0000beef"],
  ["%#010x", [0xbeef], "0x0000beef"],
  ["%.3d", [7], "007"],
  ["%llu", [9007199254740991], "9007199254740991"],
  ["%llx", [-1], "ffffffffffffffff"],
  ["%lld", [4294967295], "4294967295"],
  ["%llu", [18446744073709551615n], "18446744073709551615"],
  ["%s|%10s|%-4s|%.2s", ["a", "b", "c", "defg"], "a|         b|c   |de"],
  ["%s", [null], "(null)"],
  ["%c%c", [65, "bc"], "Ab"],
  ["%*d|%-*d|%.*s", [4, 1, 4, 2, 2, "abc"], "   1|2   |ab"],
  ["100%% %zu %hhu", [3, 4], "100% 3 4"],
  ["%d %d", [1], "1 (missing)"],
  ["%o %#o", [8, 8], "10 010"],
  ["%i", [true], "1"],
])("vsnprintf: %s with %s is %s", (fmt, args, text) => {
  expect(kasprintf(fmt, ...(args as unknown[]))).toBe(text);
});

function scan(text: string, fmt: string, count: number): [number, ...(number | string)[]] {
  const into = Array.from({ length: count }, () => ptr<number | string>("-"));
  return [sscanf(text, fmt, ...into), ...into.map((p) => p.value)];
}

test.each([
  ["12", "%d", 1, [1, 12]],
  ["  -12x", "%d%c", 2, [2, -12, "x"]],
  ["0x1f", "%x", 1, [1, 31]],
  ["0x1f 017 9", "%i %i %i", 3, [3, 31, 15, 9]],
  ["backend/vbd/3/51712", "backend/vbd/%u/%u", 2, [2, 3, 51712]],
  ["ring-ref7", "ring-ref%u", 1, [1, 7]],
  ["x", "%d", 1, [0, "-"]],
  ["", "%d", 1, [-1, "-"]],
  ["12 ", "%d %d", 2, [1, 12, "-"]],
  ["12345", "%3d%d", 2, [2, 123, 45]],
  ["fd:0 rest", "%x:%x%n", 3, [2, 253, 0, 4]],
  ["hello world", "%s %5c", 2, [2, "hello", "world"]],
  ["abc123", "%[a-c]%[^4]", 2, [2, "abc", "123"]],
  ["a 1", "%*s %d", 1, [1, 1]],
  ["50%", "%d%%", 1, [1, 50]],
  ["-1", "%u", 1, [0, "-"]],
  ["9007199254740991", "%llu", 1, [1, 9007199254740991]],
])("sscanf: %j with %j", (text, fmt, count, expected) => {
  expect(scan(text, fmt, count)).toEqual(expected);
});

test.each([
  ["12", 10, 0, 12],
  ["12\n", 10, 0, 12],
  ["0x10", 0, 0, 16],
  ["010", 0, 0, 8],
  ["0x10", 16, 0, 16],
  ["12x", 10, -EINVAL, 99],
  ["", 10, -EINVAL, 99],
  ["-1", 10, -EINVAL, 99],
  ["4294967296", 10, -ERANGE, 99],
])("kstrtouint(%j, %i)", (text, base, error, value) => {
  const res = ptr(99);
  expect(kstrtouint(text, base, res)).toBe(error);
  expect(res.value).toBe(value);
});

test("kstrto*: ranges, booleans and the lax old form", () => {
  const res = ptr(0);
  expect(kstrtoint("-2147483648", 10, res)).toBe(0);
  expect(kstrtoint("2147483648", 10, res)).toBe(-ERANGE);
  expect(kstrtoull("9007199254740992", 10, res)).toBe(-ERANGE);
  const flag = ptr(false);
  for (const text of ["y", "Y", "1", "on"]) expect([kstrtobool(text, flag), flag.value]).toEqual([0, true]);
  for (const text of ["n", "0", "off\n"]) expect([kstrtobool(text, flag), flag.value]).toEqual([0, false]);
  expect(kstrtobool("maybe", flag)).toBe(-EINVAL);
  const rest = ptr("");
  expect([simple_strtoul("42abc", rest, 10), rest.value]).toEqual([42, "abc"]);
  expect([simple_strtoul("zz", rest, 10), rest.value]).toEqual([0, "zz"]);
});
