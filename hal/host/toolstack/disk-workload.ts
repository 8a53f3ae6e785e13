/** The verified workload on the first disk of a domain, with the host's own look at that disk. */
import * as fs from "node:fs";
import { errorGuestDisk, errorNoWorkloadDisk, errorNullDisk, errorReadonlyWorkload } from "../errors";
import type { Machine } from "../machine";
import { OverlayDisk } from "../disks/overlay";
import type { DiskSpec } from "./disk-spec";
import { type WorkloadResult, BLOCK_BYTES, runWorkload } from "./workload";

/** Throws UserError when a disk of this kind could not be verified. */
export function checkWorkloadDisk(name: string, spec: DiskSpec): void {
  if (spec.access === "r") throw errorReadonlyWorkload(name);
  if (spec.backing === "null") throw errorNullDisk(name);
  if (spec.backing === "phy") throw errorGuestDisk(name, spec.target);
}

/**
 * Runs it on `blocks` blocks with `depth` operations in flight. `spared` blocks at each end of the disk, where partition tables are, are left
 * alone if the disk is at least four times as long. Throws UserError when the domain has no disk that could be verified.
 */
export function runDiskWorkload(
  machine: Machine,
  domain: string,
  blocks: number,
  depth: number,
  spared = 0,
): WorkloadResult {
  const { domid } = machine.domain(domain);
  const attachment = machine
    .attachedDisks()
    .find(({ phase, vbd }) => phase === "connected" && vbd.frontDomid === domid);
  if (attachment === undefined) throw errorNoWorkloadDisk(domain);
  checkWorkloadDisk(attachment.vbd.name, attachment.spec);
  const disk = machine.hostDisk(attachment.diskIndex);
  const all = Math.floor((disk.info.sectors * 512) / BLOCK_BYTES);
  const first = all >= spared * 4 ? spared : 0;
  const usable = Math.min(blocks, all - 2 * first);
  const fromDisk = (offset: number, bytes: Uint8Array) => void disk.read(offset / 512, bytes);
  const isInFile = attachment.spec.backing === "file" && !(disk instanceof OverlayDisk);
  const read = isInFile ? fileReader(attachment.source) : fromDisk;
  const device = `/dev/${machine.guestName(attachment)}`;
  return runWorkload(machine, { domain, device, first, blocks: usable, depth, read });
}

/** Reads the file by its name, past the machine's own open file. */
function fileReader(file: string): (offset: number, bytes: Uint8Array) => void {
  return (offset, bytes) => {
    const fd = fs.openSync(file, "r");
    fs.readSync(fd, bytes, 0, bytes.length, offset);
    fs.closeSync(fd);
  };
}
