import { crc32 } from "node:zlib";
import { beforeEach, describe, expect, it } from "vitest";
import { EAGAIN, EFAULT, EINVAL, EIO, ENODEV, ENXIO, EOPNOTSUPP, EROFS } from "../../../../hal/abi/errno";
import { EVTCHNOP_alloc_unbound } from "../../../../hal/abi/event_channel";
import { GNTMAP_host_map, GNTMAP_readonly } from "../../../../hal/abi/grant_table";
import {
  HOSTDISK_DESC_MORE,
  HOSTDISK_DISCARD,
  HOSTDISK_FLUSH,
  HOSTDISK_OP_query,
  HOSTDISK_OP_setup,
  HOSTDISK_OP_submit,
  HOSTDISK_READ,
  HOSTDISK_SECURE_ERASE,
  HOSTDISK_WRITE,
} from "../../../../hal/abi/hostdisk";
import { __HYPERVISOR_arch_7, DOMID_SELF, DOMID_XEN } from "../../../../hal/abi/xen";
import type { HostDisk, HostDiskInfo } from "../../../../hal/host/disks/disk";
import { FRAME_SIZE } from "../../../../hal/host/hypervisor/memory";
import { traceLines } from "../../../../hal/host/trace/decode";
import { ARGS, FakeMachine, type FakeCpu } from "./fake-machine";

const COMPLETIONS = 60;
const BUFFER = 50;

class ArrayDisk implements HostDisk {
  readonly bytes: Uint8Array;
  readonly calls: string[] = [];
  readonly info: HostDiskInfo;
  result = 0;

  constructor(sectors: number, info: Partial<HostDiskInfo> = {}) {
    this.bytes = new Uint8Array(sectors * 512).map((_, i) => i * 7);
    this.info = {
      sectors,
      logicalBlockSize: 512,
      physicalBlockSize: 512,
      discardGranularity: 512,
      readonly: false,
      writeCache: true,
      discard: true,
      secureErase: false,
      cdrom: false,
      removable: false,
      generation: 1,
      ...info,
    };
  }

  read(sector: number, dst: Uint8Array): number {
    this.calls.push(`read ${sector} ${dst.length}`);
    dst.set(this.bytes.subarray(sector * 512, sector * 512 + dst.length));
    return this.result;
  }

  write(sector: number, src: Uint8Array): number {
    this.calls.push(`write ${sector} ${src.length}`);
    this.bytes.set(src, sector * 512);
    return this.result;
  }

  flush(): number {
    this.calls.push("flush");
    return this.result;
  }

  discard(sector: number, count: number, secure: string): number {
    this.calls.push(`discard ${sector} ${count} ${secure}`);
    return this.result;
  }

  close(): void {
    this.calls.push("close");
  }
}

let machine: FakeMachine;
let disk: ArrayDisk;

interface Desc {
  op: number;
  flags?: number;
  disk?: number;
  tag?: number;
  sector?: number;
  mfn?: number;
  offset?: number;
  length?: number;
  count?: number;
}

function submit(cpu: FakeCpu, ...descs: Desc[]): number {
  descs.forEach((d, i) => {
    const at = ARGS + i * 32;
    const mfn = d.mfn ?? cpu.domain.firstFrame + BUFFER;
    const words = [
      d.op | ((d.flags ?? 0) << 8) | ((d.disk ?? 0) << 16),
      d.tag ?? i,
      d.sector ?? 0,
      Math.floor((d.sector ?? 0) / 2 ** 32),
      mfn,
      (d.offset ?? 0) | ((d.length ?? 512) << 16),
      d.count ?? 0,
      0,
    ];
    words.forEach((word, n) => cpu.write32(at + n * 4, word));
  });
  return cpu.hypercall(__HYPERVISOR_arch_7, HOSTDISK_OP_submit, ARGS, descs.length);
}

function setup(cpu: FakeCpu): number {
  cpu.evtchn(EVTCHNOP_alloc_unbound, (DOMID_SELF | (DOMID_XEN << 16)) >>> 0, 0);
  const port = cpu.read32(ARGS + 4);
  expect(cpu.hypercall(__HYPERVISOR_arch_7, HOSTDISK_OP_setup, COMPLETIONS, port)).toBe(0);
  return port;
}

