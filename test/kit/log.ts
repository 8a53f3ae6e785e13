/** Searching the kernel log of a domain. */
import type { LogLine, Machine } from "xenolith";

/** The lines of a domain's kernel log that match. */
export function searchLog(machine: Machine, domain: string, pattern: RegExp | string): LogLine[] {
  return machine
    .log(domain)
    .filter(({ text }) => (typeof pattern === "string" ? text.includes(pattern) : pattern.test(text)));
}

/** Lines that a healthy kernel does not write. */
const COMPLAINTS =
  /\b(BUG|WARNING|Oops|Unable to handle|panic|lockup|scheduling while atomic|blocked for more than)\b/i;

/** What the kernels of all living domains complained of. */
export function complaints(machine: Machine): LogLine[] {
  return machine.domainNames().flatMap((name) => searchLog(machine, name, COMPLAINTS));
}
