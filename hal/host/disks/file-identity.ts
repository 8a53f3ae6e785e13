/**
 * Whether a file is what it was: cheaply by what the file system says of it, for certain by its digest.
 *
 * A file system's times may stand still for as long as its clock's tick (two seconds on the worst). A file that was changed just before it is
 * looked at could be changed again without a trace of it, so that its digest is taken there and then.
 */
import { createHash } from "node:crypto";
import * as fs from "node:fs";

/** What a file holds; plain data. */
export interface FileIdentity {
  /** Bytes. */
  readonly size: number;
  /** Device, inode, and times of the last changes, as the file system tells them; empty: not known, only the digest counts. */
  readonly stamp: string;
  /** Lower-case hex; null: not taken. */
  readonly sha256: string | null;
}

/** Longest tick of a file system's clock, ms. */
const TICK_MS_MAX = 2000;
const CHUNK_BYTES = 1 << 20;

function stampOf({ dev, ino, mtimeNs, ctimeNs }: fs.BigIntStats): string {
  return [dev, ino, mtimeNs, ctimeNs].join(" ");
}

/** What an open file holds now. */
export function identifyFile(fd: number): FileIdentity {
  const stat = fs.fstatSync(fd, { bigint: true });
  const isSettled = Number(stat.mtimeMs) < Date.now() - TICK_MS_MAX && Number(stat.ctimeMs) < Date.now() - TICK_MS_MAX;
  return { size: Number(stat.size), stamp: stampOf(stat), sha256: isSettled ? null : digestFile(fd) };
}

/** SHA-256 of all that an open file holds. */
export function digestFile(fd: number): string {
  const hash = createHash("sha256");
  const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
  for (let at = 0; ; ) {
    const count = fs.readSync(fd, chunk, 0, chunk.length, at);
    if (count === 0) return hash.digest("hex");
    hash.update(chunk.subarray(0, count));
    at += count;
  }
}

/** Whether a file holds what it held. False when it is not there. */
export function isSameContent(file: string, identity: FileIdentity): boolean {
  return withFile(file, false, (fd) => {
    const stat = fs.fstatSync(fd, { bigint: true });
    if (Number(stat.size) !== identity.size) return false;
    return identity.sha256 === null ? stampOf(stat) === identity.stamp : digestFile(fd) === identity.sha256;
  });
}

/** The identity with its digest, by which another process, or another machine, knows the file; null when it is not what it was any more. */
export function completeIdentity(file: string, identity: FileIdentity): FileIdentity | null {
  if (!isSameContent(file, identity)) return null;
  const sha256 = identity.sha256 ?? withFile(file, null, digestFile);
  return sha256 === null ? null : { size: identity.size, stamp: "", sha256 };
}

function withFile<T>(file: string, otherwise: T, body: (fd: number) => T): T {
  let fd: number;
  try {
    fd = fs.openSync(file, "r");
  } catch {
    return otherwise;
  }
  try {
    return body(fd);
  } finally {
    fs.closeSync(fd);
  }
}
