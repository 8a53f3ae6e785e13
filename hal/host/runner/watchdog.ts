/**
 * The wall watchdog: ends a machine whose guest does not return, when nothing inside of its thread can.
 *
 * It counts its own ticks without a beat, not the time that has passed: a process that was stopped, or a laptop that slept, has not hung. And the
 * process must have used the processor for half of that time: one that hardly gets any has not hung either.
 */
import { PULSE_BEATS, PULSE_DOMID, PULSE_HOST } from "../hypervisor/pulse";
import { type Hang, takeHang } from "./hang";

/** Ticks without a beat that make a hang. */
const TICKS = 20;
/** Part of the time for which the process must have had a processor. */
const BUSY = 0.5;

export class Watchdog {
  private timer: NodeJS.Timeout | null = null;
  private beats = -1;
  private ticks = 0;
  /** Processor time of the process at the last beat that was seen, ms. */
  private busyMs = 0;

  /** `cpuMs`: processor time that the process has used so far, ms. */
  constructor(
    private readonly pulse: Float64Array,
    private readonly onHang: (hang: Hang) => void,
    private readonly cpuMs = processorMs,
  ) {}

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
    const isStill = pulse[PULSE_DOMID] !== PULSE_HOST && pulse[PULSE_BEATS] === this.beats;
    if (!isStill) {
      this.beats = pulse[PULSE_BEATS];
      this.ticks = 0;
      this.busyMs = this.cpuMs();
      return;
    }
    if (++this.ticks < TICKS || this.cpuMs() - this.busyMs < seconds * 1000 * BUSY) return;
    this.stop();
    this.onHang(takeHang(pulse, seconds));
  }
}

function processorMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}
