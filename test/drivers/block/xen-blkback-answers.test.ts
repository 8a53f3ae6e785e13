/**
 * What the back end answers to crafted requests, against the answers of the real one: the requests are the recording's, byte for byte.
 */
import * as fs from "node:fs";
import * as path from "node:path";
import { ENGINE_NAMES, type EngineName, type Machine, RamDisk } from "xenolith";
import { afterEach, expect, it } from "vitest";
import { bootMachine } from "./machine";
import { DATA_PFN, RawFrontend, type RawFrontendOptions, discardRequest, rwRequest } from "./raw-frontend";

const LINUX = path.join(import.meta.dirname, "../../golden/linux");

interface Recorded {
  readonly name: string;
  readonly request?: string;
  readonly responses: readonly { readonly operation: number; readonly status: number; readonly raw16: string }[];
}
const recorded = JSON.parse(fs.readFileSync(path.join(LINUX, "backend-raw-loop-x64-nopers.json"), "utf8")) as {
  readonly tests: readonly Recorded[];
};
const answers = JSON.parse(fs.readFileSync(path.join(LINUX, "backend-answers.json"), "utf8")) as {
  readonly tests: Record<
    string,
    { readonly results: Record<string, { readonly responses: [number, number][] | null }> }
  >;
};

/** The recording's references: data from 9, pages of descriptors from 0x209, read-only ones from 0x219. */
const DATA_REF = 9;
const DATA_PAGES = 300;
const INDIRECT_REF = 0x209;
const INDIRECT_PAGES = 8;
const READONLY_REF = 0x219;
const INDIRECT_PFN = DATA_PFN + DATA_PAGES;
const READONLY_PFN = INDIRECT_PFN + INDIRECT_PAGES;
const SECTORS = 131072;

let machine: Machine | null = null;
afterEach(() => {
  machine?.dispose();
  machine = null;
});

function grantAll(front: RawFrontend): void {
  for (let i = 0; i < DATA_PAGES; i++) front.domain.grant(DATA_REF + i, 0, DATA_PFN + i);
  for (let i = 0; i < INDIRECT_PAGES; i++) front.domain.grant(INDIRECT_REF + i, 0, INDIRECT_PFN + i);
  for (let i = 0; i < 2; i++) front.domain.grant(READONLY_REF + i, 0, READONLY_PFN + i, "ro");
}

/** Fills the page of descriptors for an indirect request by the test's name. */
function describeSegments(front: RawFrontend, name: string): void {
  const words = front.domain.words(INDIRECT_PFN, INDIRECT_PAGES);
  for (let i = 0; i < 512; i++) {
    const gref = name === "indirect_same_gref_x16" ? DATA_REF : DATA_REF + (i % DATA_PAGES);
    words[2 * i] = name === "indirect_seg_bad_gref" && i === 5 ? 0xffffff : gref;
    words[2 * i + 1] = 0 | (7 << 8);
  }
  if (name === "indirect_seg_first_gt_last") words[7] = 5 | (2 << 8);
  if (name === "indirect_seg_last_8") words[7] = 0 | (8 << 8);
  if (name === "indirect_seg_pad_nonzero") words[1] = 0 | (7 << 8) | (0xbeef << 16);
}

async function connect(
  options: Partial<RawFrontendOptions> & { disk: RamDisk },
  engine: EngineName = "v8",
): Promise<RawFrontend> {
  machine = await bootMachine({ engine });
  const front = new RawFrontend(machine, options).connect();
  grantAll(front);
  return front;
}

function loopDisk(): RamDisk {
  const disk = new RamDisk(new Uint8Array(SECTORS * 512), { writeCache: true, discard: true });
  // The recorded device cannot erase securely.
  disk.info = { ...disk.info, secureErase: false, discardGranularity: 4096 };
  return disk;
}

function bytesOf(hex: string): Uint8Array {
  return new Uint8Array(Buffer.from(hex, "hex"));
}

/** Replays the recorded single requests. Returns [name, operation, status] of each. */
function replay(front: RawFrontend, check: (test: Recorded, raw: Uint8Array) => void): [string, number, number][] {
  const results: [string, number, number][] = [];
  for (const test of recorded.tests) {
    if (test.request === undefined) continue;
    describeSegments(front, test.name);
    const [response] = front.submit(bytesOf(test.request));
    check(test, response.raw);
    results.push([test.name, response.operation, response.status]);
  }
  return results;
}

