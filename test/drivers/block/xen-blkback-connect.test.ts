/** What the back end makes of a front end's nodes and states, good and bad, against the recordings of the real one. */
import * as fs from "node:fs";
import * as path from "node:path";
import { type Machine, RamDisk } from "xenolith";
import { afterEach, expect, it } from "vitest";
import { bootMachine } from "./machine";
import { RING_REF, RawFrontend, type RawFrontendOptions, rwRequest } from "./raw-frontend";

const LINUX = path.join(import.meta.dirname, "../../golden/linux");

interface Negative {
  readonly frontend_nodes_written: string;
  readonly backend_state_after: string;
  readonly error_node: string | null;
  readonly backend_state_after_frontend_closed: string;
}
const negatives = JSON.parse(fs.readFileSync(path.join(LINUX, "connect-negative.json"), "utf8")) as Record<
  string,
  Negative
>;

let machine: Machine | null = null;
afterEach(() => {
  machine?.dispose();
  machine = null;
});

async function frontend(options: Partial<RawFrontendOptions> = {}): Promise<RawFrontend> {
  machine = await bootMachine({ dom0: "xen_blkback.max_queues=2" });
  const disk = new RamDisk(new Uint8Array(1 << 20));
  return new RawFrontend(machine, { disk, ...options });
}

/** What dom0 holds. */
function dom0() {
  return machine?.ledger().domains[0];
}

/** The recorded directory, as ours. */
function here(front: RawFrontend, text: string): string {
  return text.split("/local/domain/0/ufront/vbd/51728").join(front.front);
}

/** The nodes that a recorded case wrote: [path, value]. */
function nodesOf(text: string): [string, string][] {
  const words = text.split(" ").filter((word) => word !== "");
  const nodes: [string, string][] = [];
  for (let i = 0; i < words.length; i += 2) nodes.push([words[i], words[i + 1]]);
  return nodes;
}

it.each(Object.entries(negatives))("blkback: bad front-end nodes: %s", async (_name, recorded) => {
  const front = await frontend();
  front.create();
  const ledger = dom0();
  front.makeRing();
  const nodes = nodesOf(here(front, recorded.frontend_nodes_written));
  let state = 3;
  for (const [node, value] of nodes) {
    if (node.endsWith("/state")) state = Number(value);
    else front.machine.xenstore.write(node, value === "20" ? String(front.port) : value);
  }
  front.setState(state);
  front.machine.advance(500e6);
  expect(front.backState()).toBe(Number(recorded.backend_state_after));
  expect(front.error()).toBe(recorded.error_node === null ? null : here(front, recorded.error_node));
  front.setState(6);
  front.machine.advance(500e6);
  expect(front.backState()).toBe(Number(recorded.backend_state_after_frontend_closed));
  // What was made for the connection is gone.
  expect(dom0()).toEqual(ledger);
});

it.each([
  ["a ring that is not granted", (front: RawFrontend) => front.domain.revoke(RING_REF), "2"],
  ["a ring with more requests than fit", (front: RawFrontend) => front.setReqProd(33), "5"],
  ["a ring with far too many requests", (front: RawFrontend) => front.setReqProd(0x80000000), "5"],
  ["a port that does not exist", (front: RawFrontend) => front.write("event-channel", 4000), "22"],
] as const)("blkback: %s is refused and leaves nothing behind", async (_name, spoil, errno) => {
  const front = await frontend();
  front.create();
  const ledger = dom0();
  front.makeRing();
  front.writeNodes();
  const port = front.port;
  spoil(front);
  front.setState(3);
  front.waitForBack(5);
  front.machine.advance(100e6);
  const named = errno === "22" ? 4000 : port;
  expect(front.error()).toBe(`${errno} mapping ring-ref port ${named}`);
  expect(dom0()).toEqual(ledger);
});

