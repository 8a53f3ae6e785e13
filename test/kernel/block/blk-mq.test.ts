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
import type { bio } from "xenolith/linux/blk_types";
import {
  blk_finish_plug,
  blk_mark_disk_dead,
  blk_plug,
  blk_queue_rq_timeout,
  blk_start_plug,
} from "xenolith/linux/blkdev";
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
import { alloc_page, nr_allocated_pages, put_page } from "xenolith/linux/mm";
import { wait_event, wait_queue_head } from "xenolith/linux/wait";
import { msleep } from "xenolith/linux/delay";
import type { page } from "xenolith/linux/mm_types";
import "../../../kernel/block/blk-sysfs";
import { bootBareKernel } from "../../kit/bare-kernel";
import { Numbers } from "./fixtures";
import { TestDisk } from "./test-disk";

const kernel = bootBareKernel({ vcpus: 2 });
kernel.runInitcalls();

let test: TestDisk;
let names = 0;
let data: page;
let ended: [number, number][];

/** A bio of one page that notes its end. */
function make(sector: number, opf = REQ_OP_READ, bytes = 4096): bio {
  const made = bio_alloc(test.disk.part0, 1, opf, 0);
  made.bi_iter.bi_sector = sector;
  if (bytes > 0) bio_add_page(made, data, bytes, 0);
  made.bi_end_io = (b) => {
    ended.push([sector, b.bi_status]);
    bio_put(b);
  };
  return made;
}

function submit(...bios: bio[]): boolean[] {
  return bios.map((b) => submit_bio_nowait(b));
}

beforeEach(() => {
  test = new TestDisk();
  ended = [];
  data ??= alloc_page(0) as page;
});

/** Runs `body` with a fresh disk and takes it away afterwards; checks that nothing is left behind. */
function withDisk(
  body: () => void,
  limits: Parameters<TestDisk["add"]>[1] = {},
  how: Parameters<TestDisk["add"]>[2] = {},
): void {
  const pages = nr_allocated_pages();
  kernel.run(() => test.add(`test${names++}x`, limits, how));
  body();
  test.answers.length = 0;
  test.immediate = true;
  test.endAll();
  kernel.runUntilIdle();
  kernel.run(() => test.remove());
  expect(nr_allocated_pages()).toBe(pages);
}

describe("queue_rq answers", () => {
  it("OK: the driver has it, and its end is the bio's end", () => {
    withDisk(() => {
      submit(make(8), make(16));
      expect(test.seen.map((s) => [s.sector, s.sectors, s.last])).toEqual([
        [8, 8, true],
        [16, 8, true],
      ]);
      expect(ended).toEqual([]);
      test.end(BLK_STS_OK, 1);
      test.end(BLK_STS_TIMEOUT);
      expect(ended).toEqual([
        [16, BLK_STS_OK],
        [8, BLK_STS_TIMEOUT],
      ]);
    });
  });

  it("anything else ends the request with that status", () => {
    withDisk(() => {
      for (const status of [BLK_STS_IOERR, BLK_STS_NOTSUPP, BLK_STS_AGAIN]) {
        test.answers.push(status);
        submit(make(0));
      }
      expect(ended.map(([, status]) => status)).toEqual([BLK_STS_IOERR, BLK_STS_NOTSUPP, BLK_STS_AGAIN]);
      expect(test.seen).toEqual([]);
    });
  });

  it("RESOURCE: it stays in front and is tried again, after 3 ms if nothing else happens", () => {
    withDisk(() => {
      test.answers.push(BLK_STS_RESOURCE, BLK_STS_RESOURCE, BLK_STS_RESOURCE, BLK_STS_RESOURCE);
      submit(make(8));
      const tries = test.calls;
      kernel.advance(2_900_000);
      expect([test.calls, test.seen.length]).toEqual([tries, 0]);
      kernel.advance(200_000);
      expect(test.calls).toBeGreaterThan(tries);
      kernel.advance(10_000_000);
      expect(test.seen.map((s) => s.sector)).toEqual([8]);
    });
  });

  it("RESOURCE: the next completion tries again", () => {
    withDisk(() => {
      submit(make(0));
      test.answers.push(BLK_STS_RESOURCE, BLK_STS_RESOURCE, BLK_STS_RESOURCE);
      submit(make(8), make(16));
      expect(test.seen.length).toBe(1);
      test.end();
      kernel.runRunnable();
      expect(test.seen.map((s) => s.sector)).toEqual([0, 8, 16]);
    });
  });

  it("DEV_RESOURCE: nothing happens until the driver starts the queue", () => {
    withDisk(() => {
      test.answers.push(BLK_STS_DEV_RESOURCE, BLK_STS_DEV_RESOURCE, BLK_STS_DEV_RESOURCE);
      submit(make(8), make(16));
      kernel.advance(100_000_000);
      const before = test.seen.length;
      test.answers.length = 0;
      blk_mq_run_hw_queues(test.disk.queue, true);
      kernel.runRunnable();
      expect(before).toBe(0);
      expect(test.seen.map((s) => s.sector)).toEqual([8, 16]);
    });
  });

  it("a refused request goes ahead of the rest of its batch", () => {
    withDisk(() => {
      blk_mq_stop_hw_queues(test.disk.queue);
      submit(make(0), make(16), make(32));
      expect(test.calls).toBe(0);
      test.answers.push(BLK_STS_OK, BLK_STS_DEV_RESOURCE, BLK_STS_DEV_RESOURCE);
      blk_mq_start_stopped_hw_queues(test.disk.queue, true);
      kernel.runRunnable();
      test.answers.length = 0;
      submit(make(48));
      kernel.runRunnable();
      blk_mq_run_hw_queues(test.disk.queue, true);
      kernel.runRunnable();
      expect(test.seen.map((s) => s.sector)).toEqual([0, 16, 32, 48]);
    });
  });
});