/** All completions so far as [tag, status], consumed. */
function completions(domid: number): number[][] {
  const cpu = machine.cpu(domid);
  const base = COMPLETIONS * FRAME_SIZE;
  const prod = cpu.read32(base);
  const entries: number[][] = [];
  for (let cons = cpu.read32(base + 4); cons < prod; cons++) {
    const at = base + 64 + (cons % 256) * 8;
    entries.push([cpu.read32(at), cpu.read32(at + 4) | 0]);
  }
  cpu.write32(base + 4, prod);
  return entries;
}

beforeEach(() => {
  machine = new FakeMachine();
  for (const domid of [0, 1]) machine.add(domid);
  disk = new ArrayDisk(64);
  machine.hv.addDisk(disk, { baseNs: 1000, perKibNs: 100, flushNs: 500, parallelism: 2 });
  machine.run(0, setup);
  machine.settle();
});

const dom0 = <T>(body: (cpu: FakeCpu) => T) => {
  const result = machine.run(0, body);
  machine.settle();
  return result;
};

const pins = () => machine.hv.ledger().domains.reduce((sum, d) => sum + d.pins, 0);

it("query describes the disk; there is no second one", () => {
  dom0((cpu) => {
    expect(cpu.hypercall(__HYPERVISOR_arch_7, HOSTDISK_OP_query, cpu.args(0), 0)).toBe(0);
    expect([4, 8, 12, 16, 24, 28, 32].map((at) => cpu.read32(ARGS + at))).toEqual([6, 512, 512, 64, 512, 1, 512]);
    expect(cpu.hypercall(__HYPERVISOR_arch_7, HOSTDISK_OP_query, cpu.args(1), 0)).toBe(-ENXIO);
    expect(cpu.hypercall(__HYPERVISOR_arch_7, HOSTDISK_OP_query, cpu.args(0xffffffff), 0)).toBe(-ENXIO);
    expect(cpu.hypercall(__HYPERVISOR_arch_7, 9, 0, 0)).toBe(-38);
  });
});

it("a read brings the bytes, completes at its service time with an event, and is traced with its checksum", () => {
  const rang = dom0((cpu) => {
    expect(submit(cpu, { op: HOSTDISK_READ, sector: 3, offset: 512, length: 1024, tag: 77 })).toBe(0);
    expect(pins()).toBe(1);
    return cpu.clock;
  });
  expect(completions(0)).toEqual([[77, 0]]);
  const cpu = machine.cpu(0);
  const at = cpu.domain.ramBase + BUFFER * FRAME_SIZE;
  const expected = disk.bytes.subarray(3 * 512, 5 * 512);
  expect(cpu.memory.u8.slice(at + 512, at + 1536)).toEqual(expected);
  expect(pins()).toBe(0);
  const line = traceLines(machine.hv.trace.words()).find((text) => text.includes(" disk "));
  const time = ((rang + 1100) / 1000).toFixed(3);
  expect(line).toBe(`${time}us d0 disk 0 op=0 sector=3 bytes=1024 crc=${crc32(expected).toString(16)} status=0`);
});

it("a request of several segments completes once, with the last one's tag", () => {
  dom0((cpu) => {
    const more = { op: HOSTDISK_WRITE, flags: HOSTDISK_DESC_MORE };
    expect(
      submit(cpu, { ...more, sector: 8 }, { ...more, sector: 10 }, { op: HOSTDISK_WRITE, sector: 20, tag: 9 }),
    ).toBe(0);
  });
  expect(disk.calls).toEqual(["write 8 512", "write 10 512", "write 20 512"]);
  expect(completions(0)).toEqual([[9, 0]]);
});

it("two are served at once, a third waits; a flush waits for all before it", () => {
  const start = dom0((cpu) => {
    const read = { op: HOSTDISK_READ, length: 1024 };
    submit(cpu, read, read, read, { op: HOSTDISK_FLUSH, length: 0 });
    return cpu.clock;
  });
  const times = traceLines(machine.hv.trace.words())
    .filter((text) => text.includes(" disk "))
    .map((text) => Math.round(parseFloat(text) * 1000) - start);
  expect(times).toEqual([1100, 1100, 2200, 2700]);
});

