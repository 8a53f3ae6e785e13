/**
 * A disk that is a file of the host. Data moves straight between the file and the guest's page: one pread or pwrite per segment.
 *
 * The file is trusted to stay as long as it was; a file that shrinks under a running machine makes reads fail with EIO, never short data.
 */
import * as fs from "node:fs";
import { EIO, ENOSPC, EROFS } from "../../abi/errno";
import { errorDiskDirectory, errorDiskMissing, errorDiskReadonly, errorDiskSize, errorDiskUnusable } from "../errors";
import type { HostDisk, HostDiskInfo } from "./disk";
import { identifyFile } from "./file-identity";
import { type DiskOptions, diskInfo } from "./options";
import type { SavedDisk, SavedFileDisk } from "./saved-disk";

const ZEROS = new Uint8Array(1 << 20);

/** Opens the file. Throws UserError when it is missing, a directory, unreadable, unwritable for a writable disk, or not whole sectors. */
export function openFileDisk(file: string, options: DiskOptions = {}): HostDisk {
  const stat = statOrThrow(file);
  if (stat.isDirectory()) throw errorDiskDirectory(file);
  const size = options.sizeBytes ?? stat.size;
  if (size === 0 || size % 512 !== 0) throw errorDiskSize(file, size);
  return openFileDiskAs(file, diskInfo(size / 512, options));
}

/** Opens a file as the disk that `info` describes. Throws UserError as `openFileDisk`. */
export function openFileDiskAs(file: string, info: HostDiskInfo): HostDisk {
  const stat = statOrThrow(file);
  if (stat.isDirectory()) throw errorDiskDirectory(file);
  return new FileDisk(openOrThrow(file, info.readonly), info, file);
}

function statOrThrow(file: string): fs.Stats {
  const stat = fs.statSync(file, { throwIfNoEntry: false });
  if (stat === undefined) throw errorDiskMissing(file);
  return stat;
}

function openOrThrow(file: string, readonly: boolean): number {
  try {
    return fs.openSync(file, readonly ? "r" : "r+");
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (!readonly && (code === "EACCES" || code === "EROFS" || code === "EPERM")) throw errorDiskReadonly(file);
    throw errorDiskUnusable(file, message);
  }
}

class FileDisk implements HostDisk {
  constructor(private readonly fd: number, readonly info: HostDiskInfo, private readonly file: string) {}

  read(sector: number, dst: Uint8Array): number {
    return this.transfer(() => {
      for (let done = 0; done < dst.length; ) {
        const count = fs.readSync(this.fd, dst, done, dst.length - done, sector * 512 + done);
        if (count === 0) return -EIO;
        done += count;
      }
      return 0;
    });
  }

  write(sector: number, src: Uint8Array): number {
    if (this.info.readonly) return -EROFS;
    return this.transfer(() => {
      for (let done = 0; done < src.length; ) {
        done += fs.writeSync(this.fd, src, done, src.length - done, sector * 512 + done);
      }
      return 0;
    });
  }

  flush(): number {
    return this.transfer(() => (fs.fdatasyncSync(this.fd), 0));
  }

  /** A dropped range reads as zeros afterwards; that is also what makes an ordinary discard secure. */
  discard(sector: number, count: number): number {
    if (this.info.readonly) return -EROFS;
    for (let done = 0; done < count; ) {
      const sectors = Math.min(count - done, ZEROS.length / 512);
      const status = this.write(sector + done, ZEROS.subarray(0, sectors * 512));
      if (status !== 0) return status;
      done += sectors;
    }
    return 0;
  }

  save(): SavedFileDisk {
    return { kind: "file", info: this.info, file: this.file, content: identifyFile(this.fd), overlay: null };
  }

  load(saved: SavedDisk): boolean {
    return saved.kind === "file" && saved.file === this.file && saved.overlay === null;
  }

  close(): void {
    fs.closeSync(this.fd);
  }

  private transfer(body: () => number): number {
    try {
      return body();
    } catch (error) {
      return (error as NodeJS.ErrnoException).code === "ENOSPC" ? -ENOSPC : -EIO;
    }
  }
}
