/**
 * The toolstack's connection: the same operations as over a ring, as direct calls with the rights of domain 0.
 *
 * Its calls are trusted: a mistake (a bad path, a write where that is impossible) throws XenStoreError. Values are UTF-8 where they are strings.
 */
import {
  XS_GET_PERMS,
  XS_MKDIR,
  XS_READ,
  XS_RM,
  XS_SET_PERMS,
  XS_TRANSACTION_END,
  XS_TRANSACTION_START,
  XS_UNWATCH,
  XS_WATCH,
  XS_WRITE,
} from "../../abi/xs_wire";
import { HOST_ATTEMPTS_MAX } from "./limits";
import { childPath } from "./paths";
import type { XsEvent } from "./state";
import type { XsErrno } from "./wire";
import { OPERATION_NAMES, splitStrings } from "./wire";

/** A toolstack call that xenstored refused. */
export class XenStoreError extends Error {
  constructor(readonly errno: XsErrno, readonly operation: string, readonly path: string) {
    super(`xenstore ${operation} ${path}: ${errno}`);
    this.name = "XenStoreError";
  }
}

/** The half of XenStored that a host connection calls. */
export interface HostBackend {
  request(id: number, type: number, txId: number, payload: Uint8Array): Uint8Array | XsErrno;
  /** Names of the children, or null if there is no such node. Of any length, unlike over the wire. */
  childNames(id: number, txId: number, path: string): string[] | XsErrno;
  takeEvents(id: number): XsEvent[];
  close(id: number): void;
}

/** One node of a dump. */
export interface XsTreeEntry {
  readonly path: string;
  readonly value: string;
  /** "n0,r1" */
  readonly permissions: string;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

function payloadOf(strings: readonly string[]): Uint8Array {
  return encoder.encode(strings.map((string) => `${string}\0`).join(""));
}

/** The store as the toolstack sees it: live, or inside of a transaction. */
export class HostOperations {
  /** `txId`: the transaction, 0 for none. */
  constructor(protected readonly backend: HostBackend, readonly id: number, private readonly txId: number) {}

  /** The value, or null if there is no such node. */
  read(path: string): string | null {
    const value = this.readBytes(path);
    return value === null ? null : decoder.decode(value);
  }

  /** The value, or null if there is no such node. */
  readBytes(path: string): Uint8Array | null {
    return this.ask(XS_READ, path, payloadOf([path]), "ENOENT");
  }

  /** Replaces the value, making the node and its parents if they are missing. */
  write(path: string, value: string | Uint8Array): void {
    const head = payloadOf([path]);
    const bytes = typeof value === "string" ? encoder.encode(value) : value;
    const payload = new Uint8Array(head.length + bytes.length);
    payload.set(head);
    payload.set(bytes, head.length);
    this.ask(XS_WRITE, path, payload);
  }

  /** Makes the node and its parents if they are missing. */
  mkdir(path: string): void {
    this.ask(XS_MKDIR, path, payloadOf([path]));
  }

  /** Removes the node and all below it, if it is there. */
  rm(path: string): void {
    this.ask(XS_RM, path, payloadOf([path]), "ENOENT");
  }

  /** Whether there is such a node. */
  exists(path: string): boolean {
    return this.readBytes(path) !== null;
  }

  /** Names of the children, oldest first, or null if there is no such node. */
  directory(path: string): string[] | null {
    const names = this.backend.childNames(this.id, this.txId, path);
    if (names === "ENOENT") return null;
    if (typeof names === "string") throw new XenStoreError(names, "DIRECTORY", path);
    return names;
  }

  /** The permission list, for example ["n0", "r1"], or null if there is no such node. */
  getPerms(path: string): string[] | null {
    const payload = this.ask(XS_GET_PERMS, path, payloadOf([path]), "ENOENT");
    return payload === null ? null : splitStrings(payload);
  }

