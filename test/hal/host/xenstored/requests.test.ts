import { describe, expect, test } from "vitest";
import * as xs from "../../../../hal/abi/xs_wire";
import { bytesOf, encodeMessage, joinStrings } from "../../../../hal/host/xenstored/wire";
import { StoreWorld } from "./store-world";

function dom0(): ReturnType<StoreWorld["introduce"]> {
  return new StoreWorld().introduce(0);
}

describe("tree operations over the ring", () => {
  test("WRITE makes the node and its parents; READ returns the bytes without a terminator", () => {
    const client = dom0();
    expect(client.write("/a/b/c", "value")).toBe("OK");
    expect(client.ask(xs.XS_READ, ["/a/b/c"])).toBe("value");
    expect(client.ask(xs.XS_READ, ["/a/b"])).toBe("");
    expect(client.ask(xs.XS_DIRECTORY, ["/a"])).toBe("b");
    expect(client.exchange(xs.XS_READ, joinStrings(["/a/b/c"]))[0].payload).toEqual(bytesOf("value"));
  });

  test("a value is any bytes, zero bytes included, and a write replaces all of it", () => {
    const client = dom0();
    const value = Uint8Array.from({ length: 256 }, (_, i) => i);
    const payload = new Uint8Array(3 + value.length);
    payload.set(bytesOf("/v"));
    payload.set(value, 3);
    expect(client.exchange(xs.XS_WRITE, payload)[0].text).toBe("OK");
    expect(client.exchange(xs.XS_READ, joinStrings(["/v"]))[0].payload).toEqual(value);
    client.write("/v", "x");
    expect(client.ask(xs.XS_READ, ["/v"])).toBe("x");
  });

  test("MKDIR never changes a value", () => {
    const client = dom0();
    client.write("/a", "kept");
    expect(client.ask(xs.XS_MKDIR, ["/a"])).toBe("OK");
    expect(client.ask(xs.XS_READ, ["/a"])).toBe("kept");
    expect(client.ask(xs.XS_MKDIR, ["/d/e"])).toBe("OK");
    expect(client.ask(xs.XS_DIRECTORY, ["/d"])).toBe("e");
  });

  test("RM deletes a subtree; missing is fine, missing with a missing parent is not", () => {
    const client = dom0();
    client.write("/a/b/c", "1");
    client.write("/a/d", "2");
    expect(client.ask(xs.XS_RM, ["/a/b"])).toBe("OK");
    expect(client.ask(xs.XS_DIRECTORY, ["/a"])).toBe("d");
    expect(client.ask(xs.XS_READ, ["/a/b/c"])).toBe("ENOENT");
    expect(client.ask(xs.XS_RM, ["/a/b"])).toBe("OK");
    expect(client.ask(xs.XS_RM, ["/x/y"])).toBe("ENOENT");
    expect(client.ask(xs.XS_RM, ["/"])).toBe("EINVAL");
  });

  test("DIRECTORY lists children in the order in which they were made", () => {
    const client = dom0();
    for (const name of ["51728", "51712", "b", "a", "10"]) client.write(`/d/${name}`, "");
    client.ask(xs.XS_RM, ["/d/b"]);
    client.write("/d/b", "");
    expect(client.ask(xs.XS_DIRECTORY, ["/d"])).toBe("51728 51712 a 10 b");
    expect(client.ask(xs.XS_DIRECTORY, ["/d/a"])).toBe("");
    expect(client.ask(xs.XS_DIRECTORY, ["/nothing"])).toBe("ENOENT");
  });

  test("a directory that does not fit is E2BIG, and DIRECTORY_PART reads it in pieces", () => {
    const client = dom0();
    const names = Array.from({ length: 700 }, (_, i) => `child-${i}`);
    for (const name of names) client.write(`/big/${name}`, "");
    expect(client.ask(xs.XS_DIRECTORY, ["/big"])).toBe("E2BIG");
    const found: string[] = [];
    const generations = new Set<string>();
    for (let offset = 0, last = false; !last; ) {
      const [{ payload }] = client.exchange(xs.XS_DIRECTORY_PART, joinStrings(["/big", String(offset)]));
      expect(payload.length).toBeLessThanOrEqual(4096);
      const [generation, ...part] = new TextDecoder().decode(payload.subarray(0, -1)).split("\0");
      generations.add(generation);
      last = part[part.length - 1] === "";
      if (last) part.pop();
      found.push(...part);
      offset += part.reduce((sum, name) => sum + name.length + 1, 0);
    }
    expect(found).toEqual(names);
    expect(generations.size).toBe(1);
    const [generation] = [...generations];
    client.write("/big/another", "");
    expect(client.ask(xs.XS_DIRECTORY_PART, ["/big", "0"]).split(" ")[0]).not.toBe(generation);
    expect(client.ask(xs.XS_DIRECTORY_PART, ["/big", "999999"]).split(" ")[1]).toBe("");
  });

  test("DIRECTORY_PART of an empty directory ends at once", () => {
    const client = dom0();
    client.write("/e", "");
    const [{ payload }] = client.exchange(xs.XS_DIRECTORY_PART, joinStrings(["/e", "0"]));
    expect(new TextDecoder().decode(payload)).toMatch(/^\d+\0\0$/);
  });

  test("relative paths lie under the client's home", () => {
    const client = new StoreWorld().guest(7);
    expect(client.write("data/x", "1")).toBe("OK");
    expect(client.ask(xs.XS_READ, ["/local/domain/7/data/x"])).toBe("1");
    expect(client.ask(xs.XS_DIRECTORY, ["data"])).toBe("x");
  });
});

