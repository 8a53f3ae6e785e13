/**
 * A machine of one domain and no hypervisor: memory, and just enough answers to hypercalls for the drivers of `drivers/xen` to be looked at one
 * by one. Everything that goes over the boundary is recorded.
 *
 *   frames 0..99      belong to others; a test puts contents there and names them in `foreignGrants`
 *   frames 100..      own RAM: 0 start_info, 1 shared_info, 2 xenstore ring, 3 console ring, 4..35 grant table, then free
 */
import {
  CONTROL_VCPU_COUNT,
  CONTROL_VCPU_DOUBLES,
  CONTROL_SLICE_END,
  CONTROL_VCPUS_MAX,
} from "../../../hal/abi/control";
import * as evtchn from "../../../hal/abi/event_channel";
import * as gnttab from "../../../hal/abi/grant_table";
import type { Hal } from "../../../hal/abi/hal";
import { SCHEDOP_shutdown } from "../../../hal/abi/sched";
import * as xen from "../../../hal/abi/xen";

export const MFN_BASE = 100;
export const NR_PAGES = 512;
const STORE_PORT = 1;
const CONSOLE_PORT = 2;

export interface FakeXen {
  readonly hal: Hal;
  /** Words of any frame. */
  frame(mfn: number): Uint32Array;
  /** Words of own page `pfn`. */
  page(pfn: number): Uint32Array;
  bytes(pfn: number): Uint8Array;
  /** What a map of a reference answers: a frame, or a negative GNTST_*. */
  readonly foreignGrants: Map<number, number>;
  /** Hypercalls as [op, cmd, first argument word]. */
  readonly calls: [number, number, number][];
  /** Ports that were sent to. */
  readonly sent: number[];
  /** Ports that were closed. */
  readonly closed: number[];
  /** vCPU of each port that was moved. */
  readonly boundVcpu: Map<number, number>;
  /** Called at every EVTCHNOP_send. */
  onSend: ((port: number) => void) | null;
  /** Sets a port pending, as the hypervisor does. */
  raise(port: number, vcpu?: number): void;
  isMasked(port: number): boolean;
  isPending(port: number): boolean;
  grantFramesMax: number;
  setTime(ns: number): void;
  /** Lines of the kernel log. */
  readonly log: string[];
  /** What the one-shot timer of vCPU 0 is set to, nanoseconds; Infinity when it is off. */
  timer: number;
  /** Port of each virtual interrupt of vCPU 0. */
  readonly virqPorts: Map<number, number>;
  /** Reasons of SCHEDOP_shutdown. */
  readonly shutdowns: number[];
}

