/**
 * What the hypervisor asks of an engine that runs one domain.
 *
 *   start() ── evaluates the kernel, boot(hal) ──► enter() … enter() ──► dispose()
 *                                                  └── throws GuestDeath: the domain crashes, nobody else notices
 */

/** Why a guest could not go on. `panic` is the guest's own decision; the others are the engine's, and differ between engines. */
export type GuestDeathKind = "panic" | "exception" | "oom" | "stack" | "lockup";

/** Thrown by an engine out of `start` or `enter` when the guest is dead. Any other exception is our own fault and ends the machine. */
export class GuestDeath extends Error {
  readonly kind: GuestDeathKind;
  /** What the user is shown: the guest's message and stack, several lines. Never traced. */
  readonly report: string;

  constructor(kind: GuestDeathKind, report: string) {
    super(`guest ${kind}: ${report.split("\n", 1)[0]}`);
    this.name = "GuestDeath";
    this.kind = kind;
    this.report = report;
  }
}

/** One domain in an engine. */
export interface GuestDomain {
  /** Evaluates the kernel and calls its `boot(hal)`. Throws GuestDeath. */
  start(): void;
  /** Runs one slice of the vCPU named in the control page. Throws GuestDeath. */
  enter(): void;
  /** Forgets cached aliases of foreign frames that are about to be reused. */
  dropFrames(mfns: readonly number[]): void;
  /** Frees everything. The domain's frames stay the hypervisor's. */
  dispose(): void;
}
