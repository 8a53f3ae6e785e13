/** The document that `boot --json` prints. Everything that depends on the host is under `host`: the rest is equal for equal seeds. */
import { IMAGE_VERSION } from "../image/format";
import type { Machine } from "../machine";
import { packageVersion } from "../package-info";
import type { Counters } from "../toolstack/counters";
import type { WorkloadResult } from "../toolstack/workload";
import type { Bootchart } from "./bootchart";

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
  readonly host: object;
}

/** Describes a machine as it is now. */
export function bootDocument(machine: Machine, workload: WorkloadResult | null, chart: Bootchart | null): BootDocument {
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
    host: hostEntry(workload, chart),
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

function hostEntry(workload: WorkloadResult | null, chart: Bootchart | null): object {
  const rssBytes = process.resourceUsage().maxRSS * 1024;
  if (chart === null || workload === null) return { rssBytes };
  const wallMs = {
    start: chart.between(null, "machine made"),
    boot: chart.between("machine made", "booted"),
    workload: chart.between("booted", "workload done"),
  };
  return { wallMs, iopsWall: Math.round((workload.ops * 1000) / Math.max(0.1, wallMs.workload)), rssBytes };
}
