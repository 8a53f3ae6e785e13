/** From a disk specification to a disk of the host. */
import * as path from "node:path";
import type { HostDisk } from "../disks/disk";
import { openFileDisk } from "../disks/file";
import { createNullDisk } from "../disks/null";
import { type DiskOptions, diskInfo } from "../disks/options";
import { OverlayDisk } from "../disks/overlay";
import { RamDisk } from "../disks/ram";
import type { DiskSpec } from "./disk-spec";

/**
 * Opens what the specification names; relative files are in `folder`. With "overlay", what is written to a file stays in memory. Throws UserError.
 */
export function openHostDisk(spec: DiskSpec, folder: string, writes: "file" | "overlay" = "file"): HostDisk {
  const options: DiskOptions = {
    access: spec.access,
    logicalBlockSize: spec.logicalBlockSize,
    physicalBlockSize: spec.physicalBlockSize,
    cdrom: spec.devtype === "cdrom",
    removable: spec.removable,
    ...(spec.discard === null ? {} : { discard: spec.discard }),
    ...(spec.writeCache === null ? {} : { writeCache: spec.writeCache }),
  };
  const bytes = spec.sizeBytes ?? 0;
  if (spec.backing === "ram") return new RamDisk(new Uint8Array(bytes), options);
  if (spec.backing === "null") return createNullDisk(bytes / 512, options);
  const file = path.resolve(folder, spec.target);
  if (writes === "file" || spec.access === "r") return openFileDisk(file, options);
  const below = openFileDisk(file, { ...options, access: "r" });
  return new OverlayDisk(below, diskInfo(below.info.sectors, options));
}
