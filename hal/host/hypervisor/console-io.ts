/**
 * console_io: the kernel log. Lines are kept per domain with the virtual time of their end, and traced.
 *
 * A write that begins with `<s>` is a stack: the engines word stacks differently, so it is kept and shown, and leaves no mark in the trace.
 */
import { EFAULT, EINVAL, ENOSYS } from "../../abi/errno";
import { CONSOLEIO_read, CONSOLEIO_write } from "../../abi/xen";
import type { Context } from "./context";
import { copyFromGuest, guestRangeOk } from "./guest-memory";
import type { DomainState, VcpuState } from "./state";

/** Bytes of one write, at most. */
const WRITE_BYTES_MAX = 65536;
/** Characters of a line that has not ended yet. */
const PARTIAL_MAX = 4096;
/** How a write of a stack begins. */
export const STACK_PREFIX = "<s>";
/** Lines kept; the oldest go first. */
const LINES_MAX = 32768;

function keepLine(context: Context, domain: DomainState, at: number, text: string): void {
  domain.log.push({ at, text });
  if (domain.log.length > LINES_MAX) {
    domain.logDropped += LINES_MAX >>> 2;
    domain.log.splice(0, LINES_MAX >>> 2);
  }
  context.observer.logLine?.(domain.domid, at, text);
}

function endLine(context: Context, domain: DomainState, at: number, text: string): void {
  context.trace.log(domain.domid, at, Buffer.from(text, "utf8"));
  keepLine(context, domain, at, text);
}

/** Whether the bytes of a write are a stack. */
export function isStack(context: Context, domain: DomainState, count: number, address: number): boolean {
  if (count < STACK_PREFIX.length || count > WRITE_BYTES_MAX) return false;
  if (address < 0 || address + count > domain.ramBytes) return false;
  const start = domain.ramBase + address;
  const bytes = context.memory.u8.subarray(start, start + STACK_PREFIX.length);
  return Buffer.from(bytes).toString("latin1") === STACK_PREFIX;
}

function write(context: Context, domain: DomainState, vcpu: VcpuState, count: number, address: number): number {
  if (count < 0 || count > WRITE_BYTES_MAX) return -EINVAL;
  if (address < 0 || address + count > domain.ramBytes) return -EFAULT;
  if (isStack(context, domain, count, address)) {
    const stack = Buffer.from(copyFromGuest(context.memory, domain, address, count)).toString("utf8");
    const lines = stack.slice(STACK_PREFIX.length).split("\n");
    for (const line of lines) if (line !== "") keepLine(context, domain, vcpu.clock, line);
    return 0;
  }
  const text = domain.partialLine + Buffer.from(copyFromGuest(context.memory, domain, address, count)).toString("utf8");
  const lines = text.split("\n");
  let rest = lines.pop() ?? "";
  for (const line of lines) endLine(context, domain, vcpu.clock, line);
  if (rest.length > PARTIAL_MAX) {
    endLine(context, domain, vcpu.clock, rest);
    rest = "";
  }
  domain.partialLine = rest;
  return 0;
}

/** __HYPERVISOR_console_io(cmd, count, address). Reading finds nothing: input comes through the console ring. */
export function consoleIo(
  context: Context,
  domain: DomainState,
  vcpu: VcpuState,
  command: number,
  count: number,
  address: number,
): number {
  if (command === CONSOLEIO_write) return write(context, domain, vcpu, count, address);
  if (command !== CONSOLEIO_read) return -ENOSYS;
  return guestRangeOk(context, domain, address, count) ? 0 : -EFAULT;
}
