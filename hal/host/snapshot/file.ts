/**
 * Snapshot files.
 *
 *   magic (8) │ version (u32) │ length of the head (u32) │ head: JSON │ SHA-256 of all that (32) │ body: plain data, packed or not
 *
 * The head says what the snapshot is of, so that a file that does not fit is refused before anything is unpacked. A file is an allegation: what
 * is wrong with it has a name, and nothing of it is used unless all of it is right.
 */
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import { promisify } from "node:util";
import { brotliCompress, brotliDecompress, constants } from "node:zlib";
import { completeIdentity } from "../disks/file-identity";
import { quickJSCode } from "../engines/quickjs-module";
import { errorNoFile, errorSnapshotDiskChanged, errorSnapshotMisfit } from "../errors";
import { type Image, readImage } from "../image/image";
import { buildId, defaultImagePath, packageVersion } from "../package-info";
import type { SavedOpenDisk } from "../toolstack/disks";
import { PlainDataError, decodePlain, encodePlain } from "./plain-data";
import type { MachineSnapshot, SnapshotData } from "./snapshot";

/** Version of the layout; a newer one is refused. */
export const SNAPSHOT_VERSION = 1;
/** As PNG's: shows at once that a transfer has changed line ends or cut bits off. */
const MAGIC = Buffer.from("\x89XSNAP\r\n", "latin1");
const VERSION_AT = 8;
const LENGTH_AT = 12;
const PREFIX_BYTES = 16;
const HASH_BYTES = 32;
const HEAD_BYTES_MAX = 1 << 20;
const ALIGNMENT = 8;
/** A good deal smaller than the fastest, and read faster than what is smaller still. */
const QUALITY = 4;
const WINDOW_BITS = 22;

/** How the body is packed: small, for files that people keep and send, or not at all, for those that are read often. */
export type Packing = "brotli" | "none";

/** What a snapshot is of, readable without the rest. */
export interface SnapshotHead {
  /** Version and build of the program that wrote it. */
  readonly xenolith: string;
  readonly build: string;
  readonly engine: { readonly name: string; readonly code: string };
  readonly image: string;
  readonly flavour: string;
  readonly seed: number;
  /** Virtual ns. */
  readonly at: number;
  /** Files behind its disks. */
  readonly files: readonly { readonly file: string; readonly size: number; readonly sha256: string }[];
  /** Bytes of the body, packed and unpacked, the packed one's SHA-256, and the bytes of its text. */
  readonly body: {
    readonly packing: Packing;
    readonly packed: number;
    readonly unpacked: number;
    readonly sha256: string;
    readonly text: number;
  };
}

/** What is in a file. */
export interface SnapshotFile {
  readonly head: SnapshotHead;
  readonly data: SnapshotData;
  /** What the writer added; plain data. */
  readonly extra: unknown;
}

function sha256(bytes: Uint8Array): Buffer {
  return createHash("sha256").update(bytes).digest();
}

/** The disks with digests instead of times, by which any process knows the files. Throws UserError when one has changed since. */
function completeDisks(disks: readonly SavedOpenDisk[]): SavedOpenDisk[] {
  return disks.map((open) => {
    const { disk } = open;
    if (disk.kind !== "file" || disk.content === null) return open;
    const content = completeIdentity(disk.file, disk.content);
    if (content === null) throw errorSnapshotDiskChanged(open.target ?? disk.file, disk.content.sha256);
    return { ...open, disk: { ...disk, content } };
  });
}

function headOf(data: SnapshotData, body: SnapshotHead["body"]): SnapshotHead {
  const { imageId, flavour, seed } = data.origin;
  const files = data.disks.flatMap(({ disk }) => {
    if (disk.kind !== "file" || disk.content === null) return [];
    return [{ file: disk.file, size: disk.content.size, sha256: disk.content.sha256 ?? "" }];
  });
  return {
    xenolith: packageVersion(),
    build: buildId(),
    engine: { name: "quickjs", code: data.engine.code },
    image: imageId,
    flavour,
    seed,
    at: data.state.hypervisor.now,
    files,
    body,
  };
}

/** A snapshot as the bytes of a file. Throws UserError when the file of a disk has changed since it was taken. */
export async function packSnapshot(
  { data }: MachineSnapshot,
  extra: unknown = null,
  packing: Packing = "brotli",
): Promise<Buffer> {
  const complete = { ...data, disks: completeDisks(data.disks) };
  const { text, arrays } = encodePlain({ data: complete, extra });
  const textBytes = Buffer.from(text, "utf8");
  const body = Buffer.concat([textBytes, Buffer.alloc(-textBytes.length & (ALIGNMENT - 1)), arrays]);
  const packed = packing === "none" ? body : await compress(body);
  const bodyFacts = { packing, packed: packed.length, unpacked: body.length, sha256: sha256(packed).toString("hex") };
  const head = alignedText(JSON.stringify(headOf(complete, { ...bodyFacts, text: textBytes.length })));
  const prefix = Buffer.alloc(PREFIX_BYTES);
  MAGIC.copy(prefix);
  prefix.writeUInt32LE(SNAPSHOT_VERSION, VERSION_AT);
  prefix.writeUInt32LE(head.length, LENGTH_AT);
  return Buffer.concat([prefix, head, sha256(Buffer.concat([prefix, head])), packed]);
}

