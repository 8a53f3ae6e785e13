import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { BundleFactory } from "../../../hal/abi/hal";
import { nr_allocated_pages } from "xenolith/linux/mm";
import { main as blkdiscard } from "../../../images/programs/blkdiscard";
import { main as blockdev } from "../../../images/programs/blockdev";
import { main as cat } from "../../../images/programs/cat";
import { main as dmesg } from "../../../images/programs/dmesg";
import { main as echo } from "../../../images/programs/echo";
import { main as insmod } from "../../../images/programs/insmod";
import { main as ls } from "../../../images/programs/ls";
import { main as lsblk } from "../../../images/programs/lsblk";
import { main as lsmod } from "../../../images/programs/lsmod";
import { main as modinfo } from "../../../images/programs/modinfo";
import { main as modprobe } from "../../../images/programs/modprobe";
import { main as ps } from "../../../images/programs/ps";
import { main as rmmod } from "../../../images/programs/rmmod";
import { main as sync } from "../../../images/programs/sync";
import { O_WRONLY, filp_close } from "xenolith/linux/fs";
import { open, pattern, pwrite } from "../../kernel/fs/files";
import { MemoryDisk } from "../../kernel/fs/memory-disk";
import { bootWorld } from "./world";

/** A module that registers init and exit; `init` answers `result`. */
const moduleOf =
  (result = 0): BundleFactory =>
  (ksym) => {
    (ksym("module_init") as (fn: () => number) => void)(() => result);
    (ksym("module_exit") as (fn: () => void) => void)(() => undefined);
  };

const { kernel, run } = bootWorld({
  modules: {
    base: {
      factory: (ksym) => (
        moduleOf()(ksym, {}), (ksym("EXPORT_SYMBOL") as (n: string, v: unknown) => void)("base_fn", 1)
      ),
    },
    "needs-base": {
      factory: moduleOf(),
      manifest: {
        undefined: ["base_fn"],
        depends: ["base"],
        license: "Dual MIT/GPL",
        description: "Needs base",
        authors: ["Nobody"],
        aliases: ["nb"],
        params: [{ name: "depth", type: "uint", description: "How deep" }],
      },
    },
    lost: { factory: moduleOf(), manifest: { undefined: ["no_such_symbol"] } },
    broken: { factory: moduleOf(-19) },
  },
});
let disk: MemoryDisk;
let pages = 0;

beforeEach(() => {
  pages = nr_allocated_pages();
  disk = new MemoryDisk("xvdc", { bytes: 1 << 20, max_hw_discard_sectors: 0xffff, discard_granularity: 512 });
  kernel.run(() => disk.add());
});
afterEach(() => {
  kernel.run(() => disk.remove());
  expect(nr_allocated_pages()).toBe(pages);
});

describe("files", () => {
  it("cat: texts, and what cannot be read", () => {
    expect(run(cat, "cat", "/sys/block/xvdc/size", "/proc/filesystems")).toEqual({
      status: 0,
      out: "2048\nnodev\tdevtmpfs\nnodev\tproc\nnodev\tsysfs\n",
      err: "",
    });
    expect(run(cat, "cat", "/nowhere", "/dev", "/sys/block/xvdc/ro")).toEqual({
      status: 1,
      out: "0\n",
      err: "cat: /nowhere: No such file or directory\ncat: /dev: Is a directory\n",
    });
  });

  it("cat: every byte of a device", () => {
    disk.data.set(pattern(1 << 20));
    const { out } = run(cat, "cat", "/dev/xvdc");
    expect(Buffer.compare(Buffer.from(out, "latin1"), disk.data)).toBe(0);
  });

  it("ls: names, long lines, links and errors", () => {
    expect(run(ls, "ls").out).toBe("dev\nproc\nsys\n");
    expect(run(ls, "ls", "/dev").out).toBe("console\nfull\nhvc0\nnull\nrandom\ntty\nurandom\nxvdc\nzero\n");
    expect(run(ls, "ls", "-l", "/dev/null").out).toBe("crw-rw-rw-   1,   3 /dev/null\n");
    expect(run(ls, "ls", "-l", "/dev/xvdc").out).toMatch(/^brw-rw---- 259, {3}\d+ \/dev\/xvdc\n$/);
    expect(run(ls, "ls", "-l", "/sys/block/xvdc").out).toMatch(/^lrwxrwxrwx {8}0 \/sys\/block\/xvdc -> .*\/xvdc\n$/);
    expect(run(ls, "ls", "/sys/block/xvdc").out).toContain("size\n");
    expect(run(ls, "ls", "-l", "/sys/block/xvdc/").out).toContain("-r--r--r--     4096 size\n");
    expect(run(ls, "ls", "/sys/none", "/dev/null")).toEqual({
      status: 2,
      out: "/dev/null:\n/dev/null\n",
      err: "ls: cannot access '/sys/none': No such file or directory\n",
    });
  });

  it("echo", () => {
    expect(run(echo, "echo", "a", "b c").out).toBe("a b c\n");
    expect(run(echo, "echo", "-n", "a").out).toBe("a");
    expect(run(echo, "echo").out).toBe("\n");
  });
});