describe("payloads that are not what the operation wants", () => {
  const cases: [string, number, Uint8Array][] = [
    ["READ without a terminator", xs.XS_READ, bytesOf("/a")],
    ["READ of nothing", xs.XS_READ, bytesOf("")],
    ["READ of an empty path", xs.XS_READ, joinStrings([""])],
    ["READ of two paths", xs.XS_READ, joinStrings(["/a", "/b"])],
    ["WRITE without a terminator behind the path", xs.XS_WRITE, bytesOf("/a")],
    ["WATCH without a token", xs.XS_WATCH, joinStrings(["/a"])],
    ["WATCH with an unterminated token", xs.XS_WATCH, bytesOf("/a\0token")],
    ["WATCH with three strings", xs.XS_WATCH, joinStrings(["/a", "b", "c"])],
    ["WATCH of an unknown special node", xs.XS_WATCH, joinStrings(["@somebody", "t"])],
    ["UNWATCH without a token", xs.XS_UNWATCH, joinStrings(["/a"])],
    ["TRANSACTION_END without a verdict", xs.XS_TRANSACTION_END, joinStrings(["X"])],
    ["SET_PERMS without a list", xs.XS_SET_PERMS, joinStrings(["/"])],
    ["SET_PERMS with a bad letter", xs.XS_SET_PERMS, joinStrings(["/", "x0"])],
    ["SET_PERMS with a reserved domid", xs.XS_SET_PERMS, joinStrings(["/", "n32752"])],
    ["SET_PERMS with a sign", xs.XS_SET_PERMS, joinStrings(["/", "n-1"])],
    ["DIRECTORY_PART with a negative offset", xs.XS_DIRECTORY_PART, joinStrings(["/", "-1"])],
    ["GET_DOMAIN_PATH of a word", xs.XS_GET_DOMAIN_PATH, joinStrings(["one"])],
    ["GET_DOMAIN_PATH of a reserved domid", xs.XS_GET_DOMAIN_PATH, joinStrings(["32752"])],
    ["INTRODUCE with a frame beyond memory", xs.XS_INTRODUCE, joinStrings(["3", "4000000000", "1"])],
    ["INTRODUCE with two numbers", xs.XS_INTRODUCE, joinStrings(["3", "4"])],
    ["CONTROL", xs.XS_CONTROL, joinStrings(["check"])],
  ];
  test.each(cases)("%s is EINVAL", (_name, type, payload) => {
    expect(dom0().exchange(type, payload)[0].text).toBe("EINVAL");
  });

  test("unknown operations, and messages that only a server sends, are ENOSYS", () => {
    const client = dom0();
    for (const type of [xs.XS_WATCH_EVENT, xs.XS_ERROR, 20, 23, 26, 1000, xs.XS_INVALID, 0xffffffff]) {
      const [reply] = client.exchange(type, joinStrings(["/"]));
      expect([reply.type, reply.text]).toEqual([xs.XS_ERROR, "ENOSYS"]);
    }
  });

  test("paths: every rule of the specification, and the lengths", () => {
    const client = dom0();
    const bad = [
      "//",
      "/a//b",
      "/a/",
      "/local/domain/",
      "/a b",
      "/a.b",
      "/a\u00e9",
      "a/",
      "@releaseDomain",
      "/" + "x".repeat(3072),
    ];
    for (const path of bad) expect([path, client.ask(xs.XS_READ, [path])]).toEqual([path, "EINVAL"]);
    const good = ["/", "/a-b_c@1", "x", `/${"x".repeat(2047)}`, "/local/domain/-1"];
    for (const path of good) expect([path, client.ask(xs.XS_MKDIR, [path])]).toEqual([path, "OK"]);
    expect(client.ask(xs.XS_MKDIR, [`/${"x".repeat(2048)}`])).toBe("EINVAL");
    expect(client.ask(xs.XS_MKDIR, ["y".repeat(2048)])).toBe("OK");
    expect(client.ask(xs.XS_MKDIR, ["y".repeat(2049)])).toBe("EINVAL");
    expect(client.ask(xs.XS_MKDIR, [`/local/domain/0/${"z".repeat(2048)}`])).toBe("OK");
    expect(client.ask(xs.XS_MKDIR, [`/local/domain/0/${"z".repeat(2049)}`])).toBe("EINVAL");
  });
});

