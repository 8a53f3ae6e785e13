/**
 * How virtual time passes during a session: as fast as the machine goes while a command runs, or with the host's clock. The clock decides only
 * when the machine goes on, and at which virtual time input comes in; the latter is in the input log.
 */
import type { Machine } from "../../machine";

export const PACES = ["virtual", "host"] as const;
export type PaceName = (typeof PACES)[number];

/** Wall milliseconds that a machine which is too slow has not to make up for. */
const LAG_MS_MAX = 100;
const NS_PER_MS = 1e6;

export class Pace {
  /** Virtual ns at time 0 of the clock; null while the machine runs free. */
  private origin: number | null = null;

  /**
   * @param rests says whether nobody waits for the machine: with "virtual" it then goes with the clock, or its periodic timers would keep the
   *   host busy for nothing.
   */
  constructor(
    private readonly machine: Machine,
    private readonly name: PaceName,
    private readonly rests: () => boolean,
    private readonly clock: () => number = () => performance.now(),
  ) {}

  /**
   * Lets the machine run until it has nothing to do now, or `stop` says so. Returns the wall milliseconds until it has something to do:
   * Infinity when only input can wake it, 0 when it was stopped.
   */
  run(stop: () => boolean): number {
    for (;;) {
      if (stop()) return 0;
      if (this.name === "host" || this.rests()) {
        this.origin ??= this.machine.now - this.clock() * NS_PER_MS;
        const ahead = this.machine.hypervisor.nextAt() - this.virtualNow(this.origin);
        if (ahead > 0) return ahead / NS_PER_MS;
        this.forgive(this.origin);
      } else this.origin = null;
      if (!this.machine.step()) return Infinity;
    }
  }

  /** Brings virtual time to where input comes in. */
  catchUp(): void {
    if (this.origin === null) return;
    const behind = Math.floor(this.virtualNow(this.origin) - this.machine.now);
    if (behind > 0 && this.machine.hypervisor.nextAt() > this.machine.now + behind) this.machine.advance(behind);
  }

  private virtualNow(origin: number): number {
    return origin + this.clock() * NS_PER_MS;
  }

  /** A machine that cannot keep up goes slower than the clock, rather than faster later. */
  private forgive(origin: number): void {
    const lag = this.virtualNow(origin) - this.machine.now - LAG_MS_MAX * NS_PER_MS;
    if (lag > 0) this.origin = origin - lag;
  }
}
