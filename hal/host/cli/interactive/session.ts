/**
 * A person at the terminal, in the domains of a machine: keys go to the console of one of them, what it writes is shown.
 *
 *   keys ─► escape? ─► ours: switch, pause, snapshot, quit          else ─► console ring ─► the guest's terminal ─► its shell
 *
 * Everything is synchronous: the machine runs until it has nothing to do or a key was pressed, then the thread sleeps until there is input.
 */
import { UserError } from "../../errors";
import { EXIT_INTERRUPTED, EXIT_OK, EXIT_PANIC } from "../../exit-codes";
import type { Machine } from "../../machine";
import type { LogLine } from "../../machine-options";
import type { MachineSnapshot } from "../../snapshot/snapshot";
import { type Execution, isTerminal } from "../../toolstack/programs";
import type { CommandIo, CommandThread } from "../io";
import { KeyFilter } from "./keys";
import { Pace, type PaceName } from "./pace";
import { Screen, type ScreenState } from "./screen";

/** Size of a terminal that has not said how large it is. */
const ROWS_DEFAULT = 24;
const COLUMNS_DEFAULT = 80;
const HELP =
  "Ctrl-] n: next domain · 0-9: domain by number · p: pause, go on · s: snapshot · r: back to it · q: quit · Ctrl-]: itself";

/** A moment that one can go back to. */
interface Saved {
  readonly machine: MachineSnapshot;
  readonly screen: ScreenState;
  readonly current: string;
  readonly paused: readonly string[];
}

/** `1.234567 s` of virtual time. */
function seconds(ns: number): string {
  return `${(ns / 1e9).toFixed(6)} s`;
}

export class Session {
  private readonly screen: Screen;
  private readonly filter = new KeyFilter();
  private readonly shells = new Map<string, Execution>();
  private readonly paused = new Set<string>();
  private size = { rows: ROWS_DEFAULT, columns: COLUMNS_DEFAULT };
  private endsSeen = 0;
  private code: number | null = null;
  private saved: Saved | null = null;

  constructor(
    private readonly machine: Machine,
    private readonly io: CommandIo,
    private readonly keyboard: CommandThread,
    private current: string,
  ) {
    this.screen = new Screen(io.stdout);
    this.size.columns = io.stdout.isTerminal ? io.stdout.columns : COLUMNS_DEFAULT;
  }

  /** A domain has written to its console. */
  output(domain: string, bytes: Uint8Array): void {
    this.screen.write(domain, bytes);
  }

  /** A line of a kernel log; those of the domain that is shown are seen, as on any console. */
  log(line: LogLine): void {
    if (line.domain === this.current) this.screen.say(line.text.replace(/^<\d>/, ""));
  }

  /** Lets the person work until they leave. Returns the exit code: the shell's that they left. */
  run(paceName: PaceName): number {
    const pace = new Pace(this.machine, paceName, () => this.screen.atPrompt(this.current));
    this.endsSeen = this.machine.ends().length;
    this.screen.say(`Ctrl-] q: quit · Ctrl-] ?: help · ${this.domainList()}`);
    this.keyboard.readInput("raw");
    try {
      this.attach(this.current);
      for (;;) {
        const idleMs = pace.run(() => this.keyboard.hasInput || this.hasNews());
        this.follow();
        if (this.code !== null) return this.code;
        if (this.keyboard.hasInput || (idleMs > 0 && !this.hasNews() && this.keyboard.wait(idleMs))) {
          pace.catchUp();
          this.takeInput();
        }
      }
    } finally {
      this.keyboard.readInput("off");
    }
  }

  // ---- domains

  private domainList(): string {
    return this.machine
      .domainNames()
      .map((name) => `${this.machine.domain(name).domid}: ${name}`)
      .join(", ");
  }

  /** Shows a domain, with a shell in it. */
  private attach(name: string): void {
    this.current = name;
    this.openShell();
    this.screen.show(name);
  }

  private openShell(): void {
    const { domid, readyAt, end } = this.machine.domain(this.current);
    if (readyAt === null || end !== null || this.shells.get(this.current)?.domid === domid) return;
    this.shells.set(this.current, this.machine.openConsole(this.current, this.size));
  }

  private isThere(name: string): boolean {
    return this.machine.domainNames().includes(name);
  }

  /** Whether something happened that `follow` looks at. */
  private hasNews(): boolean {
    if (this.machine.ends().length !== this.endsSeen) return true;
    if (!this.isThere(this.current)) return false;
    const shell = this.shells.get(this.current);
    const { domid, readyAt } = this.machine.domain(this.current);
    return shell?.domid === domid ? shell.status !== null : readyAt !== null;
  }

