/**
 * A machine that is only memory and xenstored, and clients that speak the wire protocol into real ring pages.
 */
import {
  XENSTORE_DOMAIN_INTERFACE_CONNECTION,
  XENSTORE_DOMAIN_INTERFACE_ERROR,
  XENSTORE_DOMAIN_INTERFACE_REQ_CONS,
  XENSTORE_DOMAIN_INTERFACE_REQ_PROD,
  XENSTORE_DOMAIN_INTERFACE_RSP,
  XENSTORE_DOMAIN_INTERFACE_RSP_CONS,
  XENSTORE_DOMAIN_INTERFACE_RSP_PROD,
  XS_ERROR,
  XS_TRANSACTION_START,
  XS_WATCH_EVENT,
  XS_WRITE,
} from "../../../../hal/abi/xs_wire";
import type { MachineMemory } from "../../../../hal/host/hypervisor/memory";
import { createPlainMemory } from "../../../../hal/host/hypervisor/memory";
import type { XsState } from "../../../../hal/host/xenstored/state";
import { decodeHeader, encodeMessage, joinStrings, splitStrings, textOf } from "../../../../hal/host/xenstored/wire";
import { XenStored } from "../../../../hal/host/xenstored/xenstored";

const FRAMES = 64;

/** A message as a client received it; `text` of an error is its name. */
export interface Received {
  type: number;
  reqId: number;
  txId: number;
  payload: Uint8Array;
  text: string;
}

/** A memory with a xenstored over it. Domain d has its ring page in frame d + 1. */
export class StoreWorld {
  readonly memory: MachineMemory;
  readonly store: XenStored;
  /** Domains that were notified, in order. */
  notified: number[] = [];
  /** Every traced message. */
  readonly traced: number[][] = [];

  constructor(state?: XsState, memory: MachineMemory = createPlainMemory(FRAMES, 4096)) {
    this.memory = memory;
    const env = {
      memory: () => memory,
      notify: (domid: number) => void this.notified.push(domid),
      trace: (...words: number[]) => void this.traced.push(words),
    };
    this.store = state === undefined ? new XenStored(env) : new XenStored(env, state);
  }

  /** Introduces a domain with an empty ring page and returns its client. */
  introduce(domid: number): StoreClient {
    const at = this.memory.base + (domid + 1) * 4096;
    this.memory.u8.fill(0, at, at + 4096);
    if (this.store.introduce(domid, domid + 1) !== 0) throw new Error(`domain ${domid} was not introduced`);
    return new StoreClient(this, domid);
  }

  /** A domain whose home directory it owns, as the toolstack makes them. */
  guest(domid: number): StoreClient {
    const client = this.introduce(domid);
    const host = this.store.connectHost();
    host.mkdir(`/local/domain/${domid}`);
    host.setPerms(`/local/domain/${domid}`, [`n${domid}`]);
    host.close();
    return client;
  }
}

/** The guest's end of one ring page. */
export class StoreClient {
  private nextReqId = 1;
  private partial: number[] = [];
  /** Events that came while replies were awaited. */
  events: string[] = [];

  constructor(readonly world: StoreWorld, readonly domid: number) {}

  word(offset: number): number {
    return this.world.memory.u32[this.index(offset)];
  }

  setWord(offset: number, value: number): void {
    this.world.memory.u32[this.index(offset)] = value;
  }

  /** The page's error word. */
  get error(): number {
    return this.word(XENSTORE_DOMAIN_INTERFACE_ERROR);
  }

  get connection(): number {
    return this.word(XENSTORE_DOMAIN_INTERFACE_CONNECTION);
  }

  /** Puts bytes into the request ring, as many as fit. Does not ring. Returns how many. */
  push(bytes: Uint8Array): number {
    const produced = this.word(XENSTORE_DOMAIN_INTERFACE_REQ_PROD);
    const room = 1024 - ((produced - this.word(XENSTORE_DOMAIN_INTERFACE_REQ_CONS)) >>> 0);
    const count = Math.min(room, bytes.length);
    const page = this.world.memory.base + (this.domid + 1) * 4096;
    for (let i = 0; i < count; i++) this.world.memory.u8[page + ((produced + i) & 1023)] = bytes[i];
    this.setWord(XENSTORE_DOMAIN_INTERFACE_REQ_PROD, produced + count);
    return count;
  }

