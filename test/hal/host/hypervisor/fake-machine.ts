/**
 * A machine of plain memory whose guests are functions of the test: what the hypervisor sees of an engine, without one.
 *
 * `machine.run(domid, body)` lets the body run as the domain's next slice; in it, `cpu` makes hypercalls and writes guest memory.
 */
import { CONTROL_RAN, CONTROL_RAN_BLOCKED, CONTROL_RAN_YIELDED, CONTROL_SLICE_END } from "../../../../hal/abi/control";
import { GRANT_ENTRY_V1_SIZE, GTF_permit_access, GTF_readonly } from "../../../../hal/abi/grant_table";
import {
  __HYPERVISOR_event_channel_op,
  __HYPERVISOR_grant_table_op,
  SHARED_INFO_EVTCHN_MASK,
  SHARED_INFO_EVTCHN_PENDING,
  VCPU_INFO_EVTCHN_PENDING_SEL,
  VCPU_INFO_EVTCHN_UPCALL_PENDING,
} from "../../../../hal/abi/xen";
import type { CostTable } from "../../../../hal/host/hypervisor/costs";
import { costTable } from "../../../../hal/host/hypervisor/costs";
import type { DomainConfig } from "../../../../hal/host/hypervisor/domain-builder";
import { GRANT_TABLE_PFN } from "../../../../hal/host/hypervisor/domain-layout";
import type { GuestDomain } from "../../../../hal/host/hypervisor/guest-domain";
import { Hypervisor } from "../../../../hal/host/hypervisor/hypervisor";
import type { MachineMemory } from "../../../../hal/host/hypervisor/memory";
import { createPlainMemory, FRAME_SIZE } from "../../../../hal/host/hypervisor/memory";
import type { MachineState } from "../../../../hal/host/hypervisor/state";
import { vcpuInfo, wakeVcpu } from "../../../../hal/host/hypervisor/vcpus";

export type Script = (cpu: FakeCpu) => void;

/** Own address at which tests put hypercall arguments: page 40. */
export const ARGS = 40 * FRAME_SIZE;

/** One entered vCPU, as the guest's code sees it. */
export class FakeCpu {
  constructor(readonly machine: FakeMachine, readonly domid: number, readonly vcpu: number) {}

  get domain() {
    return this.machine.hv.domain(this.domid);
  }

  get memory(): MachineMemory {
    return this.machine.memory;
  }

  private get index() {
    return this.domain.vcpus[this.vcpu];
  }

  get clock(): number {
    return this.memory.f64[this.index.clockIndex];
  }

  set clock(ns: number) {
    this.memory.f64[this.index.clockIndex] = ns;
  }

  get sliceEnd(): number {
    return this.memory.f64[this.index.clockIndex + CONTROL_SLICE_END];
  }

  /** Leaves at the end of the script with more to do. */
  yield(): void {
    this.memory.u32[this.index.controlIndex + CONTROL_RAN] = CONTROL_RAN_YIELDED;
  }

  /** Leaves at the end of the script with nothing to do. */
  block(): void {
    this.memory.u32[this.index.controlIndex + CONTROL_RAN] = CONTROL_RAN_BLOCKED;
  }

  hypercall(op: number, a0 = 0, a1 = 0, a2 = 0): number {
    return this.machine.hv.hypercall(this.domid, this.vcpu, op, a0, a1, a2);
  }

  word(address: number): number {
    this.memory.touched[this.domain.firstFrame + (address >>> 12)] = 1;
    return (this.domain.ramBase + address) >>> 2;
  }

  read32(address: number): number {
    return this.memory.u32[this.word(address)];
  }

  read16(address: number): number {
    return this.memory.u16[(this.domain.ramBase + address) >>> 1];
  }

  reads16(address: number): number {
    return (this.read16(address) << 16) >> 16;
  }

  write32(address: number, value: number): void {
    this.memory.u32[this.word(address)] = value;
  }

  write16(address: number, value: number): void {
    this.memory.u16[(this.domain.ramBase + address) >>> 1] = value;
  }

  /** Writes the words at ARGS. */
  args(...words: number[]): number {
    words.forEach((word, index) => this.write32(ARGS + index * 4, word));
    return ARGS;
  }

  /** An event_channel_op whose argument is `words`. */
  evtchn(command: number, ...words: number[]): number {
    return this.hypercall(__HYPERVISOR_event_channel_op, command, this.args(...words));
  }

  /** Publishes an entry of the own grant table over own page `pfn`. */
  grant(ref: number, domid: number, pfn: number, flags = GTF_permit_access): void {
    const entry = GRANT_TABLE_PFN * FRAME_SIZE + ref * GRANT_ENTRY_V1_SIZE;
    this.write16(entry + 2, domid);
    this.write32(entry + 4, this.domain.firstFrame + pfn);
    this.write16(entry, flags);
  }

  grantFlags(ref: number): number {
    return this.read16(GRANT_TABLE_PFN * FRAME_SIZE + ref * GRANT_ENTRY_V1_SIZE);
  }

