/**
 * The main thread's end of the runner: starts a command in a worker, and then only carries bytes, watches and listens for signals. Whatever a
 * guest does, this thread can still end it.
 *
 *   start ─► write, read, watch … ─► exit | error | hang | signal | broken pipe ─► the worker is ended ─► exit code
 */
import { MessageChannel, Worker } from "node:worker_threads";
import * as tty from "node:tty";
import { EXIT_INTERNAL, EXIT_INTERRUPTED, EXIT_OK, EXIT_PANIC, EXIT_TIMEOUT, EXIT_USAGE } from "../exit-codes";
import { createPulse, PULSE_DOMID, PULSE_HOST } from "../hypervisor/pulse";
import { describeHang } from "./hang";
import {
  FLOW_INPUTS,
  FLOW_OFFSET,
  FLOW_UNWRITTEN,
  FLOW_WORDS,
  type FromWorker,
  type Input,
  type InputMode,
  KEYS_WAITING_MAX,
  SHARED_BYTES,
  type TerminalFacts,
  type WorkerStart,
} from "./protocol";
import { Watchdog } from "./watchdog";

/** Native stack of the worker. */
const WORKER_STACK_MIB = 64;
/** JavaScript heap of the worker, unless the user has set Node's own limit. Guests of QuickJS are not in it. */
const WORKER_HEAP_MIB = 1024;
/**
 * How long a worker may take to end, wall ms. A few builtins of V8 cannot be stopped, and then not even `process.exit` returns: what is left is
 * to kill the process, whose exit code is then 137.
 */
const END_MS = 2000;
const COLUMNS_DEFAULT = 100;

/**
 * Runs a command line in a worker; resolves to the exit code. `file` is the worker's compiled code, `gift` what this thread makes for it while it
 * starts (`RunnerThread.gift`).
 */
export function runInWorker(file: URL, argv: readonly string[], gift: Promise<unknown>): Promise<number> {
  return new Promise((resolve) => new Runner(file, argv, resolve).give(gift));
}

class Runner {
  private readonly shared = new SharedArrayBuffer(SHARED_BYTES);
  private readonly pulse = createPulse(this.shared);
  private readonly flow = new Int32Array(this.shared, FLOW_OFFSET, FLOW_WORDS);
  private readonly channel = new MessageChannel();
  private readonly names = new Map<number, string>();
  private readonly watchdog = new Watchdog(this.pulse, (hang) => {
    this.end(EXIT_TIMEOUT, describeHang(hang, this.names.get(hang.domid) ?? `domain ${hang.domid}`));
  });
  private readonly worker: Worker;
  private readonly interrupt = () => this.end(EXIT_INTERRUPTED);
  private ended = false;
  private keysWaiting = 0;
  private inputMode: InputMode = "off";
  private listensToInput = false;

