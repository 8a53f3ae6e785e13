import { describe, expect, test } from "vitest";
import * as xs from "../../../../hal/abi/xs_wire";
import { joinStrings } from "../../../../hal/host/xenstored/wire";
import { StoreWorld } from "./store-world";

describe("events", () => {
  test("the first event follows the OK; events of a change come before its own reply", () => {
    const client = new StoreWorld().introduce(0);
    const first = client.exchange(xs.XS_WATCH, joinStrings(["/a", "t"]));
    expect(first.map(({ type, text }) => [type, text])).toEqual([
      [xs.XS_WATCH, "OK"],
      [xs.XS_WATCH_EVENT, "/a t"],
    ]);
    const second = client.exchange(xs.XS_WRITE, joinStrings(["/a/b", "1"]));
    expect(second.map(({ type, reqId, text }) => [type, reqId, text])).toEqual([
      [xs.XS_WATCH_EVENT, 0, "/a/b t"],
      [xs.XS_WRITE, 2, "OK"],
    ]);
  });

  test("one per node written: at and below the path, none for parents made on the way, none beside it", () => {
    const client = new StoreWorld().introduce(0);
    client.ask(xs.XS_WATCH, ["/a", "t"]);
    client.takeEvents();
    client.write("/a/b/c", "1");
    client.write("/ab", "1");
    client.write("/", "1");
    client.ask(xs.XS_MKDIR, ["/a/d"]);
    client.ask(xs.XS_MKDIR, ["/a/d"]);
    client.ask(xs.XS_SET_PERMS, ["/a", "r0"]);
    expect(client.takeEvents()).toEqual(["/a/b/c t", "/a/d t", "/a t"]);
  });

  test("a removal: one event with its own path above; watches of nodes below hear their own path", () => {
    const client = new StoreWorld().introduce(0);
    client.write("/a/b/c/d", "1");
    for (const path of ["/a", "/a/b", "/a/b/c/d", "/a/b/nothing"]) client.ask(xs.XS_WATCH, [path, `watch:${path}`]);
    client.takeEvents();
    client.ask(xs.XS_RM, ["/a/b"]);
    expect(client.takeEvents()).toEqual(["/a/b watch:/a", "/a/b watch:/a/b", "/a/b/c/d watch:/a/b/c/d"]);
  });

  test("in the order in which the watches were registered, over all clients", () => {
    const world = new StoreWorld();
    const [host, client] = [world.store.connectHost(), world.introduce(0)];
    client.ask(xs.XS_WATCH, ["/a/b", "second"]);
    client.ask(xs.XS_WATCH, ["/", "third"]);
    client.ask(xs.XS_WATCH, ["/a", "first"]);
    client.takeEvents();
    host.write("/a/b", "1");
    expect(client.takeEvents()).toEqual(["/a/b second", "/a/b third", "/a/b first"]);
  });

  test("a relative watch gets relative paths, also for the same node by its absolute name", () => {
    const world = new StoreWorld();
    const client = world.guest(7);
    client.ask(xs.XS_WATCH, ["device", "r"]);
    client.ask(xs.XS_WATCH, ["/local/domain/7/device", "a"]);
    expect(client.takeEvents()).toEqual(["device r", "/local/domain/7/device a"]);
    world.store.connectHost().write("/local/domain/7/device/vbd/51712/state", "1");
    expect(client.takeEvents()).toEqual(["device/vbd/51712/state r", "/local/domain/7/device/vbd/51712/state a"]);
  });

  test("one client's change is seen by another, which is notified", () => {
    const world = new StoreWorld();
    const [one, two] = [world.introduce(0), world.guest(2)];
    world.store.connectHost().setPerms("/local/domain/2", ["n2"]);
    two.ask(xs.XS_WATCH, ["state", "t"]);
    two.takeEvents();
    world.notified = [];
    one.write("/local/domain/2/state", "4");
    expect(world.notified).toContain(2);
    expect(two.takeEvents()).toEqual(["state t"]);
  });
});

