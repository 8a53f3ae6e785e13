/** The queue of what will happen: a binary heap by (time, sequence number), in `MachineState.events`. */
import { lowerSlices } from "./clock";
import type { Context } from "./context";
import type { QueuedEvent } from "./state";

function before(a: QueuedEvent, b: QueuedEvent): boolean {
  return a.at < b.at || (a.at === b.at && a.seq < b.seq);
}

function swap(heap: QueuedEvent[], a: number, b: number): void {
  const kept = heap[a];
  heap[a] = heap[b];
  heap[b] = kept;
}

function siftUp(heap: QueuedEvent[], from: number): void {
  for (let index = from; index > 0; ) {
    const parent = (index - 1) >>> 1;
    if (!before(heap[index], heap[parent])) return;
    swap(heap, index, parent);
    index = parent;
  }
}

function siftDown(heap: QueuedEvent[], from: number): void {
  for (let index = from; ; ) {
    const left = index * 2 + 1;
    let least = index;
    if (left < heap.length && before(heap[left], heap[least])) least = left;
    if (left + 1 < heap.length && before(heap[left + 1], heap[least])) least = left + 1;
    if (least === index) return;
    swap(heap, index, least);
    index = least;
  }
}

/** Queues an event of `kind` at virtual time `at`; running slices end in time for it. `generation` 0: nobody's. Returns its sequence number. */
export function queueEvent(
  context: Context,
  at: number,
  kind: string,
  domid: number,
  generation: number,
  arg: number,
): number {
  const { state } = context;
  const seq = state.nextSeq++;
  state.events.push({ at, seq, kind, domid, generation, arg });
  siftUp(state.events, state.events.length - 1);
  lowerSlices(context, at);
  return seq;
}

/** Takes the event at `index` of the heap out. */
export function takeEvent(heap: QueuedEvent[], index: number): QueuedEvent {
  const event = heap[index];
  const last = heap.pop() as QueuedEvent;
  if (index < heap.length) {
    heap[index] = last;
    siftDown(heap, index);
    siftUp(heap, index);
  }
  return event;
}
