/** Why a module could not be loaded, in kmod's words. */
import { strerror } from "./strerror";

const REASONS: Readonly<Record<number, string>> = {
  [-2]: "Unknown symbol in module, or unknown parameter (see dmesg)",
  [-8]: "Invalid module format",
};

/** Text of a negative errno of `init_module`. */
export function module_error(error: number): string {
  return REASONS[error] ?? strerror(error);
}
