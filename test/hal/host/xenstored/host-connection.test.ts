import { describe, expect, test } from "vitest";
import { XS_READ, XS_TRANSACTION_START, XS_WATCH } from "../../../../hal/abi/xs_wire";
import { XenStoreError } from "../../../../hal/host/xenstored/xenstored";
import { StoreWorld } from "./store-world";

describe("the toolstack's connection", () => {
  test("reads, writes and lists; absent is null; bytes are bytes", () => {
    const host = new StoreWorld().store.connectHost();
    host.write("/a/b", "grüße");
    host.write("/a/c", Uint8Array.of(0, 255));
    host.mkdir("/a/d");
    expect(host.read("/a/b")).toBe("grüße");
    expect(host.readBytes("/a/c")).toEqual(Uint8Array.of(0, 255));
    expect(host.directory("/a")).toEqual(["b", "c", "d"]);
    expect([host.read("/x"), host.readBytes("/x"), host.directory("/x"), host.getPerms("/x")]).toEqual(
      Array(4).fill(null),
    );
    expect([host.exists("/a"), host.exists("/x")]).toEqual([true, false]);
    host.rm("/a");
    host.rm("/nowhere/at/all");
    expect(host.exists("/a")).toBe(false);
    host.write("relative", "1");
    expect(host.read("/local/domain/0/relative")).toBe("1");
  });

  test("mistakes throw, with the error, the operation and the path", () => {
    const host = new StoreWorld().store.connectHost();
    for (const path of ["/a b", "", "//", "/é", "/Ł"]) {
      expect(() => host.write(path, "x")).toThrow(new XenStoreError("EINVAL", "WRITE", path));
      expect(() => host.directory(path)).toThrow(XenStoreError);
    }
    expect(() => host.setPerms("/x", ["n0"])).toThrow("xenstore SET_PERMS /x: ENOENT");
    expect(() => host.setPerms("/", ["nobody"])).toThrow("EINVAL");
    expect(() => host.unwatch("/x", "t")).toThrow("ENOENT");
  });

  test("lists directories of any length", () => {
    const host = new StoreWorld().store.connectHost();
    for (let i = 0; i < 3000; i++) host.mkdir(`/many/${i}`);
    expect(host.directory("/many")).toHaveLength(3000);
    expect(host.transaction((inside) => inside.directory("/many"))).toHaveLength(3000);
  });

  test("a transaction is all or nothing", () => {
    const host = new StoreWorld().store.connectHost();
    host.watch("/a", "t");
    host.takeEvents();
    const result = host.transaction((inside) => {
      inside.write("/a/x", "1");
      inside.transaction((same) => same.write("/a/y", "2"));
      expect(host.read("/a/x")).toBeNull();
      expect(inside.directory("/a")).toEqual(["x", "y"]);
      return 42;
    });
    expect([result, host.read("/a/y")]).toEqual([42, "2"]);
    expect(host.takeEvents()).toEqual([
      { path: "/a/x", token: "t" },
      { path: "/a/y", token: "t" },
    ]);
    const failing = (): void =>
      host.transaction((inside) => {
        inside.write("/a/z", "3");
        throw new Error("changed my mind");
      });
    expect(failing).toThrow("changed my mind");
    expect(host.read("/a/z")).toBeNull();
  });

  test("a transaction that somebody disturbs runs again, and gives up when they never stop", () => {
    const { store } = new StoreWorld();
    const [host, other] = [store.connectHost(), store.connectHost()];
    let runs = 0;
    host.transaction((inside) => {
      inside.write("/sum", `${inside.read("/n") ?? ""}!`);
      if (++runs < 3) other.write("/n", String(runs));
    });
    expect([runs, host.read("/sum")]).toEqual([3, "2!"]);
    const hopeless = (): void =>
      host.transaction((inside) => {
        inside.read("/n");
        other.write("/n", "again");
      });
    expect(hopeless).toThrow("TRANSACTION_END");
    expect(store.state.transactions.size).toBe(0);
  });

  test("events come in order and once; a closed connection gets none and refuses", () => {
    const { store } = new StoreWorld();
    const [host, other] = [store.connectHost(), store.connectHost()];
    host.watch("/", "t");
    other.write("/a", "1");
    other.write("/a", "2");
    expect(host.takeEvents().map(({ path }) => path)).toEqual(["/", "/a", "/a"]);
    expect(host.takeEvents()).toEqual([]);
    host.close();
    other.write("/a", "3");
    expect(() => host.read("/a")).toThrow("closed");
    expect(store.state.watches).toEqual([]);
  });

  test("events that nobody takes are merged when they become many", () => {
    const host = new StoreWorld().store.connectHost();
    host.watch("/a", "t");
    for (let i = 0; i < 10_000; i++) host.write("/a", String(i));
    expect(host.takeEvents().length).toBeLessThanOrEqual(1024);
  });

  test("tree prints as xenstore-ls -f -p", () => {
    const host = new StoreWorld().store.connectHost();
    host.write("/a/b", "x");
    host.write("/a/c/d", 'q"\n\x01');
    host.setPerms("/a/b", ["n0", "r1"]);
    expect(host.tree("/a")).toBe(
      '/a = ""   (n0)\n/a/b = "x"   (n0,r1)\n/a/c = ""   (n0)\n/a/c/d = "q\\"\\n\\x01"   (n0)\n',
    );
    expect(host.tree("/nothing")).toBe("");
  });
});

test("a recording lists every operation of every client with its outcome, as given", () => {
  const world = new StoreWorld();
  const [host, client] = [world.store.connectHost(), world.guest(7)];
  world.store.startRecording();
  host.transaction((inside) => inside.write("/x", "1"));
  host.directory("/x");
  host.setPerms("/x", ["n0", "r7"]);
  client.ask(XS_READ, ["data"]);
  client.ask(XS_WATCH, ["data", "t"]);
  const id = client.start();
  client.write("data", "v", id);
  expect(world.store.takeRecording()).toEqual([
    { op: "TRANSACTION_START", domid: 0, from: "host", txid: 0, path: "" },
    { op: "WRITE", domid: 0, from: "host", txid: 1, path: "/x", value: "1" },
    { op: "TRANSACTION_END", domid: 0, from: "host", txid: 1, commit: "T" },
    { op: "DIRECTORY", domid: 0, from: "host", txid: 0, path: "/x" },
    { op: "SET_PERMS", domid: 0, from: "host", txid: 0, path: "/x", value: "n0,r7" },
    { op: "READ", domid: 7, from: "ring", txid: 0, path: "data", error: "ENOENT" },
    { op: "WATCH", domid: 7, from: "ring", txid: 0, path: "data", token: "t" },
    { op: "TRANSACTION_START", domid: 7, from: "ring", txid: 0, path: "" },
    { op: "WRITE", domid: 7, from: "ring", txid: 1, path: "data", value: "v" },
  ]);
  client.ask(XS_TRANSACTION_START, [""]);
  expect(world.store.takeRecording()).toEqual([]);
});
