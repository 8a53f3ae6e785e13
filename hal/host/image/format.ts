/**
 * The image format, version 1: one tar file that holds everything that a machine boots.
 *
 *   manifest.json            first: what is inside, with the size and SHA-256 of every other file
 *   manifest.sha256          SHA-256 of manifest.json in hex, so that every byte of the image is covered
 *   debug/kernel.js          one folder per flavour; each file is a script whose value is a bundle factory
 *   debug/modules/NAME.js
 *   debug/programs/NAME.js
 *   release/...
 *   maps/debug/kernel.js.map ... source maps, same paths
 *   machines/NAME.json       machine files; the default one is named in the manifest
 *
 * Compatibility: a reader accepts exactly the versions it knows. A field may be added to the manifest within one version; a field that changes
 * or goes away, or another layout of the tar, makes a new version. Equal inputs give equal bytes.
 */

/** The value of `format` in every manifest. */
export const IMAGE_FORMAT = "xenolith-image";
/** The version that this code writes and reads. */
export const IMAGE_VERSION = 1;

export const MANIFEST_FILE = "manifest.json";
export const MANIFEST_HASH_FILE = "manifest.sha256";

/** Two builds of one source: `debug` has every check, `release` is for speed. */
export const FLAVOURS = ["debug", "release"] as const;
export type Flavour = (typeof FLAVOURS)[number];

export const BUNDLE_KINDS = ["kernel", "modules", "programs"] as const;
export type ImageBundleKind = (typeof BUNDLE_KINDS)[number];

/** One file of the image, other than the manifest and its hash. */
export interface ImageFile {
  readonly path: string;
  /** Bytes. */
  readonly size: number;
  /** Lower-case hex. */
  readonly sha256: string;
}

/** One parameter of a module. */
export interface ModuleParameter {
  readonly name: string;
  /** Linux's type name: `uint`, `bool`, `charp`...; empty for a parameter with its own parser. */
  readonly type: string;
  /** Mode of the file below /sys/module. */
  readonly perm: number;
  /** MODULE_PARM_DESC, or the empty string. */
  readonly description: string;
}

/** What `modinfo` prints; from the module's own MODULE_* lines. */
export interface ModuleInfo {
  readonly license: string;
  readonly description: string;
  readonly authors: readonly string[];
  readonly version: string;
  readonly aliases: readonly string[];
  /** MODULE_SOFTDEP values as written, `pre: a post: b`. */
  readonly softdep: readonly string[];
  readonly params: readonly ModuleParameter[];
}

/** One compiled unit: the kernel, a module or a program. */
export interface BundleManifest extends ModuleInfo {
  readonly kind: ImageBundleKind;
  /** The file's base name: `xen-blkfront`. */
  readonly name: string;
  /** Sources relative to the project, sorted, that were compiled into it. */
  readonly sources: readonly string[];
  /** Symbols that must be resolved when it is loaded, sorted. */
  readonly undefined: readonly string[];
  /** Symbols that it exports to modules, sorted. */
  readonly exports: readonly string[];
  /** Names of the modules that export something it needs, sorted. */
  readonly depends: readonly string[];
  /** The file of each flavour. */
  readonly files: Readonly<Record<Flavour, string>>;
}

/** `manifest.json`. */
export interface ImageManifest {
  readonly format: typeof IMAGE_FORMAT;
  readonly version: number;
  /** Version of the package that built the image. */
  readonly xenolith: string;
  readonly flavours: readonly Flavour[];
  /** Path of the machine file that boots when no other is given. */
  readonly machine: string;
  readonly bundles: readonly BundleManifest[];
  readonly files: readonly ImageFile[];
}

/** Where a bundle of a flavour lies in the image. */
export function bundlePath(kind: ImageBundleKind, name: string, flavour: Flavour): string {
  return kind === "kernel" ? `${flavour}/kernel.js` : `${flavour}/${kind}/${name}.js`;
}

/** Where the source map of a bundle file lies in the image. */
export function mapPath(file: string): string {
  return `maps/${file}.map`;
}
