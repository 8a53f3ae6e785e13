/** The event trace's part of the machine state: plain data, so that a snapshot carries the hash on. */

/** Words hashed at once. */
export const TRACE_BATCH_WORDS = 8192;
/** Room behind a batch for the record that crosses its end; also the longest record with a fixed number of words. */
export const TRACE_SLACK_WORDS = 32;

export interface TraceState {
  /** False: nothing is recorded and the hash stands still. */
  enabled: boolean;
  /** True: every batch is kept for `decode.ts`. */
  keep: boolean;
  kept: Uint32Array[];
  /** sha256(previous digest || batch), of the last full batch; 32 bytes. */
  digest: Uint8Array;
  words: Uint32Array;
  used: number;
  batches: number;
}

/** An empty trace; its digest starts at 32 zero bytes. */
export function createTraceState(): TraceState {
  return {
    enabled: true,
    keep: false,
    kept: [],
    digest: new Uint8Array(32),
    words: new Uint32Array(TRACE_BATCH_WORDS + TRACE_SLACK_WORDS),
    used: 0,
    batches: 0,
  };
}
