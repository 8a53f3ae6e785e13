/**
 * The boot cache: machines as they were when their boot was done, so that the next boot of the same thing is a restore.
 *
 *   key ─► folder/KEY.snap ─┬─ there, whole, and the disks read as they did ─► machine, and the lines of its log
 *                           └─ otherwise ─► a real boot ─► snapshot ─► written beside what there is, the oldest entries removed
 *
 * Entries are not compressed: unpacking one took as long as all the rest of a restore.
 *
 * The key is everything that a boot depends on and that can be known before it: program, engine, image, machine, command lines, and the sizes of
 * disk files. What the boot read of those files is compared with what they hold now. So an entry is right, or is not used.
 */
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { quickJSCode } from "../engines/quickjs-module";
import { UserError } from "../errors";
import { Machine } from "../machine";
import type { LogLine, MachineOptions } from "../machine-options";
import { buildId, packageVersion } from "../package-info";
import { parseDiskSpec } from "../toolstack/disk-spec";
import type { SavedOpenDisk } from "../toolstack/disks";
import { type DiskRead, readsTheSame } from "./boot-reads";
import { SNAPSHOT_VERSION, type SnapshotFile, packSnapshot, unpackSnapshot, writeWhole } from "./file";
import type { MachineSnapshot } from "./snapshot";

/** What an entry holds beside the machine; plain data. */
interface BootRecord {
  readonly log: readonly LogLine[];
  readonly reads: readonly DiskRead[];
  /** Files of the image that the boot used. */
  readonly imageFiles: readonly string[];
}

/** A machine that was booted earlier. */
export interface CachedBoot {
  readonly machine: Machine;
  /** The lines of its kernels' logs, in order. */
  readonly log: readonly LogLine[];
}

/** What the folder may hold. */
const ENTRIES_MAX = 16;
const BYTES_MAX = 64 << 20;
const SUFFIX = ".snap";
/** Drafts of writers that are gone. */
const DRAFT_AGE_MS = 3_600_000;

/** The cache's folder: XENOLITH_CACHE, or `xenolith` where caches are; null: no cache (XENOLITH_CACHE is empty, or the program is not built). */
export function cacheFolder(env: NodeJS.ProcessEnv = process.env): string | null {
  if (env.XENOLITH_CACHE !== undefined) return env.XENOLITH_CACHE || null;
  // What runs from its sources changes without a sign of it.
  if (buildId() === "source") return null;
  return path.join(env.XDG_CACHE_HOME || path.join(os.homedir(), ".cache"), "xenolith");
}

export class BootCache {
  /** Why an entry was not used, for the one who wants to know. */
  readonly complaints: string[] = [];
  private readonly file: string;
  private readonly sourceFolder: string;

  private constructor(private readonly folder: string, key: string, private readonly options: MachineOptions) {
    this.file = path.join(folder, key + SUFFIX);
    this.sourceFolder = options.folder ?? process.cwd();
  }

  /** The cache for a machine, or null when such a machine cannot be in it. */
  static of(folder: string, options: MachineOptions): BootCache | null {
    if ((options.engine ?? "quickjs") !== "quickjs" || (options.trace ?? "hash") !== "hash") return null;
    const key = keyOf(options);
    return key === null ? null : new BootCache(folder, key, options);
  }

  /** The machine as it was when it was booted, or null. Throws UserError as a boot would: when a disk or the image cannot be used. */
  async find(): Promise<CachedBoot | null> {
    const entry = await this.read();
    if (entry === null) return null;
    const record = entry.extra as BootRecord;
    const disks = this.takeDisks(entry.data.disks, record.reads);
    if (disks === null) return this.complain("a disk holds something else than it did");
    const { image, config: _config, engine: _engine, ...rest } = this.options;
    for (const file of record.imageFiles) image.text(file);
    const snapshot: MachineSnapshot = { image, data: { ...entry.data, disks } };
    const machine = await Machine.fromSnapshot(snapshot, { ...rest, folder: this.sourceFolder });
    this.touch();
    return { machine, log: record.log };
  }

