/**
 * A domain without a kernel: a test plays its part from the host. It owns RAM, writes its grant table byte by byte, has event channels, and
 * counts the events that reach it. For peers that do what no driver of ours would.
 */
import { CONTROL_RAN, CONTROL_RAN_BLOCKED } from "../../../hal/abi/control";
import {
  EVTCHNOP_alloc_unbound,
  EVTCHNOP_bind_interdomain,
  EVTCHNOP_send,
  EVTCHN_ALLOC_UNBOUND_DOM,
  EVTCHN_ALLOC_UNBOUND_PORT,
  EVTCHN_ALLOC_UNBOUND_REMOTE_DOM,
  EVTCHN_BIND_INTERDOMAIN_LOCAL_PORT,
  EVTCHN_BIND_INTERDOMAIN_REMOTE_DOM,
  EVTCHN_BIND_INTERDOMAIN_REMOTE_PORT,
} from "../../../hal/abi/event_channel";
import {
  GNTTABOP_map_grant_ref,
  GNTTABOP_setup_table,
  GNTTABOP_unmap_grant_ref,
  GNTTAB_MAP_GRANT_REF_DEV_BUS_ADDR,
  GNTTAB_MAP_GRANT_REF_DOM,
  GNTTAB_MAP_GRANT_REF_FLAGS,
  GNTTAB_MAP_GRANT_REF_HANDLE,
  GNTTAB_MAP_GRANT_REF_HOST_ADDR,
  GNTTAB_MAP_GRANT_REF_REF,
  GNTTAB_MAP_GRANT_REF_STATUS,
  GNTTAB_SETUP_TABLE_DOM,
  GNTTAB_SETUP_TABLE_FRAME_LIST,
  GNTTAB_SETUP_TABLE_NR_FRAMES,
  GNTTAB_UNMAP_GRANT_REF_HANDLE,
  GNTTAB_UNMAP_GRANT_REF_HOST_ADDR,
  GTF_permit_access,
  GTF_readonly,
} from "../../../hal/abi/grant_table";
import {
  DOMID_SELF,
  SHARED_INFO_EVTCHN_PENDING,
  VCPU_INFO_EVTCHN_PENDING_SEL,
  VCPU_INFO_EVTCHN_UPCALL_PENDING,
  __HYPERVISOR_event_channel_op,
  __HYPERVISOR_grant_table_op,
} from "../../../hal/abi/xen";
import { FREE_PFN, GRANT_TABLE_PFN, SHARED_INFO_PFN } from "../../../hal/host/hypervisor/domain-layout";
import type { GuestDomain } from "../../../hal/host/hypervisor/guest-domain";
import type { DomainState } from "../../../hal/host/hypervisor/state";
import type { Machine } from "../../../hal/host/machine";

const HOST_MAP = 2;
/** Where hypercall arguments are put, and the first page for the test's own use. */
const SCRATCH_PFN = FREE_PFN;
export const RAW_FREE_PFN = FREE_PFN + 1;

export class RawDomain implements GuestDomain {
  readonly domid: number;
  readonly pageCount: number;
  /** Events taken, by port. */
  readonly events = new Map<number, number>();
  private readonly state: DomainState;
  /** What the next slice does. */
  private readonly actions: (() => void)[] = [];
  private running = false;
  /** What it does about events, inside of its slice. */
  onEvents: (() => void) | null = null;

  constructor(readonly machine: Machine, pages: number) {
    const { hypervisor } = machine;
    const config = { name: "raw", pages, vcpus: 1, commandLine: "", privileged: false };
    this.state = hypervisor.createDomain(config);
    this.domid = this.state.domid;
    this.pageCount = pages;
    hypervisor.attach(this.domid, this);
    const home = `/local/domain/${this.domid}`;
    machine.xenstore.mkdir(home);
    machine.xenstore.setPerms(home, ["n0", `r${this.domid}`]);
    this.setUpGrantTable(2);
    // The builder's grants of the console and xenstore pages: nobody here needs them, and recordings have no such grants.
    this.revoke(0);
    this.revoke(1);
  }

