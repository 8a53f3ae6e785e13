/** Attaching by specification: choosing the device name, opening the host's side, and closing it again. */
import * as path from "node:path";
import { vbd_identify, vbd_number } from "../../abi/io/vbd";
import type { HostDisk } from "../disks/disk";
import { errorDiskSpec, errorNoDisk, errorVdevTaken } from "../errors";
import type { Attachment, Attachments } from "./attachments";
import { type DiskSpec, parseDiskSpec } from "./disk-spec";
import { openHostDisk } from "./host-disk";

/** The domid of a domain by name. Throws UserError. */
type DomainLookup = (name: string) => number;

/** The disks of a machine, from the host's side. */
export class Disks {
  private readonly open = new Map<number, HostDisk>();

  constructor(private readonly attachments: Attachments, private readonly folder: string) {}

  /** Attaches what the specification names, or `disk` in its stead. Returns the guest's name of the device. Throws UserError. */
  attach(domid: number, spec: string, disk: HostDisk | undefined, lookup: DomainLookup): string {
    const parsed = parseDiskSpec(spec);
    const vdev = this.chooseVdev(domid, spec, parsed);
    const identity = vbd_identify(vdev);
    if (identity === null) throw errorDiskSpec(spec, `device number ${vdev} is none that a guest knows`);
    const host = parsed.backing === "phy" ? null : disk ?? openHostDisk(parsed, this.folder);
    const name = parsed.vdev !== null && !/^\d/.test(parsed.vdev) ? parsed.vdev : identity.name;
    const vbd = { vdev, name, frontDomid: domid, backDomid: backendOf(parsed, lookup) };
    const attachment = this.attachments.attach(vbd, parsed, host, this.sourceOf(parsed));
    if (host !== null) this.open.set(attachment.diskIndex, host);
    return identity.name;
  }

  /** The attachment of a device. Throws UserError. */
  find(domid: number, vdev: string): Attachment {
    const number = vbd_number(vdev);
    const found = number === null ? undefined : this.attachments.find(domid, number);
    if (found !== undefined) return found;
    const known = this.attachments.list.filter(({ phase, vbd }) => phase !== "gone" && vbd.frontDomid === domid);
    throw errorNoDisk(
      vdev,
      known.map(({ vbd }) => vbd.name),
    );
  }

  /** The host disk of an index. Throws RangeError when it was taken away. */
  hostDisk(index: number): HostDisk {
    const disk = this.open.get(index);
    if (disk === undefined) throw new RangeError(`host disk ${index} was taken away`);
    return disk;
  }

  /** Closes a disk, if it is open. */
  close(index: number): void {
    this.open.get(index)?.close();
    this.open.delete(index);
  }

  closeAll(): void {
    for (const index of [...this.open.keys()]) this.close(index);
  }

  private sourceOf(spec: DiskSpec): string {
    return spec.backing === "file" ? path.resolve(this.folder, spec.target) : spec.target || spec.backing;
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
