/** What a machine could not do although it was asked rightly: a guest died, or nothing is left that could make it happen. */

/**
 * "death": a domain that was needed is gone. "stuck": it cannot or did not happen in time. "hang": a guest of the V8 engine did not return, and the
 * machine cannot be used any more.
 */
export type MachineErrorKind = "death" | "stuck" | "hang";

export class MachineError extends Error {
  constructor(readonly kind: MachineErrorKind, message: string) {
    super(message);
    this.name = "MachineError";
  }
}
