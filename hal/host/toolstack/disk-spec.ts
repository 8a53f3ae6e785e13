/**
 * Disk specifications in xl's syntax (xl-disk-configuration(5)).
 *
 *   TARGET,FORMAT,VDEV,ACCESS            positional; trailing ones may be left out, empty ones take their default
 *   vdev=xvda,access=ro,discard,target=… keys and flags, after the positional ones or instead of them; target= must come last
 *
 * The target is a file of the host, one of the built-in disks `ram:SIZE` and `null:SIZE` (K, M, G, T), or, as `phy:/dev/NAME`, a block device of
 * the domain that runs the back end.
 */
import { errorDiskSpec, suggestion } from "../errors";

/** What backs a disk: something of the host, or ("phy") a block device that the back end's domain has itself. */
export type DiskBacking = "file" | "ram" | "null" | "phy";

/** A parsed specification. */
export interface DiskSpec {
  readonly backing: DiskBacking;
  /** File name for "file", device for "phy", otherwise empty. */
  readonly target: string;
  /** Bytes for "ram" and "null". */
  readonly sizeBytes: number | null;
  /** Guest device name or number, as written: `xvda`, `sda1`, `51712`; null lets the toolstack choose the next free one. */
  readonly vdev: string | null;
  readonly access: "r" | "w";
  readonly devtype: "disk" | "cdrom";
  /** null: the default of the disk. */
  readonly discard: boolean | null;
  readonly removable: boolean;
  readonly directIoSafe: boolean;
  /** 0: bounce pages in the front end. */
  readonly trusted: boolean;
  readonly script: string | null;
  /** Name or id of the domain that runs the back end; null is dom0. */
  readonly backend: string | null;
  /** Not xl's: geometry and cache of the built-in and file disks. */
  readonly logicalBlockSize: number;
  readonly physicalBlockSize: number;
  readonly writeCache: boolean | null;
}

type Draft = { -readonly [K in keyof DiskSpec]: DiskSpec[K] };

const FORMATS = ["raw", "qcow", "qcow2", "vhd", "qed", "empty"];
const KEYS = [
  "target",
  "format",
  "vdev",
  "access",
  "devtype",
  "backend",
  "backendtype",
  "script",
  "sector-size",
  "physical-sector-size",
];
const FLAGS = [
  "cdrom",
  "discard",
  "no-discard",
  "direct-io-safe",
  "removable",
  "trusted",
  "untrusted",
  "write-cache",
  "no-write-cache",
];
const POSITIONS = ["target", "format", "vdev", "access"] as const;
const PREFIX = /^(?:phy|file|raw|tap2?:aio|tap2?|aio):/;
const UNITS: Readonly<Record<string, number>> = { "": 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3, t: 1024 ** 4 };

/** Parses `64M`, `1GiB`, `512`: bytes. Null when it is not a size. */
export function parseSize(text: string): number | null {
  const match = /^(\d+)([kmgt]?)(?:i?b)?$/i.exec(text.trim());
  if (!match) return null;
  const bytes = Number(match[1]) * UNITS[match[2].toLowerCase()];
  return Number.isSafeInteger(bytes) ? bytes : null;
}

/** Parses one specification. Throws UserError that quotes it and says what is wrong. */
export function parseDiskSpec(spec: string): DiskSpec {
  const draft: Draft = {
    backing: "file",
    target: "",
    sizeBytes: null,
    vdev: null,
    access: "w",
    devtype: "disk",
    discard: null,
    removable: false,
    directIoSafe: false,
    trusted: true,
    script: null,
    backend: null,
    logicalBlockSize: 512,
    physicalBlockSize: 0,
    writeCache: null,
  };
  readParts(spec, draft);
  if (draft.target === "") throw errorDiskSpec(spec, "names no target; write a file name first, or target=FILE last");
  readTarget(spec, draft);
  if (draft.physicalBlockSize === 0) draft.physicalBlockSize = draft.logicalBlockSize;
  return draft;
}

function readParts(spec: string, draft: Draft): void {
  let position = 0;
  let rest = spec;
  while (rest !== "") {
    const target = /^\s*target\s*=(.*)$/s.exec(rest);
    if (target) {
      draft.target = target[1].trim();
      return;
    }
    const comma = rest.indexOf(",");
    const part = (comma < 0 ? rest : rest.slice(0, comma)).trim();
    rest = comma < 0 ? "" : rest.slice(comma + 1);
    position = readPart(spec, draft, part, position);
  }
}

