/**
 * xenconsoled: the host's end of each domain's console ring page.
 *
 *   guest:  out[2048] -- out_prod --> service() -> the host's log or terminal      out_cons (we write)
 *   host:   type() -> pending -> in[1024]  -- in_prod --> guest                    in_cons (the guest writes)
 *
 * The guest can write every byte of the page. Its two indices are read once per call and checked; ours are kept here and only published. An
 * impossible index parks the console: it is not looked at again.
 */
import { EINVAL } from "../../abi/errno";
import {
  MASK_XENCONS_IDX,
  XENCONS_IN_SIZE,
  XENCONS_INTERFACE_IN,
  XENCONS_INTERFACE_IN_CONS,
  XENCONS_INTERFACE_IN_PROD,
  XENCONS_INTERFACE_OUT,
  XENCONS_INTERFACE_OUT_CONS,
  XENCONS_INTERFACE_OUT_PROD,
  XENCONS_OUT_SIZE,
} from "../../abi/io/console";

const FRAME_SIZE = 4096;
const NOTHING = new Uint8Array(0);

/** What xenconsoled needs of the machine. */
export interface XenConsoledEnv {
  /** The machine's memory: bytes of frame `mfn` from `base + mfn * 4096` on. Asked for afresh at every call. */
  memory(): { u8: Uint8Array; u32: Uint32Array; base: number };
  /** Raises the console event channel of the domain. Must not call back. */
  notify(domid: number): void;
}

/** One domain's console. */
export interface ConsoleState {
  readonly mfn: number;
  outCons: number;
  inProd: number;
  parked: boolean;
  /** Typed, and not in the ring yet. */
  pending: Uint8Array;
}

/** Everything that there is to save; plain data. */
export interface XenConsoledState {
  readonly consoles: Map<number, ConsoleState>;
}

/** No consoles. */
export function createXenConsoledState(): XenConsoledState {
  return { consoles: new Map() };
}

export class XenConsoled {
  constructor(private readonly env: XenConsoledEnv, private current: XenConsoledState = createXenConsoledState()) {}

  /** Everything that there is to save. */
  get state(): XenConsoledState {
    return this.current;
  }

  /** Goes on from another state. */
  restore(state: XenConsoledState): void {
    this.current = state;
  }

  /** Connects the console page in frame `mfn`. Returns 0, or -EINVAL if there is no such frame. */
  introduce(domid: number, mfn: number): number {
    const { u8, base } = this.env.memory();
    if (!Number.isInteger(mfn) || mfn < 0 || base + (mfn + 1) * FRAME_SIZE > u8.length) return -EINVAL;
    const console: ConsoleState = { mfn, outCons: 0, inProd: 0, parked: false, pending: NOTHING };
    console.outCons = this.word(console, XENCONS_INTERFACE_OUT_CONS);
    console.inProd = this.word(console, XENCONS_INTERFACE_IN_PROD);
    this.state.consoles.set(domid, console);
    return 0;
  }

  /** Forgets a domain's console. */
  release(domid: number): void {
    this.state.consoles.delete(domid);
  }

  /** Whether the domain's console was parked because of an impossible index. */
  isParked(domid: number): boolean {
    return this.state.consoles.get(domid)?.parked ?? false;
  }

  /**
   * The domain has rung: hands on what waits to be typed, and takes what it has printed, at most XENCONS_OUT_SIZE bytes; empty for a domain
   * without a console.
   */
  service(domid: number): Uint8Array {
    const console = this.state.consoles.get(domid);
    if (console === undefined || console.parked) return NOTHING;
    if (console.pending.length > 0) this.type(domid, NOTHING);
    return this.takeOutput(domid, console);
  }

  /** Types bytes; those that the ring has no room for follow as the guest takes what is there. Lost on a domain without a console. */
  type(domid: number, bytes: Uint8Array): void {
    const console = this.state.consoles.get(domid);
    if (console === undefined || console.parked) return;
    const all = console.pending.length === 0 ? bytes : Uint8Array.from([...console.pending, ...bytes]);
    console.pending = all.slice(this.input(domid, all));
  }

  /** How many bytes wait to be typed. */
  pendingInput(domid: number): number {
    return this.state.consoles.get(domid)?.pending.length ?? 0;
  }

  private takeOutput(domid: number, console: ConsoleState): Uint8Array {
    const count = (this.word(console, XENCONS_INTERFACE_OUT_PROD) - console.outCons) >>> 0;
    if (count > XENCONS_OUT_SIZE) return this.park(console);
    const { u8, base } = this.env.memory();
    const ring = base + console.mfn * FRAME_SIZE + XENCONS_INTERFACE_OUT;
    const bytes = new Uint8Array(count);
    for (let i = 0; i < count; i++) bytes[i] = u8[ring + MASK_XENCONS_IDX(console.outCons + i, XENCONS_OUT_SIZE)];
    if (count === 0) return bytes;
    console.outCons = (console.outCons + count) >>> 0;
    this.setWord(console, XENCONS_INTERFACE_OUT_CONS, console.outCons);
    this.env.notify(domid);
    return bytes;
  }

  /** Types the bytes, as far as there is room. Returns how many were taken; 0 for a domain without a console. */
  input(domid: number, bytes: Uint8Array): number {
    const console = this.state.consoles.get(domid);
    if (console === undefined || console.parked) return 0;
    const unread = (console.inProd - this.word(console, XENCONS_INTERFACE_IN_CONS)) >>> 0;
    if (unread > XENCONS_IN_SIZE) return this.park(console).length;
    const count = Math.min(XENCONS_IN_SIZE - unread, bytes.length);
    if (count === 0) return 0;
    const { u8, base } = this.env.memory();
    const ring = base + console.mfn * FRAME_SIZE + XENCONS_INTERFACE_IN;
    for (let i = 0; i < count; i++) u8[ring + MASK_XENCONS_IDX(console.inProd + i, XENCONS_IN_SIZE)] = bytes[i];
    console.inProd = (console.inProd + count) >>> 0;
    this.setWord(console, XENCONS_INTERFACE_IN_PROD, console.inProd);
    this.env.notify(domid);
    return count;
  }

  private park(console: ConsoleState): Uint8Array {
    console.parked = true;
    console.pending = NOTHING;
    return NOTHING;
  }

  private word(console: ConsoleState, offset: number): number {
    const { u32, base } = this.env.memory();
    return u32[(base + console.mfn * FRAME_SIZE + offset) >>> 2];
  }

  private setWord(console: ConsoleState, offset: number, value: number): void {
    const { u32, base } = this.env.memory();
    u32[(base + console.mfn * FRAME_SIZE + offset) >>> 2] = value;
  }
}
