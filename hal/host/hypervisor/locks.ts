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

/** Intervals remembered, at most. */
const INTERVALS_MAX = 128;

export function createBusyIntervals(): BusyIntervals {
  return {
    starts: new Float64Array(INTERVALS_MAX),
    ends: new Float64Array(INTERVALS_MAX),
    count: 0,
    waitedNs: 0,
    waits: 0,
  };
}

/** Forgets the older half. Nobody's clock is that far behind, and if it were, it would only wait less. */
function forgetOldest(lock: BusyIntervals): void {
  const half = INTERVALS_MAX >>> 1;
  lock.starts.copyWithin(0, half, lock.count);
  lock.ends.copyWithin(0, half, lock.count);
  lock.count -= half;
}

/** Puts an interval in front of the one at `index`, or makes the one before it longer. */
function insert(lock: BusyIntervals, index: number, start: number, end: number): void {
  const { starts, ends } = lock;
  if (index > 0 && ends[index - 1] === start) {
    ends[index - 1] = end;
    return;
  }
  if (index < lock.count) {
    starts.copyWithin(index + 1, index, lock.count);
    ends.copyWithin(index + 1, index, lock.count);
  }
  starts[index] = start;
  ends[index] = end;
  lock.count++;
  if (lock.count === INTERVALS_MAX) forgetOldest(lock);
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