function compress(body: Buffer): Promise<Buffer> {
  const params = {
    [constants.BROTLI_PARAM_QUALITY]: QUALITY,
    [constants.BROTLI_PARAM_LGWIN]: WINDOW_BITS,
    [constants.BROTLI_PARAM_SIZE_HINT]: body.length,
  };
  return promisify(brotliCompress)(body, { params });
}

/** JSON as bytes, with blanks behind it, so that what follows can be used where it lies. */
function alignedText(json: string): Buffer {
  const size = Buffer.byteLength(json);
  return Buffer.from(json + " ".repeat(-size & (ALIGNMENT - 1)), "utf8");
}

/** Reads what `packSnapshot` wrote; `name` is what complaints call it. Throws UserError that says what is wrong. */
export async function unpackSnapshot(bytes: Buffer, name: string): Promise<SnapshotFile> {
  const { head, bodyAt } = readHead(bytes, name);
  checkProgram(head, name);
  const packed = bytes.subarray(bodyAt);
  if (packed.length < head.body.packed) {
    throw misfit("TRUNCATED", name, `is cut off: ${bytes.length} bytes of ${bodyAt + head.body.packed} are there`);
  }
  if (packed.length > head.body.packed || sha256(packed).toString("hex") !== head.body.sha256) {
    throw misfit("CORRUPT", name, "is damaged: its contents do not match their SHA-256");
  }
  const body = head.body.packing === "none" ? packed : await decompress(packed, head.body.unpacked);
  const text = body.toString("utf8", 0, head.body.text);
  const arrays = body.subarray(head.body.text + (-head.body.text & (ALIGNMENT - 1)));
  try {
    const { data, extra } = decodePlain({ text, arrays }) as Pick<SnapshotFile, "data" | "extra">;
    return { head, data, extra };
  } catch (error) {
    if (error instanceof PlainDataError || error instanceof SyntaxError) throw misfit("CORRUPT", name, "is damaged");
    throw error;
  }
}

function decompress(packed: Buffer, size: number): Promise<Buffer> {
  return promisify(brotliDecompress)(packed, { maxOutputLength: size });
}

function misfit(code: string, name: string, problem: string): Error {
  return errorSnapshotMisfit(code, `${name}: ${problem}`);
}

function readHead(bytes: Buffer, name: string): { head: SnapshotHead; bodyAt: number } {
  if (bytes.length < MAGIC.length || !bytes.subarray(0, MAGIC.length).equals(MAGIC)) {
    throw misfit("FORMAT", name, "is not a snapshot (`xenolith boot --snapshot` writes one)");
  }
  const cut = (): Error => misfit("TRUNCATED", name, `is cut off after ${bytes.length} bytes`);
  if (bytes.length < PREFIX_BYTES) throw cut();
  const version = bytes.readUInt32LE(VERSION_AT);
  if (version !== SNAPSHOT_VERSION) {
    throw misfit("VERSION", name, `has version ${version} of the format; this program reads ${SNAPSHOT_VERSION}`);
  }
  const headEnd = PREFIX_BYTES + bytes.readUInt32LE(LENGTH_AT);
  if (headEnd > PREFIX_BYTES + HEAD_BYTES_MAX) throw misfit("CORRUPT", name, "is damaged: its head has no end");
  if (bytes.length < headEnd + HASH_BYTES) throw cut();
  if (!sha256(bytes.subarray(0, headEnd)).equals(bytes.subarray(headEnd, headEnd + HASH_BYTES))) {
    throw misfit("CORRUPT", name, "is damaged: its head does not match its SHA-256");
  }
  const head = JSON.parse(bytes.toString("utf8", PREFIX_BYTES, headEnd)) as SnapshotHead;
  return { head, bodyAt: headEnd + HASH_BYTES };
}

/** A copy of memory means something to the program that made it only. */
function checkProgram(head: SnapshotHead, name: string): void {
  const version = packageVersion();
  if (head.xenolith !== version) {
    throw misfit("XENOLITH", name, `was written by xenolith ${head.xenolith}; this is ${version}`);
  }
  if (head.build !== buildId()) throw misfit("BUILD", name, `was written by another build of xenolith ${version}`);
  if (head.engine.code !== quickJSCode()) {
    throw misfit("ENGINE_CODE", name, `was written with another version of the engine ${head.engine.name}`);
  }
}

/** Writes a snapshot to a file; a reader sees all of it or nothing. Throws UserError. */
export async function writeSnapshot(file: string, snapshot: MachineSnapshot): Promise<void> {
  writeWhole(file, await packSnapshot(snapshot));
}

/** Puts a whole file in the place of another, or of none. */
export function writeWhole(file: string, bytes: Uint8Array): void {
  const draft = `${file}.${process.pid}.tmp`;
  try {
    fs.writeFileSync(draft, bytes);
    fs.renameSync(draft, file);
  } catch (error) {
    fs.rmSync(draft, { force: true });
    throw error;
  }
}

/** Reads a snapshot; `image` is the one that its machine booted, by default the package's own. Throws UserError. */
export async function readSnapshot(
  file: string,
  image: Image = readImage(defaultImagePath()),
): Promise<MachineSnapshot> {
  if (fs.statSync(file, { throwIfNoEntry: false })?.isFile() !== true) throw errorNoFile("snapshot", file);
  const { head, data } = await unpackSnapshot(fs.readFileSync(file), file);
  if (head.image !== image.id) {
    throw misfit("IMAGE", file, `is of another image: ${head.image}, and ${image.name} is ${image.id}`);
  }
  return { image, data };
}
