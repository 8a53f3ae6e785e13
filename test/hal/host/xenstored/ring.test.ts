import { describe, expect, test } from "vitest";
import * as xs from "../../../../hal/abi/xs_wire";
import { encodeMessage, joinStrings } from "../../../../hal/host/xenstored/wire";
import type { StoreClient } from "./store-world";
import { StoreWorld } from "./store-world";

const REQ_PROD = xs.XENSTORE_DOMAIN_INTERFACE_REQ_PROD;
const RSP_CONS = xs.XENSTORE_DOMAIN_INTERFACE_RSP_CONS;

function request(type: number, ...strings: string[]): Uint8Array {
  return encodeMessage(type, 1, 0, joinStrings(strings));
}

describe("the page", () => {
  test("introduce announces the features and an open connection", () => {
    const client = new StoreWorld().introduce(7);
    const features = xs.XENSTORE_SERVER_FEATURE_RECONNECTION | xs.XENSTORE_SERVER_FEATURE_ERROR;
    expect(client.word(xs.XENSTORE_DOMAIN_INTERFACE_SERVER_FEATURES)).toBe(features);
    expect([client.connection, client.error]).toEqual([xs.XENSTORE_CONNECTED, xs.XENSTORE_ERROR_NONE]);
  });

  test("there is no such page: -EINVAL, and nothing is connected", () => {
    const { store } = new StoreWorld();
    for (const mfn of [-1, 64, 1.5, NaN, 2 ** 40]) expect(store.introduce(7, mfn)).toBe(-22);
    for (const domid of [-1, 32752, 1.5]) expect(store.introduce(domid, 3)).toBe(-22);
    expect(store.service(7)).toBe(0);
    expect(store.pendingOutput(7)).toBe(0);
  });

  test("a request that comes byte by byte is carried out once, when it is whole", () => {
    const client = new StoreWorld().guest(7);
    const bytes = request(xs.XS_READ, "nothing");
    for (let i = 0; i < bytes.length; i++) {
      client.push(bytes.subarray(i, i + 1));
      expect(client.ring()).toBe(i === bytes.length - 1 ? 1 : 0);
    }
    expect(client.receive().map(({ text }) => text)).toEqual(["ENOENT"]);
  });

  test("a request that is larger than the ring, and its answer, pass through it", () => {
    const client = new StoreWorld().introduce(0);
    const value = "v".repeat(4000);
    expect(client.write("/big", value)).toBe("OK");
    expect(client.ask(xs.XS_READ, ["/big"])).toBe(value);
  });

  test("indices pass 2^32 unharmed", () => {
    const world = new StoreWorld();
    const client = world.guest(7);
    for (const offset of [0, 4, 8, 12]) client.setWord(xs.XENSTORE_DOMAIN_INTERFACE_REQ_CONS + offset, 0xffffffe0);
    world.store.introduce(7, 8);
    for (let i = 0; i < 20; i++) expect(client.write("x", String(i))).toBe("OK");
    expect(client.ask(xs.XS_READ, ["x"])).toBe("19");
    expect(client.word(REQ_PROD)).toBeLessThan(2000);
  });

  test("the guest's idea of our indices does not matter", () => {
    const client = new StoreWorld().guest(7);
    client.write("x", "1");
    client.push(request(xs.XS_READ, "x"));
    client.setWord(xs.XENSTORE_DOMAIN_INTERFACE_REQ_CONS, 123456);
    expect(client.ring()).toBe(1);
    expect(client.word(xs.XENSTORE_DOMAIN_INTERFACE_REQ_CONS)).toBe(client.word(REQ_PROD));
  });

  test("the guest is notified when bytes were taken or given, and not otherwise", () => {
    const world = new StoreWorld();
    const client = world.guest(7);
    world.notified = [];
    client.ring();
    expect(world.notified).toEqual([]);
    client.push(request(xs.XS_READ, "x").subarray(0, 5));
    client.ring();
    expect(world.notified).toEqual([7]);
  });
});

