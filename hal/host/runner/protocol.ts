/**
 * What the main thread and the machine's thread tell each other.
 *
 *   main thread                                      worker
 *   ───────────                                      ──────
 *   starts it ────────── WorkerStart ──────────────► runs a command
 *   writes to stdout, stderr ◄──── FromWorker ────── everything that it prints, in order
 *   keys, end of input ─────── Input, port ────────► polled between slices; `wait` sleeps until there is some
 *   watchdog ◄────────── pulse, shared ──────────── a beat at each entry of a guest and each return
 *
 * The worker never returns to its event loop while a machine runs, so nothing that it must see comes as an event: input is taken from the port
 * by hand, and the shared words say when there is some.
 */
import { PULSE_DOUBLES } from "../hypervisor/pulse";
import type { MessagePort } from "node:worker_threads";

/** Int32 words that both threads count in, after the pulse. */
export const FLOW_OFFSET = PULSE_DOUBLES * 8;
/** Bytes that the worker has sent and the main thread has not written yet. The worker sleeps while there are too many. */
export const FLOW_UNWRITTEN = 0;
/** Inputs that the main thread has sent so far; wraps. */
export const FLOW_INPUTS = 1;
export const FLOW_WORDS = 4;
/** Bytes of what both threads share: the pulse, then the flow words. */
export const SHARED_BYTES = FLOW_OFFSET + FLOW_WORDS * 4;
/** Chunks of keys that wait for the worker, at most. */
export const KEYS_WAITING_MAX = 16;
/** The worker waits for the reader of its output beyond this, bytes. */
export const UNWRITTEN_MAX = 1 << 20;

/** An output stream of the process, as the worker needs to know it. */
export interface TerminalFacts {
  readonly isTerminal: boolean;
  readonly columns: number;
}

/** What the worker is started with. */
export interface WorkerStart {
  /** Words of the command line. */
  readonly argv: readonly string[];
  readonly stdin: { readonly isTerminal: boolean };
  readonly stdout: TerminalFacts;
  readonly stderr: TerminalFacts;
  readonly shared: SharedArrayBuffer;
  readonly inputs: MessagePort;
  /** When the process began, milliseconds of the epoch (`performance.timeOrigin` of the main thread). */
  readonly timeOrigin: number;
}

/** From the main thread, between slices. */
export type Input =
  | { readonly kind: "keys"; readonly bytes: Uint8Array }
  /** Standard input is at its end. */
  | { readonly kind: "end" }
  | { readonly kind: "resize"; readonly columns: number; readonly rows: number };

/** How standard input is read: not at all, as it comes (a pipe, or a terminal that edits lines itself), or key by key. */
export type InputMode = "off" | "lines" | "raw";

/** From the worker. */
export type FromWorker =
  | { readonly kind: "write"; readonly to: "stdout" | "stderr"; readonly data: string | Uint8Array }
  | { readonly kind: "input"; readonly mode: InputMode }
  /** Some keys were taken: the main thread stops reading while too many wait. */
  | { readonly kind: "taken" }
  /** A domain has this name from now on. */
  | { readonly kind: "domain"; readonly domid: number; readonly name: string }
  /** Wall seconds without a beat that end the machine; 0: never. */
  | { readonly kind: "watchdog"; readonly seconds: number }
  /** The last message. */
  | { readonly kind: "exit"; readonly code: number };
