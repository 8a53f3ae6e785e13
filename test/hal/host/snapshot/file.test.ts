import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { Machine, type MachineSnapshot, UserError, readSnapshot, writeSnapshot } from "xenolith";
import { bootMachine, packageImage } from "xenolith/kit";
import { packSnapshot, unpackSnapshot } from "../../../../hal/host/snapshot/file";

let folder: string;
let machine: Machine;
let snapshot: MachineSnapshot;
let good: Buffer;
const forks: Machine[] = [];
const file = (): string => path.join(folder, "machine.snap");
const disk = (): string => path.join(folder, "disk.img");

beforeAll(async () => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), "xenolith-file-"));
  fs.writeFileSync(disk(), new Uint8Array(1 << 20).fill(3));
  machine = await bootMachine({
    flavour: "release",
    disks: [`${disk()},raw,xvda,w`, "ram:64K,raw,xvdb,w"],
    diskWrites: "overlay",
  });
  machine.run("domU", "dd if=/dev/zero of=/dev/xvda bs=4k count=2");
  snapshot = machine.snapshot();
  await writeSnapshot(file(), snapshot);
  good = fs.readFileSync(file());
});
afterEach(() => forks.splice(0).forEach((fork) => fork.dispose()));
afterAll(() => {
  machine.dispose();
  fs.rmSync(folder, { recursive: true });
});

async function problem(bytes: Buffer): Promise<string> {
  fs.writeFileSync(file(), bytes);
  try {
    await readSnapshot(file(), packageImage());
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    expect(error.exitCode).toBe(3);
    expect(error.message).toContain(file());
    expect(error.message).not.toContain("\n");
    return error.code;
  } finally {
    fs.writeFileSync(file(), good);
  }
  return "none";
}

/** The file with its head changed, and the head's hash made right again. */
async function withHead(change: (head: string) => string): Promise<Buffer> {
  const { createHash } = await import("node:crypto");
  const end = 16 + good.readUInt32LE(12);
  const head = Buffer.from(change(good.toString("utf8", 16, end)), "utf8");
  const prefix = Buffer.from(good.subarray(0, 16));
  prefix.writeUInt32LE(head.length, 12);
  const hash = createHash("sha256").update(prefix).update(head).digest();
  return Buffer.concat([prefix, head, hash, good.subarray(end + 32)]);
}

describe("a snapshot file", () => {
  it("goes on as the machine itself would have, in what was read from it, and the disk's file stays as it is", async () => {
    const read = await readSnapshot(file(), packageImage());
    expect(read.data.state).toEqual(snapshot.data.state);
    const fork = await Machine.fromSnapshot(read);
    forks.push(fork);
    for (const one of [machine, fork]) {
      expect(one.run("domU", "verify /dev/xvda blocks=16 depth=4").status).toBe(0);
      one.advance(5_000_000);
    }
    expect(fork.traceHash()).toBe(machine.traceHash());
    expect(fs.readFileSync(disk()).every((byte) => byte === 3)).toBe(true);
  });

  it("is smaller than 2 MiB, and says what it is of without being unpacked", async () => {
    expect(good.length).toBeLessThan(2 << 20);
    const { head } = await unpackSnapshot(good, "x");
    expect(head).toMatchObject({ engine: { name: "quickjs" }, image: packageImage().id, flavour: "release", seed: 1 });
    expect(head.files).toEqual([
      { file: disk(), size: 1 << 20, sha256: expect.stringMatching(/^[0-9a-f]{64}$/) as string },
    ]);
    expect(good.toString("utf8")).toContain(disk());
  });

  it("unpacked, as the boot cache keeps it, it is the same, large arrays shared with the bytes, and any damage is noticed", async () => {
    const bytes = await packSnapshot(snapshot, "more", "none");
    const { data, extra } = await unpackSnapshot(bytes, "test");
    expect(bytes.length).toBeGreaterThan(2 << 20);
    expect(extra).toBe("more");
    expect((await packSnapshot({ ...snapshot, data })).equals(good)).toBe(true);
    expect(data.engine.memory.bytes.buffer === bytes.buffer).toBe(true);
    for (const at of [300, bytes.length >> 1, bytes.length - 1]) {
      bytes[at] ^= 1;
      await expect(unpackSnapshot(bytes, "test")).rejects.toMatchObject({ code: expect.stringContaining("CORRUPT") });
      bytes[at] ^= 1;
    }
  });

  it("cut off anywhere, it is refused as such", async () => {
    const places = [8, 12, 15, 16, 40, good.length >> 1, good.length - 1];
    for (const length of places)
      expect(await problem(good.subarray(0, length)), String(length)).toBe("SNAPSHOT_TRUNCATED");
    for (const length of [0, 3]) expect(await problem(good.subarray(0, length))).toBe("SNAPSHOT_FORMAT");
  });

  it("with any byte changed, it is refused", async () => {
    for (let at = 0; at < good.length; at += 1 + Math.floor(good.length / 40)) {
      const bad = Buffer.from(good);
      bad[at] ^= 0x10;
      expect(await problem(bad), String(at)).toMatch(/^SNAPSHOT_(FORMAT|VERSION|CORRUPT|TRUNCATED)$/);
    }
    expect(await problem(Buffer.concat([good, Buffer.of(0)]))).toBe("SNAPSHOT_CORRUPT");
  });

  it("of a newer format, of another program, build, engine or image, it is refused with that reason", async () => {
    const newer = Buffer.from(good);
    newer.writeUInt32LE(2, 8);
    expect(await problem(newer)).toBe("SNAPSHOT_VERSION");
    const { head } = await unpackSnapshot(good, "x");
    expect(await problem(await withHead((text) => text))).toBe("none");
    for (const [old, code] of [
      [`"xenolith":"${head.xenolith}"`, "SNAPSHOT_XENOLITH"],
      [`"build":"${head.build}"`, "SNAPSHOT_BUILD"],
      [`"code":"${head.engine.code}"`, "SNAPSHOT_ENGINE_CODE"],
      [`"image":"${head.image}"`, "SNAPSHOT_IMAGE"],
    ]) {
      const other = old.replace(/.{3}"$/, 'zzz"');
      expect(await problem(await withHead((text) => text.replace(old, other)))).toBe(code);
    }
    expect(await problem(Buffer.from("PK\x03\x04 something else entirely, long enough"))).toBe("SNAPSHOT_FORMAT");
  });

  it("a disk's file that has changed since is refused when writing, and when restoring", async () => {
    const original = fs.readFileSync(disk());
    try {
      fs.writeFileSync(disk(), Buffer.from(original).fill(4, 99, 100));
      const read = await readSnapshot(file(), packageImage());
      await expect(Machine.fromSnapshot(read)).rejects.toThrow(/disk\.img is not what it was.*--disk-overlay/);
      await expect(writeSnapshot(path.join(folder, "late.snap"), snapshot)).rejects.toThrow(/is not what it was/);
      expect(fs.existsSync(path.join(folder, "late.snap"))).toBe(false);
    } finally {
      fs.writeFileSync(disk(), original);
    }
  });

  it("that is not there is a usage error", async () => {
    await expect(readSnapshot(path.join(folder, "none.snap"))).rejects.toMatchObject({ exitCode: 2 });
  });
});
