import { beforeEach, describe, expect, it } from "vitest";
import { submit_bio } from "xenolith/linux/bio";
import {
  BLK_STS_DEV_RESOURCE,
  BLK_STS_IOERR,
  BLK_STS_OK,
  BLK_STS_RESOURCE,
  REQ_OP_READ,
  REQ_OP_WRITE,
} from "xenolith/linux/blk_types";
import type { bio } from "xenolith/linux/blk_types";
import { blk_finish_plug, blk_plug, blk_start_plug, type rq_list } from "xenolith/linux/blkdev";
import {
  blk_mq_requeue_request,
  blk_mq_start_request,
  blk_mq_start_stopped_hw_queues,
  blk_mq_stop_hw_queues,
  rq_list_peek,
  rq_list_pop,
} from "xenolith/linux/blk-mq";
import { wait_event, wait_queue_head } from "xenolith/linux/wait";
import { msleep } from "xenolith/linux/delay";
import "../../../kernel/block/blk-sysfs";
import { bootBareKernel } from "../../kit/bare-kernel";
import { Numbers } from "./fixtures";
import { MqBench, TestDisk, type TestDiskOptions } from "./test-disk";

const kernel = bootBareKernel({ vcpus: 2 });
kernel.runInitcalls();

const bench = new MqBench(kernel);

beforeEach(() => bench.reset());

describe("plugs", () => {
  function* plugged(bios: bio[], then?: () => void): Generator<void, void, void> {
    const plug = new blk_plug();
    blk_start_plug(plug);
    for (const b of bios) yield* submit_bio(b);
    then?.();
    blk_finish_plug(plug);
  }

  it("neighbours become one request; the last of the batch is announced", () => {
    bench.withDisk(() => {
      kernel.run(() =>
        plugged([bench.make(0), bench.make(8), bench.make(32), bench.make(24), bench.make(100, REQ_OP_WRITE)], () =>
          expect(bench.disk.calls).toBe(0),
        ),
      );
      expect(bench.disk.seen.map((s) => [s.op, s.sector, s.sectors, s.last])).toEqual([
        [REQ_OP_READ, 0, 16, false],
        [REQ_OP_READ, 24, 16, false],
        [REQ_OP_WRITE, 100, 8, true],
      ]);
      bench.disk.endAll();
      expect(bench.ended.length).toBe(5);
    });
  });

  it("32 requests are enough", () => {
    bench.withDisk(
      () => {
        const bios = Array.from({ length: 33 }, (_, i) => bench.make(i * 16));
        kernel.run(() => plugged(bios, () => expect(bench.disk.calls).toBe(32)));
        expect(bench.disk.calls).toBe(33);
      },
      {},
      { queue_depth: 64 },
    );
  });

  it("a request of 128 KiB is enough", () => {
    bench.withDisk(() => {
      const bios = Array.from({ length: 32 }, (_, i) => bench.make(i * 8));
      kernel.run(() =>
        plugged([...bios, bench.make(1000)], () => expect(bench.disk.seen.map((s) => s.sectors)).toEqual([256])),
      );
      expect(bench.disk.calls).toBe(2);
    });
  });

  it("a task that sleeps sends what it gathered", () => {
    bench.withDisk(() => {
      const done = new wait_queue_head();
      let go = false;
      kernel.spawn(function* () {
        const plug = new blk_plug();
        blk_start_plug(plug);
        yield* submit_bio(bench.make(0));
        yield* wait_event(done, () => go);
        blk_finish_plug(plug);
        return 0;
      });
      kernel.runRunnable();
      expect(bench.disk.calls).toBe(1);
      go = true;
    });
  });
});