  // ---- the engine's part

  start(): void {
    // There is nothing to start.
  }

  /** Takes every pending event, does what it was asked to, and goes back to sleep. */
  enter(): void {
    this.running = true;
    for (const action of this.actions.splice(0)) action();
    this.takeEvents();
    this.onEvents?.();
    this.running = false;
    this.machine.hypervisor.context.memory.u32[this.state.vcpus[0].controlIndex + CONTROL_RAN] = CONTROL_RAN_BLOCKED;
  }

  private takeEvents(): void {
    const shared = this.words(SHARED_INFO_PFN);
    const bytes = this.bytes(SHARED_INFO_PFN);
    bytes[VCPU_INFO_EVTCHN_UPCALL_PENDING] = 0;
    shared[VCPU_INFO_EVTCHN_PENDING_SEL >> 2] = 0;
    shared[(VCPU_INFO_EVTCHN_PENDING_SEL >> 2) + 1] = 0;
    for (let word = 0; word < 128; word++) {
      const at = (SHARED_INFO_EVTCHN_PENDING >> 2) + word;
      const pending = shared[at];
      shared[at] = 0;
      for (let bit = 0; bit < 32; bit++) {
        if ((pending & (1 << bit)) === 0) continue;
        const port = word * 32 + bit;
        this.events.set(port, (this.events.get(port) ?? 0) + 1);
      }
    }
  }

  dropFrames(): void {
    // Nothing is cached.
  }

  dispose(): void {
    // The frames are the hypervisor's.
  }

  // ---- memory

  /** A page as bytes; valid until something runs. */
  bytes(pfn: number, count = 1): Uint8Array {
    return this.machine.hypervisor.pages(this.domid, pfn, count);
  }

  /** A page as words; valid until something runs. */
  words(pfn: number, count = 1): Uint32Array {
    const bytes = this.bytes(pfn, count);
    return new Uint32Array(bytes.buffer, bytes.byteOffset, count * 1024);
  }

  mfn(pfn: number): number {
    return this.state.firstFrame + pfn;
  }

  /** A frame that this domain has mapped, as words. */
  frame(mfn: number): Uint32Array {
    const { memory } = this.machine.hypervisor.context;
    return new Uint32Array(memory.u8.buffer, memory.base + mfn * 4096, 1024);
  }

  // ---- grants

  /** Grants `domid` page `pfn` under reference `ref`. */
  grant(ref: number, domid: number, pfn: number, access: "rw" | "ro" = "rw"): void {
    const table = this.words(GRANT_TABLE_PFN, 2);
    table[ref * 2 + 1] = this.mfn(pfn);
    table[ref * 2] = GTF_permit_access | (access === "ro" ? GTF_readonly : 0) | (domid << 16);
  }

  /** Flags of a grant entry. */
  grantFlags(ref: number): number {
    return this.words(GRANT_TABLE_PFN, 2)[ref * 2] & 0xffff;
  }

  /** Takes a grant back, mapped or not. */
  revoke(ref: number): void {
    this.words(GRANT_TABLE_PFN, 2)[ref * 2] = 0;
  }

  /** Maps a grant of another domain: its frame and handle, or the negative status. */
  mapGrant(domid: number, ref: number, address: number): { mfn: number; handle: number } | number {
    const op = this.scratch();
    op.setUint32(GNTTAB_MAP_GRANT_REF_HOST_ADDR, address, true);
    op.setUint32(GNTTAB_MAP_GRANT_REF_HOST_ADDR + 4, 0, true);
    op.setUint32(GNTTAB_MAP_GRANT_REF_FLAGS, HOST_MAP, true);
    op.setUint32(GNTTAB_MAP_GRANT_REF_REF, ref, true);
    op.setUint16(GNTTAB_MAP_GRANT_REF_DOM, domid, true);
    this.hypercall(__HYPERVISOR_grant_table_op, GNTTABOP_map_grant_ref, 1);
    const status = this.scratch().getInt16(GNTTAB_MAP_GRANT_REF_STATUS, true);
    if (status !== 0) return status;
    const mfn = this.scratch().getUint32(GNTTAB_MAP_GRANT_REF_DEV_BUS_ADDR, true) >>> 12;
    return { mfn, handle: this.scratch().getUint32(GNTTAB_MAP_GRANT_REF_HANDLE, true) };
  }