  constructor(file: URL, argv: readonly string[], private readonly resolve: (code: number) => void) {
    this.worker = new Worker(file, {
      workerData: this.start(argv),
      transferList: [this.channel.port2],
      resourceLimits: { stackSizeMb: WORKER_STACK_MIB, ...heapLimit() },
    });
    this.worker.on("message", (message: FromWorker) => this.take(message));
    this.worker.on("error", (error: NodeJS.ErrnoException) => this.onError(error));
    this.worker.on("exit", () => this.end(EXIT_INTERNAL, "the machine's thread has ended without a word"));
    for (const stream of [process.stdout, process.stderr]) stream.on("error", (error) => this.onBroken(error));
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, this.interrupt);
  }

  /** Hands the gift over once it is made; null when it cannot be. */
  give(gift: Promise<unknown>): void {
    void gift.catch(() => null).then((value) => this.worker.postMessage(value));
  }

  private start(argv: readonly string[]): WorkerStart {
    return {
      argv,
      stdin: { isTerminal: tty.isatty(0) },
      stdout: factsOf(1, () => process.stdout),
      stderr: factsOf(2, () => process.stderr),
      shared: this.shared,
      inputs: this.channel.port2,
      timeOrigin: performance.timeOrigin,
    };
  }

  private take(message: FromWorker): void {
    if (this.ended) return;
    switch (message.kind) {
      case "write":
        return this.write(message.to, message.data);
      case "input":
        return this.readInput(message.mode);
      case "taken":
        this.keysWaiting--;
        return this.resumeInput();
      case "domain":
        return void this.names.set(message.domid, message.name);
      case "watchdog":
        return this.watchdog.set(message.seconds);
      case "exit":
        return this.end(message.code);
    }
  }

  // ---- output

  private write(to: "stdout" | "stderr", data: string | Uint8Array): void {
    const size = typeof data === "string" ? Buffer.byteLength(data) : data.length;
    process[to].write(data, () => {
      Atomics.sub(this.flow, FLOW_UNWRITTEN, size);
      Atomics.notify(this.flow, FLOW_UNWRITTEN);
    });
  }

  /** A reader that has seen enough (`xenolith boot | head`) is no error. */
  private onBroken(error: NodeJS.ErrnoException): void {
    if (error.code === "EPIPE") this.end(EXIT_OK);
    else this.end(EXIT_USAGE, `cannot write the output: ${error.message}`);
  }

  // ---- input

  private post(input: Input): void {
    this.channel.port1.postMessage(input);
    Atomics.add(this.flow, FLOW_INPUTS, 1);
    Atomics.notify(this.flow, FLOW_INPUTS);
  }

  private readInput(mode: InputMode): void {
    this.inputMode = mode;
    if (process.stdin.isTTY) process.stdin.setRawMode(mode === "raw");
    if (mode === "raw") this.postSize();
    if (mode !== "off" && !this.listensToInput) this.listenToInput();
    this.resumeInput();
  }

  private listenToInput(): void {
    this.listensToInput = true;
    process.stdin.on("data", (bytes: Buffer) => {
      this.keysWaiting++;
      this.post({ kind: "keys", bytes: new Uint8Array(bytes) });
      this.resumeInput();
    });
    process.stdin.on("end", () => this.post({ kind: "end" }));
    process.stdin.on("error", () => this.post({ kind: "end" }));
    process.stdout.on("resize", () => this.postSize());
  }

  private postSize(): void {
    const { isTTY, columns, rows } = process.stdout;
    if (isTTY) this.post({ kind: "resize", columns, rows });
  }

  private resumeInput(): void {
    if (!this.listensToInput) return;
    if (this.inputMode !== "off" && this.keysWaiting < KEYS_WAITING_MAX) process.stdin.resume();
    else process.stdin.pause();
  }

  // ---- the end

  private onError(error: NodeJS.ErrnoException): void {
    if (error.code !== "ERR_WORKER_OUT_OF_MEMORY") {
      this.end(EXIT_INTERNAL, `this is our own fault, please report it:\n${error.stack ?? error.message}`);
      return;
    }
    const domid = this.pulse[PULSE_DOMID];
    const who = domid === PULSE_HOST ? "the host's own code" : this.names.get(domid) ?? `domain ${domid}`;
    const text = `${who} has exhausted the JavaScript heap of the machine's thread; engine v8 contains no guest`;
    this.end(domid === PULSE_HOST ? EXIT_INTERNAL : EXIT_PANIC, text);
  }

  /** Ends everything; only the first reason counts. */
  private end(code: number, problem?: string): void {
    if (this.ended) return;
    this.ended = true;
    this.watchdog.stop();
    process.off("SIGINT", this.interrupt).off("SIGTERM", this.interrupt);
    if (process.stdin.isTTY && this.inputMode === "raw") process.stdin.setRawMode(false);
    if (this.listensToInput) process.stdin.pause().unref();
    this.channel.port1.close();
    // What a command shows while one waits.
    if ((problem !== undefined || code === EXIT_INTERRUPTED) && process.stderr.isTTY)
      process.stderr.write("\r\u001b[K");
    if (problem !== undefined) process.stderr.write(`xenolith: ${problem}\n`);
    const stuck = setTimeout(() => process.kill(process.pid, "SIGKILL"), END_MS);
    void this.worker.terminate().then(() => clearTimeout(stuck));
    this.resolve(code);
  }
}

function factsOf(fd: number, stream: () => tty.WriteStream): TerminalFacts {
  const isTerminal = tty.isatty(fd);
  return { isTerminal, columns: isTerminal ? stream().columns : COLUMNS_DEFAULT };
}

function heapLimit(): { maxOldGenerationSizeMb?: number } {
  const given = [...process.execArgv, process.env.NODE_OPTIONS ?? ""].some((text) => /max[-_]old/.test(text));
  return given ? {} : { maxOldGenerationSizeMb: WORKER_HEAP_MIB };
}