describe("disks", () => {
  it("lsblk: one line a disk", () => {
    expect(run(lsblk, "lsblk").out).toMatch(/^NAME .*\nxvdc +259:\d+ +0 +1M +0 disk\n$/);
  });

  it("blockdev: answers, changes, complaints", () => {
    expect(
      run(blockdev, "blockdev", "--getsize64", "--getsz", "--getss", "--getpbsz", "--getro", "/dev/xvdc").out,
    ).toBe("1048576\n2048\n512\n512\n0\n");
    expect(run(blockdev, "blockdev", "--setro", "--getro", "--setrw", "--getro", "/dev/xvdc").out).toBe("1\n0\n");
    expect(run(blockdev, "blockdev", "--flushbufs", "/dev/xvdc")).toEqual({ status: 0, out: "", err: "" });
    expect(disk.take()).toEqual([]);
    const complaint = (...words: string[]) => run(blockdev, "blockdev", ...words).err;
    expect(complaint("--getsize64", "/dev/xvdz")).toBe("blockdev: cannot open /dev/xvdz: No such file or directory\n");
    expect(complaint("--getss", "/dev/null")).toBe(
      "blockdev: ioctl error on BLKSSZGET: Inappropriate ioctl for device\n",
    );
    expect(complaint("--toString", "/dev/xvdc")).toBe("blockdev: Unknown command: --toString\n");
    expect(complaint("/dev/xvdc")).toBe("blockdev: no command specified\n");
    expect(complaint("--getss")).toBe("blockdev: no device specified\n");
  });

  it("blkdiscard: one request for the range, steps, zeros", () => {
    disk.data.fill(0xff);
    expect(run(blkdiscard, "blkdiscard", "-o", "512k", "-l64k", "/dev/xvdc")).toEqual({ status: 0, out: "", err: "" });
    expect(disk.take()).toEqual(["DISCARD 1024+128"]);
    expect(disk.data.indexOf(0)).toBe(512 << 10);
    expect(run(blkdiscard, "blkdiscard", "-v", "-p", "512K", "/dev/xvdc").out).toBe(
      "/dev/xvdc: Discarded 524288 bytes from the offset 0\n/dev/xvdc: Discarded 524288 bytes from the offset 524288\n",
    );
    expect(disk.take()).toEqual(["DISCARD 0+1024", "DISCARD 1024+1024"]);
    expect(run(blkdiscard, "blkdiscard", "--zeroout", "--length=8192", "/dev/xvdc").status).toBe(0);
    expect(disk.take()).toEqual(["WRITE 0+16"]);
  });

  it.each([
    ["/dev/xvdz", "cannot open /dev/xvdz: No such file or directory"],
    ["-o 100 /dev/xvdc", "/dev/xvdc: offset 100 is not aligned to sector size 512"],
    ["-l 100 /dev/xvdc", "/dev/xvdc: length 100 is not aligned to sector size 512"],
    ["-o 2M /dev/xvdc", "/dev/xvdc: offset is greater than device size"],
    ["-o many /dev/xvdc", "failed to parse offset: 'many'"],
    ["-s /dev/xvdc", "/dev/xvdc: BLKSECDISCARD ioctl failed: Operation not supported"],
    ["-x /dev/xvdc", "invalid option -- 'x'"],
    ["--fast /dev/xvdc", "unrecognized option '--fast'"],
    ["/dev/xvdc -o", "option -- 'o' requires an argument"],
    ["", "no device specified"],
  ])("blkdiscard %s", (words, message) => {
    const outcome = run(blkdiscard, "blkdiscard", ...words.split(" ").filter((word) => word !== ""));
    expect(outcome).toEqual({ status: 1, out: "", err: `blkdiscard: ${message}\n` });
    expect(disk.take()).toEqual([]);
  });

  it("sync: writes back what is dirty", () => {
    const file = kernel.run(() => open("/dev/xvdc", O_WRONLY));
    kernel.run(() => pwrite(file, pattern(4096), 0));
    expect(run(sync, "sync").status).toBe(0);
    expect(disk.take()).toEqual(["WRITE 0+8"]);
    kernel.run(() => pwrite(file, pattern(4096), 4096));
    expect(run(sync, "sync", "/dev/xvdc").status).toBe(0);
    expect(disk.take()).toEqual(["WRITE 8+8"]);
    expect(run(sync, "sync", "/none").err).toBe("sync: error opening '/none': No such file or directory\n");
    kernel.run(() => filp_close(file));
  });
});

