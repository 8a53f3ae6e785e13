/** What one makes a machine of, and what its calls hand back. */
import type { EngineName } from "./engines/engine";
import type { Observer } from "./hypervisor/context";
import type { Flavour } from "./image/format";
import type { Image } from "./image/image";
import type { DomainEnd } from "./toolstack/domains";
import type { DiskWrites } from "./toolstack/disks";
import type { MachineConfig } from "./toolstack/machine-file";

/** What a machine is made of. */
export interface MachineOptions {
  readonly image: Image;
  readonly config: MachineConfig;
  /** Default "quickjs". */
  readonly engine?: EngineName;
  /** Default "debug". */
  readonly flavour?: Flavour;
  /** Default: the machine file's. */
  readonly seed?: number;
  /** Words to append to the kernel command line, by domain name. */
  readonly append?: Readonly<Record<string, string>>;
  /** "keep" keeps every word of the trace for `trace()`; default "hash". */
  readonly trace?: "hash" | "keep" | "off";
  /** Called with every line of a kernel log, `at` in virtual ns. */
  readonly onLog?: (line: LogLine) => void;
  /** Called with what a domain writes to its console, as it is written. */
  readonly onConsole?: (output: ConsoleOutput) => void;
  /** Called at each step of the boot, with its name: for bootcharts. */
  readonly onPhase?: (name: string) => void;
  /** Called when a domain has ended by itself, with what is done about it. */
  readonly onEnd?: (end: DomainEnd) => void;
  /** Called when a domain is made. */
  readonly onDomain?: (domid: number, name: string) => void;
  /** Called when a host disk has done something (`Observer.disk`). */
  readonly onDisk?: Observer["disk"];
  /** Native stack that each QuickJS guest may use, bytes. Default 128 KiB, which any thread has. */
  readonly guestStackBytes?: number;
  /** Memory in which the machine shows that it lives (`hypervisor/pulse.ts`), for a watcher in another thread. */
  readonly pulse?: Float64Array;
  /**
   * Wall time that a guest of the V8 engine may run without a pause before the call throws MachineError and the machine is over, ms; 0: for
   * ever. Default 30,000. Nobody looks while a debugger is attached. QuickJS needs none of this.
   */
  readonly guestLimitMs?: number;
  /** Folder that relative disk files are in; default the working directory. */
  readonly folder?: string;
  /** "overlay" keeps what is written to disk files in memory, and the files as they are; default "file". */
  readonly diskWrites?: DiskWrites;
}

/** What may be chosen when a machine is made of a snapshot; the rest is as it was. */
export type RestoreOptions = Omit<
  MachineOptions,
  "image" | "config" | "engine" | "flavour" | "seed" | "append" | "trace"
>;

/** One line of a domain's kernel log. */
export interface LogLine {
  readonly domain: string;
  readonly at: number;
  readonly text: string;
}

/** What a domain has just written to its console. */
export interface ConsoleOutput {
  readonly domain: string;
  readonly bytes: Uint8Array;
}

/** How a program ended. */
export interface RunResult {
  /** Exit status, 0 to 255. */
  readonly status: number;
  /** What it wrote to the console. */
  readonly output: string;
}
