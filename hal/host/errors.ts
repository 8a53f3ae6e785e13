/**
 * Every error that a user can cause, made by a factory here, sorted by name. Each names the value, says what would be right, and, where there is
 * one, the nearest valid value. `exitCode` is what the command line ends with.
 */
import { EXIT_IMAGE, EXIT_USAGE } from "./exit-codes";
import { loadLevenshtein } from "./on-demand";

export * from "./exit-codes";

/** An error that the user can mend; the command line prints `message` alone, without a stack. */
export class UserError extends Error {
  constructor(readonly code: string, readonly exitCode: number, message: string) {
    super(message);
    this.name = "UserError";
  }
}

/** ` (did you mean "x"?)` for the candidate nearest to `value`, or ` (known: a, b)` when none is near. */
export function suggestion(value: string, candidates: readonly string[]): string {
  if (candidates.length === 0) return "";
  const { closest, distance } = loadLevenshtein();
  const same = candidates.find((candidate) => candidate.toLowerCase() === value.toLowerCase());
  const near = same ?? closest(value, [...candidates]);
  const isNear = distance(value, near) <= 1 + Math.max(value.length, near.length) / 3;
  return isNear ? ` (did you mean "${near}"?)` : ` (known: ${candidates.join(", ")})`;
}

function usage(code: string, message: string): UserError {
  return new UserError(code, EXIT_USAGE, message);
}

function snapshot(name: string, message: string): UserError {
  return new UserError(`SNAPSHOT_${name}`, EXIT_IMAGE, message);
}

export function errorAppend(word: string): UserError {
  return usage("APPEND", `--append "${word}": write NAME=WORDS, such as domU=loglevel=7`);
}

export function errorBuildFolder(folder: string): UserError {
  return usage("BUILD_FOLDER", `${folder}: holds no kernel/main.ts; name a source tree with --source`);
}

export function errorBuildSources(problems: string): UserError {
  return usage("BUILD_SOURCES", problems);
}

export function errorCommandLineTooLong(domain: string, length: number, max: number): UserError {
  return usage(
    "COMMAND_LINE_TOO_LONG",
    `the kernel command line of ${domain} has ${length} bytes; at most ${max} fit into start_info: shorten --append`,
  );
}

export function errorDiskDirectory(file: string): UserError {
  return usage("DISK_DIRECTORY", `disk ${file}: is a directory; name a regular file`);
}

export function errorDiskInUse(spec: string, access: "r" | "w"): UserError {
  const how = access === "w" ? "writes to it" : "reads it";
  return usage(
    "DISK_IN_USE",
    `disk "${spec}": another domain ${how}; attach it with access "r" to both of them, or take a copy`,
  );
}

export function errorDiskMissing(file: string): UserError {
  return usage("DISK_MISSING", `disk ${file}: no such file; make one, for instance: truncate -s 64M ${file}`);
}

export function errorDiskReadonly(file: string): UserError {
  return usage("DISK_READONLY", `disk ${file}: may only be read; attach it with access mode "r", or chmod u+w it`);
}

export function errorDiskSize(file: string, size: number): UserError {
  const down = size - (size % 512);
  return usage(
    "DISK_SIZE",
    `disk ${file}: its ${size} bytes are not a positive multiple of 512; ${
      down === 0 ? "the nearest is 512" : `the nearest are ${down} and ${down + 512}`
    }`,
  );
}

export function errorDiskSpec(spec: string, why: string): UserError {
  return usage("DISK_SPEC", `disk "${spec}": ${why}`);
}

export function errorDiskTooMany(spec: string, max: number): UserError {
  return usage("DISK_TOO_MANY", `disk "${spec}": the machine has ${max} disks, and no more are possible; detach one`);
}

export function errorDiskUnusable(file: string, why: string): UserError {
  return usage("DISK_UNUSABLE", `disk ${file}: cannot be opened: ${why}`);
}

export function errorDomainDom0(what: string): UserError {
  return usage("DOMAIN_DOM0", `the first domain cannot be ${what}: the machine ends with it`);
}

export function errorDomainEnded(name: string, how: string): UserError {
  return usage("DOMAIN_ENDED", `${name} has ended (${how}) and is kept to be looked at; destroy or restart it first`);
}

export function errorDomainExists(name: string): UserError {
  return usage("DOMAIN_EXISTS", `there is a domain "${name}" already; choose another name`);
}

export function errorDomainMemory(name: string, why: string): UserError {
  return usage("DOMAIN_MEMORY", `domain ${name} cannot be made: ${why}; destroy another one, or give it less memory`);
}

export function errorDomainNotPaused(name: string): UserError {
  return usage("DOMAIN_NOT_PAUSED", `${name} is not paused`);
}

export function errorDomainPaused(name: string, what: string): UserError {
  return usage("DOMAIN_PAUSED", `${name} is paused and cannot ${what}; unpause it first`);
}

export function errorEmptyCommand(known: readonly string[]): UserError {
  return usage("EMPTY_COMMAND", `--exec "": names no program (known: ${known.join(", ")})`);
}

export function errorEngine(name: string): UserError {
  return usage("ENGINE", `engine "${name}" is unknown${suggestion(name, ["quickjs", "v8"])}`);
}

