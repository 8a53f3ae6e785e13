import { describe, expect, test } from "vitest";
import * as xs from "../../../../hal/abi/xs_wire";
import type { StoreClient } from "./store-world";
import { StoreWorld } from "./store-world";

/** Two connections of equal rights: domain 0's ring and a guest's, which may do anything below /s. */
function two(): [StoreClient, StoreClient] {
  const world = new StoreWorld();
  const clients: [StoreClient, StoreClient] = [world.introduce(0), world.guest(7)];
  const host = world.store.connectHost();
  host.mkdir("/s");
  host.setPerms("/s", ["b0"]);
  return clients;
}

function end(client: StoreClient, id: number, verdict = "T"): string {
  return client.ask(xs.XS_TRANSACTION_END, [verdict], id);
}

describe("a transaction", () => {
  test("sees its own changes, which nobody else sees before the commit", () => {
    const [one, other] = two();
    const id = one.start();
    expect(one.write("/s/a/b", "1", id)).toBe("OK");
    expect(one.ask(xs.XS_READ, ["/s/a/b"], id)).toBe("1");
    expect(one.ask(xs.XS_DIRECTORY, ["/s"], id)).toBe("a");
    expect(one.ask(xs.XS_READ, ["/s/a/b"])).toBe("ENOENT");
    expect(other.ask(xs.XS_DIRECTORY, ["/s"])).toBe("");
    expect(end(one, id)).toBe("OK");
    expect(other.ask(xs.XS_READ, ["/s/a/b"])).toBe("1");
    expect(end(one, id)).toBe("ENOENT");
  });

  test("sees the whole database as it was when it began", () => {
    const [one, other] = two();
    other.write("/s/kept", "old");
    other.write("/s/gone/x", "old");
    const id = one.start();
    other.write("/s/kept", "new");
    other.ask(xs.XS_RM, ["/s/gone"]);
    other.write("/s/added", "new");
    other.ask(xs.XS_SET_PERMS, ["/s/kept", "r7"]);
    expect(one.ask(xs.XS_READ, ["/s/kept"], id)).toBe("old");
    expect(one.ask(xs.XS_READ, ["/s/gone/x"], id)).toBe("old");
    expect(one.ask(xs.XS_READ, ["/s/added"], id)).toBe("ENOENT");
    expect(one.ask(xs.XS_DIRECTORY, ["/s"], id)).toBe("kept gone");
    expect(one.ask(xs.XS_GET_PERMS, ["/s/kept"], id)).toBe("b7");
    expect(end(one, id)).toBe("EAGAIN");
  });

  test("F discards everything", () => {
    const [one] = two();
    const id = one.start();
    one.write("/s/a", "1", id);
    expect(end(one, id, "F")).toBe("OK");
    expect(one.ask(xs.XS_READ, ["/s/a"])).toBe("ENOENT");
  });

  test("removing and making a watched node again is one event, as when the toolstack makes a device's directory anew", () => {
    const [one, other] = two();
    one.write("/s/dev/state", "6");
    other.ask(xs.XS_WATCH, ["/s/dev/state", "t"]);
    other.takeEvents();
    const id = one.start();
    one.ask(xs.XS_RM, ["/s/dev"], id);
    one.ask(xs.XS_MKDIR, ["/s/dev"], id);
    one.write("/s/dev/state", "1", id);
    expect(end(one, id)).toBe("OK");
    expect(other.takeEvents()).toEqual(["/s/dev/state t"]);
    expect(other.ask(xs.XS_READ, ["/s/dev/state"])).toBe("1");
  });

  test("ids are per connection, and another connection's mean nothing", () => {
    const [one, other] = two();
    const id = one.start();
    expect(other.ask(xs.XS_READ, ["/s"], id)).toBe("ENOENT");
    expect(end(other, id)).toBe("ENOENT");
    expect(one.ask(xs.XS_TRANSACTION_START, [""], id)).toBe("EBUSY");
    expect(one.ask(xs.XS_TRANSACTION_END, ["T"])).toBe("ENOENT");
    expect(end(one, id)).toBe("OK");
  });

  test("watches fire at the commit only, one event per node, before the reply", () => {
    const [one, other] = two();
    other.ask(xs.XS_WATCH, ["/s", "t"]);
    one.ask(xs.XS_WATCH, ["/s/dir/old", "below"]);
    one.write("/s/dir/old", "1");
    other.takeEvents();
    one.takeEvents();
    const id = one.start();
    one.write("/s/a/b", "1", id);
    one.write("/s/a/b", "2", id);
    one.ask(xs.XS_RM, ["/s/dir"], id);
    one.ask(xs.XS_MKDIR, ["/s/dir"], id);
    one.write("/s/dir/new", "1", id);
    one.write("/s/brief", "1", id);
    one.ask(xs.XS_RM, ["/s/brief"], id);
    expect(other.takeEvents()).toEqual([]);
    const messages = one.exchange(xs.XS_TRANSACTION_END, new Uint8Array([0x54, 0]), id);
    expect(messages.map(({ type }) => type)).toEqual([xs.XS_WATCH_EVENT, xs.XS_TRANSACTION_END]);
    expect(messages[0].text).toBe("/s/dir/old below");
    expect(other.takeEvents()).toEqual(["/s/a/b t", "/s/dir t", "/s/dir/new t"]);
  });
});

