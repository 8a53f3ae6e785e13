/** Disks for tests: files that clean up after themselves, RAM disks to look into, and disks that do wrong on purpose. */
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { type HostDisk, type Machine, RamDisk } from "xenolith";

/** A file that a machine may use as a disk. */
export interface DiskFile {
  readonly path: string;
  /** Its bytes now. */
  read(): Buffer;
  /** Removes it. */
  remove(): void;
}

/** Makes a file in a folder of its own below the system's temporary one. Byte `i` is what `fill` says; default 0. */
export function makeDiskFile(bytes: number, fill: (offset: number) => number = () => 0): DiskFile {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "xenolith-test-"));
  const file = path.join(folder, "disk.img");
  fs.writeFileSync(
    file,
    Uint8Array.from({ length: bytes }, (_, offset) => fill(offset)),
  );
  return {
    path: file,
    read: () => fs.readFileSync(file),
    remove: () => fs.rmSync(folder, { recursive: true, force: true }),
  };
}

/** The bytes of a domain's RAM disk. Throws Error when the disk is of another kind, or there is none. */
export function ramBytes(machine: Machine, domain: string, vdev: string): Uint8Array {
  const { domid } = machine.domain(domain);
  const attachment = machine
    .attachedDisks()
    .find(({ phase, vbd }) => phase !== "gone" && vbd.frontDomid === domid && vbd.name === vdev);
  if (attachment === undefined) throw new Error(`${domain} has no disk ${vdev}`);
  const disk = machine.hostDisk(attachment.diskIndex);
  if (!(disk instanceof RamDisk)) throw new Error(`${vdev} of ${domain} is no RAM disk but ${attachment.source}`);
  return disk.bytes;
}

/** What is different about a disk; each call gets what the true disk would have done. */
export interface Tampering {
  /** Called after a read; may change the bytes. */
  afterRead?(sector: number, bytes: Uint8Array): void;
  /** Where a write really goes. */
  redirectWrite?(sector: number, bytes: Uint8Array): number;
  /** What a write really stores. */
  changeWrite?(sector: number, bytes: Uint8Array): Uint8Array;
  /** Errno (negative) of a request instead of carrying it out; 0 to carry it out. */
  fail?(op: "read" | "write" | "flush" | "discard", sector: number): number;
}

/** A disk that does what another one does, but for the tampering. */
export function tamperedDisk(disk: HostDisk, tampering: Tampering): HostDisk {
  const guarded = (op: "read" | "write" | "flush" | "discard", sector: number, body: () => number): number => {
    const errno = tampering.fail?.(op, sector) ?? 0;
    return errno === 0 ? body() : errno;
  };
  return {
    get info() {
      return disk.info;
    },
    read: (sector, dst) =>
      guarded("read", sector, () => {
        const status = disk.read(sector, dst);
        tampering.afterRead?.(sector, dst);
        return status;
      }),
    write: (sector, src) =>
      guarded("write", sector, () => {
        const to = tampering.redirectWrite?.(sector, src) ?? sector;
        return disk.write(to, tampering.changeWrite?.(sector, src) ?? src);
      }),
    flush: () => guarded("flush", 0, () => disk.flush()),
    discard: (sector, count, secure) => guarded("discard", sector, () => disk.discard(sector, count, secure)),
    close: () => disk.close(),
  };
}
