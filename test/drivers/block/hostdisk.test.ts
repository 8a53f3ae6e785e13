import { describe, expect, it, vi } from "vitest";
import { bio_add_page, bio_alloc, bio_put, submit_bio, submit_bio_wait } from "xenolith/linux/bio";
import { REQ_OP_READ, REQ_OP_WRITE } from "xenolith/linux/blk_types";
import type { block_device } from "xenolith/linux/blk_types";
import {
  all_bdevs,
  bdev_discard_granularity,
  bdev_name,
  bdev_nr_sectors,
  bdev_read_only,
  bdev_write_cache,
  blkdev_issue_discard,
  blkdev_issue_flush,
  blkdev_issue_secure_erase,
} from "xenolith/linux/blkdev";
import { alloc_page, nr_allocated_pages, put_page } from "xenolith/linux/mm";
import type { page } from "xenolith/linux/mm_types";
import { memcpy_from_page, memset_page } from "xenolith/xen/page";
import "../../../drivers/xen/page";
import { EIO, ENODEV } from "../../../hal/abi/errno";
import * as abi from "../../../hal/abi/hostdisk";
import { __HYPERVISOR_arch_7 } from "../../../hal/abi/xen";
import { hostdisk_exit } from "../../../drivers/block/hostdisk/hostdisk";
import { bootBareKernel } from "../../kit/bare-kernel";

/** The event channel layer, reduced to the one handler that the driver installs. */
const events = vi.hoisted(() => ({ handler: null as ((irq: number, id: unknown) => number) | null, unbound: 0 }));
vi.mock("../../../drivers/xen/events/events_base", () => ({
  xen_evtchn_alloc_unbound: (_domid: number, port: { value: number }) => {
    port.value = 7;
    return 0;
  },
  bind_evtchn_to_irqhandler: (_port: number, handler: (irq: number, id: unknown) => number) => {
    events.handler = handler;
    return 33;
  },
  unbind_from_irqhandler: () => events.unbound++,
}));

interface HostDisk {
  flags: number;
  sectors: number;
  generation: number;
  logical: number;
  data: Uint8Array;
}

interface Descriptor {
  op: number;
  more: boolean;
  disk: number;
  tag: number;
  sector: number;
  mfn: number;
  offset: number;
  length: number;
  nrSectors: number;
}

/** The hypervisor's side of the doorbell: requests are taken at once and done when the test says so. */
class FakeHost {
  readonly disks: (HostDisk | null)[] = [];
  readonly pending: Descriptor[][] = [];
  readonly doorbells: number[] = [];
  readonly done: string[] = [];
  completionPfn = -1;
  generation = 0;
  refuse = 0;
  automatic = true;
  failing = 0;

  hypercall(op: number, a1: number, a2: number): number {
    if (op === abi.HOSTDISK_OP_query) return this.query(a1);
    if (op === abi.HOSTDISK_OP_submit) return this.submit(a1, a2);
    this.completionPfn = a1;
    return 0;
  }

  private view(): DataView {
    return new DataView(kernel.memory);
  }

  private query(address: number): number {
    const view = this.view();
    const disk = this.disks[view.getUint32(address, true)];
    if (disk === undefined || disk === null) return -ENODEV;
    const put = (offset: number, value: number): void => view.setUint32(address + offset, value, true);
    put(abi.HOSTDISK_QUERY_flags, disk.flags);
    put(abi.HOSTDISK_QUERY_logical_block_size, disk.logical);
    put(abi.HOSTDISK_QUERY_physical_block_size, 4096);
    put(abi.HOSTDISK_QUERY_sectors, disk.sectors);
    put(abi.HOSTDISK_QUERY_sectors + 4, 0);
    put(abi.HOSTDISK_QUERY_max_segments, 512);
    put(abi.HOSTDISK_QUERY_generation, disk.generation);
    put(abi.HOSTDISK_QUERY_discard_granularity, 8192);
    return 0;
  }