function expected(configuration: string): [string, number, number][] {
  const list: [string, number, number][] = [];
  for (const { name, request } of recorded.tests) {
    if (request === undefined) continue;
    const [operation, status] = (answers.tests[name].results[configuration].responses as [number, number][])[0];
    list.push([name, operation, status]);
  }
  return list;
}

it.each(ENGINE_NAMES)(
  "blkback: every recorded request gets the recorded answer, padding included, in %s",
  async (engine) => {
    const front = await connect({ disk: loopDisk() }, engine);
    const results = replay(front, (test, raw) => {
      expect(Buffer.from(raw).toString("hex"), test.name).toBe(test.responses[0].raw16);
    });
    expect(results).toEqual(expected("loop-x64-nopers"));
    // Every request has been taken and the next one will be announced.
    expect(front.reqEvent()).toBe(front.reqProd() + 1);
    front.close();
  },
);

it("blkback: a device without cache and discard answers as the recorded one", async () => {
  const disk = new RamDisk(new Uint8Array(SECTORS * 512), { writeCache: false, discard: false });
  const front = await connect({ disk });
  const results = replay(front, () => undefined);
  expect(results).toEqual(expected("ram-x64-nopers"));
});

it("blkback: an i386 front end on a ring of four pages gets the recorded answers", async () => {
  const front = await connect({ disk: loopDisk(), protocol: "x86_32-abi", order: 2 });
  const results = replay(front, () => undefined);
  // Recorded with persistent grants, which are always mapped writable; without them a read-only grant is enough to be read from.
  const persistentOnly = (name: string) => name === "write_from_readonly_grant";
  expect(results.filter(([name]) => !persistentOnly(name))).toEqual(
    expected("loop-x32-pers-order2").filter(([name]) => !persistentOnly(name)),
  );
});

it("blkback: a full ring of requests in one go, twice around, is answered completely", async () => {
  const front = await connect({ disk: loopDisk() });
  for (let round = 0; round < 3; round++) {
    const ids = Array.from({ length: 32 }, (_, i) => BigInt(5001 + 100 * round + i));
    const requests = ids.map((id, i) => rwRequest(i & 1, id, BigInt(8 * i), [[DATA_REF + i, 0, 7]]));
    const responses = front.submit(...requests);
    expect(responses.map(({ id }) => id).sort()).toEqual(ids);
    expect(responses.every(({ status }) => status === 0)).toBe(true);
  }
});

it("blkback: bad requests among good ones: the set of answers is the recorded one", async () => {
  const front = await connect({ disk: loopDisk() });
  const requests = Array.from({ length: 8 }, (_, i) => {
    const bad = i === 2 || i === 5;
    return rwRequest(i === 6 ? 9 : 0, BigInt(5033 + i), 0n, [[DATA_REF + i, bad ? 5 : 0, bad ? 2 : 7]]);
  });
  const responses = front.submit(...requests);
  const want = answers.tests["mixed_batch_8_bad_at_2_5_op9_at_6"].results["loop-x64-nopers"].responses;
  const sorted = (list: readonly (readonly number[])[]) => list.map(String).sort();
  expect(sorted(responses.map(({ operation, status }) => [operation, status]))).toEqual(sorted(want ?? []));
});

it("blkback: two requests with one id are both answered", async () => {
  const front = await connect({ disk: loopDisk() });
  const responses = front.submit(rwRequest(0, 5n, 0n, [[9, 0, 7]]), rwRequest(0, 5n, 8n, [[10, 0, 7]]));
  expect(responses.map(({ id, status }) => [id, status])).toEqual([
    [5n, 0],
    [5n, 0],
  ]);
});

