import { expect, test } from "vitest";
import { msleep } from "xenolith/linux/delay";
import {
  alloc_ordered_workqueue,
  alloc_workqueue,
  cancel_delayed_work_sync,
  cancel_work_sync,
  delayed_work,
  destroy_workqueue,
  flush_work,
  flush_workqueue,
  INIT_DELAYED_WORK,
  INIT_WORK,
  mod_delayed_work,
  queue_delayed_work,
  queue_work,
  schedule_delayed_work,
  schedule_work,
  system_wq,
  work_struct,
  type workqueue_struct,
} from "xenolith/linux/workqueue";
import { bootBareKernel } from "../../kit/bare-kernel";

const kernel = bootBareKernel();

function work(fn: (work: work_struct) => void): work_struct {
  const made = new work_struct();
  INIT_WORK(made, fn);
  return made;
}

test("schedule_work: runs once however often it is queued while pending, and again when queued from its own function", () => {
  let runs = 0;
  const w = work((self) => {
    if (++runs < 3) schedule_work(self);
  });
  expect(schedule_work(w)).toBe(true);
  expect(schedule_work(w)).toBe(false);
  kernel.runUntilIdle();
  expect(runs).toBe(3);
});

test("a work that sleeps does not hold up the others, and never runs twice at a time", () => {
  const log: string[] = [];
  const slow = new work_struct();
  INIT_WORK(slow, function* () {
    log.push("slow begins");
    yield* msleep(10);
    log.push("slow ends");
  });
  const quick = work(() => void log.push("quick"));
  schedule_work(slow);
  schedule_work(quick);
  kernel.advance(1e6);
  schedule_work(slow);
  kernel.runUntilIdle();
  expect(log).toEqual(["slow begins", "quick", "slow ends", "slow begins", "slow ends"]);
});

test("alloc_ordered_workqueue: one at a time, in the order of queueing", () => {
  const wq = alloc_ordered_workqueue("ordered/%d", 0, 1) as workqueue_struct;
  const log: number[] = [];
  let inside = 0;
  const works = [1, 2, 3].map((n) => {
    const made = new work_struct();
    INIT_WORK(made, function* () {
      expect(++inside).toBe(1);
      yield* msleep(4 - n);
      log.push(n);
      inside--;
    });
    return made;
  });
  for (const w of works) queue_work(wq, w);
  kernel.run(() => destroy_workqueue(wq));
  expect(log).toEqual([1, 2, 3]);
});

test("flush_work and flush_workqueue: wait for what was queued before, not for what comes after", () => {
  const wq = alloc_workqueue("flushed", 0, 0) as workqueue_struct;
  let runs = 0;
  const forever = new work_struct();
  INIT_WORK(forever, function* (self) {
    yield* msleep(5);
    if (++runs < 10) queue_work(wq, self);
  });
  queue_work(wq, forever);
  expect(kernel.run(() => flush_work(forever))).toBe(true);
  expect(runs).toBe(1);
  kernel.run(() => flush_workqueue(wq));
  expect(runs).toBe(2);
  kernel.run(() => destroy_workqueue(wq));
  expect(runs).toBe(10);
  expect(kernel.run(() => flush_work(forever))).toBe(false);
});

test("cancel_work_sync: takes a pending work away, waits for a running one, and keeps it from queueing itself", () => {
  let ended = 0;
  const w = new work_struct();
  INIT_WORK(w, function* (self) {
    yield* msleep(5);
    ended++;
    schedule_work(self);
  });
  const cancelled = kernel.run(function* () {
    schedule_work(w);
    return yield* cancel_work_sync(w);
  });
  expect(cancelled).toBe(true);
  schedule_work(w);
  kernel.advance(1e6);
  expect(kernel.run(() => cancel_work_sync(w))).toBe(false);
  expect(ended).toBe(1);
  kernel.runUntilIdle();
  expect(ended).toBe(1);
});

test("delayed work: runs after its delay, can be moved and cancelled", () => {
  const times: number[] = [];
  const dwork = new delayed_work();
  INIT_DELAYED_WORK(dwork, () => void times.push(Math.round(kernel.now() / 1e6)));
  const start = Math.round(kernel.now() / 1e6);
  expect(schedule_delayed_work(dwork, 10)).toBe(true);
  expect(queue_delayed_work(system_wq, dwork, 1)).toBe(false);
  expect(mod_delayed_work(system_wq, dwork, 30)).toBe(true);
  kernel.runUntilIdle();
  expect(times[0] - start).toBe(30);
  schedule_delayed_work(dwork, 10);
  expect(kernel.run(() => cancel_delayed_work_sync(dwork))).toBe(true);
  kernel.runUntilIdle();
  expect(times).toHaveLength(1);
});