describe("domains", () => {
  test("GET_DOMAIN_PATH and IS_DOMAIN_INTRODUCED", () => {
    const client = dom0();
    expect(client.ask(xs.XS_GET_DOMAIN_PATH, ["5"])).toBe("/local/domain/5");
    expect(client.ask(xs.XS_IS_DOMAIN_INTRODUCED, ["5"])).toBe("F");
    client.world.introduce(5);
    expect(client.ask(xs.XS_IS_DOMAIN_INTRODUCED, ["5"])).toBe("T");
  });

  test("INTRODUCE and RELEASE over the wire do what the methods do", () => {
    const client = dom0();
    client.ask(xs.XS_WATCH, ["@introduceDomain", "i"]);
    client.ask(xs.XS_WATCH, ["@releaseDomain", "r"]);
    client.takeEvents();
    expect(client.ask(xs.XS_INTRODUCE, ["6", "7", "1"])).toBe("OK");
    expect(client.world.store.isIntroduced(6)).toBe(true);
    expect(client.ask(xs.XS_RESUME, ["6"])).toBe("OK");
    expect(client.ask(xs.XS_RELEASE, ["6"])).toBe("OK");
    expect(client.world.store.isIntroduced(6)).toBe(false);
    expect(client.ask(xs.XS_RESUME, ["6"])).toBe("ENOENT");
    expect(client.ask(xs.XS_RELEASE, ["6"])).toBe("ENOENT");
    expect(client.takeEvents()).toEqual(["@introduceDomain i", "@releaseDomain r"]);
  });

  test("privileged operations are EACCES for a guest", () => {
    const client = new StoreWorld().guest(3);
    const { XS_CONTROL, XS_INTRODUCE, XS_RELEASE, XS_RESUME, XS_SET_TARGET } = xs;
    for (const type of [XS_CONTROL, XS_INTRODUCE, XS_RELEASE, XS_RESUME, XS_SET_TARGET]) {
      expect(client.ask(type, ["3", "4", "5"])).toBe("EACCES");
    }
    expect(client.world.store.isIntroduced(3)).toBe(true);
  });

  test("SET_TARGET lets a device model's domain act for its guest, until that is gone", () => {
    const world = new StoreWorld();
    const client = world.introduce(0);
    const [guest, model] = [world.guest(4), world.guest(5)];
    guest.write("data", "mine");
    expect(model.ask(xs.XS_READ, ["/local/domain/4/data"])).toBe("EACCES");
    expect(client.ask(xs.XS_SET_TARGET, ["5", "6"])).toBe("ENOENT");
    expect(client.ask(xs.XS_SET_TARGET, ["5", "4"])).toBe("OK");
    expect(model.ask(xs.XS_READ, ["/local/domain/4/data"])).toBe("mine");
    world.store.release(4);
    const next = world.guest(4);
    next.write("data", "another's");
    expect(model.ask(xs.XS_READ, ["/local/domain/4/data"])).toBe("EACCES");
  });
});

test("replies echo type, request id and transaction id, in order, and every message is traced both ways", () => {
  const client = dom0();
  client.push(encodeMessage(xs.XS_READ, 0xffffffff, 0, joinStrings(["/"])));
  client.push(encodeMessage(xs.XS_READ, 7, 99, joinStrings(["/"])));
  expect(client.ring()).toBe(2);
  const replies = client.receive();
  expect(replies.map(({ type, reqId, txId, text }) => [type, reqId, txId, text])).toEqual([
    [xs.XS_READ, 0xffffffff, 0, ""],
    [xs.XS_ERROR, 7, 99, "ENOENT"],
  ]);
  expect(client.world.traced.map((words) => words.slice(0, 5))).toEqual([
    [0, xs.XS_READ, 0xffffffff, 0, 2],
    [0, xs.XS_READ, 0xffffffff, 0, 0],
    [0, xs.XS_READ, 7, 99, 2],
    [0, xs.XS_ERROR, 7, 99, 7],
  ]);
});