describe("tags", () => {
  it("no tag: nowait says no, submit_bio sleeps until one is free, REQ_NOWAIT fails", () => {
    withDisk(() => {
      expect(submit(make(0), make(8), make(16), make(24))).toEqual([true, true, true, true]);
      const fifth = make(32);
      expect(submit_bio_nowait(fifth)).toBe(false);
      expect(submit_bio_nowait(make(40, REQ_OP_READ | REQ_NOWAIT))).toBe(true);
      expect(ended).toEqual([[40, BLK_STS_AGAIN]]);
      let taken = false;
      kernel.spawn(function* () {
        yield* submit_bio(fifth);
        taken = true;
        return 0;
      });
      kernel.runRunnable();
      expect(taken).toBe(false);
      test.end();
      kernel.runRunnable();
      expect([taken, test.seen.map((s) => s.sector)]).toEqual([true, [0, 8, 16, 24, 32]]);
    });
  });

  it("a bio that is split waits for tags in the middle and is not sent twice", () => {
    withDisk(
      () => {
        const pages = Array.from({ length: 20 }, () => alloc_page(0) as page);
        const big = bio_alloc(test.disk.part0, 20, REQ_OP_WRITE, 0);
        for (const p of pages) bio_add_page(big, p, 4096, 0);
        let status = 1;
        kernel.spawn(function* () {
          status = yield* submit_bio_wait(big);
          return 0;
        });
        kernel.runRunnable();
        expect(test.seen.length).toBe(4);
        for (let i = 0; i < 10; i++) {
          test.end();
          kernel.runRunnable();
        }
        expect(test.seen.map((s) => s.sector)).toEqual([0, 16, 32, 48, 64, 80, 96, 112, 128, 144]);
        expect(status).toBe(0);
        bio_put(big);
        for (const p of pages) put_page(p);
      },
      { max_hw_sectors: 16 },
    );
  });

  it("many waiters all get their turn", () => {
    withDisk(() => {
      let done = 0;
      for (let i = 0; i < 50; i++) {
        kernel.spawn(function* () {
          yield* submit_bio(make(i * 16));
          done++;
          return 0;
        });
      }
      kernel.runRunnable();
      while (test.held.length > 0) {
        test.end();
        kernel.runRunnable();
      }
      expect([done, ended.length]).toEqual([50, 50]);
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
    withDisk(
      () => {
        submit(make(0));
        const first = blk_mq_rq_to_pdu(test.held[0]);
        test.end();
        submit(make(8));
        expect(blk_mq_rq_to_pdu(test.held[0])).toBe(first);
      },
      {},
      { cmd_size: () => ({ number: made++ }) },
    );
    expect(made).toBe(5);
  });
});

describe("requeue", () => {
  it("requests come back in their order, ahead of newer ones", () => {
    withDisk(() => {
      submit(make(0), make(16));
      const [first, second] = test.held.splice(0);
      blk_mq_requeue_request(first, false);
      blk_mq_requeue_request(second, false);
      kernel.runRunnable();
      expect(test.seen.length).toBe(2);
      blk_mq_kick_requeue_list(test.disk.queue);
      kernel.runRunnable();
      expect(test.seen.map((s) => s.sector)).toEqual([0, 16, 0, 16]);
    });
  });
});

describe("stop, quiesce, freeze", () => {
  it("a quiesced queue keeps requests; quiescing is counted", () => {
    withDisk(() => {
      const q = test.disk.queue;
      kernel.run(() => blk_mq_quiesce_queue(q));
      kernel.run(() => blk_mq_quiesce_queue(q));
      submit(make(0));
      blk_mq_unquiesce_queue(q);
      kernel.runRunnable();
      expect(test.calls).toBe(0);
      blk_mq_unquiesce_queue(q);
      kernel.runRunnable();
      expect(test.calls).toBe(1);
    });
  });

  it("freezing waits for what is in flight and holds back what comes", () => {
    withDisk(() => {
      const q = test.disk.queue;
      submit(make(0));
      let frozen = false;
      kernel.spawn(function* () {
        yield* blk_mq_freeze_queue(q);
        frozen = true;
        return 0;
      });
      kernel.runRunnable();
      expect(frozen).toBe(false);
      const late = make(8);
      expect(submit_bio_nowait(late)).toBe(false);
      kernel.spawn(function* () {
        yield* submit_bio(late);
        return 0;
      });
      kernel.runRunnable();
      test.end();
      kernel.runRunnable();
      expect([frozen, test.seen.length]).toEqual([true, 1]);
      blk_mq_unfreeze_queue(q, 0);
      kernel.runRunnable();
      expect(test.seen.length).toBe(2);
    });
  });

  it("the number of hardware queues follows the set, bounded by the CPUs", () => {
    withDisk(() => {
      expect([test.set.nr_hw_queues, test.disk.queue.nr_hw_queues]).toEqual([1, 1]);
      kernel.run(() => blk_mq_update_nr_hw_queues(test.set, 7));
      expect([test.set.nr_hw_queues, test.disk.queue.nr_hw_queues, test.set.tags.length]).toEqual([2, 2, 2]);
      submit(make(0));
      test.end();
      kernel.run(() => blk_mq_update_nr_hw_queues(test.set, 0));
      kernel.run(() => blk_mq_update_nr_hw_queues(test.set, 1));
      expect([test.set.nr_hw_queues, test.disk.queue.nr_hw_queues, test.set.tags.length]).toEqual([1, 1, 1]);
    });
  });
});

describe("plugs", () => {
  function* plugged(bios: bio[], then?: () => void): Generator<void, void, void> {
    const plug = new blk_plug();
    blk_start_plug(plug);
    for (const b of bios) yield* submit_bio(b);
    then?.();
    blk_finish_plug(plug);
  }

  it("neighbours become one request; the last of the batch is announced", () => {
    withDisk(() => {
      kernel.run(() =>
        plugged([make(0), make(8), make(32), make(24), make(100, REQ_OP_WRITE)], () => expect(test.calls).toBe(0)),
      );
      expect(test.seen.map((s) => [s.op, s.sector, s.sectors, s.last])).toEqual([
        [REQ_OP_READ, 0, 16, false],
        [REQ_OP_READ, 24, 16, false],
        [REQ_OP_WRITE, 100, 8, true],
      ]);
      test.endAll();
      expect(ended.length).toBe(5);
    });
  });

  it("32 requests are enough", () => {
    withDisk(
      () => {
        const bios = Array.from({ length: 33 }, (_, i) => make(i * 16));
        kernel.run(() => plugged(bios, () => expect(test.calls).toBe(32)));
        expect(test.calls).toBe(33);
      },
      {},
      { queue_depth: 64 },
    );
  });

  it("a request of 128 KiB is enough", () => {
    withDisk(() => {
      const bios = Array.from({ length: 32 }, (_, i) => make(i * 8));
      kernel.run(() => plugged([...bios, make(1000)], () => expect(test.seen.map((s) => s.sectors)).toEqual([256])));
      expect(test.calls).toBe(2);
    });
  });

  it("a task that sleeps sends what it gathered", () => {
    withDisk(() => {
      const done = new wait_queue_head();
      let go = false;
      kernel.spawn(function* () {
        const plug = new blk_plug();
        blk_start_plug(plug);
        yield* submit_bio(make(0));
        yield* wait_event(done, () => go);
        blk_finish_plug(plug);
        return 0;
      });
      kernel.runRunnable();
      expect(test.calls).toBe(1);
      go = true;
    });
  });
});

describe("timeouts", () => {
  it("the driver is asked when a request's time is over, and again after a reset", () => {
    const asked: number[] = [];
    let answer: typeof BLK_EH_DONE | typeof BLK_EH_RESET_TIMER = BLK_EH_RESET_TIMER;
    withDisk(
      () => {
        blk_queue_rq_timeout(test.disk.queue, 50);
        submit(make(0));
        kernel.advance(49_000_000);
        submit(make(16));
        expect(asked).toEqual([]);
        kernel.advance(2_000_000);
        expect(asked).toEqual([0]);
        kernel.advance(50_000_000);
        expect(asked).toEqual([0, 16, 0]);
        answer = BLK_EH_DONE;
        kernel.advance(51_000_000);
        expect(test.held.length).toBe(0);
      },
      {},
      {
        timeout(rq) {
          asked.push(rq.__sector);
          if (answer === BLK_EH_DONE) {
            test.held.splice(test.held.indexOf(rq), 1);
            blk_mq_end_request(rq, BLK_STS_TIMEOUT);
          }
          return answer;
        },
      },
    );
    expect(ended.every(([, status]) => status === BLK_STS_TIMEOUT)).toBe(true);
  });
});

describe("a driver's own requests", () => {
  it("are executed and freed by their owner", () => {
    withDisk(() => {
      test.immediate = true;
      const status = kernel.run(function* () {
        const rq = yield* blk_mq_alloc_request(test.disk.queue, REQ_OP_DRV_IN, 0);
        if (typeof rq === "number") return rq;
        const result = yield* blk_execute_rq(rq, true);
        blk_mq_free_request(rq);
        return result;
      });
      expect([status, test.seen[0].op]).toEqual([BLK_STS_OK, REQ_OP_DRV_IN]);
    });
  });

  it("without a tag, NOWAIT is told so", () => {
    withDisk(() => {
      submit(make(0), make(8), make(16), make(24));
      expect(kernel.run(() => blk_mq_alloc_request(test.disk.queue, REQ_OP_DRV_IN, BLK_MQ_REQ_NOWAIT))).toBe(-11);
    });
  });
});

describe("a dead disk", () => {
  it("fails what comes, also whoever waits for a tag", () => {
    withDisk(() => {
      submit(make(0), make(8), make(16), make(24));
      kernel.spawn(function* () {
        yield* submit_bio(make(32));
        return 0;
      });
      kernel.runRunnable();
      blk_mark_disk_dead(test.disk);
      kernel.runRunnable();
      submit(make(40));
      expect(ended).toEqual([
        [32, BLK_STS_IOERR],
        [40, BLK_STS_IOERR],
      ]);
    });
  });
});

describe("walking busy requests", () => {
  it("visits what the driver has and nothing else", () => {
    withDisk(() => {
      submit(make(0), make(16), make(32));
      test.end(BLK_STS_OK, 1);
      const found: number[] = [];
      blk_mq_tagset_busy_iter(test.set, (rq) => found.push(rq.__sector) > 0, null);
      expect(found.sort((a, b) => a - b)).toEqual([0, 32]);
    });
  });
});

describe("exactly one completion", () => {
  it("under random schedules of submission, refusal, requeue, stop, quiesce and completion", () => {
    for (let seed = 1; seed <= 30; seed++) randomRun(seed);
  });
});

function randomRun(seed: number): void {
  test = new TestDisk();
  ended = [];
  const numbers = new Numbers(seed * 7919);
  const count = 60;
  withDisk(
    () => {
      const q = test.disk.queue;
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
            test.answers.push(numbers.pick([BLK_STS_RESOURCE, BLK_STS_OK, BLK_STS_IOERR]));
            break;
          case 4:
            blk_mq_stop_hw_queues(q);
            break;
          case 5:
            blk_mq_start_stopped_hw_queues(q, numbers.below(2) === 0);
            break;
          case 6:
            if (test.held.length > 0) blk_mq_requeue_request(test.held.splice(0, 1)[0], true);
            break;
          default:
            if (test.held.length > 0) test.end(numbers.pick([0, BLK_STS_IOERR]), numbers.below(test.held.length));
        }
        kernel.runRunnable();
      }
      test.answers.length = 0;
      test.immediate = true;
      blk_mq_start_stopped_hw_queues(q, true);
      for (let i = 0; i < 100 && ended.length < submitted; i++) {
        test.endAll();
        kernel.advance(5_000_000);
      }
      const sectors = ended.map(([sector]) => sector).sort((a, b) => a - b);
      expect(sectors, `seed ${seed}`).toEqual(Array.from({ length: submitted }, (_, i) => i * 16));
    },
    {},
    { nr_hw_queues: 2 },
  );
}

function* submitLater(sector: number, ms: number): Generator<void, number, void> {
  if (ms > 0) yield* msleep(ms);
  yield* submit_bio(make(sector, sector % 32 === 0 ? REQ_OP_READ : REQ_OP_WRITE));
  return 0;
}
