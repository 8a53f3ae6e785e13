/** The document that `boot --json` prints. Everything that depends on the host is under `host`: the rest is equal for equal seeds. */
import { IMAGE_VERSION } from "../image/format";
import type { Machine } from "../machine";
import { packageVersion } from "../package-info";
import type { Counters } from "../toolstack/counters";
import type { WorkloadResult } from "../toolstack/workload";
import type { MachineOrigin } from "./boot-machine";
import type { Phase } from "./bootchart";

/** Version of the document's own layout. */
export const DOCUMENT_VERSION = 1;

export interface BootDocument {
  readonly version: number;
  readonly xenolith: string;
  readonly image: { readonly format: number; readonly id: string };
  readonly seed: number;
  readonly engine: string;
  readonly flavour: string;
  readonly traceHash: string;
  readonly virtualNs: number;
  readonly domains: readonly object[];
  readonly disks: readonly object[];
  readonly workload: WorkloadResult | null;
  readonly counters: Counters;
  /** Programs of --exec instead of the workload. */
  readonly runs?: readonly ProgramRun[];
  readonly host: object;
}

/** One program of --exec. */
export interface ProgramRun {
  readonly domain: string;
  readonly command: string;
  readonly status: number;
  readonly output: string;
}

/** What was run once the machine was up. */
export interface Work {
  readonly workload: WorkloadResult | null;
  readonly runs: readonly ProgramRun[] | null;
}

/** How long it took, wall milliseconds. */
export interface HostTimes {
  /** Where the booted machine came from. */
  readonly from: MachineOrigin;
  readonly start: number;
  readonly boot: number;
  /** Workload or programs. */
  readonly work: number;
  /** The bootchart, when it was asked for. */
  readonly phases: readonly Phase[] | null;
}

/** Describes a machine as it is now. */
export function bootDocument(machine: Machine, { workload, runs }: Work, times: HostTimes): BootDocument {
  return {
    version: DOCUMENT_VERSION,
    xenolith: packageVersion(),
    image: { format: IMAGE_VERSION, id: machine.imageId },
    seed: machine.seed,
    engine: machine.engineName,
    flavour: machine.flavour,
    traceHash: machine.traceHash(),
    virtualNs: machine.now,
    domains: machine.domainNames().map((name) => domainEntry(machine, name)),
    disks: machine.attachedDisks().map((attachment) => ({
      domain: attachment.vbd.frontDomid,
      name: attachment.vbd.name,
      vdev: attachment.vbd.vdev,
      backing: attachment.spec.backing,
      mode: attachment.spec.access,
      phase: attachment.phase,
      states: attachment.ladder,
    })),
    workload,
    counters: machine.counters(),
    ...(runs === null ? {} : { runs }),
    host: hostEntry(workload, times),
  };
}

function domainEntry(machine: Machine, name: string): object {
  const { domid, state, createdAt, readyAt } = machine.domain(name);
  return {
    id: domid,
    name,
    state: state.pauseCount > 0 ? "paused" : state.state,
    bootNs: readyAt === null ? null : readyAt - createdAt,
    vcpus: state.vcpus.length,
    memoryBytes: state.ramBytes,
  };
}

function hostEntry(workload: WorkloadResult | null, times: HostTimes): object {
  const { from, start, boot, work } = times;
  const iopsWall = workload === null ? null : Math.round((workload.ops * 1000) / Math.max(0.1, work));
  return {
    from,
    wallMs: { start, boot, ...(workload === null ? { programs: work } : { workload: work }) },
    iopsWall,
    rssBytes: process.resourceUsage().maxRSS * 1024,
    ...(times.phases === null ? {} : { phases: times.phases }),
  };
}
