/**
 * Reading an image: what a machine boots from and what `xenolith inspect` shows.
 *
 * An image is a file that a user hands over: nothing in it is believed before it has been checked. Opening checks the container, the manifest
 * and the list of files; each file is checked against its SHA-256 when it is first asked for, so that a boot pays only for what it runs.
 */
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import {
  type BundleManifest,
  FLAVOURS,
  type Flavour,
  IMAGE_FORMAT,
  IMAGE_VERSION,
  type ImageBundleKind,
  type ImageFile,
  type ImageManifest,
  MANIFEST_FILE,
  MANIFEST_HASH_FILE,
  bundlePath,
  mapPath,
} from "./format";
import { ImageError } from "./image-error";
import { TarError, tarEntries } from "./tar";

/** A script of the image. */
export interface ImageBundle {
  readonly code: string;
  /** Its path in the image: what stack traces call it and what `Image.sourceMap` takes. */
  readonly file: string;
}

/** Lower-case hex SHA-256. */
export function sha256(bytes: Uint8Array | string): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** Opens an image: a file's path, or bytes with what to call them. Throws ImageError. */
export function readImage(source: string | Uint8Array, name = typeof source === "string" ? source : "image"): Image {
  return new Image(name, typeof source === "string" ? readBytes(source) : source);
}

/** An opened image. Immutable but for its cache of checked files. */
export class Image {
  readonly manifest: ImageManifest;
  /** SHA-256 of the manifest, which holds the hash of everything else: the image's identity. */
  readonly id: string;
  private readonly data = new Map<string, Uint8Array>();
  private readonly checked = new Map<string, string>();

  constructor(readonly name: string, bytes: Uint8Array) {
    const order = this.index(bytes);
    if (order[0] !== MANIFEST_FILE)
      this.fail(`not an image: it starts with ${order[0] ?? "nothing"}, not ${MANIFEST_FILE}`);
    const manifest = this.data.get(MANIFEST_FILE) as Uint8Array;
    this.manifest = this.parse(manifest);
    this.id = sha256(manifest);
    this.checkManifestHash();
    this.checkFileList();
  }

  /** The text of a file, checked against its hash. Throws ImageError if the image has no such file or other content. */
  text(path: string): string {
    const known = this.checked.get(path);
    if (known !== undefined) return known;
    const file = this.manifest.files.find((entry) => entry.path === path);
    if (file === undefined) this.fail(`no file ${path} in it`);
    const problem = this.problemOf(file);
    if (problem !== null) this.fail(problem);
    const text = Buffer.from(this.data.get(path) as Uint8Array).toString("utf8");
    this.checked.set(path, text);
    return text;
  }

  /** Files that have been asked for so far, and were right. */
  usedFiles(): string[] {
    return [...this.checked.keys()];
  }

  /** The kernel of a flavour. */
  kernel(flavour: Flavour): ImageBundle {
    const file = bundlePath("kernel", "kernel", flavour);
    return { code: this.text(file), file };
  }

  /** A module or program, or null if the image has none of that name. */
  bundle(kind: "modules" | "programs", name: string, flavour: Flavour): ImageBundle | null {
    const entry = this.bundleManifest(kind, name);
    if (entry === null) return null;
    const file = entry.files[flavour];
    return { code: this.text(file), file };
  }

  /** The manifest's entry of a bundle, or null. */
  bundleManifest(kind: ImageBundleKind, name: string): BundleManifest | null {
    return this.manifest.bundles.find((entry) => entry.kind === kind && entry.name === name) ?? null;
  }

  /** Names of all bundles of a kind, sorted. */
  list(kind: ImageBundleKind): string[] {
    return this.manifest.bundles.filter((entry) => entry.kind === kind).map((entry) => entry.name);
  }

  /** The source map of a bundle file, as JSON text, or null. */
  sourceMap(file: string): string | null {
    const path = mapPath(file);
    return this.data.has(path) ? this.text(path) : null;
  }

  /** The text of the machine file that boots when no other is given. */
  defaultMachine(): string {
    return this.text(this.manifest.machine);
  }

  /** Checks every file: what is wrong, one line each; empty when all is well. */
  verify(): string[] {
    return this.manifest.files.map((file) => this.problemOf(file)).filter((problem) => problem !== null);
  }

