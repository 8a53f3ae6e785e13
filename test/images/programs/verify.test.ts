import { afterEach, beforeEach, expect, it } from "vitest";
import { nr_allocated_pages } from "xenolith/linux/mm";
import { main as verify } from "../../../images/programs/verify";
import { BLOCK_BYTES, compareDisk } from "../../../hal/host/toolstack/workload";
import { pattern } from "../../kernel/fs/files";
import { MemoryDisk } from "../../kernel/fs/memory-disk";
import { type Outcome, bootWorld } from "./world";

const BLOCKS = 64;
const SEED = 7;
const { kernel, run } = bootWorld();
let disk: MemoryDisk;
let before: Uint8Array;
let pages = 0;

beforeEach(() => {
  pages = nr_allocated_pages();
  disk = new MemoryDisk("xvda", { bytes: 1 << 20, writeCache: true });
  kernel.run(() => disk.add());
  disk.data.set(pattern(1 << 20));
  before = disk.data.slice();
});
afterEach(() => {
  kernel.run(() => disk.remove());
  expect(nr_allocated_pages()).toBe(pages);
});

function runVerify(...words: string[]): Outcome {
  return run(verify, "verify", "/dev/xvda", `blocks=${BLOCKS}`, "depth=8", `seed=${SEED}`, ...words);
}

/** The generations that the output tells. */
function generationsOf({ out }: Outcome): Uint8Array {
  const digits = out
    .split("\n")
    .filter((line) => line.startsWith("generations "))
    .map((line) => line.split(" ")[2])
    .join("");
  return Uint8Array.from(digits, Number);
}

function resultOf({ out }: Outcome): Record<string, number> {
  const line = out.split("\n").find((text) => text.startsWith("result ")) ?? "result {}";
  return JSON.parse(line.slice("result ".length)) as Record<string, number>;
}

function block(index: number): Uint8Array {
  return disk.data.subarray(index * BLOCK_BYTES, (index + 1) * BLOCK_BYTES);
}

it("every block is written, some twice, and read back; the host makes the same bytes", () => {
  const outcome = runVerify("rewrite=25");
  expect(outcome).toMatchObject({ status: 0, err: "" });
  const generations = generationsOf(outcome);
  expect(generations).toHaveLength(BLOCKS);
  expect([...generations].filter((generation) => generation === 2)).toHaveLength(BLOCKS / 4);
  expect(resultOf(outcome)).toMatchObject({ ops: BLOCKS * 2.25, errors: 0, verified: BLOCKS });
  expect(compareDisk(before, disk.data, generations, SEED)).toEqual([]);
  expect(compareDisk(before, disk.data, generations, SEED + 1)).toHaveLength(BLOCKS);
});

it("the order is random and depends on the seed", () => {
  runVerify();
  const first = disk.take();
  runVerify();
  expect(disk.take()).toEqual(first);
  run(verify, "verify", "/dev/xvda", `blocks=${BLOCKS}`, "depth=8", "seed=8");
  expect(disk.take()).not.toEqual(first);
});

it("one flipped bit is found by both ends", () => {
  disk.onFlush = () => (block(5)[4000] ^= 0x10);
  const outcome = runVerify();
  expect(outcome.status).toBe(1);
  expect(outcome.err).toBe("verify: block 5: differs at byte 4000\n");
  expect(resultOf(outcome)).toMatchObject({ errors: 1, verified: BLOCKS - 1 });
  expect(compareDisk(before, disk.data, generationsOf(outcome), SEED)).toEqual([
    "disk: block 5 differs from what the guest believes at byte 4000",
  ]);
});

it("two swapped blocks are found by both ends", () => {
  disk.onFlush = () => {
    const [three, nine] = [block(3).slice(), block(9).slice()];
    block(3).set(nine);
    block(9).set(three);
  };
  const outcome = runVerify();
  expect(outcome.status).toBe(1);
  expect(outcome.err.split("\n").sort()).toEqual([
    "",
    "verify: block 3: holds block 9",
    "verify: block 9: holds block 3",
  ]);
  expect(compareDisk(before, disk.data, generationsOf(outcome), SEED)).toHaveLength(2);
});

it("an old block, a header that was touched and one that is gone are found", () => {
  const old = new Map<number, Uint8Array>();
  let flushes = 0;
  disk.onFlush = () => {
    if (flushes++ > 0) block(0).set(old.get(0) as Uint8Array);
    else for (let i = 0; i < BLOCKS; i++) old.set(i, block(i).slice());
    if (flushes === 2) {
      block(1)[8] ^= 1;
      block(2).fill(0);
    }
  };
  runVerify("rewrite=0");
  const outcome = runVerify("rewrite=100");
  expect(outcome.err.split("\n").sort().slice(1)).toEqual([
    "verify: block 0: holds generation 1 instead of 2",
    "verify: block 1: has a header with a bad checksum",
    "verify: block 2: has no header",
  ]);
});

it("what the disk says about errors is counted", () => {
  disk.bad.add(40);
  const outcome = runVerify("rewrite=0");
  expect(outcome.status).toBe(1);
  // A neighbour may have been in the same request.
  expect(outcome.err).toContain("verify: block 5: write failed (10)\n");
  expect(outcome.err).toContain("verify: block 5: read failed (10)\n");
  expect(resultOf(outcome).errors).toBeGreaterThanOrEqual(2);
  expect(resultOf(outcome).verified).toBeLessThan(BLOCKS);
});

it.each([[["verify"]], [["verify", "/dev/xvda", "depth=0"]], [["verify", "/dev/xvda", "blocks=many"]]])(
  "%j: usage, exit status 2",
  (argv) => {
    const { status, err } = run(verify, ...argv);
    expect({ status, err: err.slice(0, 21) }).toEqual({ status: 2, err: "usage: verify DEVICE " });
  },
);

it("a device that is not there: exit status 1", () => {
  expect(run(verify, "verify", "/dev/xvdz")).toEqual({
    status: 1,
    out: "",
    err: "verify: /dev/xvdz: No such file or directory\n",
  });
});
