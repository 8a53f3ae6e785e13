/**
 * What a real xenstored was asked by real drivers, asked of ours: every commit succeeds as it did there, and the tree is the same, in the
 * order of a listing too, at the moments at which it was dumped.
 */
import { readFileSync } from "node:fs";
import * as path from "node:path";
import { expect, test } from "vitest";
import * as xs from "../../../../hal/abi/xs_wire";
import type { StoreClient } from "./store-world";
import { StoreWorld } from "./store-world";

interface Operation {
  op: string;
  conn: string;
  path?: string;
  value?: string;
  commit?: string;
}

const recordings = path.join(import.meta.dirname, "../../../golden/linux");

function load<T>(file: string): T {
  return JSON.parse(readFileSync(path.join(recordings, file), "utf8")) as T;
}

const handshakes = load<Record<string, Operation[]>>("handshakes.json");
const snapshots = load<Record<string, Record<string, [string, string]>>>("xenstore-snapshots.json");

/** Plays operations on domain 0's ring. Each recorded connection has at most one transaction open. */
class Player {
  readonly client: StoreClient;
  private readonly open = new Map<string, number>();
  private readonly tokens = new Map<string, number>();

  constructor(readonly world: StoreWorld) {
    this.client = world.introduce(0);
  }

  play(operation: Operation): string {
    const { op, conn, path: where = "", value = "", commit = "" } = operation;
    const txId = this.open.get(conn) ?? 0;
    switch (op) {
      case "TRANSACTION_START":
        this.open.set(conn, this.client.start());
        return "OK";
      case "TRANSACTION_END":
        this.open.delete(conn);
        return this.client.ask(xs.XS_TRANSACTION_END, [commit], txId);
      case "WRITE":
        return this.client.write(where, value, txId);
      case "READ":
        return this.client.ask(xs.XS_READ, [where], txId);
      case "MKDIR":
        return this.client.ask(xs.XS_MKDIR, [where], txId);
      case "RM":
        return this.client.ask(xs.XS_RM, [where], txId);
      default:
        return this.watch(op, where);
    }
  }

  /** Tokens were not recorded: each path's watches are numbered. */
  private watch(op: string, where: string): string {
    const count = this.tokens.get(where) ?? 0;
    this.tokens.set(where, op === "WATCH" ? count + 1 : count - 1);
    return op === "WATCH"
      ? this.client.ask(xs.XS_WATCH, [where, String(count)])
      : this.client.ask(xs.XS_UNWATCH, [where, String(count - 1)]);
  }
}

function dump(world: StoreWorld): [string, string, string][] {
  const host = world.store.connectHost();
  const entries = ["device", "backend"].flatMap((each) => host.entries(`/local/domain/0/${each}/vbd`));
  return entries.map(({ path: where, value, permissions }) => [where, value, permissions]);
}

function snapshot(name: string): [string, string, string][] {
  const entries = Object.entries(snapshots[name]).map(([where, [value, perms]]): [string, string, string] => [
    where,
    value,
    perms,
  ]);
  const isFront = ([where]: [string, string, string]): boolean => where.startsWith("/local/domain/0/device");
  return [...entries.filter(isFront), ...entries.filter((entry) => !isFront(entry))];
}

test.each(["loopback/10-default", "loopback/22-order4-q2"])("%s: commits, and the tree at each dump", (name) => {
  const player = new Player(new StoreWorld());
  const dumps = ["2-connected", "after-closed-51712", "4-after-rm"];
  const first = "/local/domain/0/device/vbd/51712";
  for (const operation of handshakes[name]) {
    const isDump = operation.op === "READ" && operation.conn === "toolstack" && operation.path === first;
    if (isDump) expect(dump(player.world)).toEqual(snapshot(`${name}/${dumps.shift()}.xenstore.txt`));
    const result = player.play(operation);
    if (operation.op !== "READ") expect([operation, result]).toEqual([operation, "OK"]);
  }
  expect(dumps).toEqual(["4-after-rm"]);
  expect(dump(player.world)).toEqual(snapshot(`${name}/4-after-rm.xenstore.txt`));
});

test.each(["loopback/40-resize", "loopback/41-reattach"])("%s: every operation succeeds as it did there", (name) => {
  const player = new Player(new StoreWorld());
  for (const operation of handshakes[name]) {
    const result = player.play(operation);
    if (operation.op !== "READ") expect([operation, result]).toEqual([operation, "OK"]);
  }
  expect(player.world.store.state.transactions.size).toBe(0);
});
