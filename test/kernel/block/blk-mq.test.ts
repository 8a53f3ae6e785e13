import { beforeEach, describe, expect, it } from "vitest";
import { bio_add_page, bio_alloc, bio_put, submit_bio, submit_bio_nowait, submit_bio_wait } from "xenolith/linux/bio";
import {
  BLK_STS_AGAIN,
  BLK_STS_DEV_RESOURCE,
  BLK_STS_IOERR,
  BLK_STS_NOTSUPP,
  BLK_STS_OK,
  BLK_STS_RESOURCE,
  BLK_STS_TIMEOUT,
  REQ_NOWAIT,
  REQ_OP_DRV_IN,
  REQ_OP_READ,
  REQ_OP_WRITE,
} from "xenolith/linux/blk_types";
import { blk_mark_disk_dead, blk_queue_rq_timeout } from "xenolith/linux/blkdev";
import {
  BLK_EH_DONE,
  BLK_EH_RESET_TIMER,
  BLK_MQ_REQ_NOWAIT,
  blk_execute_rq,
  blk_mq_alloc_request,
  blk_mq_alloc_tag_set,
  blk_mq_end_request,
  blk_mq_free_request,
  blk_mq_freeze_queue,
  blk_mq_quiesce_queue,
  blk_mq_requeue_request,
  blk_mq_kick_requeue_list,
  blk_mq_rq_to_pdu,
  blk_mq_run_hw_queues,
  blk_mq_start_stopped_hw_queues,
  blk_mq_stop_hw_queues,
  blk_mq_tag_set,
  blk_mq_tagset_busy_iter,
  blk_mq_unfreeze_queue,
  blk_mq_unquiesce_queue,
  blk_mq_update_nr_hw_queues,
} from "xenolith/linux/blk-mq";
import { alloc_page, put_page } from "xenolith/linux/mm";
import type { page } from "xenolith/linux/mm_types";
import "../../../kernel/block/blk-sysfs";
import { bootBareKernel } from "../../kit/bare-kernel";
import { MqBench } from "./test-disk";

const kernel = bootBareKernel({ vcpus: 2 });
kernel.runInitcalls();

const bench = new MqBench(kernel);

beforeEach(() => bench.reset());

