/** What `boot` was told to boot: a machine file, an image, or nothing, which means the image's own machine. */
import * as fs from "node:fs";
import * as path from "node:path";
import { errorTarget, errorTargetDirectory, errorTargetMissing, errorWatchFlag } from "../errors";
import { type Image, readImage } from "../image/image";
import { defaultImagePath } from "../package-info";
import { type MachineConfig, parseMachineFile, readMachineFile } from "../toolstack/machine-file";

export interface Target {
  readonly image: Image;
  readonly config: MachineConfig;
  /** Whether the machine is the image's own, whose disk is made when it is absent. */
  readonly isBuiltIn: boolean;
}

/** Where a tar file says that it is one. */
const TAR_MAGIC = { offset: 257, text: "ustar" };
const HEAD_BYTES = 512;

/** Reads what was named. Throws UserError or ImageError. */
export function loadTarget(target: string | undefined, imageFile: string | undefined): Target {
  const kind = target === undefined ? "none" : kindOf(target);
  const image = readImage(imageFile ?? (kind === "image" ? (target as string) : defaultImagePath()));
  if (kind === "machine") return { image, config: readMachineFile(target as string), isBuiltIn: false };
  const config = parseMachineFile(image.defaultMachine(), `${image.name}: ${image.manifest.machine}`);
  return { image, config, isBuiltIn: true };
}

/** The same with an image that is already there: the machine that is named, or the image's own. Throws UserError. */
export function targetOf(target: string | undefined, image: Image): Target {
  if (target !== undefined && kindOf(target) === "machine") {
    return { image, config: readMachineFile(target), isBuiltIn: false };
  }
  if (target !== undefined) throw errorWatchFlag(target);
  const config = parseMachineFile(image.defaultMachine(), `${image.name}: ${image.manifest.machine}`);
  return { image, config, isBuiltIn: true };
}

/** The name decides; a file of another name is looked into. */
function kindOf(target: string): "machine" | "image" {
  const stat = fs.statSync(target, { throwIfNoEntry: false });
  if (stat === undefined) throw errorTargetMissing(target, neighboursOf(target));
  if (stat.isDirectory()) throw errorTargetDirectory(target);
  if (target.endsWith(".json")) return "machine";
  if (target.endsWith(".img")) return "image";
  const head = headOf(target);
  if (head.subarray(TAR_MAGIC.offset).toString("latin1").startsWith(TAR_MAGIC.text)) return "image";
  if (head.toString("utf8").trimStart().startsWith("{")) return "machine";
  throw errorTarget(target);
}

function headOf(file: string): Buffer {
  const head = Buffer.alloc(HEAD_BYTES);
  const fd = fs.openSync(file, "r");
  const count = fs.readSync(fd, head);
  fs.closeSync(fd);
  return head.subarray(0, count);
}

/** Machine files and images beside a file that is not there. */
function neighboursOf(target: string): string[] {
  const folder = path.dirname(target);
  if (!fs.existsSync(folder)) return [];
  const names = fs.readdirSync(folder).filter((name) => /\.(json|img)$/.test(name));
  return names.map((name) => path.join(folder, name));
}
