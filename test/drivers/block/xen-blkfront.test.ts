/** The front end against a back end that a test plays: its requests are the recorded ones, and nothing that the back end does hurts it. */
import * as fs from "node:fs";
import * as path from "node:path";
import type { Machine } from "xenolith";
import { afterEach, expect, it } from "vitest";
import { bootMachine } from "./machine";
import { RawBackend, type RawBackendOptions, type SeenRequest } from "./raw-backend";

const LINUX = path.join(import.meta.dirname, "../../golden/linux");

interface RecordedRequest {
  readonly op: number;
  readonly indirect_op?: number;
  readonly sector: number | string;
  readonly nseg?: number;
  readonly segs?: readonly (readonly [number, number, number])[];
  readonly nr_sectors?: number | string;
}
interface RecordedStep {
  readonly cmd: string;
  readonly result?: string;
  readonly trace: readonly (readonly [string, RecordedRequest])[];
}
const recordings = JSON.parse(fs.readFileSync(path.join(LINUX, "frontend-requests.json"), "utf8")) as Record<
  string,
  { readonly steps: readonly RecordedStep[] }
>;

let machine: Machine | null = null;
afterEach(() => {
  machine?.dispose();
  machine = null;
});

async function backend(options: RawBackendOptions = {}): Promise<RawBackend> {
  machine = await bootMachine({ domU: "" });
  return new RawBackend(machine, options);
}

/** A request without what differs from run to run: references and ids. */
function shape({ operation, meaning, sector, segments }: SeenRequest): string {
  const pieces = segments.map(([, first, last]) => `${first}-${last}`).join(" ");
  return `${operation}/${meaning} @${sector} [${pieces}]`;
}

function recordedShapes(step: RecordedStep): string[] {
  return step.trace
    .filter(([kind]) => kind === "req")
    .map(([, { op, indirect_op, sector, segs }]) => {
      // An empty flush has all ones, which is too much for a number of JSON.
      const at = Number(sector) > 2 ** 63 ? 2n ** 64n - 1n : sector;
      const pieces = (segs ?? []).map(([, first, last]) => `${first}-${last}`).join(" ");
      return `${op}/${indirect_op ?? op} @${at} [${pieces}]`;
    });
}

/** The recorded commands that our own `dd` can do too. */
function ddSteps(variant: string): RecordedStep[] {
  return recordings[variant].steps.filter(({ cmd }) => /^(timeout 5 )?dd if=\/dev\/(xvdc|zero)/.test(cmd));
}

function command(cmd: string): string {
  return cmd.replace(/^timeout 5 /, "");
}

const variants: [string, Record<string, string>][] = [
  ["q1-ind0", { "feature-max-indirect-segments": "0" }],
  ["q1-pers-ind256", { "feature-max-indirect-segments": "256" }],
  ["info-ro", { "feature-max-indirect-segments": "256", info: "4" }],
];

it.each(variants)(
  "blkfront: the requests of each recorded command are the recorded ones: %s",
  async (variant, nodes) => {
    const back = await backend({ nodes });
    back.connect();
    expect(back.seen.map(shape)).toEqual(recordedShapes(recordings[variant].steps[0]));
    for (const step of ddSteps(variant)) {
      back.seen.length = 0;
      const { status } = back.machine.run("domU", command(step.cmd));
      expect(back.seen.map(shape), step.cmd).toEqual(recordedShapes(step));
      expect(status, step.cmd).toBe(step.result?.startsWith("rc=0") ? 0 : 1);
    }
  },
);

it("blkfront: a flush that the back end refuses is not tried again, and nobody is told of an error", async () => {
  const back = await backend();
  back.answer = (request) => (request.operation === 3 ? -2 : back.perform(request));
  back.connect();
  const fsync = "dd if=/dev/zero of=/dev/xvdc bs=4k count=1 seek=101 oflag=direct conv=fsync";
  back.seen.length = 0;
  expect(back.machine.run("domU", fsync).status).toBe(0);
  expect(back.seen.map(({ operation }) => operation)).toEqual([1, 3]);
  expect(back.seen[1]).toMatchObject({ sector: 2n ** 64n - 1n, segments: [] });
  back.seen.length = 0;
  expect(back.machine.run("domU", fsync).status).toBe(0);
  expect(back.seen.map(({ operation }) => operation)).toEqual([1]);
  expect(back.machine.run("domU", "cat /sys/block/xvdc/queue/write_cache").output.trim()).toMatch(/write through/);
});