describe("queue_rq answers", () => {
  it("OK: the driver has it, and its end is the bio's end", () => {
    bench.withDisk(() => {
      bench.submit(bench.make(8), bench.make(16));
      expect(bench.disk.seen.map((s) => [s.sector, s.sectors, s.last])).toEqual([
        [8, 8, true],
        [16, 8, true],
      ]);
      expect(bench.ended).toEqual([]);
      bench.disk.end(BLK_STS_OK, 1);
      bench.disk.end(BLK_STS_TIMEOUT);
      expect(bench.ended).toEqual([
        [16, BLK_STS_OK],
        [8, BLK_STS_TIMEOUT],
      ]);
    });
  });

  it("anything else ends the request with that status", () => {
    bench.withDisk(() => {
      for (const status of [BLK_STS_IOERR, BLK_STS_NOTSUPP, BLK_STS_AGAIN]) {
        bench.disk.answers.push(status);
        bench.submit(bench.make(0));
      }
      expect(bench.ended.map(([, status]) => status)).toEqual([BLK_STS_IOERR, BLK_STS_NOTSUPP, BLK_STS_AGAIN]);
      expect(bench.disk.seen).toEqual([]);
    });
  });

  it("RESOURCE: it stays in front and is tried again, after 3 ms if nothing else happens", () => {
    bench.withDisk(() => {
      bench.disk.answers.push(BLK_STS_RESOURCE, BLK_STS_RESOURCE, BLK_STS_RESOURCE, BLK_STS_RESOURCE);
      bench.submit(bench.make(8));
      const tries = bench.disk.calls;
      kernel.advance(2_900_000);
      expect([bench.disk.calls, bench.disk.seen.length]).toEqual([tries, 0]);
      kernel.advance(200_000);
      expect(bench.disk.calls).toBeGreaterThan(tries);
      kernel.advance(10_000_000);
      expect(bench.disk.seen.map((s) => s.sector)).toEqual([8]);
    });
  });

  it("RESOURCE: the next completion tries again", () => {
    bench.withDisk(() => {
      bench.submit(bench.make(0));
      bench.disk.answers.push(BLK_STS_RESOURCE, BLK_STS_RESOURCE, BLK_STS_RESOURCE);
      bench.submit(bench.make(8), bench.make(16));
      expect(bench.disk.seen.length).toBe(1);
      bench.disk.end();
      kernel.runRunnable();
      expect(bench.disk.seen.map((s) => s.sector)).toEqual([0, 8, 16]);
    });
  });

  it("DEV_RESOURCE: nothing happens until the driver starts the queue", () => {
    bench.withDisk(() => {
      bench.disk.answers.push(BLK_STS_DEV_RESOURCE, BLK_STS_DEV_RESOURCE, BLK_STS_DEV_RESOURCE);
      bench.submit(bench.make(8), bench.make(16));
      kernel.advance(100_000_000);
      const before = bench.disk.seen.length;
      bench.disk.answers.length = 0;
      blk_mq_run_hw_queues(bench.disk.disk.queue, true);
      kernel.runRunnable();
      expect(before).toBe(0);
      expect(bench.disk.seen.map((s) => s.sector)).toEqual([8, 16]);
    });
  });

  it("a refused request goes ahead of the rest of its batch", () => {
    bench.withDisk(() => {
      blk_mq_stop_hw_queues(bench.disk.disk.queue);
      bench.submit(bench.make(0), bench.make(16), bench.make(32));
      expect(bench.disk.calls).toBe(0);
      bench.disk.answers.push(BLK_STS_OK, BLK_STS_DEV_RESOURCE, BLK_STS_DEV_RESOURCE);
      blk_mq_start_stopped_hw_queues(bench.disk.disk.queue, true);
      kernel.runRunnable();
      bench.disk.answers.length = 0;
      bench.submit(bench.make(48));
      kernel.runRunnable();
      blk_mq_run_hw_queues(bench.disk.disk.queue, true);
      kernel.runRunnable();
      expect(bench.disk.seen.map((s) => s.sector)).toEqual([0, 16, 32, 48]);
    });
  });
});

describe("tags", () => {
  it("no tag: nowait says no, submit_bio sleeps until one is free, REQ_NOWAIT fails", () => {
    bench.withDisk(() => {
      expect(bench.submit(bench.make(0), bench.make(8), bench.make(16), bench.make(24))).toEqual([
        true,
        true,
        true,
        true,
      ]);
      const fifth = bench.make(32);
      expect(submit_bio_nowait(fifth)).toBe(false);
      expect(submit_bio_nowait(bench.make(40, REQ_OP_READ | REQ_NOWAIT))).toBe(true);
      expect(bench.ended).toEqual([[40, BLK_STS_AGAIN]]);
      let taken = false;
      kernel.spawn(function* () {
        yield* submit_bio(fifth);
        taken = true;
        return 0;
      });
      kernel.runRunnable();
      expect(taken).toBe(false);
      bench.disk.end();
      kernel.runRunnable();
      expect([taken, bench.disk.seen.map((s) => s.sector)]).toEqual([true, [0, 8, 16, 24, 32]]);
    });
  });

  it("a bio that is split waits for tags in the middle and is not sent twice", () => {
    bench.withDisk(
      () => {
        const pages = Array.from({ length: 20 }, () => alloc_page(0) as page);
        const big = bio_alloc(bench.disk.disk.part0, 20, REQ_OP_WRITE, 0);
        for (const p of pages) bio_add_page(big, p, 4096, 0);
        let status = 1;
        kernel.spawn(function* () {
          status = yield* submit_bio_wait(big);
          return 0;
        });
        kernel.runRunnable();
        expect(bench.disk.seen.length).toBe(4);
        for (let i = 0; i < 10; i++) {
          bench.disk.end();
          kernel.runRunnable();
        }
        expect(bench.disk.seen.map((s) => s.sector)).toEqual([0, 16, 32, 48, 64, 80, 96, 112, 128, 144]);
        expect(status).toBe(0);
        bio_put(big);
        for (const p of pages) put_page(p);
      },
      { max_hw_sectors: 16 },
    );
  });

  it("many waiters all get their turn", () => {
    bench.withDisk(() => {
      let done = 0;
      for (let i = 0; i < 50; i++) {
        kernel.spawn(function* () {
          yield* submit_bio(bench.make(i * 16));
          done++;
          return 0;
        });
      }
      kernel.runRunnable();
      while (bench.disk.held.length > 0) {
        bench.disk.end();
        kernel.runRunnable();
      }
      expect([done, bench.ended.length]).toEqual([50, 50]);
    });
  });

  it("bad sets are refused", () => {
    const ops = { queue_rq: () => 0 };
    const alloc = (fields: object): number => blk_mq_alloc_tag_set(Object.assign(new blk_mq_tag_set(), fields));
    expect(alloc({ ops, nr_hw_queues: 0, queue_depth: 1 })).toBe(-22);
    expect(alloc({ ops, nr_hw_queues: 1, queue_depth: 0 })).toBe(-22);
    expect(alloc({ ops, nr_hw_queues: 1, queue_depth: 10241 })).toBe(-22);
    expect(alloc({ ops, nr_hw_queues: 1, queue_depth: 4, reserved_tags: 4 })).toBe(-22);
    expect(alloc({ ops: {}, nr_hw_queues: 1, queue_depth: 4 })).toBe(-22);
  });

  it("the driver's object of a request stays with its tag", () => {
    let made = 0;
    bench.withDisk(
      () => {
        bench.submit(bench.make(0));
        const first = blk_mq_rq_to_pdu(bench.disk.held[0]);
        bench.disk.end();
        bench.submit(bench.make(8));
        expect(blk_mq_rq_to_pdu(bench.disk.held[0])).toBe(first);
      },
      {},
      { cmd_size: () => ({ number: made++ }) },
    );
    expect(made).toBe(5);
  });
});

