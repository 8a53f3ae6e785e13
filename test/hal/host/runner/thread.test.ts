import { MessageChannel, Worker, receiveMessageOnPort } from "node:worker_threads";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  FLOW_INPUTS,
  FLOW_OFFSET,
  FLOW_UNWRITTEN,
  FLOW_WORDS,
  type FromWorker,
  type Input,
  SHARED_BYTES,
  UNWRITTEN_MAX,
} from "../../../../hal/host/runner/protocol";
import { RunnerThread } from "../../../../hal/host/runner/thread";

const facts = { isTerminal: false, columns: 100 };
let thread: RunnerThread;
let flow: Int32Array;
let shared: SharedArrayBuffer;
let messages: MessageChannel;
let inputs: MessageChannel;

beforeEach(() => {
  [messages, inputs] = [new MessageChannel(), new MessageChannel()];
  shared = new SharedArrayBuffer(SHARED_BYTES);
  flow = new Int32Array(shared, FLOW_OFFSET, FLOW_WORDS);
  const start = { argv: [], stdin: { isTerminal: true }, stdout: facts, stderr: facts, shared, timeOrigin: 0 };
  thread = new RunnerThread({ ...start, inputs: inputs.port2 }, messages.port2);
});
afterEach(() => {
  for (const { port1 } of [messages, inputs]) port1.close();
});

/** What the main thread does with a key. */
function post(input: Input): void {
  inputs.port1.postMessage(input);
  Atomics.add(flow, FLOW_INPUTS, 1);
}

function sent(): FromWorker[] {
  const all: FromWorker[] = [];
  for (;;) {
    const received = receiveMessageOnPort(messages.port1);
    if (received === undefined) return all;
    all.push(received.message);
  }
}

describe("input", () => {
  it("comes in order, without an event loop, and each chunk of keys is acknowledged", () => {
    expect([thread.hasInput, thread.poll(), thread.wait(1)]).toEqual([false, null, false]);
    post({ kind: "keys", bytes: Uint8Array.of(97) });
    post({ kind: "resize", columns: 80, rows: 25 });
    post({ kind: "end" });
    expect([thread.hasInput, thread.wait()]).toEqual([true, true]);
    expect([thread.poll(), thread.poll(), thread.poll(), thread.poll()]).toEqual([
      { kind: "keys", bytes: Uint8Array.of(97) },
      { kind: "resize", columns: 80, rows: 25 },
      { kind: "end" },
      null,
    ]);
    expect(sent()).toEqual([{ kind: "taken" }]);
    expect(thread.hasInput).toBe(false);
  });
});

describe("output", () => {
  it("is counted in bytes until the main thread has written it", () => {
    thread.write("stdout", "µs");
    thread.write("stderr", Uint8Array.of(1, 2));
    expect(flow[FLOW_UNWRITTEN]).toBe(5);
    expect(sent()).toEqual([
      { kind: "write", to: "stdout", data: "µs" },
      { kind: "write", to: "stderr", data: Uint8Array.of(1, 2) },
    ]);
  });

  it("waits for a slow reader", async () => {
    // A main thread that needs a while for every megabyte.
    const reader = `
      const flow = new Int32Array(require("node:worker_threads").workerData, ${FLOW_OFFSET}, ${FLOW_WORDS});
      setInterval(() => {
        if (flow[${FLOW_UNWRITTEN}] === 0) return;
        Atomics.sub(flow, ${FLOW_UNWRITTEN}, ${UNWRITTEN_MAX});
        Atomics.notify(flow, ${FLOW_UNWRITTEN});
      }, 20);`;
    const worker = new Worker(reader, { eval: true, workerData: shared });
    const unwritten: number[] = [];
    for (let i = 0; i < 4; i++) {
      thread.write("stdout", "x".repeat(UNWRITTEN_MAX));
      unwritten.push(flow[FLOW_UNWRITTEN]);
    }
    await worker.terminate();
    expect(Math.max(...unwritten)).toBeLessThanOrEqual(UNWRITTEN_MAX);
    expect(sent()).toHaveLength(4);
  });
});

it("its words to the watchdog, and its last one", () => {
  thread.nameDomain(1, "web");
  thread.setWatchdog(5);
  thread.readInput("raw");
  thread.exit(3);
  expect(sent()).toEqual([
    { kind: "domain", domid: 1, name: "web" },
    { kind: "watchdog", seconds: 5 },
    { kind: "input", mode: "raw" },
    { kind: "exit", code: 3 },
  ]);
});
