/** uname [-amnrsv]: what runs here. */
import type { stdio } from "xenolith/linux/binfmts";
import { IS_ERR } from "xenolith/linux/err";
import type { Sleeps } from "xenolith/linux/sched";
import { UTS_RELEASE, UTS_SYSNAME } from "xenolith/linux/utsname";
import { XBT_NIL, xenbus_read } from "xenolith/xen/xenbus";
import { getopt } from "./lib/getopt";

/** Exit status 0, or 1 for wrong usage. */
export function* main(argv: readonly string[], io: stdio): Sleeps<number> {
  const { options, operands, complaint } = getopt(argv, {
    short: "amnrsv",
    long: { all: "a", "kernel-name": "s", nodename: "n", "kernel-release": "r", "kernel-version": "v", machine: "m" },
  });
  if (complaint !== null || operands.length > 0) {
    yield* io.error(`uname: ${complaint ?? `extra operand '${operands[0]}'`}\n`);
    return 1;
  }
  const name = yield* xenbus_read(XBT_NIL, "name", "", null);
  const fields = { s: UTS_SYSNAME, n: IS_ERR(name) ? "(none)" : name, r: UTS_RELEASE, v: "#1", m: "xen-pv" };
  const letters =
    options.size === 0 ? ["s"] : Object.keys(fields).filter((letter) => options.has(letter) || options.has("a"));
  yield* io.write(`${letters.map((letter) => fields[letter as keyof typeof fields]).join(" ")}\n`);
  return 0;
}