describe("requeue", () => {
  it("requests come back in their order, ahead of newer ones", () => {
    bench.withDisk(() => {
      bench.submit(bench.make(0), bench.make(16));
      const [first, second] = bench.disk.held.splice(0);
      blk_mq_requeue_request(first, false);
      blk_mq_requeue_request(second, false);
      kernel.runRunnable();
      expect(bench.disk.seen.length).toBe(2);
      blk_mq_kick_requeue_list(bench.disk.disk.queue);
      kernel.runRunnable();
      expect(bench.disk.seen.map((s) => s.sector)).toEqual([0, 16, 0, 16]);
    });
  });
});

describe("stop, quiesce, freeze", () => {
  it("a quiesced queue keeps requests; quiescing is counted", () => {
    bench.withDisk(() => {
      const q = bench.disk.disk.queue;
      kernel.run(() => blk_mq_quiesce_queue(q));
      kernel.run(() => blk_mq_quiesce_queue(q));
      bench.submit(bench.make(0));
      blk_mq_unquiesce_queue(q);
      kernel.runRunnable();
      expect(bench.disk.calls).toBe(0);
      blk_mq_unquiesce_queue(q);
      kernel.runRunnable();
      expect(bench.disk.calls).toBe(1);
    });
  });

  it("freezing waits for what is in flight and holds back what comes", () => {
    bench.withDisk(() => {
      const q = bench.disk.disk.queue;
      bench.submit(bench.make(0));
      let frozen = false;
      kernel.spawn(function* () {
        yield* blk_mq_freeze_queue(q);
        frozen = true;
        return 0;
      });
      kernel.runRunnable();
      expect(frozen).toBe(false);
      const late = bench.make(8);
      expect(submit_bio_nowait(late)).toBe(false);
      kernel.spawn(function* () {
        yield* submit_bio(late);
        return 0;
      });
      kernel.runRunnable();
      bench.disk.end();
      kernel.runRunnable();
      expect([frozen, bench.disk.seen.length]).toEqual([true, 1]);
      blk_mq_unfreeze_queue(q, 0);
      kernel.runRunnable();
      expect(bench.disk.seen.length).toBe(2);
    });
  });

  it("the number of hardware queues follows the set, bounded by the CPUs", () => {
    bench.withDisk(() => {
      expect([bench.disk.set.nr_hw_queues, bench.disk.disk.queue.nr_hw_queues]).toEqual([1, 1]);
      kernel.run(() => blk_mq_update_nr_hw_queues(bench.disk.set, 7));
      expect([bench.disk.set.nr_hw_queues, bench.disk.disk.queue.nr_hw_queues, bench.disk.set.tags.length]).toEqual([
        2, 2, 2,
      ]);
      bench.submit(bench.make(0));
      bench.disk.end();
      kernel.run(() => blk_mq_update_nr_hw_queues(bench.disk.set, 0));
      kernel.run(() => blk_mq_update_nr_hw_queues(bench.disk.set, 1));
      expect([bench.disk.set.nr_hw_queues, bench.disk.disk.queue.nr_hw_queues, bench.disk.set.tags.length]).toEqual([
        1, 1, 1,
      ]);
    });
  });
});

