import { expect, test } from "vitest";
import {
  completion,
  complete,
  complete_all,
  wait_for_completion,
  wait_for_completion_timeout,
} from "xenolith/linux/completion";
import { ERESTARTSYS } from "xenolith/linux/errno";
import { msleep } from "xenolith/linux/delay";
import { send_sig, type Sleeps } from "xenolith/linux/sched";
import {
  wait_event,
  wait_event_exclusive,
  wait_event_interruptible,
  wait_event_timeout,
  wait_queue_head,
  waitqueue_active,
  wake_up,
  wake_up_all,
} from "xenolith/linux/wait";
import { bootBareKernel } from "../../kit/bare-kernel";

const kernel = bootBareKernel();

test("wait_event: sleeps until the condition holds at a wake-up", () => {
  const wq = new wait_queue_head();
  let ready = false;
  let passed = false;
  kernel.spawn(function* () {
    yield* wait_event(wq, () => ready);
    passed = true;
    return 0;
  });
  kernel.runRunnable();
  wake_up(wq);
  kernel.runRunnable();
  expect(passed).toBe(false);
  ready = true;
  wake_up(wq);
  kernel.runRunnable();
  expect(passed).toBe(true);
  expect(waitqueue_active(wq)).toBe(false);
});

test("wait_event_timeout: the jiffies left, at least 1, or 0 when the time ran out", () => {
  const wq = new wait_queue_head();
  let ready = false;
  expect(kernel.run(() => wait_event_timeout(wq, () => false, 5))).toBe(0);
  expect(kernel.run(() => wait_event_timeout(wq, () => true, 5))).toBe(5);
  kernel.spawn(function* () {
    yield* msleep(3);
    ready = true;
    wake_up(wq);
    return 0;
  });
  expect(kernel.run(() => wait_event_timeout(wq, () => ready, 5))).toBe(2);
  const atTheEnd = kernel.now() + 5_000_000;
  expect(kernel.run(() => wait_event_timeout(wq, () => kernel.now() >= atTheEnd, 5))).toBe(1);
});

test("wait_event_interruptible: a signal ends it with -ERESTARTSYS, a plain wait goes on", () => {
  const wq = new wait_queue_head();
  const results: number[] = [];
  const body = function* (): Sleeps<number> {
    results.push(yield* wait_event_interruptible(wq, () => false));
    return 0;
  };
  const interruptible = kernel.spawn(body);
  let ready = false;
  const plain = kernel.spawn(function* () {
    yield* wait_event(wq, () => ready);
    results.push(1);
    return 0;
  });
  kernel.runRunnable();
  send_sig(15, interruptible, 0);
  send_sig(15, plain, 0);
  kernel.runRunnable();
  expect(results).toEqual([-ERESTARTSYS]);
  ready = true;
  wake_up(wq);
  kernel.runRunnable();
  expect(results).toEqual([-ERESTARTSYS, 1]);
});

test("wake_up: wakes one exclusive waiter, wake_up_all all of them", () => {
  const wq = new wait_queue_head();
  let tickets = 0;
  let passed = 0;
  for (let i = 0; i < 3; i++) {
    kernel.spawn(function* () {
      yield* wait_event_exclusive(wq, () => tickets > 0);
      tickets--;
      passed++;
      return 0;
    });
  }
  kernel.runRunnable();
  tickets = 3;
  wake_up(wq);
  kernel.runRunnable();
  expect(passed).toBe(1);
  wake_up_all(wq);
  kernel.runRunnable();
  expect(passed).toBe(3);
});

test("completion: complete lets one pass each time, complete_all everybody", () => {
  const x = new completion();
  let passed = 0;
  const waiter = function* (): Sleeps<number> {
    yield* wait_for_completion(x);
    passed++;
    return 0;
  };
  for (let i = 0; i < 3; i++) kernel.spawn(waiter);
  kernel.runRunnable();
  complete(x);
  kernel.runRunnable();
  expect(passed).toBe(1);
  complete_all(x);
  kernel.runRunnable();
  expect(passed).toBe(3);
  kernel.run(() => wait_for_completion(x));
});

test("wait_for_completion_timeout: 0 when nothing completes it", () => {
  const before = kernel.now();
  expect(kernel.run(() => wait_for_completion_timeout(new completion(), 7))).toBe(0);
  expect(kernel.now() - before).toBeGreaterThanOrEqual(7_000_000);
});
