/**
 * The loop in which a machine runs, and what ends a guest that does not return where nobody else can: the V8 engine in the caller's own thread.
 *
 * V8 ends the JavaScript of a thread on request of another one (`vm.Script` with a timeout), which costs about 65 µs. So the loop runs in stretches
 * of some milliseconds, each of them under one timeout. What was under way is torn off in the middle, the hypervisor's own work included:
 * the machine is over. QuickJS counts for itself, and a worker has its watchdog.
 */
import * as inspector from "node:inspector";
import { Script } from "node:vm";
import { describePlace, takeHang } from "./runner/hang";
import { MachineError } from "./machine-error";

/** Wall time of a stretch, ms, and how many steps there are between two looks at the clock. */
const STRETCH_MS = 20;
const STEPS = 16;
/** The global name under which a stretch finds its loop. */
const LOOP = Symbol.for("xenolith.pump");
const SCRIPT = new Script(`globalThis[Symbol.for("xenolith.pump")]()`, { filename: "xenolith-pump.js" });

type Globals = Record<symbol, (() => void) | undefined>;

export interface PumpOptions {
  /** Wall time that a guest may run without a pause, ms; 0: nobody looks. */
  readonly limitMs: number;
  /** Where the machine shows what it is doing. */
  readonly pulse: Float64Array;
  nameOf(domid: number): string;
}

export class Pump {
  private ended: MachineError | null = null;

  constructor(private readonly options: PumpOptions) {}

  /** Calls `step` until it returns false. Throws what it throws, and MachineError when a guest did not return, now or in an earlier call. */
  run(step: () => boolean): void {
    if (this.ended !== null) throw this.ended;
    if (this.options.limitMs === 0 || inspector.url() !== undefined) {
      while (step());
      return;
    }
    while (this.stretch(step));
  }

  /** Returns whether `step` wants to be called again. */
  private stretch(step: () => boolean): boolean {
    const globals = globalThis as unknown as Globals;
    const outer = globals[LOOP];
    let isMore = true;
    globals[LOOP] = () => {
      const end = performance.now() + STRETCH_MS;
      for (let steps = 1; isMore && (steps % STEPS !== 0 || performance.now() < end); steps++) isMore = step();
    };
    try {
      SCRIPT.runInThisContext({ timeout: this.options.limitMs });
    } catch (error) {
      throw this.explain(error as NodeJS.ErrnoException);
    } finally {
      globals[LOOP] = outer;
    }
    return isMore;
  }

  private explain(error: NodeJS.ErrnoException): unknown {
    if (error.code !== "ERR_SCRIPT_EXECUTION_TIMEOUT") return error;
    const { pulse, limitMs, nameOf } = this.options;
    const hang = takeHang(pulse, limitMs / 1000);
    const who = hang.domid < 0 ? "the host's own code" : `${nameOf(hang.domid)} ${describePlace(hang)}`;
    this.ended = new MachineError("hang", `${who}; engine v8 contains no guest, and the machine is over`);
    return this.ended;
  }
}