describe("impossible indices park the connection (XSA-38)", () => {
  const breakers: [string, (client: StoreClient) => void, number][] = [
    ["req_prod 1025 ahead", (client) => client.setWord(REQ_PROD, client.word(REQ_PROD) + 1025), 2],
    ["req_prod behind", (client) => client.setWord(REQ_PROD, client.word(REQ_PROD) - 1), 2],
    ["rsp_cons ahead of rsp_prod", (client) => client.setWord(RSP_CONS, client.word(RSP_CONS) + 1000), 2],
    ["a length of 4097", (client) => void client.push(header(4097)), 3],
    ["a length of 2^31", (client) => void client.push(header(0x80000000)), 3],
    ["a length of 2^32 - 1", (client) => void client.push(header(0xffffffff)), 3],
  ];

  function header(length: number): Uint8Array {
    const bytes = encodeMessage(xs.XS_READ, 5, 0, new Uint8Array(0));
    new DataView(bytes.buffer).setUint32(12, length, true);
    return bytes;
  }

  test.each(breakers)("%s", (_name, make, error) => {
    const world = new StoreWorld();
    const [client, other] = [world.guest(7), world.guest(8)];
    client.ask(xs.XS_WATCH, ["x", "t"]);
    client.write("x", "kept");
    client.start();
    client.takeEvents();
    make(client);
    client.ring();
    expect([client.error, world.store.parkedBecause(7)]).toEqual([error, error]);
    expect([world.store.state.watches.length, world.store.state.transactions.size]).toEqual([0, 0]);
    expect(client.ring()).toBe(0);
    expect(other.write("y", "fine")).toBe("OK");
    expect(world.store.connectHost().read("/local/domain/7/x")).toBe("kept");
    expect(world.store.isIntroduced(7)).toBe(true);
  });

  test("a request that is too long is answered E2BIG first (XSA-72)", () => {
    const client = new StoreWorld().guest(7);
    client.push(header(4097));
    client.ring();
    const [reply] = client.receive();
    expect([reply.type, reply.reqId, reply.text]).toEqual([xs.XS_ERROR, 5, "E2BIG"]);
    const full = new StoreWorld().guest(7);
    expect(full.write("x", "v".repeat(4094))).toBe("ENOSPC");
  });

  test("no @releaseDomain before the domain is really gone (XSA-325)", () => {
    const world = new StoreWorld();
    const host = world.store.connectHost();
    host.watch("@releaseDomain", "t");
    const client = world.guest(7);
    host.takeEvents();
    client.setWord(REQ_PROD, 5000);
    client.ring();
    expect(host.takeEvents()).toEqual([]);
    world.store.release(7);
    expect(host.takeEvents()).toEqual([{ path: "@releaseDomain", token: "t" }]);
    expect(world.store.release(7)).toBe(-2);
  });

  test("the guest may ask for a fresh connection, parked or not", () => {
    const client = new StoreWorld().guest(7);
    for (const breakIt of [true, false]) {
      client.ask(xs.XS_WATCH, ["x", "t"]);
      client.takeEvents();
      if (breakIt) client.setWord(REQ_PROD, 5000);
      client.ring();
      client.setWord(xs.XENSTORE_DOMAIN_INTERFACE_CONNECTION, xs.XENSTORE_RECONNECT);
      client.ring();
      expect([client.connection, client.error, client.word(REQ_PROD)]).toEqual([xs.XENSTORE_CONNECTED, 0, 0]);
      expect(client.world.store.state.watches).toEqual([]);
      expect(client.write("x", "again")).toBe("OK");
      expect(client.takeEvents()).toEqual([]);
    }
  });
});

describe("a client that does not read", () => {
  test("is not served beyond 20 unread replies, and loses none of them", () => {
    const client = new StoreWorld().guest(7);
    client.write("x", "v".repeat(1000));
    let sent = 0;
    let served = 0;
    for (; sent < 200; sent++) {
      const bytes = encodeMessage(xs.XS_READ, sent, 0, joinStrings(["x"]));
      if (client.push(bytes) < bytes.length) break;
      served += client.ring();
    }
    expect(served).toBeLessThanOrEqual(22);
    expect(client.world.store.pendingOutput(7)).toBeGreaterThan(18 * 1016);
    expect(client.world.store.pendingOutput(7)).toBeLessThan(22 * 1016);
    const replies = client.drain();
    expect(replies.map(({ reqId }) => reqId).slice(0, sent)).toEqual(Array.from({ length: sent }, (_, i) => i));
    expect(replies.every(({ payload, text }) => payload.length === 1000 || text === "ENOENT")).toBe(true);
    expect(client.world.store.pendingOutput(7)).toBe(0);
  });

  test("the same event is not queued again while it waits; different ones are, in order", () => {
    const world = new StoreWorld();
    const client = world.guest(7);
    client.ask(xs.XS_WATCH, ["x", "t"]);
    client.takeEvents();
    const host = world.store.connectHost();
    for (let round = 0; round < 2000; round++) host.write(`/local/domain/7/x/${round % 50}`, String(round));
    const connection = world.store.state.connections.get(7);
    expect(connection?.output.length).toBeLessThanOrEqual(51);
    const events = client.takeEvents();
    expect(new Set(events).size).toBe(50);
    expect(connection?.queuedEvents.size).toBe(0);
  });

  test("is parked when what waits for it exceeds its memory", () => {
    const world = new StoreWorld();
    const client = world.guest(7);
    client.ask(xs.XS_WATCH, ["x", "t".repeat(2000)]);
    const host = world.store.connectHost();
    for (let i = 0; i < 2000 && world.store.parkedBecause(7) === 0; i++) host.write(`/local/domain/7/x/${i}`, "");
    expect(client.error).toBe(xs.XENSTORE_ERROR_COMM);
    expect(world.store.pendingOutput(7)).toBe(0);
    expect(world.store.state.watches).toEqual([]);
  });
});

