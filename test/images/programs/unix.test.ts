import * as fs from "node:fs";
import * as path from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { usleep_range } from "xenolith/linux/delay";
import { nr_allocated_pages } from "xenolith/linux/mm";
import { send_sig } from "xenolith/linux/sched";
import { SIGINT, SIGTERM } from "xenolith/linux/signal";
import { main as cat } from "../../../images/programs/cat";
import { main as clear } from "../../../images/programs/clear";
import { main as dd } from "../../../images/programs/dd";
import { main as no } from "../../../images/programs/false";
import { main as fio } from "../../../images/programs/fio";
import { main as free } from "../../../images/programs/free";
import { main as grep } from "../../../images/programs/grep";
import { main as head } from "../../../images/programs/head";
import { main as hexdump } from "../../../images/programs/hexdump";
import { main as kill } from "../../../images/programs/kill";
import { HELP } from "../../../images/programs/lib/help";
import { main as sleep } from "../../../images/programs/sleep";
import { main as top } from "../../../images/programs/top";
import { main as yes } from "../../../images/programs/true";
import { main as uptime } from "../../../images/programs/uptime";
import { main as wc } from "../../../images/programs/wc";
import { pattern } from "../../kernel/fs/files";
import { MemoryDisk } from "../../kernel/fs/memory-disk";
import { bootWorld } from "./world";

const { kernel, run, feed } = bootWorld();
let disk: MemoryDisk;
let pages = 0;

beforeEach(() => {
  pages = nr_allocated_pages();
  disk = new MemoryDisk("xvdc", { bytes: 1 << 20 });
  kernel.run(() => disk.add());
});
afterEach(() => {
  kernel.run(() => disk.remove());
  expect(nr_allocated_pages()).toBe(pages);
});

const ABC = "alpha beta\ngamma\nAlphabet 1+1\n\nlast";

describe("text", () => {
  it.each([
    [head, ["head", "-n", "2"], "alpha beta\ngamma\n", 0],
    [head, ["head", "-1"], "alpha beta\n", 0],
    [head, ["head", "-c", "7"], "alpha b", 0],
    [head, ["head"], ABC, 0],
    [wc, ["wc"], "      4       6      35\n", 0],
    [wc, ["wc", "-l"], "4\n", 0],
    [wc, ["wc", "-wc"], "      6      35\n", 0],
    [grep, ["grep", "alpha"], "alpha beta\n", 0],
    [grep, ["grep", "-in", "alpha"], "1:alpha beta\n3:Alphabet 1+1\n", 0],
    [grep, ["grep", "-c", "a"], "4\n", 0],
    [grep, ["grep", "-v", "a"], "\n", 0],
    [grep, ["grep", "1+1"], "Alphabet 1+1\n", 0],
    [grep, ["grep", "-E", "^g.+a$|^$"], "gamma\n\n", 0],
    [grep, ["grep", "-F", "."], "", 1],
    [grep, ["grep", "-q", "gam\\{0,1\\}a"], "", 1],
    [grep, ["grep", "ga\\(m\\)\\+a"], "gamma\n", 0],
    [cat, ["cat"], ABC, 0],
    [yes, ["true"], "", 0],
    [no, ["false"], "", 1],
  ])("%o %j", (main, argv, out, status) => expect(feed(main, argv, { input: ABC })).toEqual({ status, out, err: "" }));

  it.each([
    [head, ["head", "/none"], 1, "head: /none: No such file or directory\n"],
    [head, ["head", "-n", "x"], 1, "head: invalid number\n"],
    [wc, ["wc", "-x"], 1, "wc: invalid option -- 'x'\n"],
    [grep, ["grep"], 2, "grep: no pattern given\n"],
    [grep, ["grep", "-E", "("], 2, "grep: invalid pattern '('\n"],
    [grep, ["grep", "x", "/none"], 2, "grep: /none: No such file or directory\n"],
    [sleep, ["sleep", "soon"], 1, "sleep: invalid time interval 'soon'\n"],
    [sleep, ["sleep"], 1, "sleep: missing operand\n"],
    [hexdump, ["hexdump", "-n", "many"], 1, "hexdump: invalid number\n"],
    [kill, ["kill", "99999"], 1, "kill: (99999) - No such process\n"],
    [kill, ["kill", "-NOSIG", "1"], 1, "kill: NOSIG: invalid signal specification\n"],
  ])("%o %j", (main, argv, status, err) => expect(run(main, ...argv)).toEqual({ status, out: "", err }));

  it("several files have their names", () => {
    expect(run(grep, "grep", "proc", "/proc/filesystems", "/proc/mounts").out).toBe(
      "/proc/filesystems:nodev\tproc\n/proc/mounts:proc /proc proc rw 0 0\n",
    );
    expect(run(head, "head", "-n1", "/proc/filesystems", "/proc/mounts").out).toBe(
      "==> /proc/filesystems <==\nnodev\tdevtmpfs\n==> /proc/mounts <==\ndevtmpfs /dev devtmpfs rw 0 0\n",
    );
    expect(run(wc, "wc", "-l", "/proc/filesystems", "/proc/mounts").out).toBe(
      "3 /proc/filesystems\n3 /proc/mounts\n6 total\n",
    );
  });
});