/** Makes the machine. */
export function makeFakeXen(vcpus = 1, domid = 1): FakeXen {
  const memory = new ArrayBuffer((MFN_BASE + NR_PAGES) * 4096);
  const control = new Uint32Array(1024);
  const clock = new Float64Array(control.buffer);
  control[CONTROL_VCPU_COUNT] = vcpus;
  for (let v = 0; v < CONTROL_VCPUS_MAX; v++) clock[v * CONTROL_VCPU_DOUBLES + CONTROL_SLICE_END] = Infinity;
  const frame = (mfn: number): Uint32Array => new Uint32Array(memory, mfn * 4096, 1024);
  const page = (pfn: number): Uint32Array => frame(MFN_BASE + pfn);
  const ram = new Uint32Array(memory, MFN_BASE * 4096);
  const shared = page(1);
  let nextPort = 8;
  let nextHandle = 0;

  const fake: FakeXen = {
    hal: {
      domid,
      control,
      clock,
      mfn_base: MFN_BASE,
      nr_pages: NR_PAGES,
      page,
      frame,
      hypercall,
      load: () => null,
      manifest: () => null,
      list: () => [],
    },
    frame,
    page,
    bytes: (pfn) => new Uint8Array(memory, (MFN_BASE + pfn) * 4096, 4096),
    foreignGrants: new Map(),
    calls: [],
    sent: [],
    closed: [],
    boundVcpu: new Map(),
    onSend: null,
    raise,
    isMasked: (port) => (shared[xen.SHARED_INFO_EVTCHN_MASK / 4 + (port >>> 5)] & (1 << (port & 31))) !== 0,
    isPending: (port) => (shared[xen.SHARED_INFO_EVTCHN_PENDING / 4 + (port >>> 5)] & (1 << (port & 31))) !== 0,
    grantFramesMax: 32,
    setTime: (ns) => {
      for (let v = 0; v < CONTROL_VCPUS_MAX; v++) clock[v * CONTROL_VCPU_DOUBLES] = ns;
    },
    log: [],
    timer: Infinity,
    virqPorts: new Map(),
    shutdowns: [],
  };
  startInfo();
  return fake;

  function startInfo(): void {
    const info = page(0);
    info[xen.START_INFO_NR_PAGES / 4] = NR_PAGES;
    info[xen.START_INFO_STORE_MFN / 4] = MFN_BASE + 2;
    info[xen.START_INFO_STORE_EVTCHN / 4] = STORE_PORT;
    info[xen.START_INFO_CONSOLE_DOMU_MFN / 4] = MFN_BASE + 3;
    info[xen.START_INFO_CONSOLE_DOMU_EVTCHN / 4] = CONSOLE_PORT;
  }

  function raise(port: number, vcpu = fake.boundVcpu.get(port) ?? 0): void {
    const bit = 1 << (port & 31);
    const pending = xen.SHARED_INFO_EVTCHN_PENDING / 4 + (port >>> 5);
    if ((shared[pending] & bit) !== 0) return;
    shared[pending] |= bit;
    if (fake.isMasked(port)) return;
    deliver(port, vcpu);
  }

  function deliver(port: number, vcpu: number): void {
    const info = (xen.SHARED_INFO_VCPU_INFO + vcpu * xen.VCPU_INFO_SIZE) / 4;
    const group = port >>> 6;
    shared[info + xen.VCPU_INFO_EVTCHN_PENDING_SEL / 4 + (group >>> 5)] |= 1 << (group & 31);
    shared[info] |= 1;
  }

  function hypercall(op: number, cmd: number, a1: number, a2: number): number {
    if (op === xen.__HYPERVISOR_grant_table_op) return grantTableOp(cmd, a1, a2);
    if (op === xen.__HYPERVISOR_event_channel_op) {
      fake.calls.push([op, cmd, ram[a1 / 4]]);
      return eventChannelOp(cmd, a1 / 4);
    }
    if (op === xen.__HYPERVISOR_console_io) print(cmd === xen.CONSOLEIO_write ? a1 : 0, a2);
    if (op === xen.__HYPERVISOR_set_timer_op) setTimer((a1 >>> 0) * 4294967296 + (cmd >>> 0));
    if (op === xen.__HYPERVISOR_sched_op && cmd === SCHEDOP_shutdown) shutdown(ram[a1 / 4]);
    return 0;
  }

  function print(length: number, paddr: number): void {
    const text = Buffer.from(memory, MFN_BASE * 4096 + paddr, length).toString("latin1");
    fake.log.push(...text.split("\n").filter((line) => line !== "" && !line.startsWith("<s>")));
  }

  /** The domain is not entered again: its slice is over. */
  function shutdown(reason: number): void {
    fake.shutdowns.push(reason);
    for (let v = 0; v < CONTROL_VCPUS_MAX; v++) clock[v * CONTROL_VCPU_DOUBLES + CONTROL_SLICE_END] = 0;
  }

  function setTimer(ns: number): void {
    fake.timer = ns === 0 ? Infinity : ns;
  }

  function grantTableOp(cmd: number, paddr: number, count: number): number {
    fake.calls.push([xen.__HYPERVISOR_grant_table_op, cmd, count]);
    for (let i = 0; i < count; i++) {
      const at = paddr / 4;
      if (cmd === gnttab.GNTTABOP_query_size) querySize(at);
      else if (cmd === gnttab.GNTTABOP_setup_table) setupTable(at);
      else if (cmd === gnttab.GNTTABOP_map_grant_ref) mapGrant(at + (i * gnttab.GNTTAB_MAP_GRANT_REF_SIZE) / 4);
      else if (cmd === gnttab.GNTTABOP_unmap_grant_ref) unmapGrant(at + (i * gnttab.GNTTAB_UNMAP_GRANT_REF_SIZE) / 4);
    }
    return 0;
  }

  function querySize(at: number): void {
    ram[at + 1] = 1;
    ram[at + 2] = fake.grantFramesMax;
    ram[at + 3] = 0;
  }

  function setupTable(at: number): void {
    const count = ram[at + 1];
    if (count > fake.grantFramesMax) {
      ram[at + 2] = gnttab.GNTST_general_error;
      return;
    }
    ram[at + 2] = 0;
    for (let i = 0; i < count; i++) ram[ram[at + 4] / 4 + i * 2] = MFN_BASE + 4 + i;
  }

  function mapGrant(at: number): void {
    const answer = fake.foreignGrants.get(ram[at + 3]) ?? gnttab.GNTST_bad_gntref;
    const status = answer < 0 ? answer : 0;
    ram[at + 4] = (ram[at + 4] & 0xffff) | (status << 16);
    if (status !== 0) return;
    ram[at + 5] = nextHandle++;
    ram[at + 6] = answer << 12;
    ram[at + 7] = 0;
  }

  function unmapGrant(at: number): void {
    ram[at + 5] = 0;
  }

  function eventChannelOp(cmd: number, at: number): number {
    if (cmd === evtchn.EVTCHNOP_send) {
      fake.sent.push(ram[at]);
      fake.onSend?.(ram[at]);
    } else if (cmd === evtchn.EVTCHNOP_close) {
      fake.closed.push(ram[at]);
    } else if (cmd === evtchn.EVTCHNOP_unmask) {
      shared[xen.SHARED_INFO_EVTCHN_MASK / 4 + (ram[at] >>> 5)] &= ~(1 << (ram[at] & 31));
      if (fake.isPending(ram[at])) deliver(ram[at], fake.boundVcpu.get(ram[at]) ?? 0);
    } else if (cmd === evtchn.EVTCHNOP_bind_vcpu) {
      fake.boundVcpu.set(ram[at], ram[at + 1]);
    } else {
      if (cmd === evtchn.EVTCHNOP_bind_virq && ram[at + 1] === 0) fake.virqPorts.set(ram[at], nextPort);
      ram[at + outWord(cmd)] = nextPort++;
    }
    return 0;
  }

  /** Word of the new port in the argument of the operations that make one. */
  function outWord(cmd: number): number {
    return cmd === evtchn.EVTCHNOP_bind_interdomain || cmd === evtchn.EVTCHNOP_bind_virq ? 2 : 1;
  }
}
