import * as fs from "node:fs";
import * as path from "node:path";
import { EACCES, EEXIST, ENOENT } from "xenolith/linux/errno";
import { O_WRONLY, filp_open, read_text_file } from "xenolith/linux/fs";
import { proc_create_single, remove_proc_entry } from "xenolith/linux/proc_fs";
import { UTS_RELEASE } from "xenolith/linux/utsname";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { bootBareKernel } from "../../kit/bare-kernel";
import { pattern, pwrite, with_file } from "./files";
import { MemoryDisk } from "./memory-disk";

const kernel = bootBareKernel({ pages: 2048, vcpus: 2, cmdline: "quiet loglevel=7 a=b" });
kernel.runInitcalls();
const disk = new MemoryDisk("xvda", { bytes: 1 << 20 });

beforeAll(() => kernel.run(() => disk.add()));
afterAll(() => kernel.run(() => disk.remove()));

function proc(name: string): string {
  const text = kernel.run(() => read_text_file(`/proc/${name}`));
  if (typeof text === "number") throw new Error(`/proc/${name}: ${text}`);
  return text;
}

/** `Name: 123 kB` lines as numbers. */
function table(text: string): Record<string, number> {
  return Object.fromEntries(
    text
      .trimEnd()
      .split("\n")
      .map((line) => [line.split(/:? +/)[0], Number(line.split(/:? +/)[1])]),
  );
}

describe("the texts", () => {
  it("cmdline and version", () => {
    expect(proc("cmdline")).toBe("quiet loglevel=7 a=b\n");
    expect(proc("version")).toBe(`Xenolith version ${UTS_RELEASE}\n`);
  });

  it("the kernel's release is the package's version", () => {
    const file = path.resolve(import.meta.dirname, "../../../package.json");
    expect((JSON.parse(fs.readFileSync(file, "utf8")) as { version: string }).version).toBe(UTS_RELEASE);
  });

  it("uptime: seconds, and idle seconds of both CPUs", () => {
    const [before, idle] = proc("uptime").trim().split(" ").map(Number);
    kernel.advance(2_500_000_000);
    const [after, later] = proc("uptime").trim().split(" ").map(Number);
    expect(after - before).toBeCloseTo(2.5);
    expect(later - idle).toBeCloseTo(5);
    expect(proc("uptime")).toMatch(/^\d+\.\d\d \d+\.\d\d\n$/);
  });

  it("meminfo: aligned as Linux does it, and true", () => {
    const text = proc("meminfo");
    for (const line of text.trimEnd().split("\n")) expect(line).toMatch(/^[A-Za-z]+: {1,} *\d+ kB$/);
    expect(text.split("\n")[0]).toHaveLength("MemTotal:       16316412 kB".length);
    const memory = table(text);
    expect(memory.MemFree).toBeLessThan(memory.MemTotal);
    expect(memory.Buffers).toBe(0);
  });

  it("meminfo and vmstat follow the page cache", () => {
    kernel.run(() =>
      with_file("/dev/xvda", O_WRONLY, function* (file) {
        yield* pwrite(file, pattern(40960), 0);
        const dirty = yield* read_text_file("/proc/meminfo");
        expect(table(String(dirty))).toMatchObject({ Buffers: 40, Dirty: 40, Writeback: 0 });
        expect(yield* read_text_file("/proc/vmstat")).toContain("nr_file_pages 10\nnr_dirty 10\nnr_writeback 0\n");
        return 0;
      }),
    );
    expect(table(proc("meminfo"))).toMatchObject({ Buffers: 0, Dirty: 0 });
  });

  it("cpuinfo: a paragraph a processor", () => {
    expect(proc("cpuinfo").match(/^processor\t: \d$/gm)).toEqual(["processor\t: 0", "processor\t: 1"]);
  });

  it("stat: totals, then each processor, ten columns", () => {
    const lines = proc("stat").trimEnd().split("\n");
    expect(lines.slice(0, 3).map((line) => line.split(/ +/)[0])).toEqual(["cpu", "cpu0", "cpu1"]);
    for (const line of lines.slice(0, 3)) expect(line.split(/ +/)).toHaveLength(11);
    expect(lines.at(-1)).toMatch(/^procs_blocked \d+$/);
  });

  it("partitions: a header, a blank line, 1 KiB blocks", () => {
    expect(proc("partitions")).toMatch(/^major minor {2}#blocks {2}name\n\n 259 {8}\d {7}1024 xvda\n$/);
  });

  it("diskstats: three names and seventeen numbers, which move", () => {
    const numbers = (): number[] => proc("diskstats").trim().split(/ +/).slice(3).map(Number);
    const before = numbers();
    expect(before).toHaveLength(17);
    kernel.run(() => with_file("/dev/xvda", O_WRONLY, (file) => pwrite(file, pattern(8192), 0)));
    const after = numbers();
    expect([after[4] - before[4], after[6] - before[6]]).toEqual([1, 16]);
    expect(
      kernel
        .run(() => read_text_file("/sys/block/xvda/stat"))
        .toString()
        .trim()
        .split(/ +/)
        .map(Number),
    ).toEqual(after);
  });

  it("devices, filesystems, mounts", () => {
    expect(proc("devices")).toMatch(/^Character devices:\n {2}1 mem\n\nBlock devices:\n(?:.*\n)*259 blkext\n$/);
    expect(proc("filesystems")).toBe("nodev\tdevtmpfs\nnodev\tproc\nnodev\tsysfs\n");
    expect(proc("mounts")).toBe("devtmpfs /dev devtmpfs rw 0 0\nproc /proc proc rw 0 0\nsysfs /sys sysfs rw 0 0\n");
  });

  it("interrupts, kallsyms and modules", () => {
    expect(proc("interrupts")).toMatch(/^ +CPU0 +CPU1\n/);
    expect(proc("kallsyms")).toContain("0000000000000000 T filp_open\n");
    expect(proc("modules")).toBe("");
  });
});

describe("entries", () => {
  it("come and go", () => {
    expect(proc_create_single("mine", () => "hello\n")).toBe(0);
    expect(proc_create_single("mine", () => "")).toBe(-EEXIST);
    expect(proc("mine")).toBe("hello\n");
    remove_proc_entry("mine");
    expect(kernel.run(() => read_text_file("/proc/mine"))).toBe(-ENOENT);
  });

  it("are read-only", () => {
    expect(kernel.run(() => filp_open("/proc/version", O_WRONLY, 0))).toBe(-EACCES);
  });
});