describe("hexdump", () => {
  it("-C: bytes, characters, repeated lines, and where it ends", () => {
    disk.data.set(Buffer.from("Hello, block device!\0\x7f"), 4096);
    expect(run(hexdump, "hexdump", "-C", "-s", "4k", "-n", "70", "/dev/xvdc").out).toBe(
      "00001000  48 65 6c 6c 6f 2c 20 62  6c 6f 63 6b 20 64 65 76  |Hello, block dev|\n" +
        "00001010  69 63 65 21 00 7f 00 00  00 00 00 00 00 00 00 00  |ice!............|\n" +
        "00001020  00 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00  |................|\n" +
        "*\n" +
        "00001040  00 00 00 00 00 00                                 |......|\n" +
        "00001046\n",
    );
  });

  it("words by default, of a stream as well, with what is skipped", () => {
    expect(feed(hexdump, ["hexdump", "-s", "2"], { input: "ABCDEFG" }).out).toBe("0000002 4443 4645 0047\n0000007\n");
  });
});

describe("time", () => {
  it("sleep: virtual time passes, SIGINT ends it", () => {
    const before = kernel.now();
    expect(run(sleep, "sleep", "1.5", "1m").status).toBe(0);
    expect(kernel.now() - before).toBeGreaterThanOrEqual(61.5e9);
    const interrupted = feed(sleep, ["sleep", "1000"], { started: (task) => void interrupt_soon(task) });
    expect(interrupted.status).toBe(130);
    expect(kernel.now() - before).toBeLessThan(70e9);
  });

  it("uptime, free, top, clear", () => {
    expect(run(uptime, "uptime").out).toMatch(/^ \d\d:\d\d:\d\d up \d\d:\d\d:\d\d, \d+ tasks, \d+ running\n$/);
    expect(run(free, "free").out).toMatch(/^ +total .*\nMem: +8\d\d\d +\d+ +\d+ +\d+ +\d+\n$/);
    const { out, status } = run(top, "top", "-n", "2", "-d", "0.5");
    expect(status).toBe(0);
    expect(out.match(/^top - up /gm)).toHaveLength(2);
    expect(out).toMatch(/^ +\d+ R +0 +\d+\.\d +\d+\.\d{6} +\d+ top$/m);
    expect(run(top, "top", "-n", "x").status).toBe(1);
    expect(run(clear, "clear").out).toBe("\x1b[H\x1b[2J\x1b[3J");
  });

  it("kill sends the signal", () => {
    const outcome = feed(sleep, ["sleep", "1000"], {
      started: (task) =>
        void kernel.spawn(function* () {
          yield* usleep_range(50, 50);
          expect((yield* kill(["kill", String(task.pid)], { files: [] as never } as never)) === 0).toBe(true);
          return 0;
        }),
    });
    expect(outcome.status).toBe(128 + SIGTERM);
  });
});

function interrupt_soon(task: Parameters<typeof send_sig>[1]): void {
  kernel.spawn(function* () {
    yield* usleep_range(5, 5);
    return send_sig(SIGINT, task, 0);
  });
}

describe("dd", () => {
  it("copies its input to its output where no file is named", () => {
    expect(feed(dd, ["dd", "bs=4", "count=2"], { input: "abcdefghijkl" })).toMatchObject({
      status: 0,
      out: "abcdefgh",
      err: expect.stringContaining("2+0 records in\n2+0 records out\n8 bytes") as string,
    });
    expect(feed(dd, ["dd", "of=/dev/xvdc", "oflag=direct"], { input: "x".repeat(600) }).status).toBe(0);
    expect(Buffer.from(disk.data.subarray(0, 601)).toString("latin1")).toBe(`${"x".repeat(600)}\0`);
  });
});

