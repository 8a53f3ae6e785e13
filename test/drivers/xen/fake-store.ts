/**
 * A xenstored behind the ring page of a fake machine: a tree, watches and transactions, answering at once. It records what it is asked in the form
 * of the recordings of real drivers, so that both can be compared line by line.
 */
import {
  XENSTORE_DOMAIN_INTERFACE_REQ,
  XENSTORE_DOMAIN_INTERFACE_REQ_CONS,
  XENSTORE_DOMAIN_INTERFACE_REQ_PROD,
  XENSTORE_DOMAIN_INTERFACE_RSP,
  XENSTORE_DOMAIN_INTERFACE_RSP_CONS,
  XENSTORE_DOMAIN_INTERFACE_RSP_PROD,
  XS_DIRECTORY,
  XS_ERROR,
  XS_MKDIR,
  XS_READ,
  XS_RM,
  XS_TRANSACTION_END,
  XS_TRANSACTION_START,
  XS_UNWATCH,
  XS_WATCH,
  XS_WATCH_EVENT,
  XS_WRITE,
} from "../../../hal/abi/xs_wire";
import type { FakeXen } from "./fake-xen";

const STORE_PORT = 1;
const STORE_PFN = 2;
const NAMES = new Map([
  [XS_DIRECTORY, "DIRECTORY"],
  [XS_READ, "READ"],
  [XS_WATCH, "WATCH"],
  [XS_UNWATCH, "UNWATCH"],
  [XS_TRANSACTION_START, "TRANSACTION_START"],
  [XS_TRANSACTION_END, "TRANSACTION_END"],
  [XS_WRITE, "WRITE"],
  [XS_MKDIR, "MKDIR"],
  [XS_RM, "RM"],
]);

interface StoreWatch {
  readonly path: string;
  readonly token: string;
  readonly relative: boolean;
}

export class FakeStore {
  readonly nodes = new Map<string, string>();
  /** "OP path value", one per request; DIRECTORY requests only when `recordDirectories`. */
  readonly log: string[] = [];
  /** Raw requests. */
  readonly requests: Uint8Array[] = [];
  recordDirectories = false;
  /** Stops answering: what came in waits. */
  deaf = false;
  /** How many of the next commits are refused with EAGAIN. */
  conflicts = 0;
  private watches: StoreWatch[] = [];
  private readonly transactions = new Map<number, Map<string, string | null>>();
  private nextTransaction = 1;
  private input: number[] = [];
  private output: number[] = [];

  constructor(private readonly fake: FakeXen, private readonly home = "/local/domain/1") {
    this.watches = [];
    fake.onSend = (port) => {
      if (port === STORE_PORT) this.serve();
    };
  }

  /** Writes a node as the toolstack does: watches fire. */
  write(path: string, value: string): void {
    this.nodes.set(path, value);
    this.fire(path);
    this.flush();
  }

  /** Writes several nodes in one transaction as the toolstack does. */
  commit(nodes: readonly (readonly [path: string, value: string])[]): void {
    for (const [path, value] of nodes) this.nodes.set(path, value);
    for (const [path] of nodes) this.fire(path);
    this.flush();
  }

  /** Removes a subtree as the toolstack does. */
  remove(path: string): void {
    for (const node of [...this.nodes.keys()])
      if (node === path || node.startsWith(`${path}/`)) this.nodes.delete(node);
    this.fire(path);
    this.flush();
  }

  /** Takes everything out of the request ring and answers it. */
  serve(): void {
    if (this.deaf) return;
    this.takeInput();
    for (;;) {
      const length = this.input.length < 16 ? Infinity : 16 + this.word(12);
      if (this.input.length < length) break;
      this.answer(Uint8Array.from(this.input.splice(0, length)));
    }
    this.flush();
  }

  private word(at: number): number {
    return (this.input[at] | (this.input[at + 1] << 8) | (this.input[at + 2] << 16) | (this.input[at + 3] << 24)) >>> 0;
  }

  private takeInput(): void {
    const words = this.fake.page(STORE_PFN);
    const bytes = this.fake.bytes(STORE_PFN);
    const cons = XENSTORE_DOMAIN_INTERFACE_REQ_CONS / 4;
    const prod = words[XENSTORE_DOMAIN_INTERFACE_REQ_PROD / 4];
    const wasFull = prod - words[cons] === 1024;
    for (; words[cons] !== prod; words[cons]++)
      this.input.push(bytes[XENSTORE_DOMAIN_INTERFACE_REQ + (words[cons] & 1023)]);
    if (wasFull) this.fake.raise(STORE_PORT);
  }

