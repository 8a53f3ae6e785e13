/** Compiles the project into one bootable image. The format and its reader are in `hal/host/image/`. */
import * as fs from "node:fs";
import * as path from "node:path";
import { pack } from "tar-stream";
import {
  type BundleManifest,
  FLAVOURS,
  type Flavour,
  IMAGE_FORMAT,
  IMAGE_VERSION,
  type ImageManifest,
  MANIFEST_FILE,
  MANIFEST_HASH_FILE,
  mapPath,
} from "../hal/host/image/format";
import { sha256 } from "../hal/host/image/image";
import { BuildError } from "./build-error";
import { type CompiledBundle, type Compiler, createCompiler, posix } from "./bundle";
import { cachingCompiler } from "./cache";
import { resolveSymbols } from "./modpost";
import { type Unit, compareText, kernelUnit, machineFiles, projectUnits } from "./sources";
import { type Tools, localTools } from "./tools";

/** What goes into an image. */
export interface ImageOptions {
  /** The project's, or the installed package's, folder. */
  readonly root: string;
  /** Modules and programs; all of the project's when absent. The kernel is always in. */
  readonly units?: readonly Unit[];
  /** Machine files, name to text; all of the project's when absent. */
  readonly machines?: ReadonlyMap<string, string>;
  /** Name of the machine file that boots by default. */
  readonly machine?: string;
  /** A folder that keeps compiled bundles from build to build; none when absent. */
  readonly cache?: string;
  /** Flavours to compile; both when absent. An image with one of them boots in that one only. */
  readonly flavours?: readonly Flavour[];
  /** The compilers to use; this process's own when absent. */
  readonly tools?: Tools;
  /** What a symbol that nobody exports means. With "warn" the module fails when it is loaded, as on Linux. */
  readonly unresolved?: "error" | "warn";
}

export interface BuiltImage {
  readonly bytes: Uint8Array;
  readonly manifest: ImageManifest;
  /** One line each. */
  readonly warnings: readonly string[];
}

/** Builds an image. Throws BuildError with every problem that was found. */
export async function buildImage(options: ImageOptions): Promise<BuiltImage> {
  const { root } = options;
  const units = options.units ? [kernelUnit(root), ...options.units] : projectUnits(root);
  const files = new Map<string, string>();
  const bundles = await compileAll(options, units, files);
  const { bundles: resolved, unresolved, conflicts } = resolveSymbols(bundles);
  const errors = options.unresolved === "warn" ? conflicts : [...conflicts, ...unresolved];
  if (errors.length > 0) throw new BuildError(errors);
  const machine = addMachines(options, files);
  const { flavours = FLAVOURS } = options;
  const contents = { xenolith: versionOf(root), flavours, machine, bundles: resolved, files };
  const { bytes, manifest } = await packImage(contents);
  return { bytes, manifest, warnings: unresolved };
}

/** Units that are compiled at the same time: the kernel takes as long as all others together. */
const PARALLEL = 2;

async function compileAll(
  { root, cache, flavours = FLAVOURS, tools = localTools() }: ImageOptions,
  units: readonly Unit[],
  files: Map<string, string>,
): Promise<BundleManifest[]> {
  const plain = createCompiler(root, tools);
  const compiler = cache === undefined ? plain : cachingCompiler(root, cache, plain);
  const bundles: BundleManifest[] = [];
  const problems: (readonly string[])[] = [];
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < units.length) {
      const index = next++;
      try {
        bundles[index] = await compileUnit(root, compiler, tools, units[index], flavours, files);
      } catch (error) {
        if (!(error instanceof BuildError)) throw error;
        problems[index] = error.problems;
      }
    }
  };
  await Promise.all(Array.from({ length: PARALLEL }, lane));
  if (problems.length > 0) throw new BuildError([...new Set(problems.flat())]);
  return bundles;
}

