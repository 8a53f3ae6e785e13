import * as fs from "node:fs";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { scratchFolder, xenolith } from "./run";

const scratch = scratchFolder();
const DISK_BYTES = 4 << 20;
const disk = (): string => scratch("disk.img");
const cache = (): string => scratch("cache");
const BOOT = (): string[] => ["boot", "--disk", `${disk()},raw,xvda,w`, "--blocks", "8", "--depth", "4"];

/** What the disk holds before each boot of `boot`: the workload of the last one is undone. */
let bytes: Buffer;

function boot(...flags: string[]): ReturnType<typeof xenolith> {
  fs.writeFileSync(disk(), bytes);
  return xenolith([...BOOT(), ...flags]);
}

beforeEach(() => {
  bytes = Buffer.alloc(DISK_BYTES, 1);
  fs.writeFileSync(disk(), bytes);
  vi.stubEnv("XENOLITH_CACHE", cache());
});
afterEach(() => {
  vi.unstubAllEnvs();
  fs.rmSync(cache(), { recursive: true, force: true });
});

interface Document {
  traceHash: string;
  host: { from: string; phases?: { phase: string }[] };
}

async function document(...flags: string[]): Promise<Document> {
  const { code, stdout, stderr } = await boot("--json", ...flags);
  expect(stderr).toBe("");
  expect(code).toBe(0);
  return JSON.parse(stdout) as Document;
}

function withoutHost({ host: _host, ...rest }: Document): object {
  return rest;
}

function entries(): string[] {
  return fs.readdirSync(cache()).sort();
}

describe("the boot cache", () => {
  it("the second boot comes from it, and its document is that of a real boot", async () => {
    const [first, second, real] = [await document(), await document(), await document("--no-cache")];
    expect([first, second, real].map(({ host }) => host.from)).toEqual(["boot", "cache", "boot"]);
    expect(withoutHost(second)).toEqual(withoutHost(real));
    expect(withoutHost(first)).toEqual(withoutHost(real));
    expect(entries()).toHaveLength(1);
  });

  it("prints the boot log and the table as a boot does; the bootchart says where the machine came from", async () => {
    const flags = ["--bootchart"];
    const outputs = [];
    for (let i = 0; i < 2; i++) outputs.push((await boot(...flags)).stdout);
    const plain = outputs.map((text) => text.slice(0, text.indexOf("\nphase")).replace(/wall time .*/, ""));
    expect(plain[1]).toBe(plain[0]);
    expect(plain[0]).toContain("blkfront: xvda");
    expect(outputs[0]).toContain("machine made");
    expect(outputs[1]).toContain("restored from the boot cache");
    expect(outputs[1]).not.toContain("takes programs");
  });

  it("programs run in a machine from it as in a booted one", async () => {
    const run = () =>
      xenolith(["boot", "--disk", `${disk()},raw,xvda,w`, "--exec", "cat /proc/cmdline", "--exec", "dmesg"]);
    const [first, second] = [await run(), await run()];
    expect(second).toEqual(first);
    expect(entries()).toHaveLength(1);
  });

  it.each([
    ["another seed", ["--seed", "9"]],
    ["another command line", ["--append", "domU=loglevel=8"]],
    ["another flavour", ["--flavour", "debug"]],
    ["another disk", ["--disk", "ram:1M,raw,xvdb,w"]],
  ])("%s is another entry", async (_what, flags) => {
    await document();
    expect((await document(...flags)).host.from).toBe("boot");
    expect(entries()).toHaveLength(2);
    expect((await document(...flags)).host.from).toBe("cache");
  });

  it("what the boot reads of the disk counts, what it does not read does not", async () => {
    await document();
    // Where the workload is: a machine from the cache sees it, as a booted one would.
    bytes.fill(7, DISK_BYTES / 4, DISK_BYTES / 2);
    const cached = await document();
    expect(cached.host.from).toBe("cache");
    expect(withoutHost(await document("--no-cache"))).toEqual(withoutHost(cached));
    // A partition table.
    bytes[510] = 0x55;
    bytes[511] = 0xaa;
    const changed = await document();
    expect(changed.host.from).toBe("boot");
    const again = await document();
    expect(again.host.from).toBe("cache");
    expect(withoutHost(again)).toEqual(withoutHost(changed));
    expect(withoutHost(await document("--no-cache"))).toEqual(withoutHost(changed));
  });

  it("another size of the disk is another entry", async () => {
    await document();
    bytes = Buffer.alloc(2 * DISK_BYTES, 1);
    expect((await document()).host.from).toBe("boot");
  });

  it("a damaged entry is not used, said with --bootchart only, and replaced", async () => {
    const real = await document();
    const file = scratch(`cache/${entries()[0]}`);
    for (const damage of [
      (bytes: Buffer) => bytes.subarray(0, bytes.length >> 1),
      (bytes: Buffer) => bytes.fill(0, 2000, 2010),
      () => Buffer.alloc(0),
    ]) {
      fs.writeFileSync(file, damage(fs.readFileSync(file)));
      const again = await document();
      expect(again.host.from).toBe("boot");
      expect(withoutHost(again)).toEqual(withoutHost(real));
      expect((await document()).host.from).toBe("cache");
    }
    fs.writeFileSync(file, "rubbish");
    expect((await boot("--bootchart")).stderr).toMatch(/^xenolith: boot cache: .*is not a snapshot/);
  });

  it("a folder that cannot be made is harmless; an empty XENOLITH_CACHE, V8 and --no-cache leave no entry", async () => {
    fs.writeFileSync(cache(), "a file");
    expect((await document()).host.from).toBe("boot");
    fs.rmSync(cache());
    await document("--no-cache");
    await document("--engine", "v8");
    vi.stubEnv("XENOLITH_CACHE", "");
    await document();
    expect(fs.existsSync(cache())).toBe(false);
  });

  it("keeps the entries used last, and at most sixteen", async () => {
    await document();
    const [entry] = entries();
    const used = scratch(`cache/${entry}`);
    fs.utimesSync(used, 1e9, 1e9);
    for (let i = 0; i < 20; i++) {
      fs.writeFileSync(scratch(`cache/${i}.snap`), "old");
      fs.utimesSync(scratch(`cache/${i}.snap`), 1e9 + i, 1e9 + i);
    }
    fs.writeFileSync(scratch("cache/x.snap.1.tmp"), "draft");
    fs.utimesSync(scratch("cache/x.snap.1.tmp"), 1e9, 1e9);
    expect((await document()).host.from).toBe("cache");
    await document("--seed", "5");
    expect(entries()).toHaveLength(16);
    expect(entries()).toContain(entry);
    expect(entries()).toContain("19.snap");
    expect(entries()).not.toContain("5.snap");
    expect(entries().filter((name) => name.endsWith(".tmp"))).toEqual([]);
  });

  it("what a boot would complain of is complained of all the same", async () => {
    await document();
    fs.rmSync(disk());
    expect((await xenolith(BOOT())).code).toBe(2);
    fs.mkdirSync(disk());
    expect((await xenolith(BOOT())).code).toBe(2);
    fs.rmdirSync(disk());
  });
});

