import { describe, expect, test } from "vitest";
import * as xs from "../../../../hal/abi/xs_wire";
import type { StoreClient } from "./store-world";
import { StoreWorld } from "./store-world";

/** Writes until an error; the number of successes and the error. */
function until(client: StoreClient, max: number, step: (i: number) => string): [number, string] {
  for (let i = 0; i < max; i++) {
    const result = step(i);
    if (result !== "OK") return [i, result];
  }
  return [max, "OK"];
}

/** Everything that counts against a domain, by the state. */
function usage(world: StoreWorld, domid: number): unknown {
  const { accounts, watches, transactions, connections } = world.store.state;
  return [accounts.get(domid), watches.length, transactions.size, connections.get(domid)?.watchBytes ?? 0];
}

describe("quotas of a guest", () => {
  test("1000 nodes, its home directory among them; a removal makes room", () => {
    const client = new StoreWorld().guest(7);
    expect(until(client, 2000, (i) => client.write(`n${i}`, "x"))).toEqual([999, "ENOSPC"]);
    expect(client.ask(xs.XS_MKDIR, ["another"])).toBe("ENOSPC");
    expect(client.write("n5", "still writable")).toBe("OK");
    client.ask(xs.XS_RM, ["n6"]);
    expect(client.write("another", "x")).toBe("OK");
  });

  test("parents made on the way count, and a write that would exceed makes none of them", () => {
    const client = new StoreWorld().guest(7);
    const deep = (depth: number): string => Array.from({ length: depth }, () => "d").join("/");
    expect(client.write(deep(999), "x")).toBe("OK");
    expect(client.ask(xs.XS_RM, ["d"])).toBe("OK");
    expect(client.write(deep(1000), "x")).toBe("ENOSPC");
    expect(client.ask(xs.XS_DIRECTORY, ["/local/domain/7"])).toBe("");
  });

  test("trees of any depth that a path can name are removed without recursion", () => {
    const world = new StoreWorld();
    const client = world.introduce(0);
    const deep = `/${Array.from({ length: 1000 }, () => "d").join("/")}`;
    expect(client.write(deep, "x")).toBe("OK");
    expect(client.ask(xs.XS_RM, ["/d"])).toBe("OK");
    expect(world.store.state.nodes.size).toBe(3);
  });

  test("100000 writes of ever new nodes by a guest, and of existing ones by the toolstack, end in order", () => {
    const world = new StoreWorld();
    const [client, host] = [world.guest(7), world.store.connectHost()];
    for (let i = 0; i < 100_000; i += 50) client.write(`x${i % 5000}/y`, "");
    for (let i = 0; i < 20_000; i++) host.write("/counter", String(i));
    expect(world.store.state.nodes.size).toBeLessThan(1010);
    expect(host.read("/counter")).toBe("19999");
  });

  test("2048 bytes of value", () => {
    const client = new StoreWorld().guest(7);
    expect(client.write("x", "v".repeat(2048))).toBe("OK");
    expect(client.write("x", "v".repeat(2049))).toBe("ENOSPC");
    expect(client.write("y", "v".repeat(2049))).toBe("ENOSPC");
  });

  test("5 permission entries", () => {
    const client = new StoreWorld().guest(7);
    client.write("x", "");
    expect(client.ask(xs.XS_SET_PERMS, ["x", "n7", "r0", "r1", "r2", "r3"])).toBe("OK");
    expect(client.ask(xs.XS_SET_PERMS, ["x", "n7", "r0", "r1", "r2", "r3", "r4"])).toBe("ENOSPC");
  });

  test("128 watches", () => {
    const client = new StoreWorld().guest(7);
    expect(until(client, 200, (i) => client.ask(xs.XS_WATCH, ["x", `t${i}`]))).toEqual([128, "E2BIG"]);
    client.ask(xs.XS_UNWATCH, ["x", "t3"]);
    expect(client.ask(xs.XS_WATCH, ["x", "again"])).toBe("OK");
  });

  test("10 open transactions, of 1000", () => {
    const client = new StoreWorld().guest(7);
    const ids = Array.from({ length: 1000 }, () => client.ask(xs.XS_TRANSACTION_START, [""]));
    expect(ids.slice(0, 10).every((id) => Number(id) > 0)).toBe(true);
    expect(new Set(ids.slice(10))).toEqual(new Set(["ENOSPC"]));
    expect(client.ask(xs.XS_TRANSACTION_END, ["F"], Number(ids[4]))).toBe("OK");
    expect(client.start()).toBeGreaterThan(0);
  });

  test("1024 nodes touched by one transaction, which can still be ended", () => {
    const client = new StoreWorld().guest(7);
    const id = client.start();
    const [count, error] = until(client, 2000, (i) =>
      client.ask(xs.XS_READ, [`n${i}`], id) === "ENOENT" ? "OK" : client.ask(xs.XS_READ, [`n${i}`], id),
    );
    expect(error).toBe("ENOSPC");
    expect(count).toBeGreaterThan(1000);
    expect(count).toBeLessThanOrEqual(1024);
    expect(client.ask(xs.XS_TRANSACTION_END, ["T"], id)).toBe("OK");
  });

  test("nodes made in transactions count when they are made and again at the commit", () => {
    const client = new StoreWorld().guest(7);
    const [first, second] = [client.start(), client.start()];
    for (let i = 0; i < 600; i++) {
      expect(client.write(`a${i}`, "", first)).toBe("OK");
      expect(client.write(`b${i}`, "", second)).toBe("OK");
    }
    expect(client.ask(xs.XS_TRANSACTION_END, ["T"], first)).toBe("OK");
    expect(client.write("b601", "", second)).toBe("ENOSPC");
    expect(client.ask(xs.XS_TRANSACTION_END, ["T"], second)).toBe("ENOSPC");
    expect(client.ask(xs.XS_READ, ["b0"])).toBe("ENOENT");
  });

  test("making and removing in one transaction leaves nothing to count", () => {
    const client = new StoreWorld().guest(7);
    const before = usage(client.world, 7);
    const id = client.start();
    for (let i = 0; i < 100; i++) {
      client.write(`x${i}/y`, "v", id);
      client.ask(xs.XS_RM, [`x${i}`], id);
    }
    expect(client.ask(xs.XS_TRANSACTION_END, ["T"], id)).toBe("OK");
    expect(usage(client.world, 7)).toEqual(before);
  });

  test("2.5 MB in all: nodes and open transactions together", () => {
    const client = new StoreWorld().guest(7);
    const value = "v".repeat(2048);
    expect(until(client, 999, (i) => client.write(`n${i}`, value))).toEqual([999, "OK"]);
    const id = client.start();
    const [count, error] = until(client, 999, (i) => client.write(`n${i}`, `w${value.slice(1)}`, id));
    expect([count < 400, error]).toEqual([true, "ENOMEM"]);
    expect(client.ask(xs.XS_TRANSACTION_END, ["F"], id)).toBe("OK");
    expect(client.write("n0", value)).toBe("OK");
  });

  test("2.5 MB of nodes alone, their paths counted", () => {
    const client = new StoreWorld().guest(7);
    const name = (i: number): string => `${"p".repeat(900)}${i}`;
    const [made, error] = until(client, 999, (i) => client.write(name(i), "v".repeat(2000)));
    expect([made > 850, made < 900, error]).toEqual([true, true, "ENOMEM"]);
    expect(client.ask(xs.XS_RM, [name(0)])).toBe("OK");
    expect(client.write(name(0), "v".repeat(2000))).toBe("OK");
    const grown = new StoreWorld().guest(7);
    expect(until(grown, 999, (i) => grown.write(name(i), ""))).toEqual([999, "OK"]);
    expect(until(grown, 999, (i) => grown.write(name(i), "v".repeat(2000)))[1]).toBe("ENOMEM");
  });

  test("one guest's quotas do not touch another's, nor domain 0's", () => {
    const world = new StoreWorld();
    const [greedy, modest, dom0] = [world.guest(7), world.guest(8), world.introduce(0)];
    until(greedy, 2000, (i) => greedy.write(`n${i}`, "x"));
    expect(modest.write("x", "y")).toBe("OK");
    expect(until(dom0, 2000, (i) => dom0.write(`/many/n${i}`, "x"))).toEqual([2000, "OK"]);
    expect(until(dom0, 300, (i) => dom0.ask(xs.XS_WATCH, ["/w", `t${i}`]))).toEqual([300, "OK"]);
  });

  test("a domain that is made again has its full quota (XSA-483)", () => {
    const world = new StoreWorld();
    for (let round = 0; round < 3; round++) {
      const client = world.guest(7);
      expect(until(client, 2000, (i) => client.write(`n${i}`, "x"))).toEqual([999, "ENOSPC"]);
      until(client, 200, (i) => client.ask(xs.XS_WATCH, ["x", `t${i}`]));
      expect(client.start()).toBe(1);
      world.store.release(7);
      expect(usage(world, 7)).toEqual([undefined, 0, 0, 0]);
    }
  });
});
