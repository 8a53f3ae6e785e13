/**
 * The hypervisor's emergency console: text through CONSOLEIO_write, one line at a time, `<level>[time] text`.
 *
 * Used for the whole kernel log. Stacks go here and nowhere else.
 */
import { CONSOLEIO_write, __HYPERVISOR_console_io } from "../../hal/abi/xen";
import { hal } from "../../hal/guest/hal";
import { PAGE_SIZE } from "../../hal/guest/page";
import { scratch_bytes, scratch_paddr } from "../arch/xen/hypercall";

/** Writes text; characters beyond 8 bits become question marks. Nothing happens before the scratch page is there. */
export function console_write(text: string): void {
  const bytes = scratch_bytes();
  if (bytes === null) return;
  const half = PAGE_SIZE / 2;
  for (let start = 0; start < text.length; start += half) {
    const length = Math.min(half, text.length - start);
    for (let i = 0; i < length; i++) {
      const code = text.charCodeAt(start + i);
      bytes[half + i] = code < 256 ? code : 63;
    }
    hal.hypercall(__HYPERVISOR_console_io, CONSOLEIO_write, length, scratch_paddr() + half);
  }
}

/** Opens a stack, which is one write: the hypervisor shows it, and keeps it out of the trace, since engines word stacks differently. */
const STACK_PREFIX = "<s>";
let stacks = true;

/** `nostack` on the command line: no stacks on the console. */
export function set_console_stacks(on: boolean): void {
  stacks = on;
}

/** The current TypeScript stack. */
export function console_stack(): void {
  if (!stacks) return;
  const lines = (new Error().stack ?? "").split("\n").filter((line) => line.includes("at "));
  console_write(`${STACK_PREFIX}${lines.slice(1).join("\n")}\n`.slice(0, PAGE_SIZE / 2));
}