const refused: [string, Desc, number][] = [
  ["no such disk", { op: HOSTDISK_READ, disk: 7 }, -ENODEV],
  ["unknown operation", { op: 99 }, -EOPNOTSUPP],
  ["length 0", { op: HOSTDISK_READ, length: 0 }, -EINVAL],
  ["length not a multiple of 512", { op: HOSTDISK_READ, length: 100 }, -EINVAL],
  ["beyond the frame", { op: HOSTDISK_READ, offset: 4000, length: 512 }, -EINVAL],
  ["beyond the disk", { op: HOSTDISK_READ, sector: 63, length: 1024 }, -EINVAL],
  ["far beyond the disk", { op: HOSTDISK_WRITE, sector: 2 ** 52 }, -EINVAL],
  ["a frame that is not there", { op: HOSTDISK_READ, mfn: 0xffffffff }, -EFAULT],
  ["a discard without sectors", { op: HOSTDISK_DISCARD, count: 0 }, -EINVAL],
  ["a discard beyond the disk", { op: HOSTDISK_DISCARD, sector: 60, count: 5 }, -EINVAL],
  ["secure erase where there is none", { op: HOSTDISK_SECURE_ERASE, count: 1 }, -EOPNOTSUPP],
];
it.each(refused)("%s completes with an error and never reaches the disk", (_name, desc, status) => {
  dom0((cpu) => expect(submit(cpu, { ...desc, tag: 5 })).toBe(0));
  expect(completions(0)).toEqual([[5, status]]);
  expect(disk.calls).toEqual([]);
  expect(pins()).toBe(0);
});

it("a read-only disk is not written, discarded or erased", () => {
  const index = machine.hv.addDisk(new ArrayDisk(8, { readonly: true }));
  dom0((cpu) => submit(cpu, { op: HOSTDISK_WRITE, disk: index }, { op: HOSTDISK_DISCARD, disk: index, count: 1 }));
  expect(completions(0)).toEqual([
    [0, -EROFS],
    [1, -EROFS],
  ]);
});

it("foreign frames: a mapping is enough to write them to disk, reading into them takes a writable one", () => {
  machine.run(1, (cpu) => {
    cpu.grant(8, 0, BUFFER);
    cpu.grant(9, 0, BUFFER + 1);
  });
  const frame = machine.hv.domain(1).firstFrame + BUFFER;
  dom0((cpu) => {
    submit(cpu, { op: HOSTDISK_WRITE, mfn: frame, tag: 1 });
    cpu.map(1, 8, GNTMAP_host_map | GNTMAP_readonly, 0);
    submit(cpu, { op: HOSTDISK_READ, mfn: frame, tag: 2 }, { op: HOSTDISK_WRITE, mfn: frame, tag: 3 });
    cpu.map(1, 8, GNTMAP_host_map, 1);
    submit(cpu, { op: HOSTDISK_READ, mfn: frame, tag: 4 });
  });
  expect(completions(0).sort()).toEqual([
    [1, -EFAULT],
    [2, -EFAULT],
    [3, 0],
    [4, 0],
  ]);
});

it("the array is taken as a whole or not at all", () => {
  dom0((cpu) => {
    const read = { op: HOSTDISK_READ };
    expect(submit(cpu, read, { ...read, flags: HOSTDISK_DESC_MORE })).toBe(-EINVAL);
    expect(cpu.hypercall(__HYPERVISOR_arch_7, HOSTDISK_OP_submit, ARGS, 0)).toBe(-EINVAL);
    expect(cpu.hypercall(__HYPERVISOR_arch_7, HOSTDISK_OP_submit, cpu.domain.ramBytes - 32, 2)).toBe(-EFAULT);
    for (let i = 0; i < 2; i++) expect(submit(cpu, ...Array.from({ length: 100 }, () => read))).toBe(0);
    expect(submit(cpu, ...Array.from({ length: 57 }, () => read))).toBe(-EAGAIN);
    expect(submit(cpu, ...Array.from({ length: 56 }, () => read))).toBe(0);
    expect(submit(cpu, read)).toBe(-EAGAIN);
  });
  dom0((cpu) => expect(submit(cpu, { op: HOSTDISK_READ })).toBe(-EAGAIN));
  expect(completions(0).length).toBe(256);
  dom0((cpu) => expect(submit(cpu, { op: HOSTDISK_READ })).toBe(0));
});

it("a consumer index that lies is never trusted beyond the page", () => {
  dom0((cpu) => {
    cpu.write32(COMPLETIONS * FRAME_SIZE + 4, 0x12345678);
    expect(submit(cpu, { op: HOSTDISK_READ })).toBe(-EAGAIN);
  });
});

