import * as fc from "fast-check";
import { expect, test } from "vitest";
import * as xs from "../../../../hal/abi/xs_wire";
import type { XsState } from "../../../../hal/host/xenstored/state";
import type { Done, Step } from "./store-model";
import { ModelTree, related } from "./store-model";
import type { StoreClient } from "./store-world";
import { StoreWorld } from "./store-world";

const NAMES = ["a", "b", "c"];
const SLOTS = 2;

const path = fc
  .array(fc.constantFrom(...NAMES), { minLength: 1, maxLength: 3 })
  .map((names) => `/s/${names.join("/")}`);
const client = fc.integer({ min: 0, max: 1 });
const slot = fc.integer({ min: -1, max: SLOTS - 1 });
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant("write" as const),
      client,
      slot,
      path,
      value: fc.string({ maxLength: 2, unit: fc.constantFrom("x", "y") }),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constantFrom("read" as const, "directory" as const, "mkdir" as const, "rm" as const),
      client,
      slot,
      path,
    }),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("start" as const), client }) },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant("end" as const), client, slot, commit: fc.nat(4).map((n) => n > 0) }),
  },
);

/** A transaction as the model keeps it. */
interface Open {
  readonly id: number;
  readonly tree: ModelTree;
  readonly done: Done[];
  /** Paths that were changed by anybody else, or outside of it, since it began. */
  readonly foreign: string[];
}

/** The real store and the model, side by side. Both clients may do everything below /s. */
class Pair {
  readonly world = new StoreWorld();
  readonly clients: StoreClient[] = [this.world.guest(7), this.world.guest(8)];
  readonly model = new ModelTree(new Map([["/s", ""]]));
  readonly open: (Open | null)[][] = [
    [null, null],
    [null, null],
  ];
  readonly watches: { client: number; path: string }[] = [];
  commits = 0;
  refusals = 0;

  constructor(watched: string[]) {
    const host = this.world.store.connectHost();
    host.mkdir("/s");
    host.setPerms("/s", ["b0"]);
    host.close();
    watched.forEach((each, i) => this.watch(i % 2, each));
    this.takeEvents();
  }

  run(each: Step): void {
    if (each.kind === "start") this.start(each.client);
    else if (each.kind === "end") this.end(each.client, each.slot, each.commit);
    else this.treeStep(each);
  }

  takeEvents(): string[][] {
    return this.clients.map((each) => each.takeEvents());
  }

  private watch(index: number, watched: string): void {
    if (this.clients[index].ask(xs.XS_WATCH, [watched, "t"]) === "OK")
      this.watches.push({ client: index, path: watched });
  }

  private start(index: number): void {
    const free = this.open[index].indexOf(null);
    if (free < 0) return;
    this.open[index][free] = { id: this.clients[index].start(), tree: this.model.copy(), done: [], foreign: [] };
  }

  private treeStep(each: Exclude<Step, { kind: "start" | "end" }>): void {
    const transaction = each.slot < 0 ? null : this.open[each.client][each.slot];
    if (each.slot >= 0 && transaction === null) return;
    const tree = transaction?.tree ?? this.model;
    const before = this.model.copy();
    const changes = transaction === null ? this.model.changes(each) : null;
    const expected = tree.run(each);
    const result = this.perform(each, transaction?.id ?? 0);
    expect([each, result]).toEqual([each, expected]);
    transaction?.done.push({ step: each, result });
    if (changes !== null) this.noteForeign([changes.path, ...difference(before, this.model)], null);
    expect(this.takeEvents()).toEqual(this.expectedEvents(changes === null ? [] : [changes]));
  }

  private perform(each: Exclude<Step, { kind: "start" | "end" }>, id: number): string {
    const who = this.clients[each.client];
    if (each.kind === "write") return who.write(each.path, each.value, id);
    const types = { read: xs.XS_READ, directory: xs.XS_DIRECTORY, mkdir: xs.XS_MKDIR, rm: xs.XS_RM };
    const result = who.ask(types[each.kind], [each.path], id);
    return each.kind === "directory" ? result.split(" ").sort().join(" ") : result;
  }