async function compileUnit(
  root: string,
  compiler: Compiler,
  tools: Tools,
  unit: Unit,
  flavours: readonly Flavour[],
  files: Map<string, string>,
): Promise<BundleManifest> {
  const info = await tools.moduleInfo(
    unit.entries.map((file) => ({ file: posix(path.relative(root, file)), text: fs.readFileSync(file, "utf8") })),
  );
  const compiled: Partial<Record<Flavour, CompiledBundle>> = {};
  for (const flavour of flavours) {
    const bundle = await compiler.compile(unit, flavour);
    files.set(bundle.file, bundle.code);
    files.set(mapPath(bundle.file), bundle.map);
    compiled[flavour] = bundle;
  }
  const either = (compiled.debug ?? compiled.release) as CompiledBundle;
  return {
    kind: unit.kind,
    name: unit.name,
    ...info,
    sources: either.sources.map((file) => posix(path.relative(root, file))),
    undefined: either.undefined,
    exports: either.exports,
    depends: [],
    files: { debug: (compiled.debug ?? either).file, release: (compiled.release ?? either).file },
  };
}

/** Adds the machine files and returns the path of the default one. */
function addMachines(options: ImageOptions, files: Map<string, string>): string {
  const machines = options.machines ?? projectMachines(options.root);
  const name = options.machine ?? "default";
  for (const [machine, text] of machines) files.set(`machines/${machine}.json`, text);
  if (!machines.has(name))
    throw new BuildError([`no machine file ${name}.json; there are: ${[...machines.keys()].join(", ")}`]);
  return `machines/${name}.json`;
}

function projectMachines(root: string): Map<string, string> {
  return new Map([...machineFiles(root)].map(([name, file]) => [name, fs.readFileSync(file, "utf8")]));
}

function versionOf(root: string): string {
  return (JSON.parse(fs.readFileSync(path.join(root, "package.json"), "utf8")) as { version: string }).version;
}

/** Everything that an image holds, ready to be packed. */
export interface ImageContents {
  readonly xenolith: string;
  /** Both when absent. */
  readonly flavours?: readonly Flavour[];
  readonly machine: string;
  readonly bundles: readonly BundleManifest[];
  /** Path to text, other than the manifest. */
  readonly files: ReadonlyMap<string, string>;
}

/** Packs an image. The same contents give the same bytes. */
export async function packImage(contents: ImageContents): Promise<{ bytes: Uint8Array; manifest: ImageManifest }> {
  const paths = [...contents.files.keys()].sort(compareText);
  const data = new Map(paths.map((file) => [file, Buffer.from(contents.files.get(file) as string, "utf8")]));
  const manifest: ImageManifest = {
    format: IMAGE_FORMAT,
    version: IMAGE_VERSION,
    xenolith: contents.xenolith,
    flavours: contents.flavours ?? FLAVOURS,
    machine: contents.machine,
    bundles: contents.bundles,
    files: [...data].map(([file, bytes]) => ({ path: file, size: bytes.length, sha256: sha256(bytes) })),
  };
  const text = Buffer.from(`${JSON.stringify(manifest, null, 1)}\n`, "utf8");
  const hash = Buffer.from(`${sha256(text)}\n`, "utf8");
  return { bytes: await tar([[MANIFEST_FILE, text], [MANIFEST_HASH_FILE, hash], ...data]), manifest };
}

/** A tar whose headers say nothing of who made it, where or when. */
async function tar(files: readonly (readonly [string, Buffer])[]): Promise<Uint8Array> {
  const stream = pack();
  const chunks: Buffer[] = [];
  const done = (async () => {
    for await (const chunk of stream) chunks.push(chunk as Buffer);
  })();
  const fixed = { mode: 0o644, uid: 0, gid: 0, uname: "", gname: "", mtime: new Date(0), type: "file" } as const;
  for (const [name, bytes] of files) stream.entry({ ...fixed, name, size: bytes.length }, bytes);
  stream.finalize();
  await done;
  return Buffer.concat(chunks);
}
