import { beforeEach, describe, expect, it, vi } from "vitest";
import { EVTCHNOP_alloc_unbound, EVTCHNOP_bind_interdomain, EVTCHNOP_send } from "../../../../hal/abi/event_channel";
import { GNTMAP_host_map, GNTST_bad_domain, GNTST_okay, GTF_permit_access } from "../../../../hal/abi/grant_table";
import { CONTROL_ALIAS_EPOCH, CONTROL_COSTS, CONTROL_VCPU_COUNT, COST_IRQ_ENTRY } from "../../../../hal/abi/control";
import {
  DOMID_FIRST_RESERVED,
  DOMID_SELF,
  SIF_INITDOMAIN,
  SIF_PRIVILEGED,
  START_INFO_CMD_LINE,
  START_INFO_CONSOLE_DOMU_EVTCHN,
  START_INFO_CONSOLE_DOMU_MFN,
  START_INFO_FLAGS,
  START_INFO_MAGIC,
  START_INFO_NR_PAGES,
  START_INFO_SHARED_INFO,
  START_INFO_STORE_EVTCHN,
  START_INFO_STORE_MFN,
} from "../../../../hal/abi/xen";
import { costTable } from "../../../../hal/host/hypervisor/costs";
import { frameOffset } from "../../../../hal/host/hypervisor/frames";
import { FRAME_SIZE } from "../../../../hal/host/hypervisor/memory";
import { ARGS, FakeMachine } from "./fake-machine";

let machine: FakeMachine;

beforeEach(() => {
  machine = new FakeMachine({ frames: 400 });
  machine.add(0);
});

const config = { name: "u", pages: 64, vcpus: 1, commandLine: "", privileged: false };

describe("building", () => {
  it("start_info says where everything is", () => {
    machine.add(1, { commandLine: "quiet xen_blkfront.max=64" });
    const cpu = machine.cpu(1);
    const { firstFrame } = cpu.domain;
    const text = (at: number, length: number) =>
      Buffer.from(cpu.memory.u8.slice(cpu.domain.ramBase + at, cpu.domain.ramBase + at + length)).toString("latin1");
    expect(text(START_INFO_MAGIC, 15)).toBe("xen-3.0-x86_64\u0000");
    expect(cpu.read32(START_INFO_NR_PAGES)).toBe(64);
    expect(cpu.read32(START_INFO_SHARED_INFO)).toBe((firstFrame + 1) * FRAME_SIZE);
    expect(cpu.read32(START_INFO_STORE_MFN)).toBe(firstFrame + 2);
    expect(cpu.read32(START_INFO_STORE_EVTCHN)).toBe(1);
    expect(cpu.read32(START_INFO_CONSOLE_DOMU_MFN)).toBe(firstFrame + 3);
    expect(cpu.read32(START_INFO_CONSOLE_DOMU_EVTCHN)).toBe(2);
    expect(text(START_INFO_CMD_LINE, 26)).toBe("quiet xen_blkfront.max=64\u0000");
    expect(cpu.read32(START_INFO_FLAGS)).toBe(0);
    expect(machine.cpu(0).read32(START_INFO_FLAGS)).toBe(SIF_PRIVILEGED | SIF_INITDOMAIN);
    expect([cpu.grantFlags(0), cpu.grantFlags(1), cpu.grantFlags(2)]).toEqual([
      GTF_permit_access,
      GTF_permit_access,
      0,
    ]);
  });

  it("the control page tells vCPUs and costs", () => {
    const other = new FakeMachine({ costs: costTable("xen", { irqEntryNs: 4711 }) });
    other.add(1, { vcpus: 3 });
    const control = frameOffset(other.hv.context, other.hv.domain(1).controlFrame) >>> 2;
    expect(other.memory.u32[control + CONTROL_VCPU_COUNT]).toBe(3);
    expect(other.memory.u32[control + CONTROL_COSTS + COST_IRQ_ENTRY]).toBe(4711);
  });

  it.each([
    ["a domid that is in use", { domid: 0 }, /domid 0 is in use/],
    ["a reserved domid", { domid: 0x7ff0 }, /domid/],
    ["nine vCPUs", { vcpus: 9 }, /vcpus/],
    ["too little RAM", { pages: 10 }, /pages/],
    ["half a page", { pages: 64.5 }, /pages/],
    ["more RAM than is free", { pages: 399 }, /no room for "u"/],
    ["a command line of 1024 bytes", { commandLine: "é".repeat(512) }, /1024 bytes; at most 1023/],
  ])("%s is refused and takes nothing", (_name, change, message) => {
    const before = machine.hv.ledger();
    expect(() => machine.hv.createDomain({ ...config, ...change })).toThrow(message);
    expect(machine.hv.ledger()).toEqual(before);
  });

  it("a command line of 1023 bytes fits", () => {
    machine.hv.createDomain({ ...config, commandLine: "x".repeat(1023) });
  });

  it("domids are not reused by themselves", () => {
    const first = machine.hv.createDomain(config).domid;
    machine.hv.destroyDomain(first);
    expect(machine.hv.createDomain(config).domid).toBe(first + 1);
  });

  it("after the last domid comes the first that is free", () => {
    machine.add(1);
    const last = { ...config, domid: DOMID_FIRST_RESERVED - 1 };
    machine.hv.destroyDomain(machine.hv.createDomain(last).domid);
    expect(machine.hv.createDomain(config).domid).toBe(2);
  });
});