  /** Maps one grant at the page behind own RAM numbered `slot` and returns {status, handle, frame}. */
  map(domid: number, ref: number, flags: number, slot = 0) {
    this.args(this.hostAddress(slot), 0, flags, ref, domid, 0, 0, 0);
    const result = this.hypercall(__HYPERVISOR_grant_table_op, 0, ARGS, 1);
    return {
      result,
      status: this.reads16(ARGS + 18),
      handle: this.read32(ARGS + 20),
      frame: this.read32(ARGS + 24) >>> 12,
    };
  }

  /** Unmaps a handle; addresses 0 leave that mapping alone. */
  unmap(handle: number, hostAddress: number, deviceAddress = 0): number {
    this.args(hostAddress, 0, deviceAddress, 0, handle, 0);
    this.hypercall(__HYPERVISOR_grant_table_op, 1, ARGS, 1);
    return this.reads16(ARGS + 20);
  }

  hostAddress(slot: number): number {
    return (this.domain.pageCount + slot) * FRAME_SIZE;
  }

  private info(offset: number): number {
    return (this.domain.sharedInfo + offset) >>> 2;
  }

  pending(port: number): boolean {
    return (this.memory.u32[this.info(SHARED_INFO_EVTCHN_PENDING) + (port >>> 5)] & (1 << (port & 31))) !== 0;
  }

  mask(port: number): void {
    this.memory.u32[this.info(SHARED_INFO_EVTCHN_MASK) + (port >>> 5)] |= 1 << (port & 31);
  }

  /** Does what the guest's upcall does: forgets upcall, selector and all pending bits. Returns the ports. */
  takeEvents(): number[] {
    const { u8, u32 } = this.memory;
    const info = vcpuInfo(this.domain, this.vcpu);
    u8[info + VCPU_INFO_EVTCHN_UPCALL_PENDING] = 0;
    u32.fill(0, (info + VCPU_INFO_EVTCHN_PENDING_SEL) >>> 2, ((info + VCPU_INFO_EVTCHN_PENDING_SEL) >>> 2) + 2);
    const ports: number[] = [];
    const first = this.info(SHARED_INFO_EVTCHN_PENDING);
    for (let word = 0; word < 128; word++) {
      for (let bit = 0; u32[first + word] !== 0 && bit < 32; bit++) {
        if ((u32[first + word] & (1 << bit)) !== 0) ports.push(word * 32 + bit);
      }
      u32[first + word] = 0;
    }
    return ports;
  }
}

class FakeGuest implements GuestDomain {
  readonly scripts: Script[] = [];
  idle: Script = (cpu) => {
    cpu.takeEvents();
    cpu.clock += 1;
    cpu.block();
  };
  readonly dropped: number[][] = [];
  disposed = 0;
  started = false;

  constructor(private readonly machine: FakeMachine, private readonly domid: number) {}

  start(): void {
    this.started = true;
  }

  enter(): void {
    const cpu = new FakeCpu(this.machine, this.domid, this.machine.hv.currentVcpu(this.domid));
    const script = this.scripts.shift() ?? this.idle;
    cpu.block();
    script(cpu);
  }

  dropFrames(mfns: readonly number[]): void {
    this.dropped.push([...mfns]);
  }

  dispose(): void {
    this.disposed++;
  }
}

export interface FakeOptions {
  frames?: number;
  seed?: string;
  costs?: CostTable;
  memory?: MachineMemory;
  state?: MachineState;
}

/** Some domains over one hypervisor. dom0 is privileged and has `pages` pages, as all others. */
export class FakeMachine {
  readonly memory: MachineMemory;
  readonly hv: Hypervisor;
  readonly guests = new Map<number, FakeGuest>();

  constructor(options: FakeOptions = {}) {
    this.memory = options.memory ?? createPlainMemory(options.frames ?? 1024, 2 * FRAME_SIZE);
    this.hv = new Hypervisor({
      memory: this.memory,
      seed: options.seed ?? "test",
      costs: options.costs ?? costTable("flat"),
      state: options.state,
      trace: "keep",
    });
  }

  /** Adds a domain and runs its start. */
  add(domid: number, config: Partial<DomainConfig> = {}): FakeGuest {
    const domain = this.hv.createDomain({
      domid,
      name: `d${domid}`,
      pages: 64,
      vcpus: 1,
      commandLine: "",
      privileged: domid === 0,
      ...config,
    });
    const guest = new FakeGuest(this, domain.domid);
    this.guests.set(domain.domid, guest);
    this.hv.attach(domain.domid, guest);
    this.settle();
    return guest;
  }

  /** Runs until nothing is left to do. */
  settle(): void {
    while (this.hv.step());
  }

  /** Queues a script for the domain's next slice without running it. */
  script(domid: number, body: Script): void {
    this.guests.get(domid)!.scripts.push(body);
    const domain = this.hv.domain(domid);
    wakeVcpu(this.hv.context, domain.vcpus[0], this.hv.now);
  }

  /** Runs `body` as a slice of the domain's vCPU 0 and returns what it returned. */
  run<T>(domid: number, body: (cpu: FakeCpu) => T): T {
    const results: T[] = [];
    this.script(domid, (cpu) => {
      results.push(body(cpu));
    });
    this.hv.runUntil(() => results.length > 0);
    return results[0];
  }

  cpu(domid: number, vcpu = 0): FakeCpu {
    return new FakeCpu(this, domid, vcpu);
  }
}

export const READONLY_GRANT = GTF_permit_access | GTF_readonly;