  /** Domains end, and some come back; a shell that ends takes its user with it. */
  private follow(): void {
    const ends = this.machine.ends();
    for (const { name, reason, report, action } of ends.slice(Math.min(this.endsSeen, ends.length))) {
      const why = report === null ? "" : `: ${report}`;
      this.screen.say(`${name}: ${reason}${why}${action === "restart" ? ", starting again" : ""}`);
      if (name === this.current && action !== "restart") this.leave(name, reason === "crash" ? EXIT_PANIC : EXIT_OK);
    }
    this.endsSeen = ends.length;
    if (this.code !== null || !this.isThere(this.current)) return;
    const shell = this.shells.get(this.current);
    if (shell?.domid === this.machine.domain(this.current).domid) this.code = shell.status;
    else this.openShell();
  }

  /** The domain that was shown is no more: on to another one that has a shell, or out. */
  private leave(name: string, code: number): void {
    this.shells.delete(name);
    const other = [...this.shells.keys()].find((candidate) => this.isThere(candidate));
    if (other === undefined) this.code = code;
    else this.attach(other);
  }

  // ---- input

  private takeInput(): void {
    for (let input = this.keyboard.poll(); input !== null && this.code === null; input = this.keyboard.poll()) {
      if (input.kind === "end") this.code = EXIT_INTERRUPTED;
      else if (input.kind === "resize") this.resize(input.rows, input.columns);
      else this.takeKeys(input.bytes);
    }
  }

  private resize(rows: number, columns: number): void {
    this.size = { rows, columns };
    for (const [name, shell] of this.shells) if (this.isThere(name)) this.machine.setTerminal(shell, this.size);
  }

  private takeKeys(bytes: Uint8Array): void {
    for (const typed of this.filter.split(bytes)) {
      if (typed.kind === "command") this.command(typed.key);
      else if (this.isThere(this.current)) this.machine.consoleInput(this.current, typed.bytes);
    }
  }

  private command(key: string): void {
    const names = this.machine.domainNames();
    if (key === "q" || key === ".") this.code = EXIT_OK;
    else if (key === "n") this.switchTo(names[(names.indexOf(this.current) + 1) % names.length]);
    else if (/\d/.test(key))
      this.switchTo(names.find((name) => this.machine.domain(name).domid === Number(key)) ?? key);
    else if (key === "p") this.togglePause();
    else if (key === "s") this.attempt(() => this.takeSnapshot());
    else if (key === "r") this.attempt(() => this.goBack());
    else this.screen.say(`${HELP} · ${this.domainList()}`);
    if (this.code !== null) this.io.stdout.write("\r\n");
  }

  /** What cannot be done is said, and the session goes on. */
  private attempt(action: () => void): void {
    try {
      action();
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      this.screen.say(error.message);
    }
  }

  private takeSnapshot(): void {
    this.saved = {
      machine: this.machine.snapshot(),
      screen: this.screen.save(),
      current: this.current,
      paused: [...this.paused],
    };
    this.screen.say(`[snapshot at ${seconds(this.machine.now)}; Ctrl-] r: back to it]`);
  }

  /** The machine, its disks in memory and the screen are again what they were. */
  private goBack(): void {
    if (this.saved === null) {
      this.screen.say("there is no snapshot; Ctrl-] s takes one");
      return;
    }
    const { machine, screen, current, paused } = this.saved;
    this.machine.restore(machine);
    this.screen.restore(screen);
    this.paused.clear();
    for (const name of paused) this.paused.add(name);
    this.endsSeen = this.machine.ends().length;
    this.adoptShells();
    this.current = current;
    this.screen.say(`[back at ${seconds(this.machine.now)}]`);
    this.attach(current);
    this.resize(this.size.rows, this.size.columns);
  }

  /** The shells of a machine that was restored are other objects than those that it had. */
  private adoptShells(): void {
    this.shells.clear();
    for (const execution of this.machine.executions()) {
      const name = this.machine.domainNames().find((name) => this.machine.domain(name).domid === execution.domid);
      if (name !== undefined && isTerminal(execution)) this.shells.set(name, execution);
    }
  }

  private switchTo(name: string): void {
    if (!this.isThere(name)) {
      this.screen.say(`there is no domain ${name}; there are ${this.domainList()}`);
      return;
    }
    this.screen.say(`[${name}${this.paused.has(name) ? ", paused" : ""}]`);
    this.attach(name);
  }

  private togglePause(): void {
    const { current } = this;
    if (!this.isThere(current)) return;
    if (this.paused.delete(current)) this.machine.unpause(current);
    else {
      this.paused.add(current);
      this.machine.pause(current);
    }
    this.screen.say(`[${current} ${this.paused.has(current) ? "paused; Ctrl-] p: go on" : "goes on"}]`);
  }
}