export function errorGuestDisk(name: string, device: string): UserError {
  return usage(
    "GUEST_DISK",
    `${name} lies on ${device} of another domain, which the host cannot compare; use a file or --exec`,
  );
}

export function errorInteractiveJson(): UserError {
  return usage(
    "INTERACTIVE_JSON",
    "--interactive and --json exclude each other; for one document of programs use --exec",
  );
}

export function errorKernelParameter(origin: string, word: string, name: string, known: readonly string[]): UserError {
  const near = suggestion(name, known);
  return usage(
    "KERNEL_PARAMETER",
    `${origin}: "${word}": the kernel has no such parameter${near}; modules' have a dot`,
  );
}

export function errorKernelParameterValue(origin: string, word: string, expected: string): UserError {
  return usage("KERNEL_PARAMETER_VALUE", `${origin}: "${word}": the value must be ${expected}`);
}

export function errorMachineFile(file: string, where: string, why: string): UserError {
  return usage("MACHINE_FILE", `machine file ${file}: ${where}: ${why}`);
}

export function errorModuleParameter(origin: string, word: string, name: string, known: readonly string[]): UserError {
  const choice = known.length === 0 ? "; it has none" : suggestion(name, known);
  return usage("MODULE_PARAMETER", `${origin}: "${word}": the module has no such parameter${choice}`);
}

export function errorNoBackEnd(vdev: string, domid: number): UserError {
  return usage("NO_BACK_END", `disk ${vdev}: domain ${domid}, which had its back end, is gone`);
}

export function errorNoDisk(vdev: string, known: readonly string[]): UserError {
  return usage("NO_DISK", `there is no disk "${vdev}"${suggestion(vdev, known)}`);
}

export function errorNoDomain(name: string, known: readonly string[]): UserError {
  return usage("NO_DOMAIN", `there is no domain "${name}"${suggestion(name, known)}`);
}

export function errorNoFile(what: string, file: string): UserError {
  return usage("NO_FILE", `${what} ${file}: no such file`);
}

export function errorNoModule(name: string, known: readonly string[]): UserError {
  return usage("NO_MODULE", `the image has no module "${name}"${suggestion(name, known)}`);
}

export function errorNoProgram(name: string, known: readonly string[]): UserError {
  return usage("NO_PROGRAM", `the image has no program "${name}"${suggestion(name, known)}`);
}

export function errorNoWorkloadDisk(domain: string): UserError {
  return usage(
    "NO_WORKLOAD_DISK",
    `${domain} has no disk for the workload; add --disk FILE, or run something with --exec`,
  );
}

export function errorNullDisk(name: string): UserError {
  return usage(
    "NULL_DISK",
    `${name} is a null disk, which keeps nothing that could be verified; use a file or ram:64M`,
  );
}

export function errorOutput(file: string, why: string): UserError {
  return usage("OUTPUT", `cannot write ${file}: ${why}`);
}

export function errorReadonlyWorkload(name: string): UserError {
  return usage("READONLY_WORKLOAD", `${name} is attached read-only; the workload writes: use access w, or --exec`);
}

export function errorSnapshotDiskChanged(file: string, sha256: string | null): UserError {
  const was = sha256 === null ? "" : ` (its SHA-256 was ${sha256})`;
  return snapshot(
    "DISK_CHANGED",
    `disk ${file} is not what it was when the snapshot was taken${was}; --disk-overlay keeps a disk as it is`,
  );
}

export function errorSnapshotDiskKind(name: string): UserError {
  return usage(
    "SNAPSHOT_DISK_KIND",
    `the machine has a disk (${name}) that cannot be saved: it is an object without save()`,
  );
}

export function errorSnapshotEngine(engine: string): UserError {
  return usage(
    "SNAPSHOT_ENGINE",
    `engine "${engine}" takes no snapshots: its guests live in Node's own heap, which cannot be copied; use engine "quickjs"`,
  );
}

/** A snapshot that does not fit; `name` says in which way. */
export function errorSnapshotMisfit(name: string, what: string): UserError {
  return snapshot(name, what);
}

export function errorSnapshotWrite(file: string, problem: string): UserError {
  return usage("SNAPSHOT_WRITE", `snapshot ${file} cannot be written: ${problem}`);
}

export function errorTarget(file: string): UserError {
  return usage("TARGET", `${file}: is neither a machine file (JSON) nor an image (as \`xenolith build\` writes)`);
}

export function errorTargetDirectory(file: string): UserError {
  return usage("TARGET_DIRECTORY", `${file}: is a directory; name a machine file or an image`);
}

export function errorTargetMissing(file: string, neighbours: readonly string[]): UserError {
  const near = neighbours.length === 0 ? "" : suggestion(file, neighbours);
  return usage("TARGET_MISSING", `${file}: no such machine file or image${near}`);
}

export function errorVdevTaken(vdev: string, spec: string): UserError {
  return usage("VDEV_TAKEN", `disk "${spec}": ${vdev} is attached already; name another device with vdev=`);
}

export function errorWatchFlag(flag: string): UserError {
  return usage("WATCH_FLAG", `--watch boots what it builds from sources and cannot be used with ${flag}`);
}
