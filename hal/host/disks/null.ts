/** A disk that forgets: reads are zeros, writes and discards succeed and go nowhere. For measuring everything but the disk. */
import { EROFS } from "../../abi/errno";
import type { HostDisk, HostDiskInfo } from "./disk";
import { type DiskOptions, diskInfo } from "./options";

/** A null disk of `sectors` sectors; `info` describes it instead of the options. */
export function createNullDisk(
  sectors: number,
  options: DiskOptions = {},
  info: HostDiskInfo = diskInfo(sectors, { writeCache: false, ...options }),
): HostDisk {
  const change = (): number => (info.readonly ? -EROFS : 0);
  return {
    info,
    read: (_sector, dst) => (dst.fill(0), 0),
    write: change,
    flush: () => 0,
    discard: change,
    save: () => ({ kind: "null", info }),
    load: (saved) => saved.kind === "null" && saved.info.sectors === info.sectors,
    close: () => undefined,
  };
}
