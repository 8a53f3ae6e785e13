/**
 * Where the machine of `xenolith boot` comes from: a real boot, the boot cache, or a snapshot file. All three give the same machine, the same log
 * and the same trace.
 */
import { EXIT_IMAGE, UserError, errorSnapshotEngine, errorSnapshotWrite } from "../errors";
import type { Flavour } from "../image/format";
import { Machine } from "../machine";
import type { LogLine, MachineOptions } from "../machine-options";
import { BootCache, type CachedBoot, cacheFolder } from "../snapshot/boot-cache";
import { BootReads } from "../snapshot/boot-reads";
import { readSnapshot, writeSnapshot } from "../snapshot/file";
import { type MachineSnapshot, checkOrigin } from "../snapshot/snapshot";
import type { Image } from "../image/image";

export type MachineOrigin = "boot" | "cache" | "snapshot";

/** A machine that `boot` is about to use. */
export interface PreparedMachine {
  readonly machine: Machine;
  readonly from: MachineOrigin;
  /** Boots it, or shows the log of its boot. Throws MachineError. */
  boot(): void;
  /** Ends what goes on beside the machine. What the cache complained of. */
  finish(): Promise<readonly string[]>;
}

/** Reads a snapshot for the command line. Throws UserError. */
export async function readForBoot(file: string, engine: string, image: Image): Promise<MachineSnapshot> {
  if (engine !== "quickjs") throw errorSnapshotEngine(engine);
  return readSnapshot(file, image);
}

/** What the command line says of a machine; what it does not say is as in the snapshot. */
export type Wishes = Pick<MachineOptions, "config" | "append" | "seed"> & { readonly flavour: Flavour | undefined };

/** A machine from a snapshot. Throws UserError when the snapshot is not of what the command line asks for. */
export async function restoreMachine(
  file: string,
  snapshot: MachineSnapshot,
  wishes: Wishes,
  options: MachineOptions,
): Promise<PreparedMachine> {
  const { origin } = snapshot.data;
  const { config, append = origin.append, seed = origin.seed, flavour = origin.flavour } = wishes;
  try {
    checkOrigin(origin, { ...origin, config, append, seed, flavour });
  } catch (error) {
    if (error instanceof UserError) throw new UserError(error.code, EXIT_IMAGE, `${file}: ${error.message}`);
    throw error;
  }
  const {
    image: _image,
    config: _config,
    engine: _engine,
    flavour: _flavour,
    seed: _seed,
    append: _append,
    ...rest
  } = options;
  const machine = await Machine.fromSnapshot(snapshot, rest);
  return { machine, from: "snapshot", boot: () => machine.boot(), finish: () => Promise.resolve([]) };
}

/** A machine that is booted, or was: from the cache, if it is there and `useCache` says so. Throws UserError. */
export async function makeMachine(options: MachineOptions, useCache: boolean): Promise<PreparedMachine> {
  const folder = useCache ? cacheFolder() : null;
  const cache = folder === null ? null : BootCache.of(folder, options);
  const found = (await cache?.find()) ?? null;
  if (found !== null) return replay(found, options);
  if (cache !== null) return bootAndKeep(cache, options);
  const machine = await Machine.create(options);
  return { machine, from: "boot", boot: () => machine.boot(), finish: () => Promise.resolve([]) };
}

function replay({ machine, log }: CachedBoot, { onLog }: MachineOptions): PreparedMachine {
  const boot = (): void => log.forEach((line) => onLog?.(line));
  return { machine, from: "cache", boot, finish: () => Promise.resolve([]) };
}

async function bootAndKeep(cache: BootCache, options: MachineOptions): Promise<PreparedMachine> {
  const reads = new BootReads();
  const log: LogLine[] = [];
  const onLog = (line: LogLine): void => {
    log.push(line);
    options.onLog?.(line);
  };
  const machine = await Machine.create({ ...options, onLog, onDisk: reads.listen });
  let keeping: Promise<void> | null = null;
  const boot = (): void => {
    machine.boot();
    keeping = cache.keep(machine.snapshot(), [...log], reads.finish());
  };
  const finish = async (): Promise<readonly string[]> => {
    await keeping;
    return cache.complaints;
  };
  return { machine, from: "boot", boot, finish };
}

/** Writes the machine to a file, as it is now. Throws UserError. */
export async function saveMachine(machine: Machine, file: string): Promise<void> {
  const snapshot = machine.snapshot();
  try {
    await writeSnapshot(file, snapshot);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (error instanceof UserError || code === undefined) throw error;
    throw errorSnapshotWrite(file, message);
  }
}