describe("--snapshot and --restore", () => {
  const snap = (): string => scratch("machine.snap");
  const save = (...flags: string[]) =>
    xenolith([...BOOT(), "--no-cache", "--disk-overlay", "--snapshot", snap(), ...flags]);
  const restore = (...flags: string[]) =>
    xenolith(["boot", "--restore", snap(), "--disk-overlay", "--blocks", "8", "--depth", "4", ...flags]);

  it("the work after a restore is the work after the boot, as often as one likes; the disk's file stays as it is", async () => {
    const saved = await save("--json");
    expect(saved).toMatchObject({ code: 0, stderr: expect.stringContaining(`saved ${snap()}`) as string });
    const real = JSON.parse(saved.stdout) as Document;
    for (let i = 0; i < 2; i++) {
      const { code, stdout, stderr } = await restore("--json");
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
      const again = JSON.parse(stdout) as Document;
      expect(again.host.from).toBe("snapshot");
      expect(withoutHost(again)).toEqual(withoutHost(real));
    }
    expect(fs.readFileSync(disk()).every((byte) => byte === 1)).toBe(true);
    const program = await restore("--exec", "lsblk");
    expect(program.stdout).toContain("xvda");
  });

  it("what does not fit is refused with its name, exit code 3", async () => {
    await save();
    const machine = scratch("other.json");
    fs.writeFileSync(machine, JSON.stringify({ version: 1, domains: [{ name: "dom0" }, { name: "domU", vcpus: 2 }] }));
    for (const [flags, message] of [
      [["--seed", "9"], /another seed: 1, not 9/],
      [["--append", "domU=loglevel=8"], /another command line \(--append domU\): nothing, not "loglevel=8"/],
      [["--flavour", "debug"], /another flavour: release, not debug/],
      [["--disk", "ram:1M,raw,xvda,w"], /another machine file \(domains\[1\]\.disks\[0\]\)/],
    ] as const) {
      const { code, stderr } = await restore(...flags);
      expect(stderr).toMatch(message);
      expect(stderr.split("\n")).toHaveLength(2);
      expect(code).toBe(3);
    }
    const other = await xenolith(["boot", machine, "--restore", snap(), "--exec", "ps"]);
    expect(other).toMatchObject({ code: 3, stderr: expect.stringMatching(/another machine file/) as string });
    expect(await restore("--engine", "v8")).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("takes no snapshots") as string,
    });
    fs.writeFileSync(disk(), new Uint8Array(DISK_BYTES).fill(2));
    expect(await restore()).toMatchObject({ code: 3, stderr: expect.stringContaining(disk()) as string });
  });

  it("a file that is not there, is no snapshot, or cannot be written", async () => {
    expect((await xenolith(["boot", "--restore", scratch("none.snap")])).code).toBe(2);
    fs.writeFileSync(snap(), "not one");
    expect(await restore()).toMatchObject({ code: 3, stderr: expect.stringContaining("is not a snapshot") as string });
    const { code, stderr } = await xenolith([...BOOT(), "-q", "--snapshot", scratch("no/such/folder.snap")]);
    expect(stderr).toMatch(/snapshot .*folder\.snap cannot be written/);
    expect(code).toBe(2);
  });
});
