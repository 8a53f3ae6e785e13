/** A front end that a test plays: it writes any bytes on the ring and any values into xenstore. */
import {
  SRING_REQ_EVENT_WORD,
  SRING_REQ_PROD_WORD,
  SRING_RSP_EVENT_WORD,
  SRING_RSP_PROD_WORD,
  SRING_SIZE,
} from "../../../hal/abi/io/ring";
import type { HostDisk } from "../../../hal/host/disks/disk";
import type { Machine } from "../../../hal/host/machine";
import { parseDiskSpec } from "../../../hal/host/toolstack/disk-spec";
import {
  type Vbd,
  backPath,
  createVbd,
  frontPath,
  hostdiskDevice,
  hotplugConnect,
  readState,
} from "../../../hal/host/toolstack/vbd";
import { RAW_FREE_PFN, RawDomain } from "./raw-domain";

/** Virtual time that anything may take, ns. */
const LIMIT_NS = 5e9;
export const RING_REF = 8;
/** Pages: 16 for rings, then data. */
const RING_PFN = RAW_FREE_PFN;
export const DATA_PFN = RAW_FREE_PFN + 16;

export interface RawResponse {
  readonly id: bigint;
  readonly operation: number;
  readonly status: number;
  /** All bytes of the response, padding too. */
  readonly raw: Uint8Array;
}

export interface RawFrontendOptions {
  readonly disk: HostDisk;
  readonly access?: "r" | "w";
  readonly protocol?: "x86_32-abi" | "x86_64-abi";
  /** log2 of the ring's pages; without it the node is not written. */
  readonly order?: number;
}

export class RawFrontend {
  readonly domain: RawDomain;
  readonly vbd: Vbd;
  readonly diskIndex: number;
  readonly front: string;
  readonly back: string;
  readonly slotSize: number;
  readonly slots: number;
  readonly pages: number;
  port = 0;
  private produced = 0;
  private consumed = 0;

  constructor(readonly machine: Machine, readonly options: RawFrontendOptions, domain?: RawDomain) {
    this.domain = domain ?? new RawDomain(machine, 640);
    this.vbd = { vdev: 51728, name: "xvdb", frontDomid: this.domain.domid, backDomid: 0 };
    this.front = frontPath(this.vbd);
    this.back = backPath(this.vbd);
    this.slotSize = options.protocol === "x86_32-abi" ? 108 : 112;
    this.pages = 1 << (options.order ?? 0);
    this.slots = 32 * this.pages;
    this.diskIndex = machine.hypervisor.addDisk(options.disk);
  }

  // ---- the handshake

  /** Both directories, and everything up to the back end's InitWait and the open device. */
  create(): void {
    const spec = parseDiskSpec(`raw.img,raw,xvdb,${this.options.access ?? "w"}`);
    createVbd(this.machine.xenstore, this.vbd, spec, "raw.img");
    // libxl writes it for old front ends; ours says what it wants.
    this.machine.xenstore.rm(`${this.front}/protocol`);
    this.waitForBack(2);
    this.machine.advance(5e6);
    hotplugConnect(this.machine.xenstore, this.vbd, hostdiskDevice(this.diskIndex));
    this.machine.advance(5e6);
  }

  write(key: string, value: string | number): void {
    this.machine.xenstore.write(`${this.front}/${key}`, String(value));
  }

  /** Initialises the ring, grants it and makes a port. */
  makeRing(): void {
    const ring = this.domain.bytes(RING_PFN, this.pages);
    ring.fill(0);
    const words = this.ring();
    words[SRING_REQ_EVENT_WORD] = 1;
    words[SRING_RSP_EVENT_WORD] = 1;
    for (let i = 0; i < this.pages; i++) this.domain.grant(this.ringRef(i), 0, RING_PFN + i);
    this.port = this.domain.allocUnbound(0);
    this.produced = 0;
    this.consumed = 0;
  }

  /** Beyond the data references, which tests count from 9. */
  ringRef(i: number): number {
    return i === 0 ? RING_REF : 900 + i;
  }

  /** The nodes of a well-behaved front end. */
  writeNodes(): void {
    const { order } = this.options;
    if (order === undefined) this.write("ring-ref", this.ringRef(0));
    else {
      this.write("ring-page-order", order);
      for (let i = 0; i < this.pages; i++) this.write(`ring-ref${i}`, this.ringRef(i));
    }
    this.write("event-channel", this.port);
    this.write("protocol", this.options.protocol ?? "x86_64-abi");
    this.write("feature-persistent", 0);
  }

  setState(state: number): void {
    this.write("state", state);
  }

  /** create, makeRing, writeNodes, Initialised, and waits for Connected. */
  connect(): this {
    this.create();
    this.makeRing();
    this.writeNodes();
    this.setState(3);
    this.waitForBack(4);
    this.setState(4);
    this.machine.advance(1e6);
    return this;
  }

  backState(): number {
    return readState(this.machine.xenstore, this.back);
  }

  waitForBack(state: number): void {
    if (this.machine.runWhile(() => this.backState() !== state, LIMIT_NS)) return;
    throw new Error(`the back end is in state ${this.backState()}, not ${state}; dom0 says:\n${this.lastWords()}`);
  }

  private lastWords(): string {
    const log = this.machine.log("dom0").slice(-8);
    return log.map(({ text }) => text).join("\n");
  }

  /** What the back end wrote into its error node last. */
  error(): string | null {
    return this.machine.xenstore.read(`/local/domain/0/error/backend/vbd/${this.domain.domid}/51728/error`);
  }

