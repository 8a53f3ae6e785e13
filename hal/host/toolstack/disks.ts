/** Attaching by specification: choosing the device name, opening the host's side, and closing it again. */
import * as fs from "node:fs";
import * as path from "node:path";
import { vbd_identify, vbd_number } from "../../abi/io/vbd";
import type { HostDisk } from "../disks/disk";
import { isSameContent } from "../disks/file-identity";
import { type SavedDisk, type SavedFileDisk, openSavedDisk } from "../disks/saved-disk";
import {
  errorDiskInUse,
  errorDiskSpec,
  errorDiskTooMany,
  errorNoDisk,
  errorSnapshotDiskChanged,
  errorSnapshotDiskKind,
  errorVdevTaken,
} from "../errors";
import type { Hypervisor } from "../hypervisor/hypervisor";
import type { Attachment, Attachments } from "./attachments";
import { HOSTDISKS_MAX } from "../../abi/hostdisk";
import { type DiskSpec, parseDiskSpec } from "./disk-spec";
import { openHostDisk } from "./host-disk";

/** The domid of a domain by name. Throws UserError. */
type DomainLookup = (name: string) => number;

/** A host disk that is open. */
interface OpenDisk {
  readonly disk: HostDisk;
  /** The file as it was written; null when the disk is none, or was given as an object. */
  readonly target: string | null;
  /** The file behind it, without symbolic links; null when it is none. */
  readonly file: string | null;
  readonly access: DiskSpec["access"];
}

/** What a snapshot keeps of a host disk; plain data. */
export interface SavedOpenDisk {
  readonly index: number;
  readonly target: string | null;
  readonly access: DiskSpec["access"];
  readonly disk: SavedDisk;
}

/** Whether what is written to files goes there, or stays in memory and leaves the files as they are. */
export type DiskWrites = "file" | "overlay";

/** The disks of a machine, from the host's side. */
export class Disks {
  private readonly open = new Map<number, OpenDisk>();

  constructor(
    private readonly hypervisor: Hypervisor,
    private readonly attachments: Attachments,
    private readonly folder: string,
    private readonly writes: DiskWrites = "file",
  ) {}

  /** What a snapshot keeps of the open disks. Throws UserError when one cannot be kept. */
  save(): SavedOpenDisk[] {
    return [...this.open].map(([index, { disk, target, access }]) => {
      const saved = disk.save?.() ?? null;
      if (saved === null) throw errorSnapshotDiskKind(this.nameOf(index));
      return { index, target, access, disk: saved };
    });
  }

  /** Throws UserError unless every file is what it was when it was saved. */
  checkSaved(saved: readonly SavedOpenDisk[]): void {
    for (const { disk, target } of saved) {
      if (disk.kind !== "file" || disk.content === null) continue;
      const file = this.fileOf(disk, target);
      if (!isSameContent(file, disk.content)) throw errorSnapshotDiskChanged(target ?? file, disk.content.sha256);
    }
  }

  /** Makes the open disks what they were; those by index, null for one that was taken away. Throws UserError. */
  restore(saved: readonly SavedOpenDisk[]): (HostDisk | null)[] {
    const before = new Map(this.open);
    this.open.clear();
    const disks: (HostDisk | null)[] = [];
    for (const { index, target, access, disk } of saved) {
      const file = disk.kind === "file" ? this.fileOf(disk, target) : null;
      const old = before.get(index)?.disk;
      const kept = old?.load?.(disk) === true ? old : null;
      if (kept !== null) before.delete(index);
      while (disks.length < index) disks.push(null);
      disks[index] = kept ?? openSavedDisk(disk, file ?? "", this.writes);
      this.open.set(index, { disk: disks[index], target, file: file && fs.realpathSync(file), access });
    }
    for (const { disk } of before.values()) disk.close();
    return disks;
  }

  /** What an attachment's disk is called on this host. */
  sourceOf(spec: DiskSpec): string {
    return spec.backing === "file" ? path.resolve(this.folder, spec.target) : spec.target || spec.backing;
  }

  private fileOf(disk: SavedFileDisk, target: string | null): string {
    return target === null ? disk.file : path.resolve(this.folder, target);
  }

  private nameOf(index: number): string {
    const attachment = this.attachments.list.find(({ diskIndex }) => diskIndex === index);
    return attachment === undefined ? `host disk ${index}` : attachment.vbd.name;
  }

