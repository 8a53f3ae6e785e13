import { expect, test } from "vitest";
import { builtin_param_named, core_param } from "xenolith/linux/moduleparam";
import { ptr } from "xenolith/linux/types";
import { boot_params_of, init_args, parse_args, split_words } from "../../kernel/params";
import { bootBareKernel } from "./../kit/bare-kernel";

bootBareKernel({ cmdline: "xen-blkfront.max=64 unknown=1" });

test("split_words: white space separates, double quotes hold together", () => {
  expect(split_words('  a  b="c d" "e f=g"\th')).toEqual(["a", "b=c d", "e f=g", "h"]);
});

test("the command line: core parameters, built-in components, modules, unknown words, init's arguments", () => {
  const count = ptr(1);
  const flag = ptr(false);
  const text = ptr("");
  core_param("count", count, "uint", 0);
  builtin_param_named("xen", "flag", flag, "bool", 0o644);
  core_param("text", text, "charp", 0);
  parse_args('count=0x10 xen.flag text="a b" later.x=1 later.y -- shell -c');
  expect([count.value, flag.value, text.value]).toEqual([16, true, "a b"]);
  expect(boot_params_of("later")).toEqual([
    { module: "later", name: "x", value: "1" },
    { module: "later", name: "y", value: null },
  ]);
  expect(boot_params_of("xen_blkfront")).toEqual([{ module: "xen_blkfront", name: "max", value: "64" }]);
  expect(init_args()).toEqual(["unknown=1", "shell", "-c"]);
});

test("a value that does not parse is refused and the old one stays", () => {
  const size = ptr(3);
  core_param("size", size, "byte", 0);
  parse_args("size=256 size=-1 size=x size");
  expect(size.value).toBe(3);
});
