/**
 * The leak ledger: what the hypervisor's own ledger counts, and what xenstored holds for every client. Equal before and after, or there is a
 * leak.
 */
import type { Ledger, Machine } from "xenolith";

/** What one client of xenstored holds. */
export interface StoreLedger {
  /** A domid; the toolstack's connections have numbers above all of them. */
  readonly connection: number;
  readonly watches: number;
  readonly transactions: number;
}

export interface MachineLedger {
  readonly hypervisor: Ledger;
  readonly store: readonly StoreLedger[];
}

/** Virtual time in which a machine that is left alone comes to rest, ns: the front end's bus looks every 100 ms whether all disks are there. */
const SETTLE_NS = 150_000_000;
const SETTLE_ROUNDS_MAX = 50;

/** Lets what is in flight end, so that two ledgers can be compared. Throws Error when it does not end. */
export function settle(machine: Machine): void {
  for (let round = 0; round < SETTLE_ROUNDS_MAX; round++) {
    machine.advance(SETTLE_NS);
    if (machine.ledger().diskRequestsInFlight === 0) return;
  }
  throw new Error("disk requests are in flight without end");
}

/** Counts everything, once nothing is in flight any more. */
export function takeLedger(machine: Machine): MachineLedger {
  settle(machine);
  const { connections } = machine.xenstored.state;
  const store = [...connections.values()].map(({ id, watches, transactions }) => ({
    connection: id,
    watches,
    transactions: transactions.size,
  }));
  return { hypervisor: machine.ledger(), store: store.sort((a, b) => a.connection - b.connection) };
}

/** Compares with an earlier ledger of the same machine. Throws Error that lists every difference. */
export function checkLedger(machine: Machine, before: MachineLedger): void {
  const leaks = compareLedgers(before, takeLedger(machine));
  if (leaks.length > 0) throw new Error(`the ledger is not what it was before:\n  ${leaks.join("\n  ")}`);
}

/** One line for each count that differs. */
export function compareLedgers(before: MachineLedger, after: MachineLedger): string[] {
  const [old, now] = [flatten(before), flatten(after)];
  const keys = [...new Set([...old.keys(), ...now.keys()])];
  return keys
    .filter((key) => old.get(key) !== now.get(key))
    .map((key) => `${key}: ${old.get(key) ?? "none"} before, ${now.get(key) ?? "none"} after`);
}

function flatten({ hypervisor, store }: MachineLedger): Map<string, number> {
  const { domains, ...totals } = hypervisor;
  // Timers of the machine itself come and go with what it waits for.
  const flat = new Map(Object.entries(totals).filter(([key]) => key !== "eventsQueued"));
  for (const { name, domid, ...counts } of domains) {
    for (const [key, count] of Object.entries(counts)) flat.set(`${name} (domain ${domid}) ${key}`, count);
  }
  for (const { connection, ...counts } of store) {
    for (const [key, count] of Object.entries(counts)) flat.set(`xenstore client ${connection} ${key}`, count);
  }
  return flat;
}
