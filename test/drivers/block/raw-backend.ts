/** A back end that a test plays: it answers what it likes, when it likes, and keeps what it should not. */
import {
  SRING_REQ_EVENT_WORD,
  SRING_REQ_PROD_WORD,
  SRING_RSP_EVENT_WORD,
  SRING_RSP_PROD_WORD,
  SRING_SIZE,
} from "../../../hal/abi/io/ring";
import type { Machine } from "../../../hal/host/machine";
import { parseDiskSpec } from "../../../hal/host/toolstack/disk-spec";
import {
  type Vbd,
  backPath,
  createVbd,
  frontPath,
  readState,
  removeVbd,
  requestDetach,
} from "../../../hal/host/toolstack/vbd";
import { RawDomain } from "./raw-domain";

const LIMIT_NS = 5e9;
const SLOT_WORDS = 28;
const SLOTS = 32;
/** Guest addresses of mappings; nothing is behind them. */
const RING_ADDRESS = 0x10000000;
const DATA_ADDRESS = 0x20000000;

/** A request as it was taken off the ring. */
export interface SeenRequest {
  readonly operation: number;
  /** Of an indirect request what it means; else the same as `operation`. */
  readonly meaning: number;
  readonly id: bigint;
  readonly sector: bigint;
  /** [gref, first, last] of each segment. */
  readonly segments: readonly (readonly [number, number, number])[];
  readonly indirectGrefs: readonly number[];
  readonly nr_sectors: bigint;
  readonly flag: number;
}

export interface RawBackendOptions {
  /** Values of nodes beside the usual ones; null leaves one out. */
  readonly nodes?: Readonly<Record<string, string | null>>;
  readonly vdev?: number;
  readonly trusted?: boolean;
}

const NODES: Readonly<Record<string, string>> = {
  "feature-max-indirect-segments": "0",
  "multi-queue-max-queues": "1",
  "max-ring-page-order": "0",
  "feature-flush-cache": "1",
  "feature-discard": "1",
  "discard-granularity": "4096",
  "discard-alignment": "0",
  "discard-secure": "0",
  "feature-barrier": "1",
  "feature-persistent": "0",
  sectors: "32768",
  info: "0",
  "sector-size": "512",
  "physical-sector-size": "512",
};

export class RawBackend {
  readonly domain: RawDomain;
  readonly vbd: Vbd;
  readonly front: string;
  readonly back: string;
  /** The disk's bytes. */
  readonly bytes = new Uint8Array(32768 * 512);
  /** Every request so far. */
  readonly seen: SeenRequest[] = [];
  /** Answers one request with a status, or null to leave it open. The default does what is asked. */
  answer: (request: SeenRequest) => number | null = (request) => this.perform(request);
  private ringMfn = 0;
  port = 0;
  reqCons = 0;
  rspProd = 0;

  constructor(readonly machine: Machine, private readonly options: RawBackendOptions = {}) {
    this.domain = new RawDomain(machine, 128);
    const { domid } = machine.domain("domU");
    this.vbd = { vdev: options.vdev ?? 51744, name: "xvdc", frontDomid: domid, backDomid: this.domain.domid };
    this.front = frontPath(this.vbd);
    this.back = backPath(this.vbd);
    this.domain.onEvents = () => this.serve();
  }

  // ---- the handshake

  /** Both directories; the front end answers with its rings. */
  create(): void {
    const { xenstore } = this.machine;
    createVbd(xenstore, this.vbd, parseDiskSpec("raw.img,raw,xvdc,w"), "raw.img");
    if (this.options.trusted === false) xenstore.write(`${this.front}/trusted`, "0");
    for (const [key, value] of Object.entries({ ...NODES, ...this.options.nodes })) {
      if (value !== null) xenstore.write(`${this.back}/${key}`, value);
    }
    this.setState(2);
    this.waitForFront(3);
  }

  /** Maps the ring and binds the event channel. */
  attach(): void {
    const { xenstore } = this.machine;
    const ref = Number(xenstore.read(`${this.front}/ring-ref`));
    const mapped = this.domain.mapGrant(this.vbd.frontDomid, ref, RING_ADDRESS);
    if (typeof mapped === "number") throw new Error(`the ring cannot be mapped: ${mapped}`);
    this.ringMfn = mapped.mfn;
    const port = Number(xenstore.read(`${this.front}/event-channel`));
    this.port = this.domain.bindInterdomain(this.vbd.frontDomid, port);
  }

  connect(): this {
    this.create();
    this.attach();
    this.setState(4);
    this.waitForFront(4);
    this.machine.advance(20e6);
    return this;
  }

  setState(state: number): void {
    this.machine.xenstore.write(`${this.back}/state`, String(state));
  }

  frontState(): number {
    return readState(this.machine.xenstore, this.front);
  }

  waitForFront(state: number): void {
    if (this.machine.runWhile(() => this.frontState() !== state, LIMIT_NS)) return;
    const log = this.machine.log("domU").slice(-8);
    throw new Error(`the front end is in state ${this.frontState()}:\n${log.map(({ text }) => text).join("\n")}`);
  }