  /** Attaches what the specification names, or `disk` in its stead. Returns the guest's name of the device. Throws UserError. */
  attach(domid: number, spec: string, disk: HostDisk | undefined, lookup: DomainLookup): string {
    const parsed = parseDiskSpec(spec);
    const vdev = this.chooseVdev(domid, spec, parsed);
    const identity = vbd_identify(vdev);
    if (identity === null) throw errorDiskSpec(spec, `device number ${vdev} is none that a guest knows`);
    const name = parsed.vdev !== null && !/^\d/.test(parsed.vdev) ? parsed.vdev : identity.name;
    const vbd = { vdev, name, frontDomid: domid, backDomid: backendOf(parsed, lookup) };
    const index = parsed.backing === "phy" ? -1 : this.openDisk(spec, parsed, disk);
    this.attachments.attach(vbd, parsed, index, this.sourceOf(parsed));
    return identity.name;
  }

  /** Attaches to `domid` what an earlier domain had attached; its host disk was kept open. */
  reattach(domid: number, { vbd, spec, diskIndex, source }: Attachment): void {
    this.attachments.attach({ ...vbd, frontDomid: domid }, spec, diskIndex, source);
  }

  /** The attachment of a device. Throws UserError. */
  find(domid: number, vdev: string): Attachment {
    const number = vbd_number(vdev);
    const found = number === null ? undefined : this.attachments.find(domid, number);
    if (found !== undefined) return found;
    const known = this.attachments.list.filter(({ vbd }) => vbd.frontDomid === domid);
    throw errorNoDisk(
      vdev,
      known.map(({ vbd }) => vbd.name),
    );
  }

  /** The host disk of an index. Throws RangeError when it was taken away. */
  hostDisk(index: number): HostDisk {
    const open = this.open.get(index);
    if (open === undefined) throw new RangeError(`host disk ${index} was taken away`);
    return open.disk;
  }

  /** Takes a host disk away from dom0 and closes it, if it is open. */
  close(index: number): void {
    const open = this.open.get(index);
    if (open === undefined) return;
    this.hypervisor.removeDisk(index);
    this.open.delete(index);
    open.disk.close();
  }

  /** Closes what is open; the machine does not run again. */
  closeAll(): void {
    for (const { disk } of this.open.values()) disk.close();
    this.open.clear();
  }

  /** Opens what the specification names, or takes `disk`, and gives it to dom0. Returns its index. */
  private openDisk(spec: string, parsed: DiskSpec, given: HostDisk | undefined): number {
    if (this.open.size >= HOSTDISKS_MAX) throw errorDiskTooMany(spec, HOSTDISKS_MAX);
    const disk = given ?? openHostDisk(parsed, this.folder, this.writes);
    try {
      const file = given === undefined && parsed.backing === "file" ? fs.realpathSync(this.sourceOf(parsed)) : null;
      const access = this.writes === "overlay" ? "r" : parsed.access;
      if (file !== null) this.checkSharing(spec, file, access);
      const index = this.hypervisor.addDisk(disk);
      this.open.set(index, { disk, target: file === null ? null : parsed.target, file, access });
      return index;
    } catch (error) {
      disk.close();
      throw error;
    }
  }

  /** As Xen's block script: who writes to a file has it alone. */
  private checkSharing(spec: string, file: string, access: DiskSpec["access"]): void {
    for (const other of this.open.values()) {
      if (other.file === file && (access === "w" || other.access === "w")) throw errorDiskInUse(spec, other.access);
    }
  }

  private chooseVdev(domid: number, spec: string, parsed: DiskSpec): number {
    if (parsed.vdev !== null) {
      const vdev = vbd_number(parsed.vdev);
      if (vdev === null) throw errorDiskSpec(spec, `"${parsed.vdev}" is no device name; xvda to xvdz are`);
      if (this.attachments.find(domid, vdev) !== undefined) throw errorVdevTaken(parsed.vdev, spec);
      return vdev;
    }
    for (let letter = 0; ; letter++) {
      const vdev = vbd_number(`xvd${String.fromCharCode(97 + letter)}`);
      if (vdev === null) throw errorDiskSpec(spec, "all device names are taken; name one with vdev=");
      if (this.attachments.find(domid, vdev) === undefined) return vdev;
    }
  }
}

function backendOf(spec: DiskSpec, lookup: DomainLookup): number {
  if (spec.backend === null) return 0;
  return /^\d+$/.test(spec.backend) ? Number(spec.backend) : lookup(spec.backend);
}
