/**
 * The lock order check of debug builds: every lock class (a lock's name) remembers which classes were taken while it was held. An order that
 * closes a circle could deadlock some day, and is reported the first time it is seen, whether or not it deadlocks now.
 */
import { dump_stack } from "xenolith/linux/kernel";
import { pr_warn } from "xenolith/linux/printk";

interface named_lock {
  readonly name: string;
}

/** class -> classes that were taken while it was held. */
const taken_after = new Map<string, Set<string>>();
let reports = 0;

/** How many lock problems were reported since boot. */
export function lockdep_reports(): number {
  return reports;
}

/** Whether `from` leads to `to` in the recorded order. */
function leads_to(from: string, to: string, seen: Set<string>): boolean {
  if (from === to) return true;
  if (seen.has(from)) return false;
  seen.add(from);
  for (const next of taken_after.get(from) ?? []) if (leads_to(next, to, seen)) return true;
  return false;
}

/** Prints one of lockdep's reports in its own frame. */
export function lockdep_report(title: string, detail: string): void {
  reports++;
  pr_warn("======================================================\n");
  pr_warn("WARNING: %s\n", title);
  pr_warn("------------------------------------------------------\n");
  pr_warn("%s\n", detail);
  dump_stack();
}

/** Called before `lock` is taken while those in `held` are. */
export function lock_acquire(lock: named_lock, held: readonly unknown[]): void {
  if (lock.name === "") return;
  for (const other of held as named_lock[]) {
    if (other === lock || other.name === "") continue;
    if (other.name === lock.name) continue; // nesting within a class is the owner's business, as with *_nested
    record_order(other.name, lock.name);
  }
}

function record_order(held: string, wanted: string): void {
  let after = taken_after.get(held);
  if (after === undefined) {
    after = new Set();
    taken_after.set(held, after);
  }
  if (after.has(wanted)) return;
  if (leads_to(wanted, held, new Set())) {
    lockdep_report(
      "possible circular locking dependency detected",
      `trying to acquire ${wanted} while holding ${held}, which was taken after ${wanted} before`,
    );
  }
  after.add(wanted);
}