  private submit(address: number, count: number): number {
    if (this.refuse !== 0) return this.refuse;
    const view = this.view();
    this.doorbells.push(count);
    let request: Descriptor[] = [];
    for (let i = 0; i < count; i++) {
      const at = address + i * abi.HOSTDISK_DESC_SIZE;
      request.push({
        op: view.getUint8(at),
        more: (view.getUint8(at + 1) & abi.HOSTDISK_DESC_MORE) !== 0,
        disk: view.getUint16(at + 2, true),
        tag: view.getUint32(at + 4, true),
        sector: view.getUint32(at + 8, true) + view.getUint32(at + 12, true) * 2 ** 32,
        mfn: view.getUint32(at + 16, true),
        offset: view.getUint16(at + 20, true),
        length: view.getUint16(at + 22, true),
        nrSectors: view.getUint32(at + 24, true),
      });
      if (request[request.length - 1].more) continue;
      this.pending.push(request);
      request = [];
    }
    expect(request).toEqual([]);
    expect(this.pending.length).toBeLessThanOrEqual(abi.HOSTDISK_COMP_COUNT);
    if (this.automatic) kernel.interrupt(() => this.completeAll());
    return 0;
  }

  /** Does the oldest request and publishes its completion. */
  complete(): void {
    const request = this.pending.shift() as Descriptor[];
    const status = this.failing !== 0 ? this.failing : this.perform(request);
    const view = this.view();
    const base = this.completionPfn * 4096;
    const prod = view.getUint32(base + abi.HOSTDISK_COMP_prod, true);
    const entry = base + abi.HOSTDISK_COMP_ring + (prod % abi.HOSTDISK_COMP_COUNT) * abi.HOSTDISK_COMP_ENTRY_SIZE;
    view.setUint32(entry, request[request.length - 1].tag, true);
    view.setInt32(entry + 4, status, true);
    view.setUint32(base + abi.HOSTDISK_COMP_prod, prod + 1, true);
  }

  completeAll(): void {
    while (this.pending.length > 0) this.complete();
    events.handler?.(33, null);
  }

  private perform(request: Descriptor[]): number {
    const first = request[0];
    const disk = this.disks[first.disk];
    const name = ["read", "write", "flush", "discard", "erase"][first.op];
    if (disk === undefined || disk === null) return -ENODEV;
    const sectors = first.op <= 1 ? request.reduce((sum, d) => sum + d.length / 512, 0) : first.nrSectors;
    this.done.push(`${name} ${first.sector} ${sectors}`);
    if (first.op > 1) return 0;
    for (const d of request) {
      const frame = new Uint8Array(kernel.memory, (d.mfn - kernel.hal.mfn_base) * 4096 + d.offset, d.length);
      if (first.op === abi.HOSTDISK_WRITE) disk.data.set(frame, d.sector * 512);
      else frame.set(disk.data.subarray(d.sector * 512, d.sector * 512 + d.length));
    }
    return 0;
  }

  /** Announces that disks came, went or changed. */
  changed(): void {
    new DataView(kernel.memory).setUint32(
      this.completionPfn * 4096 + abi.HOSTDISK_COMP_generation,
      ++this.generation,
      true,
    );
    kernel.interrupt(() => void events.handler?.(33, null));
    kernel.runUntilIdle();
  }
}

function hostDisk(sectors: number, flags = 0, logical = 512): HostDisk {
  return { flags, sectors, generation: 1, logical, data: new Uint8Array(sectors * 512) };
}

const host = new FakeHost();
const kernel = bootBareKernel({
  pages: 2048,
  hypercall: (op, a0, a1, a2) => (op === __HYPERVISOR_arch_7 ? host.hypercall(a0, a1, a2) : undefined),
});
const pagesBefore = nr_allocated_pages();
const F = abi;
host.disks[0] = hostDisk(8192, F.HOSTDISK_F_WRITE_CACHE | F.HOSTDISK_F_DISCARD | F.HOSTDISK_F_SECURE_ERASE);
host.disks[2] = hostDisk(4096, F.HOSTDISK_F_READONLY | F.HOSTDISK_F_REMOVABLE, 4096);
kernel.runInitcalls();

function disk(name: string): block_device {
  const found = all_bdevs().find((bdev) => bdev_name(bdev) === name);
  if (found === undefined) throw new Error(`no ${name}`);
  return found;
}

/** Moves whole pages; returns 0 or a negative errno. */
function transfer(opf: number, sector: number, pages: page[]): number {
  const made = bio_alloc(disk("hostdisk0"), pages.length, opf, 0);
  made.bi_iter.bi_sector = sector;
  for (const p of pages) bio_add_page(made, p, 4096, 0);
  const error = kernel.run(() => submit_bio_wait(made));
  bio_put(made);
  return error;
}