  /** Keeps a machine whose boot has just been done; `reads` is null when it is not worth it. Never throws: a cache is a convenience. */
  async keep(snapshot: MachineSnapshot, log: readonly LogLine[], reads: readonly DiskRead[] | null): Promise<void> {
    if (reads === null) return;
    const disks = snapshot.data.disks.map((open) => {
      return open.disk.kind === "file" ? { ...open, disk: { ...open.disk, content: null } } : open;
    });
    const record: BootRecord = { log, reads, imageFiles: snapshot.image.usedFiles() };
    try {
      const bytes = await packSnapshot({ ...snapshot, data: { ...snapshot.data, disks } }, record, "none");
      fs.mkdirSync(this.folder, { recursive: true });
      writeWhole(this.file, bytes);
      this.tidyUp();
    } catch (error) {
      this.complain((error as Error).message);
    }
  }

  private async read(): Promise<SnapshotFile | null> {
    try {
      return await unpackSnapshot(fs.readFileSync(this.file), this.file);
    } catch (error) {
      const isAbsent = (error as NodeJS.ErrnoException).code === "ENOENT";
      return isAbsent ? null : this.complain((error as Error).message);
    }
  }

  private complain(what: string): null {
    this.complaints.push(`boot cache: ${what}`);
    return null;
  }

  /** The entry's disks as files of this folder, or null when one does not read as it did. */
  private takeDisks(saved: readonly SavedOpenDisk[], reads: readonly DiskRead[]): SavedOpenDisk[] | null {
    const disks: SavedOpenDisk[] = [];
    for (const open of saved) {
      if (open.disk.kind !== "file") {
        disks.push(open);
        continue;
      }
      const file = path.resolve(this.sourceFolder, open.target ?? open.disk.file);
      const own = reads.filter(({ disk }) => disk === open.index);
      if (!readsTheSame(file, own)) return null;
      disks.push({ ...open, disk: { ...open.disk, file } });
    }
    return disks;
  }

  /** Says that the entry was used: what was not used for longest goes first. */
  private touch(): void {
    const now = new Date();
    try {
      fs.utimesSync(this.file, now, now);
    } catch {
      // A folder that cannot be written to is as good.
    }
  }

  private tidyUp(): void {
    const files = fs.readdirSync(this.folder).map((name) => {
      const file = path.join(this.folder, name);
      const { size, mtimeMs } = fs.statSync(file, { throwIfNoEntry: false }) ?? { size: 0, mtimeMs: 0 };
      return { file, size, mtimeMs };
    });
    const drafts = files.filter(({ file, mtimeMs }) => file.endsWith(".tmp") && mtimeMs < Date.now() - DRAFT_AGE_MS);
    const entries = files.filter(({ file }) => file.endsWith(SUFFIX)).sort((a, b) => b.mtimeMs - a.mtimeMs);
    let bytes = 0;
    const surplus = entries.filter(({ file, size }, index) => {
      bytes += size;
      return file !== this.file && (index >= ENTRIES_MAX || bytes > BYTES_MAX);
    });
    for (const { file } of [...drafts, ...surplus]) fs.rmSync(file, { force: true });
  }
}

/** All that a boot depends on, as far as it is known before; null when a disk's file is not to be had, which a real boot says better. */
function keyOf(options: MachineOptions): string | null {
  const { image, config, flavour = "debug", seed = config.seed, append = {}, diskWrites = "file" } = options;
  const sizes = fileSizes(options);
  if (sizes === null) return null;
  const program = { version: SNAPSHOT_VERSION, xenolith: packageVersion(), build: buildId(), engine: quickJSCode() };
  const facts = { program, image: image.id, config, flavour, seed, append, diskWrites, sizes };
  return createHash("sha256").update(JSON.stringify(facts)).digest("hex");
}

function fileSizes({ config, folder = process.cwd() }: MachineOptions): number[] | null {
  const sizes: number[] = [];
  for (const spec of config.domains.flatMap(({ disks }) => disks)) {
    const target = targetOf(spec);
    if (target === null) continue;
    const stat = fs.statSync(path.resolve(folder, target), { throwIfNoEntry: false });
    if (stat?.isFile() !== true) return null;
    sizes.push(stat.size);
  }
  return sizes;
}

/** The file of a specification, or null. */
function targetOf(spec: string): string | null {
  try {
    const { backing, target } = parseDiskSpec(spec);
    return backing === "file" ? target : null;
  } catch (error) {
    if (error instanceof UserError) return null;
    throw error;
  }
}
