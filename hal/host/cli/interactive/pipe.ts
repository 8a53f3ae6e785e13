/** Commands from a pipe: standard input goes to a shell in a domain as it comes, what the domain writes is standard output. */
import { MachineError } from "../../machine-error";
import type { Machine } from "../../machine";
import type { CommandThread } from "../io";
import { Pace, type PaceName } from "./pace";

/** Wall milliseconds for which the machine runs free with nothing to read, before it goes with the clock. */
const REST_MS = 1000;
/** Bytes that may wait for the guest to read them; the rest waits in the pipe. */
const WAITING_MAX = 65536;

/** Runs a shell on standard input to its end. Returns its exit status. Throws MachineError when the domain dies or nothing goes on. */
export function runPipe(machine: Machine, keyboard: CommandThread, domain: string, paceName: PaceName): number {
  let busyUntil = performance.now() + REST_MS;
  const pace = new Pace(machine, paceName, () => input === "open" && performance.now() > busyUntil);
  const shell = machine.openConsole(domain, "pipe");
  const alive = () => machine.domainNames().includes(domain) && machine.domain(domain).domid === shell.domid;
  const waiting = () => machine.pendingConsoleInput(domain);
  let input: "open" | "ended" | "closed" = "open";
  keyboard.readInput("lines");
  const mayTake = () => input === "open" && keyboard.hasInput && waiting() < WAITING_MAX;
  const mayClose = () => input === "ended" && waiting() === 0;
  try {
    for (;;) {
      const idleMs = pace.run(() => !alive() || shell.status !== null || mayTake() || mayClose());
      if (shell.status !== null) return shell.status;
      if (!alive() || machine.domain(domain).end !== null) return ended(machine, domain);
      if (mayClose()) {
        input = "closed";
        machine.setTerminal(shell, "closed");
      } else if (input === "open" && waiting() < WAITING_MAX) {
        if (!keyboard.hasInput && !keyboard.wait(idleMs)) continue;
        pace.catchUp();
        const next = keyboard.poll();
        busyUntil = performance.now() + REST_MS;
        if (next?.kind === "keys") machine.consoleInput(domain, next.bytes);
        else if (next?.kind === "end") input = "ended";
      } else if (idleMs === Infinity) {
        throw new MachineError("stuck", `the shell in ${domain} does not end: nothing is left that could run`);
      } else if (idleMs > 0) keyboard.wait(idleMs);
    }
  } finally {
    keyboard.readInput("off");
  }
}

/** The domain has gone while its shell ran: on purpose, or not. */
function ended(machine: Machine, domain: string): number {
  const end = machine.ends().findLast(({ name }) => name === domain);
  if (end === undefined || end.reason === "crash")
    throw new MachineError("death", `${domain} is gone: ${end?.report ?? "destroyed"}`);
  return 0;
}
