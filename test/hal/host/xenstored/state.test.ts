import { expect, test } from "vitest";
import * as xs from "../../../../hal/abi/xs_wire";
import { memoryOver } from "../../../../hal/host/hypervisor/memory";
import { encodeMessage, joinStrings } from "../../../../hal/host/xenstored/wire";
import { StoreClient, StoreWorld } from "./store-world";

/** A world in the middle of everything: an open transaction, half a request, queued replies and events, watches. */
function busy(): StoreWorld {
  const world = new StoreWorld();
  const [client, other] = [world.guest(7), world.guest(8)];
  const host = world.store.connectHost();
  host.watch("/local/domain/7", "h");
  client.write("x", "v".repeat(900));
  client.ask(xs.XS_WATCH, ["x", "t"]);
  const id = client.start();
  client.write("y", "in the transaction", id);
  other.write("z", "1");
  host.write("/local/domain/7/x", "w".repeat(900));
  for (let i = 0; i < 3; i++) client.push(encodeMessage(xs.XS_READ, 100 + i, 0, joinStrings(["x"])));
  client.push(encodeMessage(xs.XS_WRITE, 200, id, joinStrings(["x/half"])).subarray(0, 19));
  client.ring();
  return world;
}

/** What becomes of the world when it goes on. */
function goOn(world: StoreWorld): unknown {
  const client = new StoreClient(world, 7);
  const [host] = world.store.hostConnections();
  client.pushAll(encodeMessage(xs.XS_WRITE, 200, 1, joinStrings(["x/half"])).subarray(19));
  const replies = client.drain().map(({ type, reqId, text }) => [type, reqId, text]);
  const end = client.ask(xs.XS_TRANSACTION_END, ["T"], 1);
  return [replies, end, client.takeEvents(), host.takeEvents(), host.tree("/"), world.notified, world.traced];
}

test("a copy of the state and of the memory goes on exactly as the original does", () => {
  const original = busy();
  const state = structuredClone(original.store.state);
  const memory = memoryOver(original.memory.u8.slice().buffer, original.memory.base, original.memory.frameCount);
  const copy = new StoreWorld(state, memory);
  expect(copy.store.state).toEqual(original.store.state);
  original.notified = [];
  original.traced.length = 0;
  const outcome = goOn(copy);
  expect(outcome).toEqual(goOn(original));
  expect(copy.store.state).toEqual(original.store.state);
});

test("the state is plain: nothing in it but numbers, strings, arrays, Maps, Sets and bytes", () => {
  const allowed = new Set([Object.prototype, Array.prototype, Map.prototype, Set.prototype, Uint8Array.prototype]);
  const check = (value: unknown): void => {
    if (typeof value === "number" || typeof value === "string" || typeof value === "boolean" || value === null) return;
    expect(typeof value).toBe("object");
    const object = value as object;
    expect(allowed.has(Object.getPrototypeOf(object) as object)).toBe(true);
    if (object instanceof Uint8Array) return;
    const parts = object instanceof Map || object instanceof Set ? [...object] : Object.values(object);
    parts.flat().forEach(check);
  };
  check(busy().store.state);
});

test("the same calls give the same messages, notifications and state", () => {
  const [one, two] = [busy(), busy()];
  expect([goOn(one), one.store.state]).toEqual([goOn(two), two.store.state]);
});

test("release leaves nothing of a domain behind, in whatever order domains go (XSA-233)", () => {
  for (const order of [
    [7, 8],
    [8, 7],
  ]) {
    const world = busy();
    world.store.hostConnections().forEach((host) => host.close());
    for (const domid of order) expect([world.store.release(domid), world.store.release(domid)]).toEqual([0, -2]);
    const { nodes, domains, connections, watches, transactions, accounts, held } = world.store.state;
    expect([...nodes.keys()].sort()).toEqual(["/", "/local", "/local/domain", "@introduceDomain", "@releaseDomain"]);
    expect([domains.size, connections.size, watches.length, transactions.size, held.size]).toEqual([1, 0, 0, 0, 0]);
    expect(accounts.get(0)?.nodes).toBe(5);
    expect(accounts.size).toBe(1);
  }
});
