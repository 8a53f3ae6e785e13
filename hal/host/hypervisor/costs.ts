/**
 * The cost table: what each primitive adds to the clock of the vCPU that uses it, in virtual nanoseconds. Drivers never charge; a guest kernel
 * charges the COST_* words of the control page, the hypervisor charges the rest.
 *
 * The "xen" preset has the order of magnitude of a PV guest on a 3 GHz x86-64 server: a null hypercall a few hundred ns, an inter-processor
 * interrupt a microsecond, a 4 KiB copy at about 10 GB/s. Ratios matter, not absolutes. "flat" charges 1 ns for everything (tests read their
 * clocks easily); no preset lets a loop stand still.
 */
import {
  CONTROL_COST_COUNT,
  COST_BIO_SUBMIT,
  COST_CLOCK_READ,
  COST_CONTEXT_SWITCH,
  COST_CPU_RELAX,
  COST_IRQ_ENTRY,
  COST_PAGE_COPY,
  COST_REQUEST_COMPLETE,
  COST_REQUEST_DISPATCH,
  COST_SYSCALL,
} from "../../abi/control";

/** All in nanoseconds; those of a batch are per element. */
export interface CostTable {
  /** Entering and leaving the hypervisor, every hypercall. */
  hypercallNs: number;
  grantMapNs: number;
  grantUnmapNs: number;
  /** How long one map or unmap holds the granting table's lock. */
  grantLockNs: number;
  /** Fixed part of one grant copy, and per 4096 bytes. */
  grantCopyNs: number;
  pageCopyNs: number;
  /** One flush of the own TLB, and of each other vCPU of the domain. Up to 32 unmaps share one. */
  tlbFlushNs: number;
  tlbShootdownNs: number;
  eventSendNs: number;
  /** From the sender's notification until the woken vCPU runs. */
  eventDeliveryNs: number;
  /** From a store or console notification until the service looks at the ring. */
  serviceNs: number;
  timerSetNs: number;
  /** The doorbell of a host disk, per descriptor. */
  diskDescriptorNs: number;
  /** Charged by the guest, through the control page. */
  contextSwitchNs: number;
  irqEntryNs: number;
  cpuRelaxNs: number;
  clockReadNs: number;
  bioSubmitNs: number;
  requestDispatchNs: number;
  requestCompleteNs: number;
  syscallNs: number;
}

const XEN: CostTable = {
  hypercallNs: 300,
  grantMapNs: 250,
  grantUnmapNs: 250,
  grantLockNs: 60,
  grantCopyNs: 150,
  pageCopyNs: 400,
  tlbFlushNs: 200,
  tlbShootdownNs: 1000,
  eventSendNs: 200,
  eventDeliveryNs: 1500,
  serviceNs: 4000,
  timerSetNs: 100,
  diskDescriptorNs: 50,
  contextSwitchNs: 500,
  irqEntryNs: 700,
  cpuRelaxNs: 20,
  clockReadNs: 10,
  bioSubmitNs: 150,
  requestDispatchNs: 250,
  requestCompleteNs: 250,
  syscallNs: 100,
};

function flat(): CostTable {
  const table = { ...XEN };
  for (const name of Object.keys(table) as (keyof CostTable)[]) table[name] = 1;
  return table;
}

/** Cost tables by name. */
export const COST_PRESETS: Readonly<Record<string, Readonly<CostTable>>> = { xen: XEN, flat: flat() };
export const COST_PRESET_DEFAULT = "xen";

/** Costs below 1 ns would let a loop stand still. */
function checkCost(name: string, value: unknown): number {
  if (typeof value !== "number" || !Number.isInteger(value) || value < 0 || value > 1e9) {
    throw new RangeError(`cost ${name}: ${String(value)} is not a whole number of nanoseconds in 0 … 1000000000`);
  }
  return name === "cpuRelaxNs" || name === "clockReadNs" ? Math.max(1, value) : value;
}

/** A preset with some entries replaced. Throws RangeError on an unknown preset or name, or a value that is not a whole number of nanoseconds. */
export function costTable(preset = COST_PRESET_DEFAULT, changes: Readonly<Record<string, number>> = {}): CostTable {
  const base = Object.hasOwn(COST_PRESETS, preset) ? COST_PRESETS[preset] : undefined;
  if (base === undefined) {
    throw new RangeError(`no cost preset "${preset}"; there are: ${Object.keys(COST_PRESETS).join(", ")}`);
  }
  const table: CostTable = { ...base };
  for (const [name, value] of Object.entries(changes)) {
    if (!Object.hasOwn(table, name))
      throw new RangeError(`no cost "${name}"; there are: ${Object.keys(table).join(", ")}`);
    table[name as keyof CostTable] = checkCost(name, value);
  }
  return table;
}

/** The words from CONTROL_COSTS on, in the order of COST_*. */
export function guestCosts(table: CostTable): Uint32Array {
  const words = new Uint32Array(CONTROL_COST_COUNT);
  words[COST_CONTEXT_SWITCH] = table.contextSwitchNs;
  words[COST_IRQ_ENTRY] = table.irqEntryNs;
  words[COST_CPU_RELAX] = Math.max(1, table.cpuRelaxNs);
  words[COST_CLOCK_READ] = Math.max(1, table.clockReadNs);
  words[COST_PAGE_COPY] = table.pageCopyNs;
  words[COST_BIO_SUBMIT] = table.bioSubmitNs;
  words[COST_REQUEST_DISPATCH] = table.requestDispatchNs;
  words[COST_REQUEST_COMPLETE] = table.requestCompleteNs;
  words[COST_SYSCALL] = table.syscallNs;
  return words;
}
