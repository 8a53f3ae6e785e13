import { EACCES, EBADF, EBUSY, EINVAL, EISDIR, ELOOP, ENOENT, ENOSPC, ENOTDIR, ENOTTY } from "xenolith/linux/errno";
import {
  O_RDONLY,
  O_RDWR,
  O_WRONLY,
  S_IFLNK,
  S_IFMT,
  filp_open,
  kern_path,
  read_text_file,
  vfs_fsync,
  vfs_ioctl,
  vfs_mount,
  write_text_file,
  type inode,
} from "xenolith/linux/fs";
import { nr_allocated_pages } from "xenolith/linux/mm";
import { describe, expect, it } from "vitest";
import { directory_inode, text_inode } from "../../../kernel/fs/simple";
import { bootBareKernel } from "../../kit/bare-kernel";
import { open, pread, pwrite, with_file } from "./files";

const kernel = bootBareKernel();
kernel.runInitcalls();

function link(target: string): inode {
  return { i_mode: S_IFLNK | 0o777, i_rdev: 0, i_size: 0, i_fop: {}, i_private: null, i_link: target };
}

function directory(entries: Record<string, inode>): inode {
  return directory_inode(
    () => Object.keys(entries).sort(),
    (name) => entries[name] ?? null,
  );
}

let stored = "";
const entries: Record<string, inode> = {
  file: text_inode({ show: () => "text\n" }, 0o444),
  setting: text_inode(
    {
      show: () => stored,
      *store(text) {
        if (text === "bad") return -EINVAL;
        stored = text;
        return text.length;
      },
    },
    0o644,
  ),
  secret: text_inode(
    {
      *store(text) {
        return text.length;
      },
    },
    0o200,
  ),
  failing: text_inode({ show: () => -EBUSY }, 0o444),
  deep: directory({ deeper: directory({ leaf: text_inode({ show: () => "leaf\n" }, 0o444) }) }),
  absolute: link("/t/deep/deeper"),
  relative: link("deep/deeper"),
  chain: link("relative"),
  up: link("deep/deeper/../.."),
  loop: link("loop"),
  dangling: link("nowhere"),
};
expect(vfs_mount("/t", directory(entries), "testfs")).toBe(0);

function read(path: string): string | number {
  return kernel.run(() => read_text_file(path));
}

describe("names", () => {
  it.each([
    ["/t/file", "text\n"],
    ["t/file", "text\n"],
    ["//t/./file", "text\n"],
    ["/t/deep/../file", "text\n"],
    ["/../../t/file", "text\n"],
    ["/t/absolute/leaf", "leaf\n"],
    ["/t/relative/leaf", "leaf\n"],
    ["/t/chain/leaf", "leaf\n"],
    ["/t/relative/../deeper/leaf", "leaf\n"],
    ["/t/up/file", "text\n"],
    ["/t/none", -ENOENT],
    ["/t/file/x", -ENOTDIR],
    ["/t/file/..", -ENOTDIR],
    ["/t/file/", -ENOTDIR],
    ["/t/dangling", -ENOENT],
    ["/t/loop", -ELOOP],
    ["/t/deep", -EISDIR],
    ["/", -EISDIR],
    ["", -ENOENT],
    ["/t/failing", -EBUSY],
    ["/t/secret", -EACCES],
  ])("%s reads %j", (path, result) => expect(read(path)).toBe(result));

  it("nofollow keeps the last link, not those before it", () => {
    const mode = (path: string): number => (kern_path(path, "nofollow") as inode).i_mode & S_IFMT;
    expect(mode("/t/relative")).toBe(S_IFLNK);
    expect(mode("/t/relative/")).not.toBe(S_IFLNK);
    expect(mode("/t/chain/leaf")).not.toBe(S_IFLNK);
    expect(kern_path("/t/loop/x", "nofollow")).toBe(-ELOOP);
  });

  it("a place is taken once; the root lists what is mounted", () => {
    expect(vfs_mount("/t", directory({}), "testfs")).toBe(-EBUSY);
    expect((kern_path("/") as inode).iterate?.()).toEqual(["dev", "proc", "sys", "t"]);
  });
});

describe("texts", () => {
  it("are written in one piece; what the file says is the result", () => {
    expect(kernel.run(() => write_text_file("/t/setting", "on"))).toBe(0);
    expect(read("/t/setting")).toBe("on");
    expect(kernel.run(() => write_text_file("/t/setting", "bad"))).toBe(-EINVAL);
    expect(kernel.run(() => write_text_file("/t/file", "x"))).toBe(-EACCES);
    expect(kernel.run(() => write_text_file("/t/setting", "x".repeat(4097)))).toBe(-EINVAL);
  });

  it("longer than a page come out whole, and no page stays behind", () => {
    const before = nr_allocated_pages();
    stored = Array.from({ length: 3000 }, (_, i) => i % 10).join("") + "é".repeat(3000);
    expect(read("/t/setting")).toBe(stored);
    expect(nr_allocated_pages()).toBe(before);
  });

  it("have no fsync and no requests of their own", () => {
    expect(kernel.run(() => with_file("/t/file", O_RDONLY, (file) => vfs_fsync(file, 0)))).toBe(-EINVAL);
    expect(kernel.run(() => with_file("/t/file", O_RDONLY, (file) => vfs_ioctl(file, 1, null)))).toBe(-ENOTTY);
  });
});

describe("memory devices", () => {
  it("null swallows, zero gives zeros, full refuses, urandom differs", () => {
    const results = kernel.run(function* () {
      const bytes = new Uint8Array(5000).fill(1);
      const written = yield* with_file("/dev/null", O_RDWR, (file) => pwrite(file, bytes, 0));
      const nothing = yield* with_file("/dev/null", O_RDWR, (file) => pread(file, 100, 0));
      const zeros = yield* with_file("/dev/zero", O_RDONLY, (file) => pread(file, 5000, 0));
      const full = yield* with_file("/dev/full", O_WRONLY, (file) => pwrite(file, bytes, 0));
      const one = yield* with_file("/dev/urandom", O_RDONLY, (file) => pread(file, 5000, 0));
      const two = yield* with_file("/dev/urandom", O_RDONLY, (file) => pread(file, 5000, 0));
      return { written, nothing, zeros, full, one, two };
    });
    expect(results.written).toBe(5000);
    expect(results.nothing).toHaveLength(0);
    expect((results.zeros as Uint8Array).every((byte) => byte === 0)).toBe(true);
    expect(results.zeros).toHaveLength(5000);
    expect(results.full).toBe(-ENOSPC);
    expect(Buffer.compare(results.one as Uint8Array, results.two as Uint8Array)).not.toBe(0);
    expect(new Set(results.one as Uint8Array).size).toBeGreaterThan(200);
  });
});

it("a file that was not opened for it refuses", () => {
  const answers = kernel.run(function* () {
    const file = yield* open("/t/setting", O_WRONLY);
    return [yield* pread(file, 10, 0), yield* filp_open("/t/none", O_RDONLY, 0)];
  });
  expect(answers).toEqual([-EBADF, -ENOENT]);
});