  /** Moves output into the ring, as far as there is room. */
  flush(): void {
    const words = this.fake.page(STORE_PFN);
    const bytes = this.fake.bytes(STORE_PFN);
    const prod = XENSTORE_DOMAIN_INTERFACE_RSP_PROD / 4;
    const before = words[prod];
    while (this.output.length > 0 && words[prod] - words[XENSTORE_DOMAIN_INTERFACE_RSP_CONS / 4] < 1024) {
      bytes[XENSTORE_DOMAIN_INTERFACE_RSP + (words[prod] & 1023)] = this.output.shift() as number;
      words[prod]++;
    }
    if (words[prod] !== before) this.fake.raise(STORE_PORT);
  }

  private send(type: number, reqId: number, txId: number, text: string): void {
    const header = new Uint32Array([type, reqId, txId, text.length]);
    this.output.push(...new Uint8Array(header.buffer), ...Buffer.from(text, "latin1"));
  }

  private answer(request: Uint8Array): void {
    this.requests.push(request);
    const view = new DataView(request.buffer);
    const [type, reqId, txId] = [view.getUint32(0, true), view.getUint32(4, true), view.getUint32(8, true)];
    const parts = Buffer.from(request.subarray(16)).toString("latin1").split("\0");
    this.record(type, parts);
    const result = this.perform(type, txId, parts);
    if (result.error !== undefined) this.send(XS_ERROR, reqId, txId, `${result.error}\0`);
    else this.send(type, reqId, txId, result.text ?? "OK\0");
    if (type === XS_WATCH) this.event(this.watches[this.watches.length - 1], parts[0]);
  }

  private record(type: number, parts: string[]): void {
    if (type === XS_DIRECTORY && !this.recordDirectories) return;
    const name = NAMES.get(type) ?? String(type);
    const value = type === XS_WRITE ? ` ${parts[1]}` : "";
    this.log.push(`${name} ${parts[0]}${value}`.trim());
  }

  private absolute(path: string): string {
    return path.startsWith("/") ? path : `${this.home}/${path}`;
  }

  private get(tx: number, path: string): string | undefined {
    const changes = this.transactions.get(tx);
    const changed = changes?.get(path);
    if (changed === null) return undefined;
    return changed ?? this.nodes.get(path);
  }

  private children(path: string): string[] {
    const names = new Set<string>();
    for (const node of this.nodes.keys()) {
      if (node.startsWith(`${path}/`)) names.add(node.slice(path.length + 1).split("/")[0]);
    }
    return [...names];
  }

  private perform(type: number, tx: number, parts: string[]): { text?: string; error?: string } {
    const path = this.absolute(parts[0]);
    if (type === XS_READ) {
      const value = this.get(tx, path);
      return value === undefined ? { error: "ENOENT" } : { text: value };
    }
    if (type === XS_DIRECTORY) {
      const names = this.children(path);
      if (names.length === 0 && !this.nodes.has(path)) return { error: "ENOENT" };
      return { text: names.map((name) => `${name}\0`).join("") };
    }
    if (type === XS_WRITE || type === XS_MKDIR) return this.change(tx, path, parts[1] ?? "");
    if (type === XS_RM) {
      this.remove(path);
      return {};
    }
    if (type === XS_TRANSACTION_START) {
      this.transactions.set(this.nextTransaction, new Map());
      return { text: `${this.nextTransaction++}\0` };
    }
    if (type === XS_TRANSACTION_END) return this.endTransaction(tx, parts[0]);
    const relative = !parts[0].startsWith("/");
    if (type === XS_WATCH) this.watches.push({ path, token: parts[1], relative });
    if (type === XS_UNWATCH) this.watches = this.watches.filter((watch) => watch.token !== parts[1]);
    return {};
  }

  private change(tx: number, path: string, value: string): { error?: string } {
    if (tx !== 0) {
      (this.transactions.get(tx) as Map<string, string | null>).set(path, value);
      return {};
    }
    this.nodes.set(path, value);
    this.fire(path);
    return {};
  }

  private endTransaction(tx: number, verdict: string): { error?: string } {
    const changes = this.transactions.get(tx);
    if (changes === undefined) return { error: "ENOENT" };
    this.transactions.delete(tx);
    if (verdict === "F") return {};
    if (this.conflicts > 0) {
      this.conflicts--;
      return { error: "EAGAIN" };
    }
    for (const [path, value] of changes) this.nodes.set(path, value as string);
    for (const path of changes.keys()) this.fire(path);
    return {};
  }

  private fire(path: string): void {
    for (const watch of this.watches) {
      if (path === watch.path || path.startsWith(`${watch.path}/`)) this.event(watch, path);
      else if (watch.path.startsWith(`${path}/`)) this.event(watch, watch.path);
    }
  }

  private event(watch: StoreWatch, path: string): void {
    const absolute = this.absolute(path);
    const shown = watch.relative ? absolute.slice(this.home.length + 1) : absolute;
    this.send(XS_WATCH_EVENT, 0, 0, `${shown}\0${watch.token}\0`);
  }
}