describe("random bytes", () => {
  /** A small generator, so that a failing seed can be named. */
  function random(seed: number): (below: number) => number {
    let state = seed >>> 0 || 1;
    return (below) => {
      state ^= state << 13;
      state ^= state >>> 17;
      state ^= state << 5;
      return (state >>> 0) % below;
    };
  }

  const seeds =
    process.env.SEED === undefined ? Array.from({ length: 60 }, (_, i) => i + 1) : [Number(process.env.SEED)];

  test.each(seeds)(
    "seed %i: nothing outside of the page changes, nothing throws, others are served (SEED=%i)",
    (seed) => {
      const next = random(seed * 2654435761);
      const world = new StoreWorld();
      const [client, other] = [world.guest(7), world.guest(8)];
      const page = world.memory.base + 8 * 4096;
      other.write("x", "1");
      for (let step = 0; step < 200; step++) {
        fuzzStep(client, next);
        const before = world.memory.u8.slice();
        const count = client.ring();
        expect(count).toBeLessThanOrEqual(66);
        expectSame(before, world.memory.u8, page);
        if (next(4) === 0) client.receive();
      }
      expect(other.ask(xs.XS_READ, ["x"])).toBe("1");
      checkStore(world);
    },
  );

  function fuzzStep(client: StoreClient, next: (below: number) => number): void {
    const kind = next(40);
    if (kind === 0) client.setWord(2048 + 4 * next(8), next(2) === 0 ? next(3000) : next(0xffffffff));
    else if (kind === 1) client.setWord(xs.XENSTORE_DOMAIN_INTERFACE_CONNECTION, xs.XENSTORE_RECONNECT);
    else {
      const strings = Array.from({ length: next(4) }, () => fuzzString(next));
      const payload = joinStrings(strings).slice(0, next(8) === 0 ? next(50) : undefined);
      const bytes = encodeMessage(next(28), next(10), next(3), payload);
      if (next(10) === 0) bytes[next(bytes.length)] ^= 1 << next(8);
      client.push(bytes);
    }
  }

  function fuzzString(next: (below: number) => number): string {
    const words = [
      "/",
      "x",
      "data/a/b",
      "/local/domain/7/y",
      "/local/domain/8/x",
      "T",
      "F",
      "7",
      "n7",
      "b7",
      "@releaseDomain",
      "",
    ];
    return next(10) === 0 ? String.fromCharCode(next(256)).repeat(next(300)) : words[next(words.length)];
  }

  function expectSame(before: Uint8Array, after: Uint8Array, page: number): void {
    const outside = (bytes: Uint8Array): Buffer[] => [
      Buffer.from(bytes.subarray(0, page)),
      Buffer.from(bytes.subarray(page, page + 1024)),
      Buffer.from(bytes.subarray(page + 2076, page + 4096)),
    ];
    const [a, b] = [outside(before), outside(after)];
    expect(a.every((part, i) => part.equals(b[i]))).toBe(true);
  }

  /** What must hold of every store. */
  function checkStore({ store }: StoreWorld): void {
    const { nodes, accounts } = store.state;
    const owned = new Map<number, number>();
    for (const [path, node] of nodes) {
      const owner = node.permissions[0].domid;
      owned.set(owner, (owned.get(owner) ?? 0) + 1);
      for (const name of node.children) expect(nodes.has(path === "/" ? `/${name}` : `${path}/${name}`)).toBe(true);
    }
    expect(new Map([...accounts].map(([domid, { nodes: count }]) => [domid, count]))).toEqual(owned);
  }
});