it.each(["0", "3", "1000000", "4294967295"])("blkback: %s queues are refused (A13)", async (queues) => {
  const front = await frontend();
  front.create();
  front.makeRing();
  front.writeNodes();
  front.write("multi-queue-num-queues", queues);
  front.setState(3);
  front.waitForBack(5);
  expect(front.error()).toBe(`-1 guest requested ${queues} queues, exceeding the maximum of 2.`);
});

it("blkback: a front end may start again after closing, again and again, and nothing is left over", async () => {
  const front = await frontend();
  front.connect();
  let ledger = null;
  for (let round = 0; round < 20; round++) {
    front.domain.grant(100, 0, 600 - round);
    expect(front.submit(rwRequest(0, BigInt(round), 0n, [[100, 0, 7]]))[0].status).toBe(0);
    front.setState(6);
    front.waitForBack(6);
    front.machine.advance(20e6);
    if (round === 0) ledger = dom0();
    else expect(dom0()).toEqual(ledger);
    front.setState(1);
    front.waitForBack(2);
    front.makeRing();
    front.writeNodes();
    front.setState(3);
    front.waitForBack(4);
    front.setState(4);
    front.machine.advance(5e6);
  }
});

it("blkback: every pair of front-end states leaves at most one set of ring, port and thread (A6)", async () => {
  const front = await frontend();
  front.connect();
  const connected = dom0();
  const states = [1, 2, 3, 4, 5, 6, 7, 8];
  for (const first of states) {
    for (const second of states) {
      front.setState(first);
      front.machine.advance(2e6);
      front.setState(second);
      front.machine.advance(2e6);
      expect(dom0()?.mappings, `${first}, ${second}`).toBeLessThanOrEqual(connected?.mappings ?? 0);
      expect(dom0()?.ports, `${first}, ${second}`).toBeLessThanOrEqual(connected?.ports ?? 0);
    }
  }
  // And it can still be used.
  front.setState(6);
  front.waitForBack(6);
  front.setState(1);
  front.waitForBack(2);
  front.makeRing();
  front.writeNodes();
  front.setState(3);
  front.waitForBack(4);
});

it("blkback: an impossible producer index stops the ring; closing and reconnecting brings it back (A4)", async () => {
  const front = await frontend();
  front.connect();
  front.domain.grant(100, 0, 600);
  front.setReqProd(34);
  front.kick();
  front.machine.advance(50e6);
  expect(front.rspProd()).toBe(0);
  const log = front.machine.log("dom0").filter(({ text }) => text.includes("bogus ring requests"));
  expect(log).toHaveLength(1);
  // Nothing is answered any more, whatever is asked.
  front.put(rwRequest(0, 1n, 0n, [[100, 0, 7]]));
  front.kick();
  front.machine.advance(50e6);
  expect(front.rspProd()).toBe(0);
  front.setState(6);
  front.waitForBack(6);
  front.setState(1);
  front.waitForBack(2);
  front.makeRing();
  front.writeNodes();
  front.setState(3);
  front.waitForBack(4);
  expect(front.submit(rwRequest(0, 1n, 0n, [[100, 0, 7]]))[0].status).toBe(0);
});

it("blkback: a ring with a history is taken up where its responses stopped", async () => {
  const front = await frontend();
  front.create();
  front.makeRing();
  front.domain.grant(100, 0, 600);
  const start = 0xfffffff0;
  front.startAt(start);
  front.writeNodes();
  front.setState(3);
  front.waitForBack(4);
  for (let i = 0; i < 40; i++) {
    expect(front.submit(rwRequest(0, BigInt(i), 0n, [[100, 0, 7]]))[0]).toMatchObject({ id: BigInt(i), status: 0 });
  }
});