it("blkfront: with barriers only, a synchronous write is one barrier; refused, its data is written all the same", async () => {
  const back = await backend({ nodes: { "feature-flush-cache": "0", "feature-barrier": "1" } });
  let refuse = false;
  back.answer = (request) => (request.operation === 2 && refuse ? -2 : back.perform(request));
  back.connect();
  back.seen.length = 0;
  const write = (seek: number) => `dd if=/dev/zero of=/dev/xvdc bs=4k count=1 seek=${seek} oflag=direct,dsync`;
  expect(back.machine.run("domU", write(1)).status).toBe(0);
  expect(back.seen.map(({ operation }) => operation)).toContain(2);
  refuse = true;
  back.bytes.fill(0x77, 2 * 4096, 3 * 4096);
  expect(back.machine.run("domU", write(2)).status).toBe(0);
  expect(back.bytes.subarray(2 * 4096, 3 * 4096).every((byte) => byte === 0)).toBe(true);
});

/** No page of any request so far can be mapped. */
function expectRevoked(back: RawBackend): void {
  expect(back.seen.length).toBeGreaterThan(0);
  for (const request of back.seen) {
    for (const [gref] of request.segments) {
      expect(back.domain.mapGrant(back.vbd.frontDomid, gref, 0x30000000)).toBeLessThan(0);
    }
  }
}

it("blkfront: a grant is gone when its request is answered", async () => {
  const back = await backend();
  back.connect();
  back.machine.run("domU", "dd if=/dev/xvdc of=/dev/null bs=44k count=4 iflag=direct");
  const { grantsInUse } = back.machine.ledger().domains.find(({ name }) => name === "domU") ?? { grantsInUse: -1 };
  // The ring's own.
  expect(grantsInUse).toBe(1);
  expectRevoked(back);
});

it("blkfront: gathered reads go out together, and may be answered in any order, well or badly", async () => {
  const back = await backend();
  back.connect();
  back.answer = () => null;
  back.seen.length = 0;
  const program = back.machine.start("domU", "iops /dev/xvdc depth=8 ops=8");
  back.machine.runWhile(() => back.seen.length < 8, 1e9);
  const requests = back.seen.slice();
  expect(requests.map(({ segments }) => segments.map(([, first, last]) => [first, last]))).toEqual(
    Array(8).fill([[0, 7]]),
  );
  for (const { id, operation } of [5, 0, 7, 2, 1, 6, 3, 4].map((i) => requests[i])) {
    back.respond(id, operation, id === requests[2].id ? -1 : 0);
  }
  back.machine.advance(50e6);
  expect([program.status, program.output]).toEqual([1, expect.stringContaining("8 reads, 1 errors")]);
  expectRevoked(back);
});

it("blkfront: what was gathered and never answered is ended, with its grants, when the device goes", async () => {
  const back = await backend();
  back.connect();
  back.answer = () => null;
  back.seen.length = 0;
  const program = back.machine.start("domU", "iops /dev/xvdc depth=8 ops=8");
  back.machine.runWhile(() => back.seen.length < 8, 1e9);
  back.machine.xenstore.rm(back.back);
  back.machine.advance(50e6);
  back.remove();
  expect([program.status, program.output]).toEqual([1, expect.stringContaining("8 reads, 8 errors")]);
  expectRevoked(back);
});

/** Starts one read in the guest and leaves it open: the program, and its request. */
function openRead(back: RawBackend): { program: { readonly status: number | null }; request: SeenRequest } {
  back.answer = () => null;
  back.seen.length = 0;
  const program = back.machine.start("domU", "dd if=/dev/xvdc of=/dev/null bs=4k count=1 iflag=direct");
  back.machine.runWhile(() => back.seen.length === 0, 1e9);
  expect(back.seen).toHaveLength(1);
  return { program, request: back.seen[0] };
}

const lies: [string, string, (back: RawBackend, request: SeenRequest) => void][] = [
  ["more responses than slots", "illegal number of responses", (back) => back.publish(back.rspProd + 33)],
  ["responses of 2^31", "illegal number of responses", (back) => back.publish((back.rspProd + 0x80000000) >>> 0)],
  ["an id beyond the ring", "incorrect id", (back) => back.respond(32n, 0, 0)],
  ["an id of 64 bits", "incorrect id", (back, { id }) => back.respond(id + (1n << 32n), 0, 0)],
  ["the id of a free slot", "no pending request", (back, { id }) => back.respond((id + 1n) % 32n, 0, 0)],
  ["another operation", "wrong operation", (back, { id }) => back.respond(id, 1, 0)],
  [
    "the same id twice",
    "no pending request",
    (back, { id }) => {
      back.respond(id, 0, 0);
      back.respond(id, 0, 0);
    },
  ],
  [
    "a page that it keeps",
    "backed has not unmapped grant",
    (back, { id, segments }) => {
      back.keep(segments[0][0]);
      back.respond(id, 0, 0);
    },
  ],
];

