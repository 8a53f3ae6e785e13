import { beforeEach, describe, expect, it } from "vitest";
import { bio_add_page, bio_alloc, bio_put, submit_bio } from "xenolith/linux/bio";
import {
  BLK_STS_AGAIN,
  BLK_STS_IOERR,
  BLK_STS_OK,
  REQ_FUA,
  REQ_NOWAIT,
  REQ_OP_DISCARD,
  REQ_OP_READ,
  REQ_OP_WRITE,
  REQ_PREFLUSH,
  REQ_SYNC,
  type bio,
} from "xenolith/linux/blk_types";
import { blk_finish_plug, blk_mark_disk_dead, blk_plug, blk_start_plug, set_disk_ro } from "xenolith/linux/blkdev";
import { blk_mq_freeze_queue, blk_mq_unfreeze_queue } from "xenolith/linux/blk-mq";
import { alloc_pages, __free_pages } from "xenolith/linux/mm";
import type { page } from "xenolith/linux/mm_types";
import "../../../kernel/block/blk-sysfs";
import { bootBareKernel } from "../../kit/bare-kernel";
import { Numbers } from "./fixtures";
import { MqBench } from "./test-disk";

const kernel = bootBareKernel();
kernel.runInitcalls();

const bench = new MqBench(kernel);

beforeEach(() => bench.reset());

/** Submits in a plug: the only place where the short way is open. */
function gather(bios: bio[]): void {
  kernel.run(function* () {
    const plug = new blk_plug();
    blk_start_plug(plug);
    for (const b of bios) yield* submit_bio(b);
    blk_finish_plug(plug);
  });
}

/** What became of bios: requests that the driver saw, and ends, without the order in which both happened. */
function outcome(): unknown {
  bench.disk.endAll();
  const requests = bench.disk.seen.map((s) => [s.op, s.flags, s.sector, s.sectors, s.segments]);
  return { requests, ended: bench.ended };
}

describe("the short way of plain bios", () => {
  it("ends as the long way does, whatever the bio", () => {
    const data = alloc_pages(0, 1) as page;
    for (let seed = 1; seed <= 40; seed++) {
      const results = ["in a plug", "alone"].map((how) => {
        const numbers = new Numbers(seed * 7919);
        let result: unknown;
        bench.reset();
        bench.withDisk(
          () => {
            bench.disk.disk.queue.nomerges = true;
            const bios = Array.from({ length: 24 }, () => randomBio(numbers, data));
            if (how === "alone") for (const b of bios) kernel.run(() => submit_bio(b));
            else gather(bios);
            result = outcome();
          },
          {
            max_hw_sectors: numbers.pick([8, 1024]),
            chunk_sectors: numbers.pick([0, 8]),
            seg_boundary_mask: numbers.pick([4095, 0xffffffff]),
          },
          { queue_depth: 64 },
        );
        return result;
      });
      expect(results[0], `seed ${seed}`).toEqual(results[1]);
    }
    __free_pages(data, 1);
  });

  function randomBio(numbers: Numbers, data: page): bio {
    const opf = numbers.pick([
      REQ_OP_READ,
      REQ_OP_WRITE,
      REQ_OP_READ | REQ_SYNC,
      REQ_OP_DISCARD,
      REQ_OP_WRITE | REQ_FUA,
    ]);
    const sector = numbers.pick([0, 3, 8, 640, (1 << 20) - 8, (1 << 20) - 4, 1 << 20, -1]) + 32 * numbers.below(5);
    const made = bench.make(sector, opf | numbers.pick([0, 0, REQ_PREFLUSH]), 0);
    const length = numbers.pick([512, 1024, 4096, 4096, 4096, 8192, 100]);
    if ((opf & 0xff) !== REQ_OP_DISCARD) bio_add_page(made, data, length, numbers.pick([0, 0, 512]));
    else made.bi_iter.bi_size = length;
    return made;
  }

  it("is closed on a frozen queue and open again afterwards", () => {
    bench.withDisk(() => {
      const q = bench.disk.disk.queue;
      expect(q.plain).toBe(true);
      kernel.run(() => blk_mq_freeze_queue(q));
      gather([bench.make(0, REQ_OP_READ | REQ_NOWAIT)]);
      expect(bench.ended).toEqual([[0, BLK_STS_AGAIN]]);
      let taken = false;
      kernel.spawn(function* () {
        const plug = new blk_plug();
        blk_start_plug(plug);
        yield* submit_bio(bench.make(16));
        blk_finish_plug(plug);
        taken = true;
        return 0;
      });
      kernel.runRunnable();
      expect([taken, bench.disk.calls]).toEqual([false, 0]);
      blk_mq_unfreeze_queue(q, 0);
      kernel.runRunnable();
      expect([taken, bench.disk.seen.map((s) => s.sector)]).toEqual([true, [16]]);
      expect(q.plain).toBe(true);
    });
  });

  it("is closed on a dead disk", () => {
    bench.withDisk(() => {
      blk_mark_disk_dead(bench.disk.disk);
      gather([bench.make(0)]);
      expect([bench.ended, bench.disk.calls]).toEqual([[[0, BLK_STS_IOERR]], 0]);
    });
  });

  it("is not for larger blocks, whose alignment is checked", () => {
    bench.withDisk(
      () => {
        expect(bench.disk.disk.queue.plain).toBe(false);
        gather([bench.make(1), bench.make(8)]);
        bench.disk.endAll();
        expect(bench.ended).toEqual([
          [1, BLK_STS_IOERR],
          [8, BLK_STS_OK],
        ]);
      },
      { logical_block_size: 4096, physical_block_size: 4096 },
    );
  });

  it("a write to a read-only disk is told of", () => {
    bench.withDisk(() => {
      set_disk_ro(bench.disk.disk, true);
      gather([bench.make(0, REQ_OP_WRITE)]);
      bench.disk.endAll();
      expect(kernel.log.join("\n")).toContain("Trying to write to read-only block-device");
    });
  });

  it("waits for a tag like any other, and a bio of a recycled object has nothing of its last life", () => {
    bench.withDisk(() => {
      gather(Array.from({ length: 4 }, (_, i) => bench.make(i * 32)));
      const fifth = bio_alloc(bench.disk.disk.part0, 1, REQ_OP_READ, 0);
      const shared = alloc_pages(0, 0) as page;
      bio_add_page(fifth, shared, 1024, 512);
      fifth.bi_iter.bi_sector = 200;
      let status = -1;
      fifth.bi_end_io = (b) => {
        status = b.bi_status;
        bio_put(b);
      };
      kernel.spawn(function* () {
        const plug = new blk_plug();
        blk_start_plug(plug);
        yield* submit_bio(fifth);
        blk_finish_plug(plug);
        return 0;
      });
      kernel.runRunnable();
      expect(bench.disk.seen.length).toBe(4);
      bench.disk.end();
      kernel.runRunnable();
      expect(bench.disk.seen.map((s) => [s.sector, s.sectors]).pop()).toEqual([200, 2]);
      bench.disk.endAll();
      expect(status).toBe(BLK_STS_OK);
      __free_pages(shared, 0);
    });
  });
});
