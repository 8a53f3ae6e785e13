/** `boot -i`: a person at the terminal, or commands from a pipe, in the domains of a machine that has booted. */
import type { Machine } from "../../machine";
import type { ConsoleOutput, LogLine } from "../../machine-options";
import type { CommandIo, CommandThread } from "../io";
import type { PaceName } from "./pace";
import { runPipe } from "./pipe";
import { Session } from "./session";

/** Who gets what the machine says; nobody before the session begins. */
export class Interaction {
  private session: Session | null = null;
  private piped: string | null = null;

  constructor(private readonly io: CommandIo, private readonly thread: CommandThread) {}

  /** Lets somebody work in the domains, first in `domain`. Returns the exit code. Throws MachineError. */
  run(machine: Machine, domain: string, pace: PaceName): number {
    if (this.thread.stdinIsTerminal) {
      this.session = new Session(machine, this.io, this.thread, domain);
      return this.session.run(pace);
    }
    this.piped = domain;
    return runPipe(machine, this.thread, domain, pace);
  }

  /** A domain has written to its console. */
  output({ domain, bytes }: ConsoleOutput): void {
    if (this.session !== null) this.session.output(domain, bytes);
    else if (domain === this.piped) this.io.stdout.write(bytes);
  }

  /** A line of a kernel log. Returns whether somebody has been shown it. */
  log(line: LogLine): boolean {
    this.session?.log(line);
    return this.session !== null;
  }
}
