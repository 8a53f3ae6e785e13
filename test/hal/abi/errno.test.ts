import * as os from "node:os";
import { expect, it } from "vitest";
import * as errno from "../../../hal/abi/errno";
import { xsd_errors } from "../../../hal/abi/xs_wire";

const exported: [string, unknown][] = Object.entries(errno);
const numbers = exported.filter((entry): entry is [string, number] => typeof entry[1] === "number");
const aliases = new Set(["EWOULDBLOCK", "EDEADLOCK"]);

it("errno_names: every number has its own name, and every name but the two aliases is there", () => {
  for (const [name, value] of numbers) {
    if (!aliases.has(name)) expect(errno.errno_names.get(value)).toBe(name);
  }
  expect(errno.errno_names.size).toBe(numbers.length - aliases.size);
  expect(errno.EWOULDBLOCK).toBe(errno.EAGAIN);
  expect(errno.EDEADLOCK).toBe(errno.EDEADLK);
});

it("the numbers are Linux's, as far as the host's C library knows them", () => {
  const theirs: Record<string, number> = process.platform === "linux" ? os.constants.errno : {};
  const ours = new Map(numbers);
  for (const [name, value] of Object.entries(theirs)) {
    if (ours.has(name)) expect(ours.get(name), name).toBe(value);
    else expect(["ENOTSUP"]).toContain(name);
  }
});

it("xenstore's errors are ours", () => {
  for (const { errnum, errstring } of xsd_errors) expect(errno.errno_names.get(errnum)).toBe(errstring);
});
