/** Reads kept trace words back: one readable line per record. For people and for comparing two runs; nothing parses its output. */
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

/** One record, its words without the header. */
export interface TraceRecord {
  readonly kind: number;
  readonly words: Uint32Array;
}

/** Splits words into records. A record that the end cuts off is left out. */
export function traceRecords(words: Uint32Array): TraceRecord[] {
  const records: TraceRecord[] = [];
  for (let at = 0; at < words.length; ) {
    const count = words[at] >>> 8;
    if (at + 1 + count > words.length) break;
    records.push({ kind: words[at] & 0xff, words: words.slice(at + 1, at + 1 + count) });
    at += 1 + count;
  }
  return records;
}

function timeAt(words: Uint32Array, index: number): string {
  const ns = new Float64Array(words.slice(index, index + 2).buffer)[0];
  return `${(ns / 1000).toFixed(3)}us`;
}

function textAt(words: Uint32Array, index: number): string {
  const bytes = new Uint8Array(words.slice(index + 1).buffer).subarray(0, words[index]);
  return JSON.stringify(new TextDecoder("utf-8").decode(bytes));
}

function whoAt(words: Uint32Array): string {
  return `d${words[0] & 0xffff}v${words[0] >>> 16}`;
}

function signed(word: number): number {
  return word | 0;
}

const LINES: Readonly<Record<number, (w: Uint32Array) => string>> = {
  [TRACE_SLICE_ENTER]: (w) => `${timeAt(w, 1)} ${whoAt(w)} enter`,
  [TRACE_SLICE_EXIT]: (w) => `${timeAt(w, 1)} ${whoAt(w)} exit ran=${w[3]}`,
  [TRACE_HYPERCALL]: (w) =>
    `${whoAt(w)} hypercall ${w[1]}(${signed(w[2])}, ${signed(w[3])}, ${signed(w[4])}) = ${signed(w[5])}`,
  [TRACE_EVENT]: (w) => `${timeAt(w, 1)} d${w[0] & 0xffff} event port ${w[0] >>> 16}`,
  [TRACE_XENSTORE]: (w) => `d${w[0]} xenstore type=${w[1]} req=${w[2]} tx=${w[3]} ${textAt(w, 4)}`,
  [TRACE_DISK]: (w) =>
    `${timeAt(w, 7)} d${w[0] & 0xffff} disk ${w[0] >>> 16} op=${w[1]} sector=${w[2] + w[3] * 0x100000000} ` +
    `bytes=${w[4]} crc=${w[5].toString(16)} status=${signed(w[6])}`,
  [TRACE_LOG]: (w) => `${timeAt(w, 1)} d${w[0]} log ${textAt(w, 3)}`,
  [TRACE_INPUT]: (w) => `${timeAt(w, 1)} input #${w[0]} ${textAt(w, 3)}`,
  [TRACE_DOMAIN]: (w) => `${timeAt(w, 3)} d${w[0]} domain what=${w[1]} argument=${signed(w[2])}`,
};

/** One line per record. An unknown kind is shown as its words. */
export function traceLines(words: Uint32Array): string[] {
  return traceRecords(words).map((record) => {
    const line = Object.hasOwn(LINES, record.kind) ? LINES[record.kind] : undefined;
    return line === undefined ? `kind ${record.kind}: ${Array.from(record.words).join(" ")}` : line(record.words);
  });
}