it("blkback: the first and last sector of every segment are checked, whatever the number of segments (A10)", async () => {
  const front = await connect({ disk: loopDisk() });
  const maps = () => machine?.counters().grantMaps;
  for (const first of [0, 1, 7, 8, 255]) {
    for (const last of [0, 1, 7, 8, 255]) {
      for (const nseg of [1, 2, 11]) {
        const good = first <= last && last < 8;
        const segments = Array.from({ length: nseg }, (_, i) =>
          i === nseg - 1 ? ([DATA_REF + i, first, last] as const) : ([DATA_REF + i, 0, 7] as const),
        );
        const before = maps();
        const [response] = front.submit(rwRequest(0, 1n, 0n, segments));
        expect(response.status, `${first}..${last} of ${nseg}`).toBe(good ? 0 : -1);
        // Nothing is mapped for a request that is refused.
        if (!good) expect(maps()).toBe(before);
      }
    }
  }
});

it("blkback: segment counts beyond the limits are refused before anything is mapped (A10)", async () => {
  const front = await connect({ disk: loopDisk() });
  const before = machine?.counters().grantMaps;
  for (const nseg of [0, 12, 13, 32, 128, 255]) {
    for (const operation of [0, 1]) {
      const [response] = front.submit(rwRequest(operation, 7n, 0n, [[9, 0, 7]], nseg));
      expect([response.operation, response.status], String(nseg)).toEqual([operation, -1]);
    }
  }
  expect(machine?.counters().grantMaps).toBe(before);
});

it("blkback: sectors near every power of two that matters are checked without loss of precision (A12)", async () => {
  const front = await connect({ disk: loopDisk() });
  const size = BigInt(SECTORS);
  const edges = [2n ** 32n, 2n ** 53n - 1n, 2n ** 53n, 2n ** 53n + 1n, 2n ** 63n, 2n ** 64n - 1n, 2n ** 64n - 8n];
  for (const sector of [size - 7n, size - 1n, size, size + 1n, ...edges]) {
    const [read] = front.submit(rwRequest(0, 1n, sector, [[9, 0, 7]]));
    expect(read.status, `read at ${sector}`).toBe(-1);
    const [discard] = front.submit(discardRequest(2n, sector, 8n));
    expect(discard.status, `discard at ${sector}`).toBe(-1);
    const [flush] = front.submit(rwRequest(3, 3n, sector, []));
    expect(flush.status, `empty flush at ${sector}`).toBe(0);
  }
  for (const sectors of edges) {
    const [discard] = front.submit(discardRequest(2n, 0n, sectors));
    expect(discard.status, `discard of ${sectors}`).toBe(-1);
  }
  const [last] = front.submit(rwRequest(0, 1n, size - 8n, [[9, 0, 7]]));
  expect(last.status).toBe(0);
});

it("blkback: with 4096-byte sectors a misaligned start or length is refused, an empty flush is not (A12)", async () => {
  const disk = new RamDisk(new Uint8Array(SECTORS * 512), { writeCache: true, logicalBlockSize: 4096 });
  const front = await connect({ disk });
  const read = (sector: bigint, first: number, last: number) =>
    front.submit(rwRequest(0, 1n, sector, [[9, first, last]]))[0].status;
  expect(read(0n, 0, 7)).toBe(0);
  expect(read(8n, 0, 7)).toBe(0);
  for (const sector of [1n, 3n, 4n, 7n]) expect(read(sector, 0, 7), `start ${sector}`).toBe(-1);
  for (const last of [0, 1, 3, 6]) expect(read(0n, 0, last), `length ${last + 1}`).toBe(-1);
  expect(front.submit(rwRequest(3, 1n, 131172n, []))[0].status).toBe(0);
  expect(front.submit(discardRequest(1n, 1025n, 3n))[0].status).toBe(-1);
  expect(front.submit(discardRequest(1n, 1024n, 8n))[0].status).toBe(0);
});

it("blkback: a read-only device refuses writes, flushes and discards, and is not changed (A3)", async () => {
  const disk = loopDisk();
  disk.bytes.fill(0x5a);
  const front = await connect({ disk, access: "r" });
  expect(front.submit(rwRequest(1, 1n, 0n, [[9, 0, 7]]))[0].status).toBe(-1);
  expect(front.submit(rwRequest(2, 2n, 0n, [[9, 0, 7]]))[0].status).toBe(-1);
  expect(front.submit(rwRequest(3, 3n, 0n, []))[0].status).toBe(-1);
  for (const [sector, count] of [
    [0n, 8n],
    [BigInt(SECTORS) - 4n, 8n],
    [2n ** 64n - 8n, 16n],
  ]) {
    expect(front.submit(discardRequest(4n, sector, count))[0].status).toBe(-1);
  }
  expect(disk.bytes.every((byte) => byte === 0x5a)).toBe(true);
  expect(front.submit(rwRequest(0, 5n, 0n, [[9, 0, 7]]))[0].status).toBe(0);
  front.close();
  expect(front.backState()).toBe(6);
});