  /** Closes, and waits until the back end has let go. */
  close(): void {
    this.machine.xenstore.write(`${this.back}/online`, "0");
    this.setState(6);
    this.waitForBack(6);
    this.machine.advance(50e6);
  }

  /** Pretends that the ring has been in use: both ends' indices begin at `index`. */
  startAt(index: number): void {
    const words = this.ring();
    words[SRING_REQ_PROD_WORD] = index;
    words[SRING_RSP_PROD_WORD] = index;
    words[SRING_REQ_EVENT_WORD] = index + 1;
    words[SRING_RSP_EVENT_WORD] = index + 1;
    this.produced = index;
    this.consumed = index;
  }

  // ---- the ring

  ring(): Uint32Array {
    return this.domain.words(RING_PFN, this.pages);
  }

  ringBytes(): Uint8Array {
    return this.domain.bytes(RING_PFN, this.pages);
  }

  reqEvent(): number {
    return this.ring()[SRING_REQ_EVENT_WORD];
  }

  rspProd(): number {
    return this.ring()[SRING_RSP_PROD_WORD];
  }

  reqProd(): number {
    return this.produced;
  }

  setRspEvent(ahead: number): void {
    this.ring()[SRING_RSP_EVENT_WORD] = this.consumed + ahead;
  }

  /** Offset of slot `index` in the ring's bytes. */
  slot(index: number): number {
    return SRING_SIZE + this.slotSize * (index & (this.slots - 1));
  }

  /** Puts requests, given in the 64-bit layout, on the ring and publishes them together. True when the back end wants to be told. */
  put(...requests: Uint8Array[]): boolean {
    const old = this.produced;
    for (const request of requests) {
      const bytes = this.slotSize === 108 ? toX86_32(request) : request;
      this.ringBytes().set(bytes.subarray(0, this.slotSize), this.slot(this.produced));
      this.produced = (this.produced + 1) >>> 0;
    }
    this.ring()[SRING_REQ_PROD_WORD] = this.produced;
    return (this.produced - this.reqEvent()) >>> 0 < (this.produced - old) >>> 0;
  }

  /** Stores any producer index. */
  setReqProd(value: number): void {
    this.ring()[SRING_REQ_PROD_WORD] = value;
  }

  kick(): void {
    this.domain.send(this.port);
  }

  /** Puts requests, tells the back end when it asked for that, and waits until all are answered. */
  submit(...requests: Uint8Array[]): RawResponse[] {
    if (this.put(...requests)) this.kick();
    return this.collect(requests.length);
  }

  /** Waits for `count` responses and takes them. */
  collect(count: number): RawResponse[] {
    const pending = () => (this.rspProd() - this.consumed) >>> 0 < count;
    if (!this.machine.runWhile(pending, LIMIT_NS)) {
      const came = (this.rspProd() - this.consumed) >>> 0;
      throw new Error(`${came} of ${count} responses came; dom0 says:\n${this.lastWords()}`);
    }
    const responses: RawResponse[] = [];
    while (responses.length < count) responses.push(this.take());
    this.ring()[SRING_RSP_EVENT_WORD] = this.consumed + 1;
    return responses;
  }

  private take(): RawResponse {
    const at = this.slot(this.consumed);
    this.consumed = (this.consumed + 1) >>> 0;
    const raw = this.ringBytes().slice(at, at + (this.slotSize === 108 ? 12 : 16));
    const view = new DataView(raw.buffer);
    return { id: view.getBigUint64(0, true), operation: raw[8], status: view.getInt16(10, true), raw };
  }
}

/** The 32-bit layout of a 64-bit request: without the pad after the first word. */
export function toX86_32(request: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(108);
  bytes.set(request.subarray(0, 4), 0);
  bytes.set(request.subarray(8, 112), 4);
  return bytes;
}

/** A segment: reference, first and last sector. */
export type RawSegment = readonly [gref: number, first: number, last: number];

function request(operation: number, byte1: number, id: bigint, sector: bigint): DataView {
  const view = new DataView(new ArrayBuffer(112));
  view.setUint8(0, operation);
  view.setUint8(1, byte1);
  view.setBigUint64(8, BigInt.asUintN(64, id), true);
  view.setBigUint64(16, BigInt.asUintN(64, sector), true);
  return view;
}

/** READ, WRITE, BARRIER, FLUSH or anything else of that form; `nr_segments` may lie. */
export function rwRequest(
  operation: number,
  id: bigint,
  sector: bigint,
  segments: readonly RawSegment[],
  nr_segments = segments.length,
): Uint8Array {
  const view = request(operation, nr_segments, id, sector);
  view.setUint16(2, 51728, true);
  segments.forEach(([gref, first, last], i) => {
    if (i >= 11) return;
    view.setUint32(24 + 8 * i, gref, true);
    view.setUint8(28 + 8 * i, first);
    view.setUint8(29 + 8 * i, last);
  });
  return new Uint8Array(view.buffer);
}

export function discardRequest(id: bigint, sector: bigint, sectors: bigint, flag = 0): Uint8Array {
  const view = request(5, flag, id, sector);
  view.setBigUint64(24, BigInt.asUintN(64, sectors), true);
  return new Uint8Array(view.buffer);
}

export function indirectRequest(
  indirectOp: number,
  id: bigint,
  sector: bigint,
  nr_segments: number,
  grefs: readonly number[],
): Uint8Array {
  const view = request(6, indirectOp, id, sector);
  view.setUint16(2, nr_segments, true);
  view.setUint16(24, 51728, true);
  grefs.forEach((gref, i) => view.setUint32(28 + 4 * i, gref, true));
  return new Uint8Array(view.buffer);
}
