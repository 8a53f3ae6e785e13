/**
 * `xenolith boot --watch`: builds the image from the sources, boots it, and does both again whenever a source changes.
 *
 *   build ─► boot and work ─► wait for a change ─► build ─┬─ done: boot and work …
 *                                                         └─ errors: they are shown, and nothing else happens until the next change
 *
 * It ends with the process. What the guests do wrong is shown as well, and does not end it.
 */
import * as fs from "node:fs";
import * as path from "node:path";
import { pathToFileURL } from "node:url";
import { UserError, errorBuildFolder } from "../errors";
import type { Flavour } from "../image/format";
import { type Image, readImage } from "../image/image";
import { MachineError } from "../machine-error";
import { packageFolder } from "../package-info";
import type { CommandIo } from "./io";

/** What an image is made of. */
const WATCHED = ["kernel", "drivers", "hal/abi", "hal/guest", "images"];
/** Names of sources; one without an extension may be a folder of them. */
const SOURCE = /^[^.]+$|\.(ts|json)$/;
/** An editor writes a file in several steps: changes this close to one another, milliseconds, are one. */
const QUIET_MS = 30;

/** What is used of the compiler, which is a bundle of its own. */
interface BuildModule {
  createRebuilder(root: string, flavour: Flavour): { build(): Promise<{ bytes: Uint8Array }> };
}

/** Watches the sources of a tree, folder by folder: a file that an editor replaces by another of its name is still seen. */
class SourceWatcher {
  private readonly watchers = new Map<string, fs.FSWatcher>();
  private readonly changed = new Set<string>();
  private wake: () => void = () => undefined;

  constructor(private readonly root: string) {
    this.watchFolders();
  }

  /** Waits until files have changed since the last call, and then were left alone for a moment. Their names, sorted. */
  async next(): Promise<string[]> {
    while (this.changed.size === 0) await new Promise<void>((resolve) => (this.wake = resolve));
    for (let size = 0; size !== this.changed.size; ) {
      size = this.changed.size;
      await new Promise((resolve) => setTimeout(resolve, QUIET_MS));
    }
    const names = [...this.changed].sort();
    this.changed.clear();
    this.watchFolders();
    return names;
  }

  close(): void {
    for (const watcher of this.watchers.values()) watcher.close();
  }

  /** Begins with folders that are new, and ends with those that are gone. */
  private watchFolders(): void {
    const folders = new Set(WATCHED.flatMap((name) => foldersIn(path.join(this.root, name))));
    for (const [folder, watcher] of this.watchers) {
      if (folders.has(folder)) continue;
      watcher.close();
      this.watchers.delete(folder);
    }
    for (const folder of folders) {
      if (this.watchers.has(folder)) continue;
      const watcher = fs.watch(folder, (_event, file) => this.note(folder, file));
      // The folder may go while it is watched.
      watcher.on("error", () => watcher.close());
      this.watchers.set(folder, watcher);
    }
  }

  private note(folder: string, file: string | null): void {
    if (file === null || !SOURCE.test(file)) return;
    this.changed.add(path.relative(this.root, path.join(folder, file)).split(path.sep).join("/"));
    this.wake();
  }
}

/** A folder, if it is there, and all folders below it. */
function foldersIn(folder: string): string[] {
  if (!fs.existsSync(folder)) return [];
  const entries = fs.readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  return [folder, ...entries.flatMap(({ name }) => foldersIn(path.join(folder, name)))];
}

/** Boots what the sources in `root` make, now and after every change; never ends by itself. Throws UserError when there are no sources. */
export async function watchSources(
  root: string,
  flavour: Flavour,
  io: CommandIo,
  boot: (image: Image) => Promise<void>,
): Promise<void> {
  const folder = path.resolve(root);
  if (!fs.existsSync(path.join(folder, "kernel", "main.ts"))) throw errorBuildFolder(folder);
  const compiler = (await import(pathToFileURL(path.join(packageFolder(), "dist", "build.js")).href)) as BuildModule;
  const rebuilder = compiler.createRebuilder(folder, flavour);
  const watcher = new SourceWatcher(folder);
  try {
    for (;;) {
      const start = performance.now();
      const image = await built(rebuilder, io);
      if (image !== null) {
        io.stderr.write(`built in ${((performance.now() - start) / 1000).toFixed(2)} s\n`);
        await survive(io, () => boot(image));
      }
      io.stderr.write(`waiting for a change in ${folder}\n`);
      for (const name of await watcher.next()) io.stderr.write(`changed: ${name}\n`);
    }
  } finally {
    watcher.close();
  }
}

/** The new image, or null when the sources have errors, which are shown. */
async function built(rebuilder: ReturnType<BuildModule["createRebuilder"]>, io: CommandIo): Promise<Image | null> {
  try {
    return readImage((await rebuilder.build()).bytes, "the sources");
  } catch (error) {
    const { name, problems } = error as { name?: string; problems?: readonly string[] };
    if (name !== "BuildError") throw error;
    for (const problem of problems ?? []) io.stderr.write(`error: ${problem}\n`);
    return null;
  }
}

/** Does the work; what goes wrong in it for a reason that another change may mend is shown. */
async function survive(io: CommandIo, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!(error instanceof MachineError) && !(error instanceof UserError)) throw error;
    io.stderr.write(`xenolith: ${error.message}\n`);
  }
}
