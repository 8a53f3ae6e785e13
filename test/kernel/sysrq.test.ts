import { expect, test } from "vitest";
import { EACCES } from "xenolith/linux/errno";
import { O_RDONLY, O_WRONLY, filp_open } from "xenolith/linux/fs";
import "../../kernel/sysrq";
import { bootBareKernel } from "../kit/bare-kernel";
import { pwrite, with_file } from "./fs/files";

const kernel = bootBareKernel({ pages: 1024, cmdline: "loglevel=7" });
kernel.runInitcalls();

/** Writes a text to /proc/sysrq-trigger; returns what the write did. */
function trigger(text: string): number {
  const bytes = Uint8Array.from(text, (char) => char.charCodeAt(0));
  return kernel.run(() => with_file("/proc/sysrq-trigger", O_WRONLY, (file) => pwrite(file, bytes, 0)));
}

test("t lists the tasks; only the first key of a write counts", () => {
  expect(trigger("tc\n")).toBe(3);
  expect(kernel.log.join("\n")).toMatch(/task:\S+ +state:[A-Z] +pid:\d+/);
});

test("a key that means nothing asks for help", () => {
  expect(trigger("?")).toBe(1);
  expect(kernel.log.at(-1)).toContain("sysrq: HELP : reboot(b) crash(c) poweroff(o)");
});

test("it cannot be read", () => {
  expect(kernel.run(() => filp_open("/proc/sysrq-trigger", O_RDONLY, 0))).toBe(-EACCES);
});

test("c crashes the kernel", () => {
  expect(() => trigger("c")).toThrow("sysrq triggered crash");
});
