import { beforeEach, describe, expect, it } from "vitest";
import { submit_bio } from "xenolith/linux/bio";
import { BLK_STS_IOERR, REQ_OP_READ, REQ_OP_WRITE, REQ_PREFLUSH } from "xenolith/linux/blk_types";
import { BLK_FEAT_WRITE_CACHE, blk_finish_plug, blk_plug, blk_start_plug, io_comp_batch } from "xenolith/linux/blkdev";
import {
  blk_mq_add_to_batch,
  blk_mq_end_request,
  blk_mq_end_request_batch,
  blk_mq_freeze_queue_wait,
  blk_mq_queue_inflight,
  blk_mq_unfreeze_queue,
  type request,
} from "xenolith/linux/blk-mq";
import "../../../kernel/block/blk-sysfs";
import { blk_freeze_queue_start } from "../../../kernel/block/blk-mq-freeze";
import { part_stat_fields } from "../../../kernel/block/blk-stat";
import { bootBareKernel } from "../../kit/bare-kernel";
import { MqBench } from "./test-disk";

const kernel = bootBareKernel();
kernel.runInitcalls();

const bench = new MqBench(kernel);

beforeEach(() => bench.reset());

/** Ends everything that is held as one batch, in the given order of indices. */
function endBatch(order: number[] = bench.disk.held.map((_, i) => i)): void {
  const held = bench.disk.held.splice(0);
  const iob = new io_comp_batch();
  for (const i of order) expect(blk_mq_add_to_batch(held[i], iob, false)).toBe(true);
  blk_mq_end_request_batch(iob);
  expect(iob.req_list.head).toBe(null);
}

/** The counters of the disk that do not depend on when something happened: reads, merges, sectors; writes, merges, sectors; in flight. */
function counters(): number[] {
  const fields = part_stat_fields(bench.disk.disk.part0);
  return [fields[0], fields[1], fields[2], fields[4], fields[5], fields[6], fields[8]];
}

describe("blk_mq_end_request_batch", () => {
  it("every bio ends, in the order of the batch, and the tags are free again", () => {
    bench.withDisk(() => {
      for (let round = 0; round < 3; round++) {
        bench.ended = [];
        bench.submit(bench.make(0), bench.make(16), bench.make(32), bench.make(48));
        expect(bench.disk.held.map((rq) => rq.tag).sort()).toEqual([0, 1, 2, 3]);
        endBatch([2, 0, 3, 1]);
        expect(bench.ended).toEqual([32, 0, 48, 16].map((sector) => [sector, 0]));
        expect(blk_mq_queue_inflight(bench.disk.disk.queue)).toBe(0);
      }
    });
  });

  it("it counts what ends one by one would count, reads and writes apart", () => {
    const ops = [REQ_OP_READ, REQ_OP_READ, REQ_OP_WRITE, REQ_OP_READ];
    const seen: number[][] = [];
    for (const way of ["one by one", "batch"]) {
      bench.withDisk(() => {
        bench.submit(...ops.map((op, i) => bench.make(i * 16, op, i === 3 ? 512 : 4096)));
        seen.push(counters());
        if (way === "batch") endBatch();
        else bench.disk.endAll();
        seen.push(counters());
      });
      bench.reset();
    }
    expect(seen[1]).toEqual([3, 0, 17, 1, 0, 8, 0]);
    expect(seen.slice(2)).toEqual(seen.slice(0, 2));
  });

  it("time in flight is counted once, time per request for each", () => {
    bench.withDisk(() => {
      bench.submit(bench.make(0), bench.make(16));
      kernel.advance(5_000_000);
      bench.submit(bench.make(32));
      kernel.advance(5_000_000);
      endBatch();
      const fields = part_stat_fields(bench.disk.disk.part0);
      expect([fields[3], fields[9]]).toEqual([25, 10]);
    });
  });

  it("all bios of a merged request end", () => {
    bench.withDisk(() => {
      kernel.run(function* () {
        const plug = new blk_plug();
        blk_start_plug(plug);
        for (const sector of [0, 8, 16]) yield* submit_bio(bench.make(sector));
        blk_finish_plug(plug);
      });
      expect(bench.disk.held.length).toBe(1);
      endBatch();
      expect(bench.ended.map(([sector]) => sector)).toEqual([0, 8, 16]);
    });
  });

  it("whoever waits for tags or for a frozen queue goes on", () => {
    bench.withDisk(() => {
      let submitted = 0;
      for (let i = 0; i < 8; i++) {
        kernel.spawn(function* () {
          yield* submit_bio(bench.make(i * 16));
          submitted++;
          return 0;
        });
      }
      kernel.runRunnable();
      expect(submitted).toBe(4);
      endBatch();
      kernel.runRunnable();
      expect(submitted).toBe(8);
      const q = bench.disk.disk.queue;
      let frozen = false;
      blk_freeze_queue_start(q);
      kernel.spawn(function* () {
        yield* blk_mq_freeze_queue_wait(q);
        frozen = true;
        return 0;
      });
      kernel.runRunnable();
      expect(frozen).toBe(false);
      endBatch();
      kernel.runRunnable();
      expect(frozen).toBe(true);
      blk_mq_unfreeze_queue(q, 0);
    });
  });

  it("takes no failed request, and none whose end somebody waits for", () => {
    bench.withDisk(
      () => {
        const iob = new io_comp_batch();
        bench.submit(bench.make(0));
        const [rq] = bench.disk.held.splice(0);
        expect(blk_mq_add_to_batch(rq, iob, true)).toBe(false);
        blk_mq_end_request(rq, BLK_STS_IOERR);
        bench.submit(bench.make(0, REQ_OP_WRITE | REQ_PREFLUSH));
        kernel.runRunnable();
        expect(blk_mq_add_to_batch(bench.disk.held[0], iob, false)).toBe(false);
        expect(iob.req_list.head).toBe(null);
      },
      { features: BLK_FEAT_WRITE_CACHE },
    );
  });

  it("a request that has ended already is our own bug", () => {
    let ended: request | null = null;
    bench.withDisk(() => {
      bench.submit(bench.make(0));
      ended = bench.disk.held[0];
      endBatch();
      const iob = new io_comp_batch();
      blk_mq_add_to_batch(ended, iob, false);
      expect(() => blk_mq_end_request_batch(iob)).toThrow();
      expect(kernel.log.join("\n")).toContain("completed twice");
    });
  });
});
