/**
 * A snapshot: all that a machine is between two slices, as plain data.
 *
 *   engine   the memory that is used, with all heaps and frames in it, and the guests' handles
 *   state    hypervisor, xenstored, console daemon and toolstack
 *   disks    RAM disks with their bytes, files by name and content
 *
 * A machine that goes on from it does what the first one would have done, byte for byte of its trace.
 */
import type { SavedEngine } from "../engines/engine";
import type { XenConsoledState } from "../console/console";
import { errorSnapshotMisfit } from "../errors";
import type { MachineState } from "../hypervisor/state";
import type { Flavour } from "../image/format";
import type { Image } from "../image/image";
import type { Machinery } from "../machinery";
import type { Attachment, AttachmentsState } from "../toolstack/attachments";
import type { DiskWrites, SavedOpenDisk } from "../toolstack/disks";
import type { MachineDomain } from "../toolstack/domains";
import type { LifecycleState } from "../toolstack/lifecycle";
import type { MachineConfig } from "../toolstack/machine-file";
import type { ProgramsState } from "../toolstack/programs";
import type { XsState } from "../xenstored/state";
import { firstDifference } from "./difference";

/** What a machine was made of. A snapshot goes with machines that were made of the same. */
export interface SnapshotOrigin {
  /** `Image.id`. */
  readonly imageId: string;
  readonly flavour: Flavour;
  readonly seed: number;
  readonly append: Readonly<Record<string, string>>;
  readonly config: MachineConfig;
  /** Folder that relative disk files were in, and what became of writes to them. */
  readonly folder: string;
  readonly diskWrites: DiskWrites;
}

/** What the host's side remembers. */
export interface SavedState {
  readonly hypervisor: MachineState;
  readonly xenstored: XsState;
  readonly consoled: XenConsoledState;
  readonly domains: MachineDomain[];
  readonly programs: ProgramsState;
  readonly attachments: AttachmentsState;
  readonly lifecycle: LifecycleState;
}

/** Everything but the image; plain data that nobody changes. */
export interface SnapshotData {
  readonly origin: SnapshotOrigin;
  readonly engine: SavedEngine;
  readonly state: SavedState;
  readonly disks: readonly SavedOpenDisk[];
}

/** A machine as it was at one moment. May be used many times. */
export interface MachineSnapshot {
  readonly image: Image;
  readonly data: SnapshotData;
}

/** Copies plain state. The batches of a kept trace never change: they are shared. */
function cloneState(state: SavedState): SavedState {
  const { hypervisor } = state;
  const { kept } = hypervisor.trace;
  const trace = { ...hypervisor.trace, kept: new Array<Uint32Array>() };
  const copy = structuredClone({ ...state, hypervisor: { ...hypervisor, trace } });
  copy.hypervisor.trace.kept = [...kept];
  return copy;
}

/** What the machine was made of. */
export function originOf({ options, flavour, seed, folder }: Machinery): SnapshotOrigin {
  const { image, config, append = {}, diskWrites = "file" } = options;
  return { imageId: image.id, flavour, seed, append, config, folder, diskWrites };
}

/** Takes a snapshot, between slices. Throws UserError when the engine or a disk cannot be copied. */
export function takeSnapshot(machine: Machinery): MachineSnapshot {
  const engine = machine.engine.save();
  const state = cloneState({
    hypervisor: machine.hypervisor.state,
    xenstored: machine.xenstored.state,
    consoled: machine.consoled.state,
    domains: [...machine.builder.list()],
    programs: machine.programs.state,
    attachments: machine.attachments.state,
    lifecycle: machine.lifecycle.state,
  });
  const data = { origin: originOf(machine), engine, state, disks: machine.disks.save() };
  return { image: machine.options.image, data };
}

/** Makes the machine what it was, between slices. Throws UserError when the snapshot does not fit; then nothing has changed. */
export function applySnapshot(machine: Machinery, { data }: MachineSnapshot): void {
  checkOrigin(data.origin, originOf(machine));
  machine.disks.checkSaved(data.disks);
  const { hypervisor, xenstored, consoled, domains, programs, attachments, lifecycle } = cloneState(data.state);
  const disks = machine.disks.restore(data.disks);
  const relocated = (list: readonly Attachment[]): Attachment[] =>
    list.map((attachment) => ({ ...attachment, source: machine.disks.sourceOf(attachment.spec) }));
  machine.hypervisor.restore(hypervisor);
  machine.xenstored.restore(xenstored);
  machine.consoled.restore(consoled);
  machine.builder.restore(domains);
  machine.programs.restore(programs);
  machine.attachments.restore({ ...attachments, list: relocated(attachments.list) });
  const rebirths = lifecycle.rebirths.map((rebirth) => ({ ...rebirth, disks: relocated(rebirth.disks) }));
  machine.lifecycle.restore({ ...lifecycle, rebirths });
  for (const { domid, name } of domains) machine.options.onDomain?.(domid, name);
  const guests = machine.engine.restore(data.engine, (domid) => {
    const domain = domains.find((candidate) => candidate.domid === domid) as MachineDomain;
    return machine.builder.engineSpec(machine.hypervisor.domain(domid), domain);
  });
  machine.hypervisor.adopt(guests, disks);
}

/** Throws UserError that names the first thing in which two machines differ. */
export function checkOrigin(saved: SnapshotOrigin, ours: SnapshotOrigin): void {
  const misfit = (name: string, what: string, theirs: unknown, own: unknown): void => {
    if (theirs === own) return;
    throw errorSnapshotMisfit(name, `the snapshot is of another ${what}: ${String(theirs)}, not ${String(own)}`);
  };
  misfit("IMAGE", "image", saved.imageId, ours.imageId);
  misfit("FLAVOUR", "flavour", saved.flavour, ours.flavour);
  misfit("SEED", "seed", saved.seed, ours.seed);
  const config = firstDifference(saved.config, ours.config);
  if (config !== null) misfit("MACHINE", `machine file (${config.path})`, config.left, config.right);
  const append = firstDifference(saved.append, ours.append);
  if (append !== null) misfit("APPEND", `command line (--append ${append.path})`, append.left, append.right);
}