/** Reads one part; returns the next free position, or Infinity once a key or flag has been seen. */
function readPart(spec: string, draft: Draft, part: string, position: number): number {
  const equals = part.indexOf("=");
  const key = equals < 0 ? part : part.slice(0, equals).trim();
  if (equals >= 0 && (KEYS.includes(key) || position > 0)) {
    setKey(spec, draft, key, part.slice(equals + 1).trim());
    return Infinity;
  }
  if (FLAGS.includes(part)) {
    setFlag(draft, part);
    return Infinity;
  }
  if (position >= POSITIONS.length)
    throw errorDiskSpec(spec, `"${part}" is unknown${suggestion(part, [...KEYS, ...FLAGS])}`);
  if (part !== "") setKey(spec, draft, POSITIONS[position], part);
  return position + 1;
}

function setFlag(draft: Draft, flag: string): void {
  if (flag === "cdrom") Object.assign(draft, { devtype: "cdrom", access: "r", removable: true });
  if (flag === "discard" || flag === "no-discard") draft.discard = flag === "discard";
  if (flag === "direct-io-safe") draft.directIoSafe = true;
  if (flag === "removable") draft.removable = true;
  if (flag === "trusted" || flag === "untrusted") draft.trusted = flag === "trusted";
  if (flag === "write-cache" || flag === "no-write-cache") draft.writeCache = flag === "write-cache";
}

function setKey(spec: string, draft: Draft, key: string, value: string): void {
  switch (key) {
    case "target":
      draft.target = value;
      return;
    case "format":
      return checkFormat(spec, value);
    case "vdev":
      draft.vdev = value;
      return;
    case "access":
      draft.access = readAccess(spec, value);
      return;
    case "devtype":
      if (value === "cdrom") return setFlag(draft, "cdrom");
      if (value !== "disk")
        throw errorDiskSpec(spec, `devtype "${value}" is unknown${suggestion(value, ["disk", "cdrom"])}`);
      return;
    case "backend":
      draft.backend = value;
      return;
    case "backendtype":
      if (value !== "phy") throw errorDiskSpec(spec, `backendtype "${value}" is not offered here; only phy is`);
      return;
    case "script":
      draft.script = value;
      return;
    case "sector-size":
      draft.logicalBlockSize = readBlockSize(spec, key, value);
      return;
    case "physical-sector-size":
      draft.physicalBlockSize = readBlockSize(spec, key, value);
      return;
    default:
      throw errorDiskSpec(spec, `key "${key}" is unknown${suggestion(key, KEYS)}`);
  }
}

function checkFormat(spec: string, value: string): void {
  if (value === "raw") return;
  if (FORMATS.includes(value))
    throw errorDiskSpec(spec, `format ${value} cannot be read here; convert the disk to raw first`);
  throw errorDiskSpec(spec, `format "${value}" is unknown${suggestion(value, FORMATS)}`);
}

function readAccess(spec: string, value: string): "r" | "w" {
  if (value === "r" || value === "ro") return "r";
  if (value === "w" || value === "rw") return "w";
  throw errorDiskSpec(spec, `access "${value}" is unknown (known: r, ro, w, rw)`);
}

function readBlockSize(spec: string, key: string, value: string): number {
  if (value === "512" || value === "4096") return Number(value);
  throw errorDiskSpec(spec, `${key} must be 512 or 4096, not "${value}"`);
}

function readTarget(spec: string, draft: Draft): void {
  const target = draft.target.replace(PREFIX, "");
  if (/^phy:\/dev\//.test(draft.target)) {
    Object.assign(draft, { backing: "phy", target });
    return;
  }
  const builtIn = /^(ram|null):(.*)$/.exec(target);
  if (!builtIn) {
    draft.target = target;
    return;
  }
  const size = parseSize(builtIn[2]);
  if (size === null || size === 0 || size % 4096 !== 0) {
    throw errorDiskSpec(spec, `"${builtIn[2]}" is not a size; write a multiple of 4096 such as ${builtIn[1]}:64M`);
  }
  Object.assign(draft, { backing: builtIn[1] as DiskBacking, target: "", sizeBytes: size });
}