describe("modules", () => {
  it("insmod, lsmod, rmmod", () => {
    expect(run(insmod, "insmod", "needs-base").err).toBe(
      "insmod: ERROR: could not insert module needs-base: Unknown symbol in module, or unknown parameter (see dmesg)\n",
    );
    expect(run(insmod, "insmod", "base.ko").status).toBe(0);
    expect(run(insmod, "insmod", "base").err).toBe("insmod: ERROR: could not insert module base: File exists\n");
    expect(run(insmod, "insmod", "needs-base").status).toBe(0);
    expect(run(lsmod, "lsmod").out).toMatch(/^Module +Size +Used by\nneeds_base +\d+ +0\nbase +\d+ +1 needs_base\n$/);
    expect(run(cat, "cat", "/proc/modules").out).toMatch(
      /^needs_base \d+ 0 - Live 0x0+\nbase \d+ 1 needs_base, Live 0x0+\n$/,
    );
    expect(run(rmmod, "rmmod", "base").err).toBe("rmmod: ERROR: Module base is in use by: needs_base\n");
    expect(run(rmmod, "rmmod", "needs-base", "base")).toEqual({ status: 0, out: "", err: "" });
    expect(run(rmmod, "rmmod", "base")).toEqual({
      status: 1,
      out: "",
      err: "rmmod: ERROR: Module base is not currently loaded\n",
    });
  });

  it.each([
    ["lost", "could not insert module lost: Unknown symbol in module, or unknown parameter (see dmesg)"],
    ["broken", "could not insert module broken: No such device"],
    ["none.ko", "could not load module none.ko: No such file or directory"],
  ])("insmod %s", (name, message) => {
    expect(run(insmod, "insmod", name)).toEqual({ status: 1, out: "", err: `insmod: ERROR: ${message}\n` });
    expect(run(lsmod, "lsmod").out.split("\n")).toHaveLength(2);
  });

  it("the kernel log names the symbol that is missing", () => {
    run(insmod, "insmod", "lost");
    expect(run(dmesg, "dmesg").out).toMatch(/\[ +\d+\.\d{6}\] lost: Unknown symbol no_such_symbol \(err -2\)\n/);
  });

  it("modprobe: with dependencies, by alias, and back again", () => {
    expect(run(modprobe, "modprobe", "needs-base").status).toBe(0);
    expect(run(lsmod, "lsmod").out).toContain("base");
    expect(run(modprobe, "modprobe", "-r", "base").err).toBe("modprobe: FATAL: Module base is in use.\n");
    expect(run(modprobe, "modprobe", "-r", "needs_base").status).toBe(0);
    expect(run(lsmod, "lsmod").out.split("\n")).toHaveLength(2);
    expect(run(modprobe, "modprobe", "nb").status).toBe(0);
    expect(run(modprobe, "modprobe", "-r", "needs-base").status).toBe(0);
    expect(run(modprobe, "modprobe", "none").err).toBe("modprobe: FATAL: Module none not found in directory modules\n");
    expect(run(modprobe, "modprobe", "broken").err).toBe(
      "modprobe: ERROR: could not insert 'broken': No such device\n",
    );
  });

  it("modinfo", () => {
    expect(run(modinfo, "modinfo", "needs_base").out).toBe(
      [
        "filename:       modules/needs-base.js",
        "author:         Nobody",
        "description:    Needs base",
        "license:        Dual MIT/GPL",
        "alias:          nb",
        "depends:        base",
        "name:           needs_base",
        "parm:           depth:How deep (uint)",
        "",
      ].join("\n"),
    );
    expect(run(modinfo, "modinfo", "none")).toEqual({
      status: 1,
      out: "",
      err: "modinfo: ERROR: Module none not found.\n",
    });
  });
});

it("ps: tasks with their state and name", () => {
  expect(run(ps, "ps").out).toMatch(/^ +PID S CPU +TIME COMMAND\n( +\d+ [A-Z] +0 +\d+\.\d{6} \S.*\n)+$/);
});