describe("fio", () => {
  const job = (...words: string[]) => run(fio, "fio", "--name=t", "--filename=/dev/xvdc", ...words);

  it("randread: every block once, in an order of its own, with a summary", () => {
    disk.data.set(pattern(1 << 20));
    const { status, out, err } = job("--rw=randread", "--size=64k");
    expect({ status, err }).toEqual({ status: 0, err: "" });
    const reads = disk.take();
    expect([...reads].sort()).toEqual(Array.from({ length: 16 }, (_, i) => `READ ${i * 8}+8`).sort());
    expect(reads).not.toEqual(Array.from({ length: 16 }, (_, i) => `READ ${i * 8}+8`));
    expect(out).toMatch(/^t: \(g=0\): rw=randread, bs=4\.00KiB, ioengine=bio, iodepth=1\nStarting 1 thread\n/);
    expect(out).toMatch(/t: \(groupid=0, jobs=1\): err= 0: pid=\d+\n {2}read: IOPS=/);
    expect(out).toMatch(/clat \((nsec|usec)\): min=\d+, max=\d+, avg=\d+\.\d\d, stdev=\d+\.\d\d\n/);
    expect(out).toMatch(/ {5}\| {1,2}1\.00th=\[ *\d+\], {1,2}5\.00th=/);
    expect(out).toContain("issued rwts: total=16,0,0,0 short");
    expect(out).toMatch(/Run status group 0 \(all jobs\):\n {3}READ: bw=/);
  });

  it("the same seed gives the same order, another one another", () => {
    const order = (seed: number) => (job("--rw=randread", "--size=64k", `--randseed=${seed}`), disk.take().join());
    expect(order(1)).toBe(order(1));
    expect(order(1)).not.toBe(order(2));
  });

  it("verify=crc32c: what was written is read back; a flipped bit and another seed are found", () => {
    const { status, out } = job("--rw=randwrite", "--bs=8k", "--size=128k", "--verify=crc32c", "--iodepth=4");
    expect(status).toBe(0);
    expect(out).toContain("verify: crc32c, 16 blocks\n");
    expect(out).toContain("issued rwts: total=0,16,0,0 short");
    expect(job("--rw=read", "--bs=8k", "--size=128k", "--verify=crc32c").status).toBe(0);
    disk.data[3 * 8192 + 5000] ^= 1;
    const bad = job("--rw=read", "--bs=8k", "--size=128k", "--verify=crc32c");
    expect(bad.status).toBe(1);
    expect(bad.err).toMatch(/^fio: verify: verify failed: crc32c \w+, wanted \w+ at file \/dev\/xvdc offset 24576\n/);
    disk.data[3 * 8192 + 5000] ^= 1;
    expect(job("--rw=read", "--bs=8k", "--size=128k", "--verify=crc32c", "--randseed=7").err).toContain(
      "bad header rand_seed",
    );
  });

  it("a mix has about the share of reads that was asked for", () => {
    const { out } = job("--rw=randrw", "--rwmixread=80", "--number_ios=200", "--size=256k");
    const [, reads, writes] = /total=(\d+),(\d+),0,0/.exec(out) as RegExpExecArray;
    expect(Number(reads) + Number(writes)).toBe(200);
    expect(Number(reads)).toBeGreaterThan(140);
    expect(Number(reads)).toBeLessThan(180);
  });

  it("a job file on standard input, with what is common to all jobs", () => {
    const input =
      "; a comment\n[global]\nfilename=/dev/xvdc\nbs=4k\nioengine=libaio\n\n[one]\nrw=write\nsize=16k\n[two]\nrw=read\noffset=512k\nsize=8k\n";
    const { status, out } = feed(fio, ["fio", "-"], { input });
    expect(status).toBe(0);
    expect(out).toContain("one: (groupid=0");
    expect(out).toContain("two: (groupid=0");
    expect(disk.take().sort()).toEqual(["READ 1024+8", "READ 1032+8", ...[0, 16, 24, 8].map((at) => `WRITE ${at}+8`)]);
  });

  it.each([
    [["--rw=sideways"], "fio: failed parsing rw=sideways; known: read, write, randread"],
    [["--bs=100"], "fio: failed parsing bs=100"],
    [["--bs=2M"], "fio: failed parsing bs=2M"],
    [["--verify=md5"], "fio: failed parsing verify=md5; known: crc32c"],
    [["--colour=red"], "fio: unrecognized option 'colour'"],
    [["--filename=/dev/none"], "fio: /dev/none: No such file or directory"],
    [["--filename=/proc/version"], "fio: /proc/version: not a block device"],
    [["--offset=1M"], "fio: /dev/xvdc: no block of 4096 bytes fits at offset 1048576"],
    [["/proc/none"], "fio: unable to open '/proc/none' job file: No such file or directory"],
  ])("%j", (words, complaint) => {
    const { status, err } = job(...words);
    expect(status).toBe(1);
    expect(err.startsWith(complaint)).toBe(true);
  });

  it("without a job it says how to make one", () =>
    expect(run(fio, "fio").err).toMatch(/^No job\(s\) defined; try: fio /));
});

it("help knows every program", () => {
  const folder = path.join(import.meta.dirname, "../../../images/programs");
  const programs = fs.readdirSync(folder).filter((name) => name.endsWith(".ts"));
  expect(Object.keys(HELP).sort()).toEqual(programs.map((name) => name.slice(0, -3)).sort());
});
