import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { EIO, ENOSPC } from "../../../../hal/abi/errno";
import { openFileDisk } from "../../../../hal/host/disks/file";
import { UserError } from "../../../../hal/host/errors";
import { diskContract } from "./contract";

vi.mock("node:fs", async (original) => {
  const real = await original<typeof fs>();
  return {
    ...real,
    writeSync: vi.fn(real.writeSync),
    openSync: vi.fn(real.openSync),
    fdatasyncSync: vi.fn(real.fdatasyncSync),
    readSync: vi.fn(real.readSync),
  };
});

let folder: string;
let count = 0;

beforeAll(() => void (folder = fs.mkdtempSync(path.join(os.tmpdir(), "xenolith-disks-"))));
afterAll(() => fs.rmSync(folder, { recursive: true }));

function fileOf(bytes: Uint8Array): string {
  const file = path.join(folder, `disk-${count++}.img`);
  fs.writeFileSync(file, bytes);
  return file;
}

/** A call of the host that fails. */
const fail = (code: string) => () => {
  throw Object.assign(new Error(code), { code });
};

/** The error that opening ends with. */
function complaint(file: string, options?: Parameters<typeof openFileDisk>[1]): UserError {
  try {
    openFileDisk(file, options).close();
  } catch (error) {
    if (error instanceof UserError) return error;
    throw error;
  }
  throw new Error(`${file} was opened`);
}

diskContract((bytes, options) => openFileDisk(fileOf(bytes), options));

describe("opening", () => {
  it("a file that is missing: says how to make one", () => {
    const file = path.join(folder, "none.img");
    expect(complaint(file)).toMatchObject({ code: "DISK_MISSING", exitCode: 2 });
    expect(
      complaint(file).message.startsWith(`disk ${file}: no such file; make one, for instance: truncate -s 64M `),
    ).toBe(true);
  });

  it("a directory", () => {
    expect(complaint(folder)).toMatchObject({ code: "DISK_DIRECTORY", exitCode: 2 });
    expect(complaint(folder).message).toContain(folder);
  });

  it.each([
    [0, "512"],
    [1000, "512 and 1024"],
    [511, "512"],
  ])("a file of %i bytes: the nearest sizes are named: %s", (size, nearest) => {
    const error = complaint(fileOf(new Uint8Array(size)));
    expect(error).toMatchObject({ code: "DISK_SIZE", exitCode: 2 });
    expect(error.message).toContain(`its ${size} bytes`);
    expect(error.message.endsWith(nearest)).toBe(true);
  });

  it("a file that may only be read: says so, unless it is attached for reading", () => {
    const file = fileOf(new Uint8Array(512));
    // The superuser may write every file, so the refusal is made here.
    vi.mocked(fs.openSync).mockImplementationOnce(fail("EACCES"));
    expect(complaint(file)).toMatchObject({ code: "DISK_READONLY", exitCode: 2 });
    vi.mocked(fs.openSync).mockImplementationOnce(fail("EMFILE"));
    expect(complaint(file)).toMatchObject({ code: "DISK_UNUSABLE", exitCode: 2 });
    vi.mocked(fs.openSync).mockImplementationOnce(fail("EACCES"));
    expect(complaint(file, { access: "r" })).toMatchObject({ code: "DISK_UNUSABLE", exitCode: 2 });
    const disk = openFileDisk(file, { access: "r" });
    expect(disk.read(0, new Uint8Array(512))).toBe(0);
    disk.close();
  });

  it("only the beginning of a file, when that is asked for", () => {
    const disk = openFileDisk(fileOf(new Uint8Array(4096)), { sizeBytes: 1024 });
    expect(disk.info.sectors).toBe(2);
    disk.close();
  });
});

describe("errors of the host", () => {
  it("a file that got shorter under the disk: EIO, never short data", () => {
    const file = fileOf(new Uint8Array(4096).fill(1));
    const disk = openFileDisk(file);
    fs.truncateSync(file, 1000);
    expect(disk.read(0, new Uint8Array(512))).toBe(0);
    expect(disk.read(0, new Uint8Array(4096))).toBe(-EIO);
    expect(disk.read(4, new Uint8Array(512))).toBe(-EIO);
    disk.close();
  });

  it("a full file system: ENOSPC; anything else: EIO", () => {
    const disk = openFileDisk(fileOf(new Uint8Array(4096)));
    vi.mocked(fs.writeSync).mockImplementationOnce(fail("ENOSPC"));
    expect(disk.write(0, new Uint8Array(512))).toBe(-ENOSPC);
    vi.mocked(fs.writeSync).mockImplementationOnce(fail("EIO"));
    expect(disk.discard(0, 1, "ordinary")).toBe(-EIO);
    vi.mocked(fs.fdatasyncSync).mockImplementationOnce(fail("EIO"));
    expect(disk.flush()).toBe(-EIO);
    expect(disk.write(0, new Uint8Array(512))).toBe(0);
    disk.close();
  });

  it("the host moves less than asked: the rest follows", () => {
    const disk = openFileDisk(fileOf(new Uint8Array(4096)));
    const data = Uint8Array.from({ length: 2048 }, (_, i) => i & 0xff);
    const { writeSync, readSync } = fs;
    const piece = 100;
    vi.mocked(writeSync).mockImplementation(((
      fd: number,
      from: Uint8Array,
      at: number,
      length: number,
      place: number,
    ) => {
      const bytes = from.slice(at, at + Math.min(length, piece));
      fs.writevSync(fd, [bytes], place);
      return bytes.length;
    }) as typeof fs.writeSync);
    expect(disk.write(2, data)).toBe(0);
    vi.mocked(writeSync).mockReset();
    vi.mocked(readSync).mockImplementation(((fd: number, into: Uint8Array, at: number, length: number, place: number) =>
      fs.readvSync(fd, [into.subarray(at, at + Math.min(length, piece))], place)) as typeof fs.readSync);
    const back = new Uint8Array(2048);
    expect(disk.read(2, back)).toBe(0);
    vi.mocked(readSync).mockReset();
    expect(back).toEqual(data);
    disk.close();
  });

  it("a flush reaches the file", () => {
    const disk = openFileDisk(fileOf(new Uint8Array(512)));
    vi.mocked(fs.fdatasyncSync).mockClear();
    expect(disk.flush()).toBe(0);
    expect(fs.fdatasyncSync).toHaveBeenCalledTimes(1);
    disk.close();
  });
});
