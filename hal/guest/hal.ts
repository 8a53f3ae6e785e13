/**
 * The guest's end of the machine boundary: the one place where the kernel holds what the engine gave it.
 *
 * `hal` is set once, by the first statement of the kernel's boot, and never changes.
 */
import type { Hal } from "../abi/hal";
import { CONTROL_VCPU, CONTROL_VCPU_DOUBLES, CONTROL_VCPU_WORDS } from "../abi/control";

export let hal: Hal;
/** The control page as words; the same object as `hal.control`. */
export let control: Uint32Array;
/** The control page as doubles; the same object as `hal.clock`. */
export let clock: Float64Array;

/** Takes the engine's interface. Called once, before anything else of the kernel runs. */
export function set_hal(given: Hal): void {
  hal = given;
  control = given.control;
  clock = given.clock;
}

/** The vCPU that the hypervisor entered. */
export function hal_vcpu(): number {
  return control[CONTROL_VCPU];
}

/** Index of the first word of the running vCPU's block in `control`. */
export function vcpu_words(): number {
  return control[CONTROL_VCPU] * CONTROL_VCPU_WORDS;
}

/** Index of the first double of the running vCPU's block in `clock`. */
export function vcpu_doubles(): number {
  return control[CONTROL_VCPU] * CONTROL_VCPU_DOUBLES;
}
