/**
 * Two ways to run a domain behind one interface. `quickjs` is the machine: isolation, limits, snapshots. `v8` runs the same bundles in Node's
 * own engine, for debuggers and long simulations; it contains nothing. One seed gives one trace in both.
 */
import type { GuestDomain } from "../hypervisor/guest-domain";
import type { MachineMemory } from "../hypervisor/memory";
import type { SavedMemory } from "./saved-memory";

/** The engines by name. */
export const ENGINE_NAMES = ["quickjs", "v8"] as const;
export type EngineName = (typeof ENGINE_NAMES)[number];

/** A script that evaluates to a bundle's factory. */
export interface Bundle {
  readonly code: string;
  /** What stack traces call it. */
  readonly file: string;
}

export type BundleKind = "modules" | "programs";

/** What a domain is allowed to take of the host. */
export interface GuestLimits {
  /** Bytes of JavaScript heap. */
  readonly heap: number;
  /** Bytes of native stack. */
  readonly stack: number;
  /** Interrupt checks (about 10,000 branches each) of one entry before it counts as a lockup. */
  readonly fuel: number;
}

/** All that an engine needs to know of a domain. The functions are called from inside the guest and never throw. */
export interface DomainSpec {
  /** Small integer that names the domain's host functions; the same in every instance of a machine. */
  readonly slot: number;
  readonly domid: number;
  readonly mfnBase: number;
  readonly pages: number;
  readonly controlMfn: number;
  readonly limits: GuestLimits;
  readonly kernel: Bundle;
  bundle(kind: BundleKind, name: string): Bundle | null;
  manifest(kind: BundleKind, name: string): string | null;
  list(kind: BundleKind): readonly string[];
  /** The source map of a bundle's file, as JSON, or null; for debuggers. */
  sourceMap?(file: string): string | null;
  hypercall(op: number, a0: number, a1: number, a2: number): number;
  /** Whether the domain has the frame mapped by a grant now. */
  mayAccess(mfn: number): boolean;
  /** Whether the domain has been condemned: it gets no more time. */
  isDying(): boolean;
}

/** What a snapshot keeps of one domain in an engine: addresses in the memory, which mean the same in a copy of it. */
export interface SavedGuest {
  readonly domid: number;
  readonly handles: Readonly<Record<string, number>>;
}

/** What one instance of an engine's code has found out about it, and holds for all: word and byte offsets. */
export type EngineFacts = Readonly<Record<string, number>>;

/** What a snapshot keeps of an engine; plain data. */
export interface SavedEngine {
  /** What identifies the engine's code: a copy of its memory means nothing to another one. */
  readonly code: string;
  /** What the first instance's self-test has found in that code; a copy need not search again. */
  readonly facts: EngineFacts;
  /** Most bytes that its memory may have. */
  readonly bytesMax: number;
  /** Most bytes that its heaps have taken so far. */
  readonly heapEndMax: number;
  readonly memory: SavedMemory;
  readonly guests: readonly SavedGuest[];
}

/** One machine's engine. */
export interface Engine {
  readonly name: EngineName;
  readonly memory: MachineMemory;
  /** Prepares a domain; nothing of it runs before `start`. */
  createDomain(spec: DomainSpec): GuestDomain;
  /** A copy of everything, between slices. Throws UserError in an engine that cannot be copied. */
  save(): SavedEngine;
  /**
   * Goes on from a copy that this engine or another instance of it made. Domains made before are gone, without having been disposed of. Returns
   * those of the copy, by domid; `specOf` describes them.
   */
  restore(saved: SavedEngine, specOf: (domid: number) => DomainSpec): Map<number, GuestDomain>;
  dispose(): void;
}
