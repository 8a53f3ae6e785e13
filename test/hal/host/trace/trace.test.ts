import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { traceLines, traceRecords } from "../../../../hal/host/trace/decode";
import { Trace } from "../../../../hal/host/trace/trace";
import { createTraceState, TRACE_BATCH_WORDS } from "../../../../hal/host/trace/trace-state";

function kept(): Trace {
  return new Trace({ ...createTraceState(), keep: true });
}

describe("the hash", () => {
  it("is the chain of sha256 over batches of a fixed number of words", () => {
    const trace = kept();
    for (let i = 0; i < 3000; i++) trace.hypercall(1, 0, 20, i, -i, 0, 0);
    const words = trace.words();
    expect(traceRecords(words).map((record) => record.words[2])).toEqual(Array.from({ length: 3000 }, (_, i) => i));
    let digest: Uint8Array = new Uint8Array(32);
    const step = (from: number, to: number) =>
      createHash("sha256")
        .update(digest)
        .update(new Uint8Array(words.slice(from, to).buffer));
    let at = 0;
    for (; at + TRACE_BATCH_WORDS <= words.length; at += TRACE_BATCH_WORDS)
      digest = step(at, at + TRACE_BATCH_WORDS).digest();
    expect(at).toBe(2 * TRACE_BATCH_WORDS);
    expect(trace.hash()).toBe(step(at, words.length).digest("hex"));
  });

  it("does not depend on when it is asked for, nor on whether words are kept", () => {
    const write = (trace: Trace, ask: boolean) => {
      for (let i = 0; i < 2500; i++) {
        trace.sliceEnter(1, 0, i);
        if (ask && i % 100 === 0) trace.hash();
        trace.log(1, i, Buffer.from("line"));
      }
      return trace.hash();
    };
    const hash = write(new Trace(createTraceState()), false);
    expect(write(kept(), true)).toBe(hash);
  });

  it("a change of any word changes it", () => {
    const hashes = [0, 1, 2, 3, 4].map((changed) => {
      const trace = new Trace(createTraceState());
      const args = [1, 20, 3, 4, 5];
      args[changed]++;
      trace.hypercall(args[0], 0, args[1], args[2], args[3], args[4], 0);
      return trace.hash();
    });
    expect(new Set(hashes).size).toBe(5);
  });

  it("stands still when the trace is off", () => {
    const state = createTraceState();
    const trace = new Trace(state);
    const empty = trace.hash();
    state.enabled = false;
    trace.event(1, 2, 3);
    trace.log(1, 2, Buffer.from("x"));
    expect(trace.hash()).toBe(empty);
  });
});

describe("decoding", () => {
  it("every record reads back as one line", () => {
    const trace = kept();
    trace.sliceEnter(1, 2, 1500);
    trace.hypercall(1, 2, 32, 4, 0x8000, -1, -22);
    trace.event(2, 7, 1600.5);
    trace.xenstore(1, 2, 9, 0, Buffer.from("domid\u0000"));
    trace.disk(0, 3, 1, 2 ** 33 + 5, 4096, 0xdeadbeef, -5, 20_000);
    trace.log(1, 30_000, Buffer.from("hello"));
    trace.input(1, 40_000, Buffer.from("key a"));
    trace.domain(1, 3, 0, 50_000);
    trace.sliceExit(1, 2, 60_000, 0);
    expect(traceLines(trace.words())).toEqual([
      "1.500us d1v2 enter",
      "d1v2 hypercall 32(4, 32768, -1) = -22",
      "1.601us d2 event port 7",
      'd1 xenstore type=2 req=9 tx=0 "domid\\u0000"',
      "20.000us d0 disk 3 op=1 sector=8589934597 bytes=4096 crc=deadbeef status=-5",
      '30.000us d1 log "hello"',
      '40.000us input #1 "key a"',
      "50.000us d1 domain what=3 argument=0",
      "60.000us d1v2 exit ran=0",
    ]);
  });

  it("long payloads cross batches whole", () => {
    const trace = kept();
    const payload = new Uint8Array(TRACE_BATCH_WORDS * 9).map((_, i) => 97 + (i % 26));
    trace.xenstore(1, 2, 3, 4, payload);
    trace.event(1, 1, 1);
    const records = traceRecords(trace.words());
    expect(records.length).toBe(2);
    expect(new Uint8Array(records[0].words.slice(5).buffer)).toEqual(payload);
  });

  it("what the end cuts off is left out, unknown kinds are shown", () => {
    expect(traceLines(new Uint32Array([77 | (2 << 8), 5, 6, 1 | (3 << 8), 1]))).toEqual(["kind 77: 5 6"]);
  });
});