describe("timeouts", () => {
  it("the driver is asked when a request's time is over, and again after a reset", () => {
    const asked: number[] = [];
    let answer: typeof BLK_EH_DONE | typeof BLK_EH_RESET_TIMER = BLK_EH_RESET_TIMER;
    bench.withDisk(
      () => {
        blk_queue_rq_timeout(bench.disk.disk.queue, 50);
        bench.submit(bench.make(0));
        kernel.advance(49_000_000);
        bench.submit(bench.make(16));
        expect(asked).toEqual([]);
        kernel.advance(2_000_000);
        expect(asked).toEqual([0]);
        kernel.advance(50_000_000);
        expect(asked).toEqual([0, 16, 0]);
        answer = BLK_EH_DONE;
        kernel.advance(51_000_000);
        expect(bench.disk.held.length).toBe(0);
      },
      {},
      {
        timeout(rq) {
          asked.push(rq.__sector);
          if (answer === BLK_EH_DONE) {
            bench.disk.held.splice(bench.disk.held.indexOf(rq), 1);
            blk_mq_end_request(rq, BLK_STS_TIMEOUT);
          }
          return answer;
        },
      },
    );
    expect(bench.ended.every(([, status]) => status === BLK_STS_TIMEOUT)).toBe(true);
  });
});

describe("a driver's own requests", () => {
  it("are executed and freed by their owner", () => {
    bench.withDisk(() => {
      bench.disk.immediate = true;
      const status = kernel.run(function* () {
        const rq = yield* blk_mq_alloc_request(bench.disk.disk.queue, REQ_OP_DRV_IN, 0);
        if (typeof rq === "number") return rq;
        const result = yield* blk_execute_rq(rq, true);
        blk_mq_free_request(rq);
        return result;
      });
      expect([status, bench.disk.seen[0].op]).toEqual([BLK_STS_OK, REQ_OP_DRV_IN]);
    });
  });

  it("without a tag, NOWAIT is told so", () => {
    bench.withDisk(() => {
      bench.submit(bench.make(0), bench.make(8), bench.make(16), bench.make(24));
      expect(kernel.run(() => blk_mq_alloc_request(bench.disk.disk.queue, REQ_OP_DRV_IN, BLK_MQ_REQ_NOWAIT))).toBe(-11);
    });
  });
});

describe("a dead disk", () => {
  it("fails what comes, also whoever waits for a tag", () => {
    bench.withDisk(() => {
      bench.submit(bench.make(0), bench.make(8), bench.make(16), bench.make(24));
      kernel.spawn(function* () {
        yield* submit_bio(bench.make(32));
        return 0;
      });
      kernel.runRunnable();
      blk_mark_disk_dead(bench.disk.disk);
      kernel.runRunnable();
      bench.submit(bench.make(40));
      expect(bench.ended).toEqual([
        [32, BLK_STS_IOERR],
        [40, BLK_STS_IOERR],
      ]);
    });
  });
});

describe("walking busy requests", () => {
  it("visits what the driver has and nothing else", () => {
    bench.withDisk(() => {
      bench.submit(bench.make(0), bench.make(16), bench.make(32));
      bench.disk.end(BLK_STS_OK, 1);
      const found: number[] = [];
      blk_mq_tagset_busy_iter(bench.disk.set, (rq) => found.push(rq.__sector) > 0, null);
      expect(found.sort((a, b) => a - b)).toEqual([0, 32]);
    });
  });
});
