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

/** What to do when a running program ends, and where its console output began. */
interface Waiter {
  readonly execution: Execution;
  readonly from: number;
  done(execution: Execution): void;
}

/** The programs that the toolstack has started. */
export class Programs {
  /** Programs that were started so far, by domid: the guest runs them in the order of their numbers. */
  private readonly counts = new Map<number, number>();
  private waiters: Waiter[] = [];

  constructor(private readonly store: HostConnection, private readonly consoleOf: (domid: number) => string) {}

  /** Starts a program; its end shows in the execution, and `done` is called with it. */
  start(domid: number, command: string, done: (execution: Execution) => void = () => undefined): Execution {
    const number = this.counts.get(domid) ?? 0;
    this.counts.set(domid, number + 1);
    const execution = startExecution(this.store, domid, number, command);
    this.waiters.push({ execution, from: this.consoleOf(domid).length, done });
    return execution;
  }

  /** Looks which programs have ended; called when something below an exec directory changed. */
  poll(): void {
    for (const { execution, from, done } of this.waiters) {
      pollExecution(this.store, execution);
      if (execution.status === null) continue;
      execution.output = this.consoleOf(execution.domid).slice(from);
      done(execution);
    }
    this.waiters = this.waiters.filter(({ execution }) => execution.status === null);
  }

  /** A domain is gone; what it ran has no end. */
  forget(domid: number): void {
    this.counts.delete(domid);
    this.waiters = this.waiters.filter(({ execution }) => execution.domid !== domid);
  }

  /** Looks a block device up where the back end sees it, as a hotplug script does with stat. */
  statDevice(domid: number, device: string, done: (found: BackingDevice | null) => void): void {
    const name = path.posix.basename(device);
    this.start(domid, `cat /sys/class/block/${name}/dev`, ({ status, output }) => {
      const match = /^(\d+):(\d+)\s*$/.exec(output);
      done(status === 0 && match ? { path: device, major: Number(match[1]), minor: Number(match[2]) } : null);
    });
  }
}
