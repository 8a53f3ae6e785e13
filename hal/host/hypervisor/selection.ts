/** What the scheduler found to be next; one scratch object per machine. */
export interface Selection {
  kind: "event" | "timer" | "vcpu";
  /** Virtual nanoseconds; Infinity when there is nothing. */
  at: number;
  seq: number;
  /** Index into the heap of events, or into `MachineState.vcpus`. */
  index: number;
}

export function createSelection(): Selection {
  return { kind: "event", at: Infinity, seq: 0, index: 0 };
}