it("blkback: a reference that cannot be mapped fails its request and nothing else, wherever it stands (A7)", async () => {
  const front = await connect({ disk: loopDisk() });
  const held = () => machine?.ledger();
  front.submit(rwRequest(0, 1n, 0n, [[9, 0, 7]]));
  const before = held();
  for (const at of [0, 5, 10]) {
    for (const bad of [0, 600, 0xffffff, 0xffffffff]) {
      const segments = Array.from({ length: 11 }, (_, i) => [i === at ? bad : DATA_REF + i, 0, 7] as const);
      const [response] = front.submit(rwRequest(0, 2n, 0n, segments));
      expect(response.status, `${bad} at ${at}`).toBe(-1);
      expect(held()).toEqual(before);
      expect(front.submit(rwRequest(0, 3n, 0n, [[9, 0, 7]]))[0].status).toBe(0);
    }
  }
});

it("blkback: a reference that cannot be mapped fails its request among others of one segment, and none of them (A7)", async () => {
  const front = await connect({ disk: loopDisk() });
  front.submit(rwRequest(0, 1n, 0n, [[9, 0, 7]]));
  const before = machine?.ledger();
  for (const at of [[0], [5], [10], [0, 10], [3, 4, 5]]) {
    const requests = Array.from({ length: 11 }, (_, i) =>
      rwRequest(i & 1, BigInt(100 + i), BigInt(8 * i), [[at.includes(i) ? 0xffffff : DATA_REF + i, 0, 7]]),
    );
    const statuses = new Map(front.submit(...requests).map(({ id, status }) => [Number(id) - 100, status]));
    expect([...statuses.keys()].sort((a, b) => a - b)).toEqual(requests.map((_, i) => i));
    for (const [i, status] of statuses) expect(status, `${i} of ${at.join()}`).toBe(at.includes(i) ? -1 : 0);
    expect(machine?.ledger()).toEqual(before);
  }
});

it("blkback: requests of one segment that are on the ring together are mapped by one hypercall", async () => {
  const front = await connect({ disk: loopDisk() });
  const operations = () => machine?.counters().grantTableOps ?? 0;
  const cost = (count: number): number => {
    const before = operations();
    const requests = Array.from({ length: count }, (_, i) =>
      rwRequest(0, BigInt(i), BigInt(8 * i), [[DATA_REF + i, 0, 7]]),
    );
    expect(front.submit(...requests).every(({ status }) => status === 0)).toBe(true);
    return operations() - before;
  };
  expect(cost(1)).toBe(2);
  // Each is unmapped when the disk is done with it.
  expect(cost(11)).toBeLessThanOrEqual(1 + 11);
});

it("blkback: a page is unmapped before its request is answered, so that it can be revoked then", async () => {
  const front = await connect({ disk: loopDisk() });
  front.submit(rwRequest(0, 1n, 0n, [[9, 0, 7]]));
  expect(front.domain.grantFlags(9) & 0x18).toBe(0);
});

it("blkback: padding of responses is never written (A2)", async () => {
  const front = await connect({ disk: loopDisk() });
  for (let i = 0; i < 33; i++) {
    const request = rwRequest(0, 1n, 0n, [[9, 0, 7]]);
    // Bytes 9 and 12 to 15 of the slot belong to the request's id: the front end's own bytes.
    const view = new DataView(request.buffer);
    view.setBigUint64(8, 0xa5a5a5a5a5a5a5a5n, true);
    const [response] = front.submit(request);
    expect(response.raw[9]).toBe(0xa5);
    expect([...response.raw.subarray(12, 16)]).toEqual([0xa5, 0xa5, 0xa5, 0xa5]);
  }
});