  /** Replaces the permission list: the owner first, with what everybody else may do. */
  setPerms(path: string, permissions: readonly string[]): void {
    this.ask(XS_SET_PERMS, path, payloadOf([path, ...permissions]));
  }

  /**
   * Runs `body` in a transaction and commits it; runs it again if somebody interfered. If it throws, nothing has happened. Only what is done
   * through the argument is part of the transaction. Inside of a transaction it is part of that one.
   */
  transaction<T>(body: (inside: HostOperations) => T): T {
    if (this.txId !== 0) return body(this);
    for (let attempt = 0; attempt < HOST_ATTEMPTS_MAX; attempt++) {
      const reply = this.ask(XS_TRANSACTION_START, "", payloadOf([""]));
      const txId = Number(decoder.decode(reply.subarray(0, -1)));
      const result = this.runIn(txId, body);
      const end = this.backend.request(this.id, XS_TRANSACTION_END, txId, payloadOf(["T"]));
      if (typeof end !== "string") return result;
      if (end !== "EAGAIN") throw new XenStoreError(end, "TRANSACTION_END", "");
    }
    throw new XenStoreError("EAGAIN", "TRANSACTION_END", "");
  }

  /** A node and all below it, parents first; empty if there is no such node. */
  entries(path: string): XsTreeEntry[] {
    const found: XsTreeEntry[] = [];
    const open = [path];
    for (let at = open.pop(); at !== undefined; at = open.pop()) {
      const value = this.read(at);
      if (value === null) continue;
      found.push({ path: at, value, permissions: (this.getPerms(at) ?? []).join(",") });
      const parent = at;
      const names = this.directory(at) ?? [];
      open.push(...names.map((name) => childPath(parent, name)).reverse());
    }
    return found;
  }

  /** A node and all below it as `xenstore-ls -f -p` prints them, one line per node. */
  tree(path: string): string {
    return this.entries(path)
      .map((entry) => `${entry.path} = ${quote(entry.value)}   (${entry.permissions})\n`)
      .join("");
  }

  private runIn<T>(txId: number, body: (inside: HostOperations) => T): T {
    try {
      return body(new HostOperations(this.backend, this.id, txId));
    } catch (error) {
      this.backend.request(this.id, XS_TRANSACTION_END, txId, payloadOf(["F"]));
      throw error;
    }
  }

  protected ask(type: number, path: string, payload: Uint8Array): Uint8Array;
  protected ask(type: number, path: string, payload: Uint8Array, absent: XsErrno): Uint8Array | null;
  protected ask(type: number, path: string, payload: Uint8Array, absent?: XsErrno): Uint8Array | null {
    const reply = this.backend.request(this.id, type, this.txId, payload);
    if (typeof reply !== "string") return reply;
    if (reply === absent) return null;
    throw new XenStoreError(reply, OPERATION_NAMES.get(type) ?? String(type), path);
  }
}

/** A connection of the toolstack. */
export class HostConnection extends HostOperations {
  constructor(backend: HostBackend, id: number) {
    super(backend, id, 0);
  }

  /** Watches the path; the first event comes at once. */
  watch(path: string, token: string): void {
    this.ask(XS_WATCH, path, payloadOf([path, token]));
  }

  /** Ends a watch; events that were not taken yet stay. */
  unwatch(path: string, token: string): void {
    this.ask(XS_UNWATCH, path, payloadOf([path, token]));
  }

  /** The watch events since the last call, oldest first. */
  takeEvents(): XsEvent[] {
    return this.backend.takeEvents(this.id);
  }

  /** Ends the connection with its watches and transactions. */
  close(): void {
    this.backend.close(this.id);
  }
}

/** The value in quotation marks, with what is not printable as \xNN. */
function quote(value: string): string {
  const printable = (character: string): string =>
    character === "\n" ? "\\n" : `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`;
  return `"${value.replace(/[\\"]/g, "\\$&").replace(/[\x00-\x1f\x7f]/g, printable)}"`;
}