it.each(lies)(
  "blkfront: a back end that answers with %s ends the device and nothing else (B1, B3)",
  async (_n, words, lie) => {
    const back = await backend();
    back.connect();
    const { program, request } = openRead(back);
    lie(back, request);
    back.machine.advance(50e6);
    const log = back.machine.log("domU").map(({ text }) => text);
    expect(log.some((text) => text.includes(words))).toBe(true);
    expect(log.some((text) => text.includes("disabled for further use"))).toBe(true);
    // The read ends when the device is removed, with an error unless it was answered before the lie; and the guest lives.
    const answered = program.status;
    back.detach();
    expect(program.status).toBe(answered === 0 ? 0 : 1);
    expect(back.machine.run("domU", "lsblk").output).not.toContain("xvdc");
  },
);

it("blkfront: events without responses are throttled (B2)", async () => {
  const back = await backend();
  back.connect();
  const upcalls = () => back.machine.hypervisor.domain(back.vbd.frontDomid).counters.upcalls;
  const before = upcalls();
  for (let i = 0; i < 2000; i++) {
    back.domain.send(back.port);
    back.machine.advance(20e3);
  }
  expect(upcalls() - before).toBeLessThan(500);
  expect(back.machine.run("domU", "dd if=/dev/xvdc of=/dev/null bs=4k count=1 iflag=direct").status).toBe(0);
});

it("blkfront: what a dead back end never answers ends with an error when the device is removed", async () => {
  const back = await backend();
  back.connect();
  const { program } = openRead(back);
  back.machine.xenstore.rm(back.back);
  back.machine.advance(50e6);
  back.remove();
  expect(program.status).toBe(1);
  expect(back.machine.run("domU", "lsblk").output).not.toContain("xvdc");
  expect(back.machine.run("domU", "dmesg").output).not.toContain("kernel BUG");
});

it("blkfront: an untrusted back end sees nothing of a page but the data (B4)", async () => {
  const back = await backend({ trusted: false });
  const dirty: string[] = [];
  back.answer = (request) => {
    for (const [gref, first, last] of request.segments) {
      const page = back.peek(gref);
      page.fill(0, first * 512, (last + 1) * 512);
      if (page.some((byte) => byte !== 0)) dirty.push(shape(request));
    }
    return back.perform(request);
  };
  back.bytes.fill(0x5a);
  back.connect();
  expect(back.machine.run("domU", "dd if=/dev/xvdc of=/dev/null bs=512 count=3 skip=1 iflag=direct").status).toBe(0);
  expect(back.machine.run("domU", "dd if=/dev/zero of=/dev/xvdc bs=512 count=2 seek=3 oflag=direct").status).toBe(0);
  expect(back.bytes.subarray(3 * 512, 5 * 512).every((byte) => byte === 0)).toBe(true);
  // What is left of earlier requests in a page is the back end's own data.
  const foreign = dirty.filter((text) => !text.startsWith("0/0") && !text.startsWith("1/1"));
  expect(foreign).toEqual([]);
});

it.each([
  ["sector-size", "0"],
  ["sector-size", "513"],
  ["sector-size", "8192"],
  ["sector-size", "65536"],
  ["sector-size", null],
  ["sectors", null],
  ["info", null],
])("blkfront: %s = %s is refused, and the guest lives (B5)", async (key, value) => {
  const back = await backend({ nodes: { [key]: value } });
  back.create();
  back.attach();
  back.setState(4);
  back.waitForFront(5);
  back.setState(6);
  back.machine.advance(50e6);
  back.remove();
  expect(back.machine.run("domU", "lsblk").status).toBe(0);
});

it.each(["1", "11", "12", "4294967295", "garbage"])(
  "blkfront: feature-max-indirect-segments = %s is used up to our own maximum (B5)",
  async (value) => {
    const back = await backend({ nodes: { "feature-max-indirect-segments": value } });
    back.connect();
    back.seen.length = 0;
    expect(back.machine.run("domU", "dd if=/dev/xvdc of=/dev/null bs=128k count=1 iflag=direct").status).toBe(0);
    const most = Math.max(...back.seen.map(({ segments }) => segments.length));
    expect(most).toBe(value === "12" ? 12 : value === "4294967295" ? 32 : 11);
  },
);

it("blkfront: a back end that repeats Connected after closing is not believed", async () => {
  const back = await backend();
  back.connect();
  back.setState(5);
  back.waitForFront(6);
  for (const state of [4, 2, 4, 5, 6, 4, 8, 7, 3, 1, 0]) {
    back.setState(state);
    back.machine.advance(5e6);
  }
  expect(back.machine.run("domU", "lsblk").status).toBe(0);
  back.remove();
});
