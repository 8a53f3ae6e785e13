/**
 * Guest programs on the toolstack's request: a command line goes into the domain's `control/exec`, its output comes over the console, its exit
 * status comes back through xenstore (`drivers/xen/control-exec.ts` is the other end).
 */
import type { HostConnection } from "../xenstored/host-connection";

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

/** Asks the domain to run a command. Watch events with token `exec` follow. */
export function startExecution(store: HostConnection, domid: number, number: number, command: string): Execution {
  const path = `${execPath(domid)}/${number}`;
  store.transaction((inside) => {
    inside.write(path, command);
    inside.setPerms(path, [`n${domid}`]);
  });
  return { domid, number, command, status: null, output: "" };
}

/** Looks whether it has ended. What the guest writes is an allegation: anything but a small number counts as 255. */
export function pollExecution(store: HostConnection, execution: Execution): void {
  const text = store.read(`${execPath(execution.domid)}/${execution.number}/status`);
  if (text === null) return;
  execution.status = /^\d{1,3}$/.test(text) && Number(text) < 256 ? Number(text) : 255;
}
