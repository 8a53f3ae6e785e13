/**
 * The wall watchdog: ends a machine whose guest does not return, when nothing inside of its thread can.
 *
 * It counts its own ticks without a beat, not the time that has passed: a process that was stopped, or a laptop that slept, has not hung.
 */
import { PULSE_BEATS, PULSE_CALL, PULSE_CLOCK, PULSE_DOMID, PULSE_HOST, PULSE_VCPU } from "../hypervisor/pulse";

/** Ticks without a beat that make a hang. */
const TICKS = 20;

/** A guest that does not return. */
export interface Hang {
  readonly domid: number;
  readonly vcpu: number;
  /** The hypercall that it is inside of, or -1. */
  readonly call: number;
  /** Virtual time at which it was entered, ns. */
  readonly clock: number;
  /** Wall seconds without a beat, at least. */
  readonly seconds: number;
}

export class Watchdog {
  private timer: NodeJS.Timeout | null = null;
  private beats = -1;
  private ticks = 0;

  constructor(private readonly pulse: Float64Array, private readonly onHang: (hang: Hang) => void) {}

  /** Watches from now on; 0 seconds: does not. */
  set(seconds: number): void {
    this.stop();
    if (seconds === 0) return;
    this.timer = setInterval(() => this.look(seconds), (seconds * 1000) / TICKS);
    this.timer.unref();
  }

  stop(): void {
    if (this.timer !== null) clearInterval(this.timer);
    this.timer = null;
    this.ticks = 0;
  }

  private look(seconds: number): void {
    const { pulse } = this;
    const isGuest = pulse[PULSE_DOMID] !== PULSE_HOST;
    this.ticks = isGuest && pulse[PULSE_BEATS] === this.beats ? this.ticks + 1 : 0;
    this.beats = pulse[PULSE_BEATS];
    if (this.ticks < TICKS) return;
    this.stop();
    this.onHang({
      domid: pulse[PULSE_DOMID],
      vcpu: pulse[PULSE_VCPU],
      call: pulse[PULSE_CALL],
      clock: pulse[PULSE_CLOCK],
      seconds,
    });
  }
}