it("blkback: events without requests are throttled (A17)", async () => {
  const front = await frontend();
  front.connect();
  const before = front.machine.counters();
  for (let i = 0; i < 5000; i++) {
    front.kick();
    front.machine.advance(20e3);
  }
  const upcalls = front.machine.hypervisor.domain(0).counters.upcalls;
  expect(before).toBeDefined();
  expect(upcalls).toBeLessThan(1000);
  front.domain.grant(100, 0, 600);
  front.put(rwRequest(0, 1n, 0n, [[100, 0, 7]]));
  front.kick();
  expect(front.collect(1)[0].status).toBe(0);
});

it("blkback: growing and shrinking the device tells the front end by sectors and a repeated state", async () => {
  const disk = new RamDisk(new Uint8Array(1 << 20));
  const front = await frontend({ disk });
  front.connect();
  const sectors = () => front.machine.xenstore.read(`${front.back}/sectors`);
  expect(sectors()).toBe("2048");
  for (const size of [1024, 1536]) {
    disk.resize(size);
    front.machine.diskChanged();
    expect(front.machine.runWhile(() => sectors() !== String(size), 1e9)).toBe(true);
    expect(front.backState()).toBe(4);
    front.domain.grant(100, 0, 600);
    expect(front.submit(rwRequest(0, 1n, BigInt(size - 8), [[100, 0, 7]]))[0].status).toBe(0);
    expect(front.submit(rwRequest(0, 1n, BigInt(size - 7), [[100, 0, 7]]))[0].status).toBe(-1);
  }
});

/** A disk on which every request takes a while, and a ring full of reads for it. */
async function busyFrontend(): Promise<RawFrontend> {
  const front = await frontend();
  front.connect();
  for (let i = 0; i < 32; i++) front.domain.grant(100 + i, 0, 500 + i);
  const requests = Array.from({ length: 32 }, (_, i) => rwRequest(0, BigInt(i), 0n, [[100 + i, 0, 7]]));
  front.put(...requests);
  front.kick();
  const busy = () => (dom0()?.diskRequestsInFlight ?? 0) === 0;
  expect(front.machine.runWhile(busy, 1e9)).toBe(true);
  return front;
}

it("blkback: closing with I/O in flight loses nothing, and the next connection starts afresh (F56)", async () => {
  const front = await busyFrontend();
  expect(dom0()?.diskRequestsInFlight).toBeGreaterThan(0);
  front.setState(6);
  front.waitForBack(6);
  front.machine.advance(100e6);
  front.setState(1);
  front.waitForBack(2);
  front.makeRing();
  front.writeNodes();
  front.setState(3);
  front.waitForBack(4);
  expect(front.submit(rwRequest(0, 7n, 0n, [[100, 0, 7]]))[0]).toMatchObject({ id: 7n, status: 0 });
  // The ring's page is all that is mapped.
  expect(dom0()?.mappings).toBe(1);
});

it("blkback: a device removed with I/O in flight is taken apart when the last request has ended (F63)", async () => {
  const front = await busyFrontend();
  front.machine.xenstore.write(`${front.back}/online`, "0");
  front.setState(6);
  front.machine.advance(200e6);
  expect(dom0()).toMatchObject({ mappings: 0, diskRequestsInFlight: 0 });
  expect(front.machine.run("dom0", "rmmod xen-blkback").status).toBe(0);
});

it("blkback: a front end whose directory vanishes is let go of", async () => {
  const front = await busyFrontend();
  front.machine.xenstore.rm(front.front);
  front.machine.advance(200e6);
  expect(dom0()).toMatchObject({ mappings: 0, diskRequestsInFlight: 0 });
});

it("blkback: a front end that dies with I/O in flight is let go of, and its frames come back", async () => {
  const front = await busyFrontend();
  const free = front.machine.ledger().framesFree;
  front.machine.hypervisor.destroyDomain(front.domain.domid);
  front.machine.xenstore.rm(front.front);
  front.machine.advance(200e6);
  expect(dom0()).toMatchObject({ mappings: 0, diskRequestsInFlight: 0 });
  expect(front.machine.ledger().framesFree).toBeGreaterThan(free);
  expect(front.machine.ledger().framesOrphaned).toBe(0);
});