describe("conflicts", () => {
  type Step = (client: StoreClient, id?: number) => void;
  const write =
    (path: string): Step =>
    (client, id) =>
      void client.write(path, "new", id);
  const ask =
    (type: number, ...strings: string[]): Step =>
    (client, id) =>
      void client.ask(type, strings, id);
  const rows: [string, Step, Step, "OK" | "EAGAIN"][] = [
    ["different nodes", write("/s/d/a"), write("/s/d/b"), "OK"],
    ["two new children of one directory", write("/s/d/x"), write("/s/d/y"), "OK"],
    ["reading a node while its sibling changes", ask(xs.XS_READ, "/s/d/a"), write("/s/d/b"), "OK"],
    ["reading a directory's value while it gets a child", ask(xs.XS_READ, "/s/d"), write("/s/d/x"), "OK"],
    ["listing a directory while a child's value changes", ask(xs.XS_DIRECTORY, "/s/d"), write("/s/d/a"), "OK"],
    ["writing the same node", write("/s/d/a"), write("/s/d/a"), "EAGAIN"],
    ["making the same node", write("/s/d/x"), write("/s/d/x"), "EAGAIN"],
    ["making the same parent", write("/s/n/x"), write("/s/n/y"), "EAGAIN"],
    ["reading what is written", ask(xs.XS_READ, "/s/d/a"), write("/s/d/a"), "EAGAIN"],
    ["missing what is made", ask(xs.XS_READ, "/s/d/x"), write("/s/d/x"), "EAGAIN"],
    ["listing what gets a child", ask(xs.XS_DIRECTORY, "/s/d"), write("/s/d/x"), "EAGAIN"],
    ["listing what loses a child", ask(xs.XS_DIRECTORY, "/s/d"), ask(xs.XS_RM, "/s/d/a"), "EAGAIN"],
    ["reading what is removed", ask(xs.XS_READ, "/s/d/a"), ask(xs.XS_RM, "/s/d"), "EAGAIN"],
    ["writing below what is removed", write("/s/d/x"), ask(xs.XS_RM, "/s/d"), "EAGAIN"],
    ["removing what gets a child", ask(xs.XS_RM, "/s/d"), write("/s/d/x"), "EAGAIN"],
    ["removing what changes", ask(xs.XS_RM, "/s/d/a"), write("/s/d/a"), "EAGAIN"],
    ["reading permissions that change", ask(xs.XS_GET_PERMS, "/s/d/a"), ask(xs.XS_SET_PERMS, "/s/d/a", "b0"), "EAGAIN"],
    ["a child of a directory whose permissions change", write("/s/d/x"), ask(xs.XS_SET_PERMS, "/s/d", "b0"), "EAGAIN"],
  ];
  test.each(rows)("%s", (_name, inside, outside, expected) => {
    const [one, other] = two();
    one.write("/s/d/a", "old");
    one.write("/s/d/b", "old");
    const id = one.start();
    inside(one, id);
    outside(other.ask(xs.XS_GET_PERMS, ["/s/d"]) === "b0" ? one : other);
    expect(end(one, id)).toBe(expected);
  });

  test("what comes and goes while a transaction is open leaves no trace in it", () => {
    const [one, other] = two();
    const id = one.start();
    one.ask(xs.XS_READ, ["/s/x0"], id);
    for (let i = 0; i < 200; i++) {
      other.write(`/s/x${i}`, "1");
      other.ask(xs.XS_RM, [`/s/x${i}`]);
    }
    const [transaction] = one.world.store.state.transactions.values();
    expect(transaction.before.size).toBe(1);
    expect(end(one, id)).toBe("OK");
  });

  test("a commit that fails changes nothing; the retry succeeds", () => {
    const [one, other] = two();
    const attempt = (): string => {
      const id = one.start();
      one.ask(xs.XS_READ, ["/s/x"], id);
      one.write("/s/y", "1", id);
      return String(id);
    };
    const id = Number(attempt());
    other.write("/s/x", "1");
    expect(end(one, id)).toBe("EAGAIN");
    expect(one.ask(xs.XS_READ, ["/s/y"])).toBe("ENOENT");
    expect(end(one, Number(attempt()))).toBe("OK");
  });
});

