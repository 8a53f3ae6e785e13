import * as fs from "node:fs";
import { describe, expect, it } from "vitest";
import { ENGINE_NAMES } from "xenolith";
import { scratchFolder, xenolith } from "./run";

const at = scratchFolder();
const SMALL = ["--blocks", "48", "--depth", "8"];

interface Document {
  version: number;
  image: { id: string };
  seed: number;
  engine: string;
  traceHash: string;
  domains: { id: number; name: string; state: string; bootNs: number }[];
  disks: { name: string }[];
  workload: { ops: number; errors: number; verified: boolean; iopsVirtual: number; latencyNs: object } | null;
  counters: Record<string, number>;
  runs?: { command: string; status: number; output: string }[];
  host?: { wallMs: Record<string, number>; iopsWall: number | null; rssBytes: number; phases?: object[] };
}

async function boot(...argv: string[]): Promise<Document> {
  const { code, stdout, stderr } = await xenolith(["boot", "--json", ...argv]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  return JSON.parse(stdout) as Document;
}

function withoutHost(document: Document): Document {
  const { host, ...rest } = document;
  expect(host).toBeDefined();
  return rest;
}

/** A new disk file with a pattern; 4 MiB, so that the workload leaves its ends alone. */
function disk(name: string): string {
  fs.writeFileSync(
    at(name),
    Buffer.alloc(4 << 20).map((_, i) => i * 7),
  );
  return `${at(name)},raw,xvda,w`;
}

describe("boot --json", () => {
  it("has the documented parts", async () => {
    const document = await boot("--disk", "ram:4M", ...SMALL);
    expect(document).toMatchObject({
      version: 1,
      seed: 1,
      engine: "quickjs",
      traceHash: expect.stringMatching(/^[0-9a-f]{64}$/) as string,
      domains: [
        { id: 0, name: "dom0", state: "running" },
        { id: 1, name: "domU", state: "running" },
      ],
      disks: [{ name: "xvda" }],
      workload: { ops: 48 + 12 + 48, errors: 0, verified: true },
    });
    expect(Object.keys(document.workload?.latencyNs ?? {})).toEqual(["p50", "p99", "max"]);
    for (const { bootNs } of document.domains) expect(bootNs).toBeGreaterThan(0);
    for (const name of ["hypercalls", "events", "grantMaps"]) expect(document.counters[name]).toBeGreaterThan(0);
    expect(Object.keys(document.host?.wallMs ?? {})).toEqual(["start", "boot", "workload"]);
    expect(document.host?.iopsWall).toBeGreaterThan(0);
    expect(document.host?.rssBytes).toBeGreaterThan(1 << 20);
  });

  it("two runs of one seed on equal disks are equal but for the host, in both engines", async () => {
    const documents: Document[] = [];
    for (const engine of [...ENGINE_NAMES, ...ENGINE_NAMES]) {
      const spec = disk("equal.img");
      documents.push(withoutHost(await boot("--disk", spec, "--seed", "9", "--engine", engine, ...SMALL)));
    }
    expect(documents[2]).toEqual(documents[0]);
    expect(documents[3]).toEqual(documents[1]);
    expect({ ...documents[1], engine: "" }).toEqual({ ...documents[0], engine: "" });
  });

  it("a second run on the same file is equal to the first: what a boot reads is not overwritten", async () => {
    const spec = disk("same.img");
    const first = await boot("--disk", spec, ...SMALL);
    expect(withoutHost(await boot("--disk", spec, ...SMALL))).toEqual(withoutHost(first));
  });

  it("the workload leaves the first and the last MiB of a disk of 4 MiB alone", async () => {
    const spec = disk("ends.img");
    const before = fs.readFileSync(at("ends.img"));
    await boot("--disk", spec, "--blocks", "4096", "--depth", "32");
    const after = fs.readFileSync(at("ends.img"));
    const MIB = 1 << 20;
    expect(after.subarray(0, MIB).equals(before.subarray(0, MIB))).toBe(true);
    expect(after.subarray(3 * MIB).equals(before.subarray(3 * MIB))).toBe(true);
    for (let at = MIB; at < 3 * MIB; at += 4096) expect(after.toString("latin1", at, at + 4)).toBe("XLBK");
  });

  it("another seed, and another first byte of the disk, give another hash", async () => {
    const hashes = new Set<string>();
    for (const [seed, byte] of [
      ["1", 0],
      ["2", 0],
      ["1", 1],
    ] as const) {
      const spec = disk("byte.img");
      const fd = fs.openSync(at("byte.img"), "r+");
      fs.writeSync(fd, Uint8Array.of(byte), 0, 1, 0);
      fs.closeSync(fd);
      hashes.add((await boot("--disk", spec, "--seed", seed, ...SMALL)).traceHash);
    }
    expect(hashes.size).toBe(3);
  });

  it("with --exec it holds what ran, and the exit code is that of the first program that failed", async () => {
    const argv = ["boot", "--json", "--bootchart", "--disk", "ram:4M", "--exec", "lsblk", "--exec", "cat /none"];
    const { code, stdout } = await xenolith(argv);
    const document = JSON.parse(stdout) as Document;
    expect(code).toBe(1);
    expect(document.workload).toBeNull();
    expect(document.runs?.map(({ command, status }) => [command, status])).toEqual([
      ["lsblk", 0],
      ["cat /none", 1],
    ]);
    expect(document.host?.phases?.length).toBeGreaterThan(4);
  });
});

describe("boot", () => {
  it("writes no colours and no progress to a file", async () => {
    const { stdout, stderr } = await xenolith(["boot", "--bootchart", "--disk", "ram:4M", ...SMALL]);
    expect(stdout + stderr).not.toContain("\u001b");
    expect(stderr).toBe("");
    expect(stdout).toMatch(/^phase +ms +\+ms$/m);
  });

  it("writes colours and progress to a terminal", async () => {
    const { stdout, stderr } = await xenolith(["boot", "--disk", "ram:4M", ...SMALL], "terminal");
    expect(stdout).toContain("\u001b[32m");
    expect(stderr).toMatch(/writing and reading 48 blocks in domU .../);
  });

  it("with --quiet it prints the table alone, with --exec the programs' output alone", async () => {
    expect((await xenolith(["boot", "-q", "--disk", "ram:4M", ...SMALL])).stdout).toMatch(/^\n┌/);
    const { stdout, stderr } = await xenolith(["boot", "--disk", "ram:4M", "--exec", "echo a b"]);
    expect(stdout).toBe("a b\n");
    expect(stderr).toMatch(/xvda: domain 1 \(front\) and domain 0 \(back\), connected/);
  });

  it("runs programs in the domain that --domain names", async () => {
    const domains = [{ name: "dom0", modules: ["hostdisk", "xen-blkback"] }, { name: "other" }];
    fs.writeFileSync(at("machine.json"), JSON.stringify({ version: 1, domains }));
    const { stdout } = await xenolith(["boot", at("machine.json"), "-q", "--domain", "dom0", "--exec", "lsmod"]);
    expect(stdout).toMatch(/xen_blkback/);
  });
});