describe("who may hear what (XSA-115)", () => {
  test("no events for nodes that the watcher may not read", () => {
    const world = new StoreWorld();
    const [spy, victim] = [world.guest(7), world.guest(8)];
    expect(spy.ask(xs.XS_WATCH, ["/", "t"])).toBe("OK");
    expect(spy.takeEvents()).toEqual(["/ t"]);
    victim.write("secret", "1");
    victim.ask(xs.XS_RM, ["secret"]);
    expect(spy.takeEvents()).toEqual([]);
    victim.write("public", "1");
    victim.ask(xs.XS_SET_PERMS, ["public", "r8"]);
    victim.write("public", "2");
    victim.ask(xs.XS_SET_PERMS, ["public", "n8"]);
    victim.write("public", "3");
    const path = "/local/domain/8/public t";
    expect(spy.takeEvents()).toEqual([path, path, path]);
  });

  test("removing a readable node is heard; an unreadable one below a removed directory is not", () => {
    const world = new StoreWorld();
    const [spy, victim] = [world.guest(7), world.guest(8)];
    victim.write("dir/open", "1");
    victim.write("dir/shut", "1");
    victim.ask(xs.XS_SET_PERMS, ["dir/open", "r8"]);
    spy.ask(xs.XS_WATCH, ["/local/domain/8/dir/open", "o"]);
    spy.ask(xs.XS_WATCH, ["/local/domain/8/dir/shut", "s"]);
    spy.takeEvents();
    victim.ask(xs.XS_RM, ["dir"]);
    expect(spy.takeEvents()).toEqual(["/local/domain/8/dir/open o"]);
  });

  test("special nodes are for privileged clients, or those whom they let", () => {
    const world = new StoreWorld();
    const [client, spy] = [world.introduce(0), world.guest(7)];
    expect(spy.ask(xs.XS_WATCH, ["@introduceDomain", "t"])).toBe("EACCES");
    expect(spy.ask(xs.XS_WATCH, ["@releaseDomain", "t"])).toBe("EACCES");
    expect(client.ask(xs.XS_WATCH, ["@releaseDomain", "t"])).toBe("OK");
    world.store.connectHost().setPerms("@releaseDomain", ["n0", "r7"]);
    expect(spy.ask(xs.XS_WATCH, ["@releaseDomain", "t"])).toBe("OK");
    client.takeEvents();
    spy.takeEvents();
    world.introduce(9);
    world.store.announceShutdown();
    world.store.release(9);
    for (const each of [client, spy]) expect(each.takeEvents()).toEqual(["@releaseDomain t", "@releaseDomain t"]);
  });

  test("a transaction id on WATCH means nothing", () => {
    const client = new StoreWorld().introduce(0);
    expect(client.ask(xs.XS_WATCH, ["/a", "t"], 1234)).toBe("OK");
    expect(client.takeEvents()).toEqual(["/a t"]);
  });
});

describe("registration", () => {
  test("the same pair twice is EEXIST, by whichever name; another token is another watch", () => {
    const client = new StoreWorld().introduce(0);
    expect(client.ask(xs.XS_WATCH, ["x", "t"])).toBe("OK");
    expect(client.ask(xs.XS_WATCH, ["/local/domain/0/x", "t"])).toBe("EEXIST");
    expect(client.ask(xs.XS_WATCH, ["x", "u"])).toBe("OK");
    expect(client.ask(xs.XS_UNWATCH, ["x", "v"])).toBe("ENOENT");
    expect(client.ask(xs.XS_UNWATCH, ["x", "t"])).toBe("OK");
    expect(client.ask(xs.XS_UNWATCH, ["x", "t"])).toBe("ENOENT");
    client.takeEvents();
    client.write("/local/domain/0/x", "1");
    expect(client.takeEvents()).toEqual(["x u"]);
  });

  test("an event that would not fit into a message is dropped (XSA-324)", () => {
    const client = new StoreWorld().introduce(0);
    const token = "t".repeat(4000);
    expect(client.ask(xs.XS_WATCH, ["/w", token])).toBe("OK");
    client.takeEvents();
    client.write("/w/short", "1");
    expect(client.takeEvents()).toEqual([`/w/short ${token}`]);
    expect(client.write(`/w/${"p".repeat(2000)}`, "1")).toBe("OK");
    expect(client.takeEvents()).toEqual([]);
  });

  test("RESET_WATCHES ends watches and transactions, any number of times, also with one open (XSA-330, XSA-484)", () => {
    const client = new StoreWorld().guest(7);
    const { state } = client.world.store;
    for (let round = 0; round < 300; round++) {
      client.ask(xs.XS_WATCH, ["a", "t"]);
      const id = client.start();
      client.write("a", "1", id);
      expect(client.ask(xs.XS_RESET_WATCHES, [""], id)).toBe("OK");
      expect(client.ask(xs.XS_TRANSACTION_END, ["T"], id)).toBe("ENOENT");
    }
    expect([state.watches.length, state.transactions.size, state.nodes.has("/local/domain/7/a")]).toEqual([
      0,
      0,
      false,
    ]);
    client.takeEvents();
    client.write("a", "1");
    expect(client.takeEvents()).toEqual([]);
  });
});