describe("destroying", () => {
  /** Domain 1 grants page 50 to domain 2, which maps it; both share an event channel. */
  function connect(): number {
    machine.add(1);
    machine.add(2);
    const port = machine.run(1, (cpu) => {
      cpu.grant(8, 2, 50);
      cpu.write32(50 * FRAME_SIZE, 0xabcd);
      cpu.evtchn(EVTCHNOP_alloc_unbound, DOMID_SELF | (2 << 16), 0);
      return cpu.read32(ARGS + 4);
    });
    return machine.run(2, (cpu) => {
      cpu.evtchn(EVTCHNOP_bind_interdomain, 1, port, 0);
      return cpu.map(1, 8, GNTMAP_host_map).handle;
    });
  }

  it("the granter: the mapper's port goes unbound, its mapping stays good, the frame is free after the unmap", () => {
    const before = machine.hv.ledger();
    const handle = connect();
    const frame = machine.hv.domain(1).firstFrame + 50;
    machine.hv.destroyDomain(1);
    expect(machine.hv.ledger()).toMatchObject({ framesOrphaned: 1 });
    machine.run(2, (cpu) => {
      expect(cpu.memory.u32[frameOffset(machine.hv.context, frame) >>> 2]).toBe(0xabcd);
      expect(cpu.evtchn(EVTCHNOP_send, 3)).toBe(0);
      expect(cpu.map(1, 8, GNTMAP_host_map, 1).status).toBe(GNTST_bad_domain);
      expect(cpu.unmap(handle, cpu.hostAddress(0))).toBe(GNTST_okay);
    });
    expect(machine.hv.ledger()).toMatchObject({ framesOrphaned: 0 });
    machine.hv.destroyDomain(2);
    machine.settle();
    expect(machine.hv.ledger()).toEqual(before);
  });

  it("the mapper: the granter's entry is free again", () => {
    const before = machine.hv.ledger();
    connect();
    machine.hv.destroyDomain(2);
    expect(machine.cpu(1).grantFlags(8)).toBe(GTF_permit_access);
    expect(machine.hv.ledger().domains.find((d) => d.domid === 1)).toMatchObject({ pins: 0, grantsInUse: 0 });
    machine.hv.destroyDomain(1);
    machine.settle();
    expect(machine.hv.ledger()).toEqual(before);
  });

  it("a new domain of the same domid shares nothing with the old one", () => {
    const handle = connect();
    machine.hv.destroyDomain(1);
    machine.add(1);
    machine.run(1, (cpu) => cpu.grant(8, 2, 50));
    machine.run(2, (cpu) => expect(cpu.unmap(handle, cpu.hostAddress(0))).toBe(GNTST_okay));
    expect(machine.cpu(1).grantFlags(8)).toBe(GTF_permit_access);
    expect(machine.hv.ledger().domains.find((d) => d.domid === 1)).toMatchObject({ grantsInUse: 0, pins: 0 });
  });

  it("frames are not handed out while somebody maps them; then zeroed, and stale aliases are dropped", () => {
    const handle = connect();
    const { firstFrame } = machine.hv.domain(1);
    machine.hv.destroyDomain(1);
    machine.add(3);
    expect(machine.hv.domain(3).firstFrame).not.toBe(firstFrame);
    machine.run(2, (cpu) => cpu.unmap(handle, cpu.hostAddress(0)));
    const epoch = () => {
      const control = frameOffset(machine.hv.context, machine.hv.domain(2).controlFrame) >>> 2;
      return machine.memory.u32[control + CONTROL_ALIAS_EPOCH];
    };
    const before = epoch();
    machine.add(4);
    expect(machine.hv.domain(4).firstFrame).toBe(firstFrame);
    expect(machine.guests.get(2)!.dropped).toEqual([[firstFrame + 50]]);
    expect(epoch()).toBe(before + 1);
    expect(machine.cpu(4).read32(50 * FRAME_SIZE)).toBe(0);
  });

  it("fresh frames are left alone, touched ones are zeroed one by one", () => {
    const fill = vi.spyOn(machine.memory.u8, "fill");
    machine.add(3);
    expect(fill).not.toHaveBeenCalled();
    const { firstFrame, pageCount } = machine.hv.domain(3);
    machine.memory.u8[frameOffset(machine.hv.context, firstFrame + 9)] = 7;
    machine.hv.destroyDomain(3);
    machine.add(4);
    expect(machine.hv.domain(4).firstFrame).toBe(firstFrame);
    const { touched } = machine.memory;
    // start_info, shared_info, the two rings and the grant table; page 9 is one of those; and the control page.
    expect(fill).toHaveBeenCalledTimes(4 + 32 + 1);
    expect([...touched.subarray(firstFrame, firstFrame + pageCount)].filter((byte) => byte === 1)).toHaveLength(4 + 32);
    expect(machine.cpu(4).read32(9 * FRAME_SIZE)).toBe(0);
  });

  it("XSA-343, XSA-380: thousands of ports and mappings go in one pass, the peers are clean", () => {
    machine = new FakeMachine({ frames: 2000 });
    for (const domid of [0, 1, 2]) machine.add(domid);
    const before = machine.hv.ledger().domains.find((d) => d.domid === 1);
    machine.run(1, (cpu) => {
      for (let ref = 8; ref < 512; ref++) cpu.grant(ref, 2, 50);
      for (let i = 0; i < 2000; i++) cpu.evtchn(EVTCHNOP_alloc_unbound, DOMID_SELF | (2 << 16), 0);
    });
    machine.run(2, (cpu) => {
      for (let i = 0; i < 2000; i++) cpu.evtchn(EVTCHNOP_bind_interdomain, 1, 3 + i, 0);
      for (let i = 0; i < 10_000; i++) expect(cpu.map(1, 8 + (i % 504), GNTMAP_host_map, i).status).toBe(GNTST_okay);
    });
    machine.hv.destroyDomain(2);
    expect(machine.hv.ledger().domains.find((d) => d.domid === 1)).toEqual({ ...before, ports: 2002 });
  });

  it("the engine is disposed of once, and the service is told", () => {
    const gone: number[] = [];
    machine.hv.setServices({ destroyed: (domid) => void gone.push(domid) });
    const guest = machine.add(1);
    machine.hv.destroyDomain(1);
    expect([guest.disposed, gone]).toEqual([1, [1]]);
    expect(() => machine.hv.destroyDomain(1)).toThrow("there is no domain 1");
  });
});
