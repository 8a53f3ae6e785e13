/**
 * What a watcher in another thread can see of a machine that does not answer: a few doubles that the machine's thread writes and nobody else.
 *
 * Nothing in a machine reads them, so they cannot change what it does. A machine that nobody watches writes them all the same.
 */

/** Goes up whenever a guest is entered or has returned. While it stands still, what follows is what is going on. */
export const PULSE_BEATS = 0;
/** The domain whose code runs, or PULSE_HOST. */
export const PULSE_DOMID = 1;
export const PULSE_VCPU = 2;
/** The hypercall that the guest is inside of, or PULSE_NO_CALL. */
export const PULSE_CALL = 3;
/** Virtual time at which the guest was entered, ns. */
export const PULSE_CLOCK = 4;
export const PULSE_DOUBLES = 16;

/** PULSE_DOMID while no guest runs. */
export const PULSE_HOST = -1;
/** PULSE_CALL outside of hypercalls. */
export const PULSE_NO_CALL = -1;

/** A pulse for a machine that nobody watches, or over memory that is shared with a watcher. */
export function createPulse(memory: ArrayBufferLike = new ArrayBuffer(PULSE_DOUBLES * 8)): Float64Array {
  const pulse = new Float64Array(memory, 0, PULSE_DOUBLES);
  pulse[PULSE_DOMID] = PULSE_HOST;
  pulse[PULSE_CALL] = PULSE_NO_CALL;
  return pulse;
}

/** A guest is entered. */
export function pulseEnter(pulse: Float64Array, domid: number, vcpu: number, clock: number): void {
  pulse[PULSE_BEATS]++;
  pulse[PULSE_DOMID] = domid;
  pulse[PULSE_VCPU] = vcpu;
  pulse[PULSE_CALL] = PULSE_NO_CALL;
  pulse[PULSE_CLOCK] = clock;
}

/** A guest has returned to the host. */
export function pulseLeave(pulse: Float64Array): void {
  pulse[PULSE_BEATS]++;
  pulse[PULSE_DOMID] = PULSE_HOST;
  pulse[PULSE_CALL] = PULSE_NO_CALL;
}
