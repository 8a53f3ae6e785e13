/**
 * Locks in virtual time. vCPUs run one after the other, each up to a quantum ahead, so a lock cannot just be "held": it remembers the intervals
 * in which it was busy, and an acquirer waits for the first gap at or after its own clock that is long enough.
 *
 *   busy   ──████──██████─────███──►  time
 *   acquire(at ▲, 3 ns)   ▲ granted
 */

/** Sorted, disjoint, half-open intervals; the first `count` are in use. */
export interface BusyIntervals {
  starts: Float64Array;
  ends: Float64Array;
  count: number;
  /** Total time that acquirers waited, and how many waited. */
  waitedNs: number;
  waits: number;
}

/** Intervals remembered; the oldest are forgotten beyond that. */
const INTERVALS_MAX = 64;

export function createBusyIntervals(): BusyIntervals {
  return {
    starts: new Float64Array(INTERVALS_MAX),
    ends: new Float64Array(INTERVALS_MAX),
    count: 0,
    waitedNs: 0,
    waits: 0,
  };
}

function insert(lock: BusyIntervals, index: number, start: number, end: number): void {
  if (index > 0 && lock.ends[index - 1] === start) {
    lock.ends[index - 1] = end;
    return;
  }
  let at = index;
  if (lock.count === INTERVALS_MAX) {
    if (at === 0) return;
    lock.starts.copyWithin(0, 1);
    lock.ends.copyWithin(0, 1);
    lock.count--;
    at--;
  }
  lock.starts.copyWithin(at + 1, at, lock.count);
  lock.ends.copyWithin(at + 1, at, lock.count);
  lock.starts[at] = start;
  lock.ends[at] = end;
  lock.count++;
}

/** Takes the lock for `duration` ns in the first gap at or after `at`; returns when it was granted. Allocates nothing. */
export function acquire(lock: BusyIntervals, at: number, duration: number): number {
  if (duration <= 0) return at;
  let index = lock.count;
  while (index > 0 && lock.ends[index - 1] > at) index--;
  let start = at;
  while (index < lock.count && lock.starts[index] < start + duration) {
    if (lock.ends[index] > start) start = lock.ends[index];
    index++;
  }
  if (start > at) {
    lock.waits++;
    lock.waitedNs += start - at;
  }
  insert(lock, index, start, start + duration);
  return start;
}