describe("queue_rqs", () => {
  function gather(bios: bio[]): void {
    kernel.run(function* () {
      const plug = new blk_plug();
      blk_start_plug(plug);
      for (const b of bios) yield* submit_bio(b);
      blk_finish_plug(plug);
    });
  }

  /** Takes the first `count` requests of each list. */
  function taking(count: number, lists: number[][] = []): TestDiskOptions {
    const queue_rqs = (rqlist: rq_list): void => {
      lists.push([]);
      for (let rq = rq_list_peek(rqlist); rq !== null; rq = rq.rq_next) lists[lists.length - 1].push(rq.__sector);
      for (let i = 0; i < count; i++) {
        const rq = rq_list_pop(rqlist);
        if (rq === null) return;
        blk_mq_start_request(rq);
        bench.disk.held.push(rq);
      }
    };
    return { queue_rqs };
  }

  it("the driver gets the whole list, and queue_rq what it leaves", () => {
    const lists: number[][] = [];
    bench.withDisk(
      () => {
        gather([0, 16, 32, 48].map((sector) => bench.make(sector)));
        expect(lists).toEqual([[0, 16, 32, 48]]);
        expect(bench.disk.held.map((rq) => rq.__sector)).toEqual([0, 16, 32, 48]);
        expect(bench.disk.seen.map((s) => [s.sector, s.last])).toEqual([
          [32, false],
          [48, true],
        ]);
        bench.disk.endAll();
        expect(bench.ended.map(([sector]) => sector)).toEqual([0, 16, 32, 48]);
      },
      {},
      taking(2, lists),
    );
  });

  it("a stopped queue and one with refused requests keep their order", () => {
    const lists: number[][] = [];
    bench.withDisk(
      () => {
        blk_mq_stop_hw_queues(bench.disk.disk.queue);
        gather([bench.make(0), bench.make(16)]);
        expect([lists, bench.disk.calls]).toEqual([[], 0]);
        bench.disk.answers.push(BLK_STS_DEV_RESOURCE, BLK_STS_DEV_RESOURCE, BLK_STS_DEV_RESOURCE);
        blk_mq_start_stopped_hw_queues(bench.disk.disk.queue, false);
        kernel.runRunnable();
        bench.disk.answers.length = 0;
        gather([bench.make(32), bench.make(48)]);
        kernel.runRunnable();
        expect(lists).toEqual([]);
        expect(bench.disk.seen.map((s) => s.sector)).toEqual([0, 16, 32, 48]);
      },
      {},
      taking(9, lists),
    );
  });

  it("requests of two disks go one by one", () => {
    const lists: number[][] = [];
    const other = new TestDisk();
    kernel.run(() => other.add("otherdisk"));
    bench.withDisk(
      () => {
        const far = bench.make(64);
        far.bi_bdev = other.disk.part0;
        gather([bench.make(0), far, bench.make(16)]);
        expect(lists).toEqual([]);
        expect([bench.disk.seen, other.seen].map((seen) => seen.map((s) => s.sector))).toEqual([[0, 16], [64]]);
        other.endAll();
      },
      {},
      taking(9, lists),
    );
    kernel.run(() => other.remove());
  });
});

describe("exactly one completion", () => {
  it("under random schedules of submission, refusal, requeue, stop, quiesce and completion", () => {
    for (let seed = 1; seed <= 30; seed++) randomRun(seed);
  });
});

function randomRun(seed: number): void {
  bench.reset();
  const numbers = new Numbers(seed * 7919);
  const count = 60;
  bench.withDisk(
    () => {
      const q = bench.disk.disk.queue;
      let submitted = 0;
      for (let step = 0; step < 400; step++) {
        switch (numbers.below(9)) {
          case 0:
          case 1:
          case 2:
            if (submitted < count) {
              const sector = submitted++ * 16;
              kernel.spawn(() => submitLater(sector, numbers.below(3)));
            }
            break;
          case 3:
            bench.disk.answers.push(numbers.pick([BLK_STS_RESOURCE, BLK_STS_OK, BLK_STS_IOERR]));
            break;
          case 4:
            blk_mq_stop_hw_queues(q);
            break;
          case 5:
            blk_mq_start_stopped_hw_queues(q, numbers.below(2) === 0);
            break;
          case 6:
            if (bench.disk.held.length > 0) blk_mq_requeue_request(bench.disk.held.splice(0, 1)[0], true);
            break;
          default:
            if (bench.disk.held.length > 0)
              bench.disk.end(numbers.pick([0, BLK_STS_IOERR]), numbers.below(bench.disk.held.length));
        }
        kernel.runRunnable();
      }
      bench.disk.answers.length = 0;
      bench.disk.immediate = true;
      blk_mq_start_stopped_hw_queues(q, true);
      for (let i = 0; i < 100 && bench.ended.length < submitted; i++) {
        bench.disk.endAll();
        kernel.advance(5_000_000);
      }
      const sectors = bench.ended.map(([sector]) => sector).sort((a, b) => a - b);
      expect(sectors, `seed ${seed}`).toEqual(Array.from({ length: submitted }, (_, i) => i * 16));
    },
    {},
    { nr_hw_queues: 2 },
  );
}

function* submitLater(sector: number, ms: number): Generator<void, number, void> {
  if (ms > 0) yield* msleep(ms);
  yield* submit_bio(bench.make(sector, sector % 32 === 0 ? REQ_OP_READ : REQ_OP_WRITE));
  return 0;
}
