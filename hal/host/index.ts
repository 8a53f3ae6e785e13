/**
 * The package's public face: machines, and what one makes them of.
 *
 *   import { Machine, defaultImagePath, readImage } from "xenolith";
 */
export { Machine } from "./machine";
export { type SnapshotHead, readSnapshot, writeSnapshot } from "./snapshot/file";
export type { MachineSnapshot } from "./snapshot/snapshot";
export type { ConsoleOutput, LogLine, MachineOptions, RestoreOptions, RunResult } from "./machine-options";
export { MachineError, type MachineErrorKind } from "./machine-error";
export { UserError } from "./errors";
export { type Image, readImage } from "./image/image";
export { ImageError } from "./image/image-error";
export { FLAVOURS, type Flavour } from "./image/format";
export { ENGINE_NAMES, type EngineName } from "./engines/engine";
export type { HostDisk, HostDiskInfo } from "./disks/disk";
export { openFileDisk } from "./disks/file";
export { createNullDisk } from "./disks/null";
export { RamDisk } from "./disks/ram";
export type { DiskOptions } from "./disks/options";
export { type DiskSpec, parseDiskSpec } from "./toolstack/disk-spec";
export { type DomainConfig, type MachineConfig, parseMachineFile, readMachineFile } from "./toolstack/machine-file";
export type { Attachment, AttachmentPhase, StateStep } from "./toolstack/attachments";
export {
  type DomainAction,
  type EndReason,
  type ShutdownRequest,
  DOMAIN_ACTIONS,
  SHUTDOWN_REQUESTS,
} from "./toolstack/domain-actions";
export type { DomainEnd } from "./toolstack/domains";
export type { Counters } from "./toolstack/counters";
export type { Ledger } from "./hypervisor/ledger";
export type { HostConnection, HostOperations } from "./xenstored/host-connection";
export type { Execution, Terminal } from "./toolstack/programs";
export { defaultImagePath } from "./package-info";
export { runDiskWorkload } from "./toolstack/disk-workload";
export type { WorkloadResult } from "./toolstack/workload";
