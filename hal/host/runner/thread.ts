/**
 * The worker's end of the runner: what a command that runs in a thread of its own has instead of the process.
 *
 * All of it is synchronous and may be called between two slices of a machine, which needs no event loop to go on.
 */
import { type MessagePort, parentPort, receiveMessageOnPort, workerData } from "node:worker_threads";
import { createPulse } from "../hypervisor/pulse";
import {
  FLOW_INPUTS,
  FLOW_OFFSET,
  FLOW_UNWRITTEN,
  FLOW_WORDS,
  type FromWorker,
  type Input,
  type InputMode,
  UNWRITTEN_MAX,
  type WorkerStart,
} from "./protocol";

/** Native stack of a guest, bytes: what WORKER_STACK_MIB is enough for, three levels of nesting included. */
const GUEST_STACK_BYTES = 1 << 20;

/** The machine's thread. */
export class RunnerThread {
  /** Handed to the machine, which beats in it. */
  readonly pulse: Float64Array;
  readonly guestStackBytes = GUEST_STACK_BYTES;
  readonly timeOrigin: number;
  readonly stdinIsTerminal: boolean;
  /** What the main thread has made for this one; null when it could not. Asks for an event loop, so not while a machine runs. */
  readonly gift: Promise<unknown>;
  private readonly flow: Int32Array;
  private taken = 0;

  /** `port` leads to the main thread. */
  constructor(readonly start: WorkerStart, private readonly port: MessagePort) {
    this.pulse = createPulse(start.shared);
    this.timeOrigin = start.timeOrigin;
    this.stdinIsTerminal = start.stdin.isTerminal;
    this.gift = new Promise((resolve) => port.once("message", resolve));
    this.flow = new Int32Array(start.shared, FLOW_OFFSET, FLOW_WORDS);
  }

  /** This thread's. Throws Error in a thread that no runner started. */
  static current(): RunnerThread {
    if (parentPort === null) throw new Error("this is not a thread of the runner");
    return new RunnerThread(workerData as WorkerStart, parentPort);
  }

  /** Prints. Sleeps while more than UNWRITTEN_MAX bytes wait for a slow reader. */
  write(to: "stdout" | "stderr", data: string | Uint8Array): void {
    const size = typeof data === "string" ? Buffer.byteLength(data) : data.length;
    Atomics.add(this.flow, FLOW_UNWRITTEN, size);
    this.send({ kind: "write", to, data });
    for (;;) {
      const unwritten = Atomics.load(this.flow, FLOW_UNWRITTEN);
      if (unwritten <= UNWRITTEN_MAX) return;
      Atomics.wait(this.flow, FLOW_UNWRITTEN, unwritten);
    }
  }

  /** Whether `poll` has something: one load of shared memory. */
  get hasInput(): boolean {
    return Atomics.load(this.flow, FLOW_INPUTS) !== this.taken;
  }

  /** Begins, changes or ends the reading of standard input. */
  readInput(mode: InputMode): void {
    this.send({ kind: "input", mode });
  }

  /** The oldest input that has not been taken yet, or null. */
  poll(): Input | null {
    if (!this.hasInput) return null;
    const received = receiveMessageOnPort(this.start.inputs);
    if (received === undefined) return null;
    this.taken = (this.taken + 1) | 0;
    if (received.message.kind === "keys") this.send({ kind: "taken" });
    return received.message;
  }

  /** Sleeps until there is input, or `ms` wall milliseconds have passed. Returns whether there is some. */
  wait(ms = Infinity): boolean {
    if (this.hasInput) return true;
    Atomics.wait(this.flow, FLOW_INPUTS, this.taken, ms);
    return this.hasInput;
  }

  /** Tells the watchdog what a domain is called. */
  nameDomain(domid: number, name: string): void {
    this.send({ kind: "domain", domid, name });
  }

  /** Sets how long a guest may run without a pause, wall seconds; 0: for ever. */
  setWatchdog(seconds: number): void {
    this.send({ kind: "watchdog", seconds });
  }

  /** The last call: the process ends with this code once everything is written. */
  exit(code: number): void {
    this.send({ kind: "exit", code });
  }

  private send(message: FromWorker): void {
    this.port.postMessage(message);
  }
}