it("descriptors of one request must agree", () => {
  dom0((cpu) => submit(cpu, { op: HOSTDISK_READ, flags: HOSTDISK_DESC_MORE }, { op: HOSTDISK_WRITE, tag: 4 }));
  expect(completions(0)).toEqual([[4, -EINVAL]]);
});

it("what the disk answers is what completes, and nothing but errnos", () => {
  disk.result = -EIO;
  dom0((cpu) => submit(cpu, { op: HOSTDISK_READ }));
  disk.result = 1;
  dom0((cpu) => submit(cpu, { op: HOSTDISK_READ }));
  expect(completions(0)).toEqual([
    [0, -EIO],
    [0, -EIO],
  ]);
});

it("setup takes an unbound port and a page of own RAM, and submit needs it", () => {
  machine.run(1, (cpu) => {
    expect(submit(cpu, { op: HOSTDISK_READ })).toBe(-EINVAL);
    const ring = (pfn: number, port: number) => cpu.hypercall(__HYPERVISOR_arch_7, HOSTDISK_OP_setup, pfn, port);
    expect([ring(64, 1), ring(-1, 1), ring(60, 1), ring(60, 9), ring(60, 0)]).toEqual([
      -EFAULT,
      -EFAULT,
      -EINVAL,
      -EINVAL,
      -EINVAL,
    ]);
  });
});

it("a disk that is removed fails what is in flight, and every doorbell learns of it", () => {
  const generation = () => machine.cpu(0).read32(COMPLETIONS * FRAME_SIZE + 8);
  const before = generation();
  machine.run(0, (cpu) => submit(cpu, { op: HOSTDISK_READ, tag: 3 }));
  machine.hv.removeDisk(0);
  machine.settle();
  expect(generation()).toBe(before + 1);
  expect(completions(0)).toEqual([[3, -ENODEV]]);
});

it("an index is used again once every driver has looked, and no request of the old disk is in flight", () => {
  const look = (index: number) =>
    machine.run(0, (cpu) => cpu.hypercall(__HYPERVISOR_arch_7, HOSTDISK_OP_query, cpu.args(index), 0));
  machine.hv.removeDisk(0);
  expect(machine.hv.addDisk(new ArrayDisk(8)), "the driver may still take 0 for the old disk").toBe(1);
  expect(look(0)).toBe(-ENODEV);
  expect(machine.hv.addDisk(new ArrayDisk(8))).toBe(0);
  expect(look(0)).toBe(0);
  machine.run(0, (cpu) => submit(cpu, { op: HOSTDISK_READ, tag: 3 }));
  machine.hv.removeDisk(0);
  look(0);
  expect(machine.hv.addDisk(new ArrayDisk(8)), "a request of the old disk is in flight").toBe(2);
  machine.settle();
  expect(machine.hv.addDisk(new ArrayDisk(8))).toBe(0);
});

it("a driver that is gone need not look", () => {
  machine.run(1, setup);
  machine.hv.removeDisk(0);
  machine.run(0, (cpu) => cpu.hypercall(__HYPERVISOR_arch_7, HOSTDISK_OP_query, cpu.args(0), 0));
  expect(machine.hv.addDisk(new ArrayDisk(8)), "domain 1 has not looked").toBe(1);
  machine.hv.destroyDomain(1);
  expect(machine.hv.addDisk(new ArrayDisk(8))).toBe(0);
});

it("a request outlives its domain: the frame is held until it is done", () => {
  machine.run(1, setup);
  machine.run(1, (cpu) => submit(cpu, { op: HOSTDISK_READ }));
  machine.hv.destroyDomain(1);
  expect(machine.hv.ledger()).toMatchObject({ framesOrphaned: 1, diskRequestsInFlight: 1 });
  machine.settle();
  expect(machine.hv.ledger()).toMatchObject({ framesOrphaned: 0, diskRequestsInFlight: 0 });
});

describe("completion", () => {
  it("raises the port", () => {
    machine.run(0, (cpu) => submit(cpu, { op: HOSTDISK_FLUSH, length: 0 }));
    const seen: number[][] = [];
    machine.guests.get(0)!.idle = (cpu) => {
      seen.push(cpu.takeEvents());
      cpu.clock += 1;
    };
    machine.settle();
    expect(seen).toEqual([[3]]);
  });
});
