/** What whoever attaches a host disk may choose about it. */
import type { HostDiskInfo } from "./disk";

export interface DiskOptions {
  /** "r" makes a disk that refuses writes. Default "w". */
  readonly access?: "r" | "w";
  /** Bytes; for disks without a size of their own, or to use only the beginning of a file. */
  readonly sizeBytes?: number;
  /** 512 (default) or 4096. */
  readonly logicalBlockSize?: number;
  /** A multiple of the logical one; default the same. */
  readonly physicalBlockSize?: number;
  /** Writes are durable only after a flush. Default true. */
  readonly writeCache?: boolean;
  /** Default true. */
  readonly discard?: boolean;
  readonly cdrom?: boolean;
  readonly removable?: boolean;
}

/** The description of a disk of `sectors` sectors with these options. */
export function diskInfo(sectors: number, options: DiskOptions): HostDiskInfo {
  const logicalBlockSize = options.logicalBlockSize ?? 512;
  const discard = options.discard ?? true;
  return {
    sectors,
    logicalBlockSize,
    physicalBlockSize: options.physicalBlockSize ?? logicalBlockSize,
    discardGranularity: discard ? logicalBlockSize : 0,
    readonly: options.access === "r",
    writeCache: options.writeCache ?? true,
    discard,
    secureErase: discard,
    cdrom: options.cdrom ?? false,
    removable: options.removable ?? false,
    generation: 0,
  };
}
