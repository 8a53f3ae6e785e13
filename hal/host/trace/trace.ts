/**
 * Writes the event trace: u32 words into one buffer, hashed batch by batch as a chain. Equal runs have equal hashes, so nothing that depends on
 * the host, on the engine or on the wording of an error may be written.
 *
 * The record methods allocate nothing. Words are hashed as they lie in memory: a little-endian host is required, as everywhere in the machine.
 */
import { createHash } from "node:crypto";
import {
  TRACE_DISK,
  TRACE_DOMAIN,
  TRACE_EVENT,
  TRACE_HYPERCALL,
  TRACE_INPUT,
  TRACE_LOG,
  TRACE_SLICE_ENTER,
  TRACE_SLICE_EXIT,
  TRACE_XENSTORE,
} from "./records";
import type { TraceState } from "./trace-state";
import { TRACE_BATCH_WORDS } from "./trace-state";

function bytesOf(words: Uint32Array, count: number): Uint8Array {
  return new Uint8Array(words.buffer, words.byteOffset, count * 4);
}

/** The writer. It owns no state of its own but scratch: `attach` moves it to another machine state. */
export class Trace {
  private state: TraceState;
  private readonly double = new Float64Array(1);
  private readonly doubleWords = new Uint32Array(this.double.buffer);

  constructor(state: TraceState) {
    this.state = state;
  }

  /** Continues with another state (restore, fork). */
  attach(state: TraceState): void {
    this.state = state;
  }

  /** The hash of everything recorded so far, 64 hex digits. Recording may go on. */
  hash(): string {
    const { digest, words, used } = this.state;
    return createHash("sha256").update(digest).update(bytesOf(words, used)).digest("hex");
  }

  /** All words kept so far, if the trace keeps them. */
  words(): Uint32Array {
    const { kept, keep, words, used } = this.state;
    if (!keep) return new Uint32Array(0);
    const all = new Uint32Array(kept.reduce((sum, batch) => sum + batch.length, used));
    let at = 0;
    for (const batch of kept) {
      all.set(batch, at);
      at += batch.length;
    }
    all.set(words.subarray(0, used), at);
    return all;
  }

  sliceEnter(domid: number, vcpu: number, at: number): void {
    const state = this.state;
    if (!state.enabled) return;
    const { words } = state;
    const n = state.used;
    words[n] = TRACE_SLICE_ENTER | (3 << 8);
    words[n + 1] = domid | (vcpu << 16);
    this.time(words, n + 2, at);
    this.advance(state, n + 4);
  }

  /** `ran` is the guest's CONTROL_RAN word. */
  sliceExit(domid: number, vcpu: number, at: number, ran: number): void {
    const state = this.state;
    if (!state.enabled) return;
    const { words } = state;
    const n = state.used;
    words[n] = TRACE_SLICE_EXIT | (4 << 8);
    words[n + 1] = domid | (vcpu << 16);
    this.time(words, n + 2, at);
    words[n + 4] = ran;
    this.advance(state, n + 5);
  }

  hypercall(domid: number, vcpu: number, op: number, a0: number, a1: number, a2: number, result: number): void {
    const state = this.state;
    if (!state.enabled) return;
    const { words } = state;
    const n = state.used;
    words[n] = TRACE_HYPERCALL | (6 << 8);
    words[n + 1] = domid | (vcpu << 16);
    words[n + 2] = op;
    words[n + 3] = a0;
    words[n + 4] = a1;
    words[n + 5] = a2;
    words[n + 6] = result;
    this.advance(state, n + 7);
  }

  /** A port of `domid` went from not pending to pending. */
  event(domid: number, port: number, at: number): void {
    const state = this.state;
    if (!state.enabled) return;
    const { words } = state;
    const n = state.used;
    words[n] = TRACE_EVENT | (3 << 8);
    words[n + 1] = domid | (port << 16);
    this.time(words, n + 2, at);
    this.advance(state, n + 4);
  }

  /** A disk operation at its completion. `sector` below 2^53. */
  disk(
    domid: number,
    disk: number,
    op: number,
    sector: number,
    bytes: number,
    crc: number,
    status: number,
    at: number,
  ): void {
    const state = this.state;
    if (!state.enabled) return;
    const { words } = state;
    const n = state.used;
    words[n] = TRACE_DISK | (9 << 8);
    words[n + 1] = domid | (disk << 16);
    words[n + 2] = op;
    words[n + 3] = sector;
    words[n + 4] = sector / 0x100000000;
    words[n + 5] = bytes;
    words[n + 6] = crc;
    words[n + 7] = status;
    this.time(words, n + 8, at);
    this.advance(state, n + 10);
  }

  /** `what` is TRACE_DOMAIN_*. */
  domain(domid: number, what: number, argument: number, at: number): void {
    const state = this.state;
    if (!state.enabled) return;
    const { words } = state;
    const n = state.used;
    words[n] = TRACE_DOMAIN | (5 << 8);
    words[n + 1] = domid;
    words[n + 2] = what;
    words[n + 3] = argument;
    this.time(words, n + 4, at);
    this.advance(state, n + 6);
  }

  /** A xenstore message as it crossed a domain's ring: the four header words' first three, and the payload. */
  xenstore(domid: number, type: number, request: number, transaction: number, payload: Uint8Array): void {
    if (!this.state.enabled) return;
    const words = 4 + 1 + ((payload.length + 3) >>> 2);
    this.push(TRACE_XENSTORE | (words << 8));
    this.push(domid);
    this.push(type);
    this.push(request);
    this.push(transaction);
    this.bytes(payload);
  }

  /** One line of a domain's kernel log. */
  log(domid: number, at: number, line: Uint8Array): void {
    this.timed(TRACE_LOG, domid, at, line);
  }

  /** Input from outside, by its number in the input log. */
  input(number: number, at: number, data: Uint8Array): void {
    this.timed(TRACE_INPUT, number, at, data);
  }

  private timed(kind: number, id: number, at: number, data: Uint8Array): void {
    if (!this.state.enabled) return;
    this.push(kind | ((3 + 1 + ((data.length + 3) >>> 2)) << 8));
    this.push(id);
    this.double[0] = at;
    this.push(this.doubleWords[0]);
    this.push(this.doubleWords[1]);
    this.bytes(data);
  }

  private bytes(data: Uint8Array): void {
    this.push(data.length);
    for (let i = 0; i < data.length; i += 4) {
      this.push(data[i] | (data[i + 1] << 8) | (data[i + 2] << 16) | (data[i + 3] << 24));
    }
  }

  private push(word: number): void {
    this.state.words[this.state.used] = word;
    this.advance(this.state, this.state.used + 1);
  }

  private time(words: Uint32Array, index: number, at: number): void {
    this.double[0] = at;
    words[index] = this.doubleWords[0];
    words[index + 1] = this.doubleWords[1];
  }

  private advance(state: TraceState, used: number): void {
    state.used = used;
    if (used >= TRACE_BATCH_WORDS) this.close(state);
  }

  private close(state: TraceState): void {
    const { words } = state;
    const hash = createHash("sha256").update(state.digest).update(bytesOf(words, TRACE_BATCH_WORDS));
    state.digest = new Uint8Array(hash.digest());
    state.batches++;
    if (state.keep) state.kept.push(words.slice(0, TRACE_BATCH_WORDS));
    words.copyWithin(0, TRACE_BATCH_WORDS, state.used);
    state.used -= TRACE_BATCH_WORDS;
  }
}