  private end(index: number, which: number, commit: boolean): void {
    const transaction = which < 0 ? null : this.open[index][which];
    if (transaction === null) return;
    this.open[index][which] = null;
    const result = this.clients[index].ask(xs.XS_TRANSACTION_END, [commit ? "T" : "F"], transaction.id);
    if (!commit) expect(result).toBe("OK");
    if (!commit || result === "EAGAIN") {
      if (commit) this.expectConflict(transaction);
      expect(this.takeEvents()).toEqual([[], []]);
      return;
    }
    expect(result).toBe("OK");
    this.commit(transaction);
  }

  /** EAGAIN is only for a transaction that touched something near to what others changed. */
  private expectConflict({ done, foreign }: Open): void {
    this.refusals++;
    const touched = done.map(({ step: each }) => ("path" in each ? each.path : ""));
    expect(touched.some((one) => foreign.some((other) => related(one, other)))).toBe(true);
  }

  /** A commit is as if all of it had happened just now: every step gives the same result again. */
  private commit(transaction: Open): void {
    this.commits++;
    const before = this.model.copy();
    const changed: string[] = [];
    for (const { step: each, result } of transaction.done) {
      const changes = this.model.changes(each);
      if (changes !== null) changed.push(changes.path);
      expect([each, this.model.run(each)]).toEqual([each, result]);
    }
    this.noteForeign([...changed, ...difference(before, this.model)], transaction);
    const changes = [...new Set(changed)]
      .filter((each) => before.nodes.has(each) || this.model.nodes.has(each))
      .map((each) => ({
        path: each,
        gone: [...before.nodes.keys()].filter((other) => this.isGone(each, other, transaction)),
      }));
    expect(this.takeEvents()).toEqual(this.expectedEvents(changes));
  }

  private isGone(top: string, other: string, { done }: Open): boolean {
    const removed = done.some(({ step: each }) => each.kind === "rm" && each.path === top);
    return removed && other.startsWith(`${top}/`) && !this.model.nodes.has(other);
  }

  private noteForeign(paths: string[], except: Open | null): void {
    for (const each of this.open.flat()) if (each !== null && each !== except) each.foreign.push(...paths);
  }

  private expectedEvents(changes: { path: string; gone: string[] }[]): string[][] {
    const events: string[][] = [[], []];
    for (const { path: changed, gone } of changes) {
      for (const watch of this.watches) {
        if (changed === watch.path || changed.startsWith(`${watch.path}/`)) events[watch.client].push(`${changed} t`);
        else if (gone.includes(watch.path)) events[watch.client].push(`${watch.path} t`);
      }
    }
    return events;
  }
}

/** Paths of nodes that were made, removed or changed between the two. */
function difference(before: ModelTree, after: ModelTree): string[] {
  const all = new Set([...before.nodes.keys(), ...after.nodes.keys()]);
  return [...all].filter((each) => before.nodes.get(each) !== after.nodes.get(each));
}

/** The live tree below /s, which must be sound and equal to the model's. */
function expectSameTree(state: XsState, model: ModelTree): void {
  const real = [...state.nodes].filter(([each]) => each.startsWith("/s"));
  const text = new Map(real.map(([each, node]) => [each, new TextDecoder().decode(node.value)]));
  expect(new Map([...text].sort())).toEqual(new Map([...model.nodes].sort()));
  for (const [each, node] of real) {
    const names = [...state.nodes.keys()].filter((other) => other.slice(0, other.lastIndexOf("/")) === each);
    expect([...node.children].sort()).toEqual(names.map((other) => other.slice(each.length + 1)).sort());
  }
}

const parameters =
  process.env.SEED === undefined ? { numRuns: 400, seed: 20240607 } : { numRuns: 400, seed: Number(process.env.SEED) };

test(`transactions and watches behave as a copy of everything would (SEED=${parameters.seed})`, () => {
  let commits = 0;
  let refusals = 0;
  fc.assert(
    fc.property(
      fc.array(step, { minLength: 20, maxLength: 80, size: "max" }),
      fc.uniqueArray(path, { maxLength: 4 }),
      (steps, watched) => {
        const pair = new Pair(watched);
        for (const each of steps) pair.run(each);
        expectSameTree(pair.world.store.state, pair.model);
        commits += pair.commits;
        refusals += pair.refusals;
      },
    ),
    parameters,
  );
  expect(commits).toBeGreaterThan(100);
  expect(refusals).toBeGreaterThan(100);
});