describe("hostdisk", () => {
  it("finds the host's disks and their attributes", () => {
    expect(all_bdevs().map((b) => [bdev_name(b), bdev_nr_sectors(b), bdev_read_only(b), bdev_write_cache(b)])).toEqual([
      ["hostdisk0", 8192, false, true],
      ["hostdisk2", 4096, true, false],
    ]);
    expect(disk("hostdisk2").bd_dev).toBe(240 * 0x100000 + 32);
    expect(bdev_discard_granularity(disk("hostdisk0"))).toBe(8192);
    expect(disk("hostdisk2").bd_queue.limits.logical_block_size).toBe(4096);
  });

  it("writes and reads many pages in one request", () => {
    const pages = Array.from({ length: 100 }, () => alloc_page(0) as page);
    pages.forEach((p, i) => memset_page(p, 0, i + 1, 4096));
    host.done.length = 0;
    expect(transfer(REQ_OP_WRITE, 64, pages)).toBe(0);
    expect(host.done).toEqual(["write 64 800"]);
    for (const p of pages) memset_page(p, 0, 0, 4096);
    expect(transfer(REQ_OP_READ, 64, pages)).toBe(0);
    const byte = new Uint8Array(1);
    pages.forEach((p, i) => {
      memcpy_from_page(byte, 0, p, 4095, 1);
      expect(byte[0]).toBe(i + 1);
      put_page(p);
    });
  });

  it("flushes, discards, erases", () => {
    host.done.length = 0;
    const bdev = disk("hostdisk0");
    expect(kernel.run(() => blkdev_issue_flush(bdev))).toBe(0);
    expect(kernel.run(() => blkdev_issue_discard(bdev, 16, 4096, 0))).toBe(0);
    expect(kernel.run(() => blkdev_issue_secure_erase(bdev, 8, 8, 0))).toBe(0);
    expect(host.done).toEqual(["flush 0 0", "discard 16 4096", "erase 8 8"]);
    expect(kernel.run(() => blkdev_issue_discard(disk("hostdisk2"), 0, 8, 0))).toBe(-1);
  });

  it("hands errors up, and survives a refused doorbell", () => {
    const data = [alloc_page(0) as page];
    host.failing = -EIO;
    expect(transfer(REQ_OP_READ, 0, data)).toBe(-5);
    host.failing = 0;
    host.refuse = -22;
    expect(transfer(REQ_OP_READ, 0, data)).toBe(-5);
    host.refuse = 0;
    expect(transfer(REQ_OP_READ, 0, data)).toBe(0);
    put_page(data[0]);
  });

  it("never has more in flight than the completion page holds", () => {
    const data = alloc_page(0) as page;
    host.automatic = false;
    for (const index of [3, 4, 5, 6, 7]) host.disks[index] = hostDisk(65536);
    host.automatic = true;
    host.changed();
    host.automatic = false;
    let ended = 0;
    for (const bdev of all_bdevs().filter((b) => /hostdisk[34567]/.test(bdev_name(b)))) {
      for (let i = 0; i < 64; i++) {
        kernel.spawn(function* () {
          const made = bio_alloc(bdev, 1, REQ_OP_READ, 0);
          made.bi_iter.bi_sector = i * 16;
          bio_add_page(made, data, 4096, 0);
          made.bi_end_io = (b) => {
            ended++;
            bio_put(b);
          };
          yield* submit_bio(made);
          return 0;
        });
      }
    }
    kernel.runRunnable();
    expect([host.pending.length, ended]).toEqual([256, 0]);
    host.automatic = true;
    kernel.interrupt(() => host.completeAll());
    kernel.runUntilIdle();
    expect(ended).toBe(320);
    put_page(data);
    for (const index of [3, 4, 5, 6, 7]) host.disks[index] = null;
    host.changed();
    expect(all_bdevs().length).toBe(2);
  });

  it("a disk that is resized, made read-only, added or removed is noticed", () => {
    const changed = host.disks[0] as HostDisk;
    changed.sectors = 16384;
    changed.generation++;
    changed.flags |= abi.HOSTDISK_F_READONLY;
    host.disks[1] = hostDisk(100);
    host.disks[2] = null;
    host.changed();
    expect(all_bdevs().map((b) => [bdev_name(b), bdev_nr_sectors(b), bdev_read_only(b)])).toEqual([
      ["hostdisk0", 16384, true],
      ["hostdisk1", 100, false],
    ]);
  });

  it("gives everything back", () => {
    kernel.run(hostdisk_exit);
    kernel.runUntilIdle();
    expect([all_bdevs(), events.unbound, nr_allocated_pages()]).toEqual([[], 1, pagesBefore]);
  });
});
