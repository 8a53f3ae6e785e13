/**
 * Guest programs on the toolstack's request: a command line goes into the domain's `control/exec`, its output comes over the console, its exit
 * status comes back through xenstore (`drivers/xen/control-exec.ts` is the other end).
 */
import * as path from "node:path";
import type { HostConnection } from "../xenstored/host-connection";
import type { BackingDevice } from "./vbd";

/** One run of a program; plain data. */
export interface Execution {
  readonly domid: number;
  readonly number: number;
  readonly command: string;
  /** null while it runs. */
  status: number | null;
  /** What it wrote to the console, once it has ended. */
  output: string;
}

/** A program's terminal, if it has one: a window on the console, or the console as a plain stream; "closed" once nobody types any more. */
export type Terminal = { readonly rows: number; readonly columns: number } | "pipe" | "closed";

const TERMINAL_PREFIX = "terminal=";

/** Whether a program has the console as its terminal. */
export function isTerminal({ command }: Execution): boolean {
  return command.startsWith(TERMINAL_PREFIX);
}

function terminalWord(terminal: Terminal): string {
  return typeof terminal === "string" ? terminal : `${terminal.rows}x${terminal.columns}`;
}

/** Directory of a domain's requests. */
export function execPath(domid: number): string {
  return `/local/domain/${domid}/control/exec`;
}

/** Written by the guest once it takes requests. */
export function readyPath(domid: number): string {
  return `/local/domain/${domid}/control/feature-exec`;
}

/** Asks the domain to run a command. */
function startExecution(store: HostConnection, domid: number, number: number, command: string): Execution {
  const path = `${execPath(domid)}/${number}`;
  store.transaction((inside) => {
    inside.write(path, command);
    inside.setPerms(path, [`n${domid}`]);
  });
  return { domid, number, command, status: null, output: "" };
}

/**
 * Looks whether it has ended, and removes the request when it has: the guest owns the nodes, and its quota is for a few. What the guest writes is
 * an allegation: anything but a small number counts as 255.
 */
function pollExecution(store: HostConnection, execution: Execution): void {
  const path = `${execPath(execution.domid)}/${execution.number}`;
  const text = store.read(`${path}/status`);
  if (text === null) return;
  store.rm(path);
  execution.status = /^\d{1,3}$/.test(text) && Number(text) < 256 ? Number(text) : 255;
}

/** A program that runs; plain data. */
interface Waiter {
  readonly execution: Execution;
  /** Where its console output began. */
  readonly from: number;
  /** The attachment that wants to know what it finds out, and of which path; null: whoever holds the execution looks. */
  readonly stat: { readonly serial: number; readonly path: string } | null;
}

/** All that there is to save; plain data. */
export interface ProgramsState {
  /** Programs that were started so far, by domid: the guest runs them in the order of their numbers. */
  readonly counts: Map<number, number>;
  waiters: Waiter[];
}

/** Nothing was started. */
export function createProgramsState(): ProgramsState {
  return { counts: new Map(), waiters: [] };
}

/** The programs that the toolstack has started. */
export class Programs {
  constructor(
    private readonly store: HostConnection,
    private readonly consoleOf: (domid: number) => string,
    /** What `statDevice` found out. */
    private readonly onDevice: (serial: number, device: BackingDevice | null) => void,
    private current: ProgramsState = createProgramsState(),
  ) {}

  get state(): ProgramsState {
    return this.current;
  }

  /** Goes on from another state. Executions that were handed out before belong to the past. */
  restore(state: ProgramsState): void {
    this.current = state;
  }

  /** The programs that run, oldest first. */
  running(): Execution[] {
    return this.current.waiters.filter(({ stat }) => stat === null).map(({ execution }) => execution);
  }

  /** Starts a program; its end shows in the execution. */
  start(domid: number, command: string, stat: Waiter["stat"] = null): Execution {
    const { counts, waiters } = this.current;
    const number = counts.get(domid) ?? 0;
    counts.set(domid, number + 1);
    const execution = startExecution(this.store, domid, number, command);
    waiters.push({ execution, from: this.consoleOf(domid).length, stat });
    return execution;
  }

  /** Starts a program that has the console as its terminal; it runs beside others. */
  open(domid: number, command: string, terminal: Terminal): Execution {
    return this.start(domid, `${TERMINAL_PREFIX}${terminalWord(terminal)} ${command}`);
  }

  /** Tells a running program's terminal that it has changed. */
  setTerminal(execution: Execution, terminal: Terminal): void {
    if (execution.status !== null) return;
    this.store.write(`${execPath(execution.domid)}/${execution.number}/terminal`, terminalWord(terminal));
  }

  /** Looks which programs have ended; called when something below an exec directory changed. */
  poll(): void {
    const { current } = this;
    for (const { execution, from, stat } of current.waiters) {
      pollExecution(this.store, execution);
      if (execution.status === null) continue;
      execution.output = this.consoleOf(execution.domid).slice(from);
      if (stat !== null) this.onDevice(stat.serial, deviceOf(execution, stat.path));
    }
    current.waiters = current.waiters.filter(({ execution }) => execution.status === null);
  }

  /** A domain is gone; what it ran has no end. */
  forget(domid: number): void {
    const { current } = this;
    current.counts.delete(domid);
    current.waiters = current.waiters.filter(({ execution }) => execution.domid !== domid);
  }

  /** Looks a block device up where the back end sees it, as a hotplug script does with stat, for the attachment `serial`. */
  statDevice(domid: number, device: string, serial: number): void {
    const name = path.posix.basename(device);
    this.start(domid, `cat /sys/class/block/${name}/dev`, { serial, path: device });
  }
}

/** The device whose numbers a program printed, or null. */
function deviceOf({ status, output }: Execution, device: string): BackingDevice | null {
  const match = /^(\d+):(\d+)\s*$/.exec(output);
  return status === 0 && match ? { path: device, major: Number(match[1]), minor: Number(match[2]) } : null;
}