  private index(bytes: Uint8Array): string[] {
    try {
      const entries = tarEntries(bytes);
      for (const { path, offset, size } of entries) {
        if (this.data.has(path)) this.fail(`corrupt: ${path} is in it twice`);
        this.data.set(path, bytes.subarray(offset, offset + size));
      }
      return entries.map((entry) => entry.path);
    } catch (error) {
      if (error instanceof TarError) return this.fail(error.message);
      throw error;
    }
  }

  private parse(bytes: Uint8Array): ImageManifest {
    let value: unknown;
    try {
      value = JSON.parse(Buffer.from(bytes).toString("utf8"));
    } catch {
      return this.fail(`corrupt: ${MANIFEST_FILE} is not JSON`);
    }
    const manifest = value as Partial<ImageManifest> | null;
    if (manifest?.format !== IMAGE_FORMAT) {
      return this.fail(`not an image: format is ${JSON.stringify(manifest?.format)}, expected "${IMAGE_FORMAT}"`);
    }
    if (manifest.version !== IMAGE_VERSION) {
      this.fail(`image format version ${JSON.stringify(manifest.version)}, expected ${IMAGE_VERSION}`);
    }
    const problem = shapeProblem(manifest);
    if (problem !== null) this.fail(`corrupt: ${MANIFEST_FILE}: ${problem}`);
    return manifest as ImageManifest;
  }

  private checkManifestHash(): void {
    const stored = this.data.get(MANIFEST_HASH_FILE);
    const expected = stored === undefined ? "nothing" : Buffer.from(stored).toString("utf8").trim();
    if (expected !== this.id) {
      this.fail(`corrupt: ${MANIFEST_FILE} has SHA-256 ${this.id}, ${MANIFEST_HASH_FILE} says ${expected}`);
    }
  }

  private checkFileList(): void {
    const listed = new Set(this.manifest.files.map((file) => file.path));
    for (const path of listed) if (!this.data.has(path)) this.fail(`corrupt: ${path} is missing`);
    for (const path of this.data.keys()) {
      const known = path === MANIFEST_FILE || path === MANIFEST_HASH_FILE || listed.has(path);
      if (!known) this.fail(`corrupt: ${path} is not in the manifest`);
    }
  }

  private problemOf(file: ImageFile): string | null {
    const bytes = this.data.get(file.path) as Uint8Array;
    if (bytes.length !== file.size) {
      return `corrupt: ${file.path} has ${bytes.length} bytes, expected ${file.size}`;
    }
    const found = sha256(bytes);
    return found === file.sha256 ? null : `corrupt: ${file.path} has SHA-256 ${found}, expected ${file.sha256}`;
  }

  private fail(problem: string): never {
    throw new ImageError(this.name, problem);
  }
}

function readBytes(path: string): Uint8Array {
  try {
    return fs.readFileSync(path);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === "ENOENT") throw new ImageError(path, "no such file");
    if (code === "EISDIR") throw new ImageError(path, "is a directory, not an image", "name the image file");
    throw new ImageError(path, `cannot be read (${code})`, "check the file's permissions");
  }
}

/** What is wrong with the manifest's shape, as far as this code relies on it. */
function shapeProblem(manifest: Partial<ImageManifest>): string | null {
  const { files, bundles, flavours } = manifest;
  if (typeof manifest.xenolith !== "string" || typeof manifest.machine !== "string") return "a field is missing";
  if (!Array.isArray(files) || !files.every(isFile)) return "bad list of files";
  if (!Array.isArray(bundles) || !bundles.every(isBundle)) return "bad list of bundles";
  if (!Array.isArray(flavours) || !flavours.every((flavour) => FLAVOURS.includes(flavour))) return "bad flavours";
  return null;
}

function isFile(value: unknown): boolean {
  const file = value as Partial<ImageFile> | null;
  return typeof file?.path === "string" && typeof file.sha256 === "string" && Number.isSafeInteger(file.size);
}

function isBundle(value: unknown): boolean {
  const bundle = value as Partial<BundleManifest> | null;
  return typeof bundle?.name === "string" && typeof bundle.kind === "string" && typeof bundle.files === "object";
}