describe("guests that keep writing (XSA-206)", () => {
  /** Domain 0 reads what the guest keeps changing. Returns the number of attempts until a commit. */
  function attemptsUntilCommit(one: StoreClient, other: StoreClient): number {
    for (let attempt = 1; attempt <= 20; attempt++) {
      const id = one.start();
      one.ask(xs.XS_READ, ["/s/x"], id);
      other.push(writeMessage("/s/x", String(attempt)));
      other.ring();
      other.receive();
      if (end(one, id) === "OK") return attempt;
    }
    return Infinity;
  }

  test("a privileged client's transaction succeeds at the third attempt, and the writer goes on afterwards", () => {
    const [one, other] = two();
    expect(attemptsUntilCommit(one, other)).toBe(3);
    expect(one.ask(xs.XS_READ, ["/s/x"])).toBe("3");
    expect(other.receive().map(({ text }) => text)).toEqual(["OK"]);
    expect(other.write("/s/x", "after")).toBe("OK");
    one.start();
    expect(one.world.store.state.guarded).toBe(0);
  });

  test("it is the last writer who counts, and privileged ones need no guarding against", () => {
    for (const [last, guarded] of [
      ["guest", true],
      ["host", false],
    ] as const) {
      const [one, other] = two();
      const host = one.world.store.connectHost();
      for (let i = 0; i < 2; i++) {
        const id = one.start();
        one.ask(xs.XS_READ, ["/s/x"], id);
        if (last === "host") other.write("/s/x", "1");
        host.write("/s/x", "2");
        if (last === "guest") other.write("/s/x", "3");
        expect(end(one, id)).toBe("EAGAIN");
      }
      one.start();
      expect(one.world.store.state.guarded !== 0).toBe(guarded);
    }
  });

  test("reading goes on while a guarded transaction is open; writing waits, in order, until it ends in any way", () => {
    const endings: ((one: StoreClient, id: number) => void)[] = [
      (one, id) => void end(one, id, "F"),
      (one) => void one.ask(xs.XS_RESET_WATCHES, [""]),
      (one) => void one.world.introduce(0),
      (one) => void one.world.store.release(0),
      (one) => {
        one.setWord(xs.XENSTORE_DOMAIN_INTERFACE_REQ_PROD, 77777);
        one.ring();
      },
    ];
    for (const ending of endings) {
      const [one, other] = two();
      for (let i = 0; i < 2; i++) {
        const id = one.start();
        one.ask(xs.XS_READ, ["/s/x"], id);
        other.write("/s/x", String(i));
        expect(end(one, id)).toBe("EAGAIN");
      }
      const guarded = one.start();
      expect(other.ask(xs.XS_READ, ["/s/x"])).toBe("1");
      other.push(writeMessage("/s/x", "waits"));
      other.push(readMessage("/s/x"));
      other.ring();
      expect(other.receive()).toEqual([]);
      ending(one, guarded);
      expect(other.receive().map(({ text }) => text)).toEqual(["OK", "waits"]);
    }
  });
});

function message(type: number, payload: string): Uint8Array {
  const bytes = new Uint8Array(16 + payload.length);
  new DataView(bytes.buffer).setUint32(0, type, true);
  new DataView(bytes.buffer).setUint32(12, payload.length, true);
  for (let i = 0; i < payload.length; i++) bytes[16 + i] = payload.charCodeAt(i);
  return bytes;
}

function writeMessage(path: string, value: string): Uint8Array {
  return message(xs.XS_WRITE, `${path}\0${value}`);
}

function readMessage(path: string): Uint8Array {
  return message(xs.XS_READ, `${path}\0`);
}
