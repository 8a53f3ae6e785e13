/** All that a machine holds, in numbers, to be compared before and after: for tests of what comes and goes a thousand times. */
import type { Machine } from "xenolith";

/** What lies behind the public face, as far as it is looked at here. */
interface Behind {
  readonly parts: {
    readonly engine: {
      readonly raw?: { memoryUsed(context: unknown): number; heap(): Uint8Array; functions: readonly unknown[] };
      readonly domains?: ReadonlySet<{ readonly context: unknown }>;
    };
  };
}

/** Logs: what came from outside, the kernel logs, and the last few ends of domains. */
const LOGS = new Set(["inputs", "log", "ends"]);

/** Objects, entries and array elements that can be reached from the machine, typed arrays and logs left out. */
function countReachable(machine: Machine): number {
  const seen = new Set<object>();
  const open: unknown[] = [machine];
  let entries = 0;
  while (open.length > 0) {
    const value = open.pop();
    if (typeof value !== "object" || value === null || seen.has(value)) continue;
    seen.add(value);
    if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) continue;
    for (const child of childrenOf(value)) {
      if (child === undefined) continue;
      entries++;
      open.push(child);
    }
  }
  return seen.size + entries;
}

function childrenOf(value: object): unknown[] {
  if (value instanceof Map) return [...value].flat();
  if (value instanceof Set || Array.isArray(value)) return [...(value as Iterable<unknown>)];
  return Object.entries(value)
    .filter(([key]) => !LOGS.has(key))
    .map(([, child]) => child as unknown);
}

/** Everything that must be the same after any number of lives. Domids are left out. */
export function holdings(machine: Machine): Record<string, unknown> {
  const { domains, ...totals } = machine.ledger();
  const { nodes, watches, connections, transactions, domains: clients } = machine.xenstored.state;
  const { context } = machine.hypervisor;
  const { raw } = (machine as unknown as Behind).parts.engine;
  return {
    ...totals,
    // Timers come and go with what the kernels wait for.
    eventsQueued: totals.eventsQueued < 16,
    domains: domains.map((domain) => ({ ...domain, domid: 0 })),
    nodes: nodes.size,
    watches: watches.length,
    connections: connections.size,
    transactions: transactions.size,
    clients: clients.size,
    guests: context.guests.size,
    disks: context.disks.length,
    vcpus: context.state.vcpus.length,
    attachments: machine.attachedDisks().length,
    memoryBytes: context.memory.u8.buffer.byteLength,
    ...(raw === undefined ? {} : { hostFunctions: raw.functions.length }),
  };
}

/** The same for the host's own objects: a number that may differ by a few. */
export function hostObjects(machine: Machine): number {
  return countReachable(machine);
}

/** Bytes of dom0's JavaScript heap, garbage included; 0 where the engine cannot tell. */
export function dom0Heap(machine: Machine): number {
  const { engine } = (machine as unknown as Behind).parts;
  if (engine.raw === undefined || engine.domains === undefined) return 0;
  const [dom0] = engine.domains;
  return engine.raw.memoryUsed(dom0.context);
}