  /** Puts all of the bytes into the ring, ringing whenever it is full. */
  pushAll(bytes: Uint8Array): void {
    for (let sent = 0; sent < bytes.length; ) {
      const count = this.push(bytes.subarray(sent));
      sent += count;
      this.ring();
      if (count === 0) throw new Error("the request ring stays full");
    }
  }

  ring(): number {
    return this.world.store.service(this.domid);
  }

  /** Takes all bytes out of the reply ring and returns the whole messages among them. */
  receive(): Received[] {
    const consumed = this.word(XENSTORE_DOMAIN_INTERFACE_RSP_CONS);
    const count = (this.word(XENSTORE_DOMAIN_INTERFACE_RSP_PROD) - consumed) >>> 0;
    if (count > 1024) return [];
    const ring = this.world.memory.base + (this.domid + 1) * 4096 + XENSTORE_DOMAIN_INTERFACE_RSP;
    for (let i = 0; i < count; i++) this.partial.push(this.world.memory.u8[ring + ((consumed + i) & 1023)]);
    this.setWord(XENSTORE_DOMAIN_INTERFACE_RSP_CONS, consumed + count);
    const messages: Received[] = [];
    for (let message = this.nextMessage(); message !== null; message = this.nextMessage()) messages.push(message);
    return messages;
  }

  /** Receives until nothing more comes. */
  drain(): Received[] {
    const all: Received[] = [];
    for (let idle = 0; idle < 2; ) {
      const before = this.partial.length;
      const messages = this.receive();
      all.push(...messages);
      idle = messages.length === 0 && this.partial.length === before ? idle + 1 : 0;
      this.ring();
    }
    return all;
  }

  /** Sends a request and returns everything that comes back until its reply and behind it. */
  exchange(type: number, payload: Uint8Array, txId = 0): Received[] {
    this.pushAll(encodeMessage(type, this.nextReqId++, txId, payload));
    return this.drain();
  }

  /** Sends a request of strings. Returns the reply: its text, or the name of the error. Events are kept in `events`. */
  ask(type: number, strings: string[], txId = 0): string {
    return this.reply(type, joinStrings(strings), txId);
  }

  write(path: string, value: string, txId = 0): string {
    return this.reply(XS_WRITE, joinStrings([path, value]).slice(0, -1), txId);
  }

  /** Starts a transaction and returns its id. */
  start(): number {
    return Number(this.ask(XS_TRANSACTION_START, [""]));
  }

  /** Events so far as "path token", and forgets them. */
  takeEvents(): string[] {
    for (const message of this.drain()) this.keep(message);
    const { events } = this;
    this.events = [];
    return events;
  }

  private reply(type: number, payload: Uint8Array, txId: number): string {
    const id = this.nextReqId;
    let reply = "no reply";
    for (const message of this.exchange(type, payload, txId)) {
      if (message.type === XS_WATCH_EVENT) this.keep(message);
      else if (message.reqId !== id || message.txId !== txId) throw new Error("a reply to something else");
      else if (message.type !== XS_ERROR && message.type !== type) throw new Error(`reply of type ${message.type}`);
      else reply = message.text;
    }
    return reply;
  }

  private keep(message: Received): void {
    if (message.type === XS_WATCH_EVENT) this.events.push((splitStrings(message.payload) ?? []).join(" "));
  }

  private nextMessage(): Received | null {
    if (this.partial.length < 16) return null;
    const { type, reqId, txId, length } = decodeHeader(Uint8Array.from(this.partial.slice(0, 16)));
    if (this.partial.length < 16 + length) return null;
    const payload = Uint8Array.from(this.partial.splice(0, 16 + length).slice(16));
    return { type, reqId, txId, payload, text: textOf(payload).replace(/\0$/, "").replace(/\0/g, " ") };
  }

  private index(offset: number): number {
    return (this.world.memory.base + (this.domid + 1) * 4096 + offset) >>> 2;
  }
}
