/** What `xenolith inspect` shows of an image. */
import type { BundleManifest, Flavour, ModuleParameter } from "./format";
import type { Image } from "./image";

/** One kernel, module or program. */
export interface InspectedBundle {
  readonly kind: string;
  readonly name: string;
  readonly license: string;
  readonly description: string;
  /** Bytes of each flavour. */
  readonly sizes: Readonly<Record<Flavour, number>>;
  readonly depends: readonly string[];
  readonly params: readonly ModuleParameter[];
  /** How many symbols it needs and gives. */
  readonly undefinedCount: number;
  readonly exportsCount: number;
}

/** The stable document of `xenolith inspect --json`. */
export interface InspectedImage {
  readonly name: string;
  /** SHA-256 of the manifest. */
  readonly id: string;
  readonly version: number;
  readonly xenolith: string;
  readonly flavours: readonly Flavour[];
  /** Bytes of all files. */
  readonly size: number;
  readonly fileCount: number;
  readonly machine: string;
  readonly machines: readonly string[];
  readonly bundles: readonly InspectedBundle[];
  /** With "verify": what is wrong, one line each. Without: null. */
  readonly problems: readonly string[] | null;
}

/** Describes an image; with "verify" also checks the hash of every file. */
export function inspectImage(image: Image, mode: "quick" | "verify"): InspectedImage {
  const { manifest } = image;
  return {
    name: image.name,
    id: image.id,
    version: manifest.version,
    xenolith: manifest.xenolith,
    flavours: manifest.flavours,
    size: manifest.files.reduce((sum, file) => sum + file.size, 0),
    fileCount: manifest.files.length,
    machine: manifest.machine,
    machines: manifest.files.map((file) => file.path).filter((path) => path.startsWith("machines/")),
    bundles: manifest.bundles.map((bundle) => inspectBundle(image, bundle)),
    problems: mode === "verify" ? image.verify() : null,
  };
}

function inspectBundle(image: Image, bundle: BundleManifest): InspectedBundle {
  const sizeOf = (path: string): number => image.manifest.files.find((file) => file.path === path)?.size ?? 0;
  return {
    kind: bundle.kind,
    name: bundle.name,
    license: bundle.license,
    description: bundle.description,
    sizes: { debug: sizeOf(bundle.files.debug), release: sizeOf(bundle.files.release) },
    depends: bundle.depends,
    params: bundle.params,
    undefinedCount: bundle.undefined.length,
    exportsCount: bundle.exports.length,
  };
}