  /** Detaches as the toolstack does, playing the back end's part. */
  detach(): void {
    requestDetach(this.machine.xenstore, this.vbd);
    this.waitForFront(6);
    this.setState(6);
    this.remove();
  }

  /** Both directories go. */
  remove(): void {
    removeVbd(this.machine.xenstore, this.vbd);
    this.machine.advance(100e6);
  }

  // ---- the ring

  ring(): Uint32Array {
    return this.domain.frame(this.ringMfn);
  }

  private slot(index: number): number {
    return (SRING_SIZE >> 2) + SLOT_WORDS * (index & (SLOTS - 1));
  }

  /** Takes and answers what is on the ring. In a slice of ours. */
  serve(): void {
    if (this.ringMfn === 0) return;
    while (this.reqCons !== this.ring()[SRING_REQ_PROD_WORD]) {
      const request = this.take(this.reqCons);
      this.reqCons = (this.reqCons + 1) >>> 0;
      this.ring()[SRING_REQ_EVENT_WORD] = this.reqCons + 1;
      this.seen.push(request);
      const status = this.answer(request);
      if (status !== null) this.respond(request.id, request.meaning, status);
    }
  }

  private take(index: number): SeenRequest {
    const ring = this.ring();
    const words = ring.slice(this.slot(index), this.slot(index) + SLOT_WORDS);
    const operation = words[0] & 0xff;
    const byte1 = (words[0] >>> 8) & 0xff;
    const indirect = operation === 6;
    const count = indirect ? words[0] >>> 16 : operation === 5 ? 0 : byte1;
    const indirectGrefs = indirect ? [...words.subarray(7, 7 + Math.ceil(count / 512))] : [];
    const table = indirect ? this.copyIn(indirectGrefs[0]) : words.subarray(6);
    const segments = Array.from({ length: count }, (_, i) => {
      const sects = table[2 * i + 1];
      return [table[2 * i], sects & 0xff, (sects >>> 8) & 0xff] as const;
    });
    const u64 = (at: number) => BigInt(words[at]) + (BigInt(words[at + 1]) << 32n);
    const meaning = indirect ? byte1 : operation;
    const discard = operation === 5;
    return {
      operation,
      meaning,
      id: u64(2),
      sector: u64(4),
      segments,
      indirectGrefs,
      nr_sectors: discard ? u64(6) : 0n,
      flag: discard ? byte1 : 0,
    };
  }

  /** A copy of a granted page. */
  private copyIn(gref: number): Uint32Array {
    return this.withPage(gref, (frame) => frame.slice());
  }

  private withPage<T>(gref: number, use: (frame: Uint32Array) => T): T {
    const mapped = this.domain.mapGrant(this.vbd.frontDomid, gref, DATA_ADDRESS);
    if (typeof mapped === "number") throw new Error(`grant ${gref} cannot be mapped: ${mapped}`);
    const result = use(this.domain.frame(mapped.mfn));
    this.domain.unmapGrant(mapped.handle, DATA_ADDRESS);
    return result;
  }

  /** Maps a page and keeps it. */
  keep(gref: number): void {
    this.domain.mapGrant(this.vbd.frontDomid, gref, DATA_ADDRESS + 0x1000);
  }

  /** All bytes of a granted page, the parts too that the request does not name. */
  peek(gref: number): Uint8Array {
    const words = this.copyIn(gref);
    return new Uint8Array(words.buffer, words.byteOffset, 4096);
  }

  /** Does what a request asks for. */
  perform(request: SeenRequest): number {
    let at = Number(request.sector) * 512;
    for (const [gref, first, last] of request.segments) {
      const length = (last - first + 1) * 512;
      this.withPage(gref, (frame) => {
        const data = new Uint8Array(frame.buffer, frame.byteOffset + first * 512, length);
        if (request.meaning === 0) data.set(this.bytes.subarray(at, at + length));
        else this.bytes.set(data, at);
      });
      at += length;
    }
    return 0;
  }

  /** Puts a response on the ring and tells the front end if it wants to know. From inside or outside of a slice. */
  respond(id: bigint, operation: number, status: number): void {
    const ring = this.ring();
    const at = this.slot(this.rspProd);
    ring[at] = Number(id & 0xffffffffn);
    ring[at + 1] = Number(id >> 32n);
    ring[at + 2] = operation | ((status & 0xffff) << 16);
    this.publish((this.rspProd + 1) >>> 0);
  }

  /** Stores any producer index. */
  publish(rspProd: number): void {
    const old = this.rspProd;
    this.rspProd = rspProd;
    this.ring()[SRING_RSP_PROD_WORD] = rspProd;
    const event = this.ring()[SRING_RSP_EVENT_WORD];
    if ((rspProd - event) >>> 0 < (rspProd - old) >>> 0) this.domain.send(this.port);
  }
}
