/**
 * What every part of xenstored works with: the state, the world outside, and what one call leaves behind for its end.
 */
import type { FrameMemory } from "./ring";
import type { XsState } from "./state";

/** What xenstored needs of the machine. */
export interface XenStoredEnv {
  /** The machine's memory: bytes of frame `mfn` from `base + mfn * 4096` on. Asked for afresh at every step, since the arrays may be replaced. */
  memory(): FrameMemory;
  /** Raises the store event channel of the domain. Must not call back into xenstored. */
  notify(domid: number): void;
  /** One call per message on a ring, both ways: type (XS_*), then request id, transaction id, payload bytes and checksum of the payload. */
  trace(domid: number, type: number, ...words: number[]): void;
}

/** One operation of a client, as a recording keeps it. Absent fields do not apply to the operation. */
export interface XsRecord {
  /** Name of the operation, for example WRITE. */
  op: string;
  domid: number;
  /** A domain's ring, or the toolstack in this process. */
  from: "ring" | "host";
  txid: number;
  /** As the client gave it. */
  path?: string;
  value?: string;
  token?: string;
  /** TRANSACTION_END: "T" or "F". */
  commit?: string;
  /** Set when the operation failed. */
  error?: string;
}

export interface XsContext {
  readonly env: XenStoredEnv;
  state: XsState;
  /** Rings with something new for the guest to see; notified at the end of the call. Empty between calls. */
  readonly toNotify: Set<number>;
  /** null: not recording. */
  recording: XsRecord[] | null;
}