  unmapGrant(handle: number, address: number): void {
    const op = this.scratch();
    for (let at = 0; at < 24; at += 4) op.setUint32(at, 0, true);
    op.setUint32(GNTTAB_UNMAP_GRANT_REF_HOST_ADDR, address, true);
    op.setUint32(GNTTAB_UNMAP_GRANT_REF_HANDLE, handle, true);
    this.hypercall(__HYPERVISOR_grant_table_op, GNTTABOP_unmap_grant_ref, 1);
  }

  private setUpGrantTable(frames: number): void {
    const op = this.scratch();
    op.setUint16(GNTTAB_SETUP_TABLE_DOM, DOMID_SELF, true);
    op.setUint32(GNTTAB_SETUP_TABLE_NR_FRAMES, frames, true);
    op.setUint32(GNTTAB_SETUP_TABLE_FRAME_LIST, SCRATCH_PFN * 4096 + 512, true);
    op.setUint32(GNTTAB_SETUP_TABLE_FRAME_LIST + 4, 0, true);
    this.hypercall(__HYPERVISOR_grant_table_op, GNTTABOP_setup_table, 1);
  }

  // ---- events

  /** A port that `remote` may bind. */
  allocUnbound(remote: number): number {
    const op = this.scratch();
    op.setUint16(EVTCHN_ALLOC_UNBOUND_DOM, DOMID_SELF, true);
    op.setUint16(EVTCHN_ALLOC_UNBOUND_REMOTE_DOM, remote, true);
    this.hypercall(__HYPERVISOR_event_channel_op, EVTCHNOP_alloc_unbound);
    return this.scratch().getUint32(EVTCHN_ALLOC_UNBOUND_PORT, true);
  }

  /** Connects to a port of `remote`: our own port. */
  bindInterdomain(remote: number, port: number): number {
    const op = this.scratch();
    op.setUint16(EVTCHN_BIND_INTERDOMAIN_REMOTE_DOM, remote, true);
    op.setUint32(EVTCHN_BIND_INTERDOMAIN_REMOTE_PORT, port, true);
    this.hypercall(__HYPERVISOR_event_channel_op, EVTCHNOP_bind_interdomain);
    return this.scratch().getUint32(EVTCHN_BIND_INTERDOMAIN_LOCAL_PORT, true);
  }

  send(port: number): void {
    this.scratch().setUint32(0, port, true);
    this.hypercall(__HYPERVISOR_event_channel_op, EVTCHNOP_send);
  }

  private scratch(): DataView {
    const bytes = this.bytes(SCRATCH_PFN);
    return new DataView(bytes.buffer, bytes.byteOffset, 4096);
  }

  /** A two-argument operation on the scratch page; throws if it fails as a whole. `count` where the hypercall has one. */
  private hypercall(op: number, command: number, count = 0): void {
    const { hypervisor } = this.machine;
    let result: number | null = null;
    const call = () => {
      result = hypervisor.hypercall(this.domid, 0, op, command, SCRATCH_PFN * 4096, count);
    };
    if (this.running) call();
    else this.inSlice(call, () => result !== null);
    if (result !== 0) throw new Error(`hypercall ${op}, ${command}: ${result}`);
  }

  private inSlice(action: () => void, done: () => boolean): void {
    const { hypervisor } = this.machine;
    this.actions.push(action);
    // Only a vCPU that runs makes hypercalls: an event gets it there.
    hypervisor.notifyStore(this.domid, hypervisor.now);
    this.machine.runWhile(() => !done(), 1e9);
  }
}
