import * as fc from "fast-check";
import { expect, test } from "vitest";
import { msleep, usleep_range } from "xenolith/linux/delay";
import { in_interrupt } from "xenolith/linux/sched";
import { jiffies } from "xenolith/linux/jiffies";
import { ktime_get_ns } from "xenolith/linux/ktime";
import {
  add_timer,
  del_timer,
  HRTIMER_MODE_REL,
  HRTIMER_RESTART,
  hrtimer,
  hrtimer_cancel,
  hrtimer_forward_now,
  hrtimer_setup,
  hrtimer_start,
  mod_timer,
  timer_list,
  timer_pending,
  timer_setup,
  timer_shutdown_sync,
} from "xenolith/linux/timer";
import { __HYPERVISOR_set_timer_op } from "../../../hal/abi/xen";
import { bootBareKernel } from "../../kit/bare-kernel";

const kernel = bootBareKernel();

test("ktime_get_ns: every reading moves the clock by at least 1 ns", () => {
  const before = ktime_get_ns();
  expect(ktime_get_ns()).toBe(before + 1);
});

test("mod_timer: runs at its jiffy in softirq context, in the order of deadlines, then of arming", () => {
  const order: string[] = [];
  const make = (name: string): timer_list => {
    const timer = new timer_list();
    timer_setup(timer, () => void order.push(`${name}@${Math.floor(kernel.now() / 1e6)} ${in_interrupt()}`), 0);
    return timer;
  };
  const start = jiffies();
  const [a, b, c, gone] = ["a", "b", "c", "gone"].map(make);
  expect(mod_timer(a, start + 7)).toBe(0);
  mod_timer(b, start + 3);
  mod_timer(gone, start + 2);
  c.expires = start + 7;
  add_timer(c);
  expect(mod_timer(a, start + 5)).toBe(1);
  expect(mod_timer(a, start + 7)).toBe(1);
  expect(del_timer(gone)).toBe(1);
  expect(timer_pending(gone)).toBe(false);
  kernel.runUntilIdle();
  expect(order).toEqual([`b@${start + 3} true`, `c@${start + 7} true`, `a@${start + 7} true`]);
});

test("timer_shutdown_sync: a timer that was shut down cannot be armed again", () => {
  const timer = new timer_list();
  timer_setup(timer, () => undefined, 0);
  mod_timer(timer, jiffies() + 1);
  expect(timer_shutdown_sync(timer)).toBe(1);
  expect(mod_timer(timer, jiffies() + 1)).toBe(0);
  expect(timer_pending(timer)).toBe(false);
});

test("hrtimer: restarts itself at exact times until it is cancelled", () => {
  const times: number[] = [];
  const timer = new hrtimer();
  hrtimer_setup(timer, () => {
    times.push(timer.node.deadline_ns);
    hrtimer_forward_now(timer, 250);
    return HRTIMER_RESTART;
  });
  hrtimer_start(timer, 250, HRTIMER_MODE_REL);
  kernel.advance(800);
  expect(hrtimer_cancel(timer)).toBe(1);
  expect(times.map((time) => time - times[0])).toEqual([0, 250, 500]);
});

test("msleep, usleep_range: come back at their time, exactly", () => {
  const before = kernel.run(function* () {
    const start = ktime_get_ns();
    yield* msleep(20);
    yield* usleep_range(5, 10);
    return start;
  });
  expect(kernel.now() - before).toBeGreaterThanOrEqual(20_005_000);
  expect(kernel.now() - before).toBeLessThan(20_005_100);
});

test("an idle CPU sets the hypervisor's timer once per deadline, and clears it when no timer is left", () => {
  const count = (): number => kernel.hypercalls.filter((call) => call.op === __HYPERVISOR_set_timer_op).length;
  const timer = new timer_list();
  timer_setup(timer, () => undefined, 0);
  kernel.runUntilIdle();
  const before = count();
  mod_timer(timer, jiffies() + 1000);
  kernel.runRunnable();
  kernel.runRunnable();
  expect(count()).toBe(before + 1);
  del_timer(timer);
  kernel.runRunnable();
  expect(count()).toBe(before + 2);
  expect(kernel.hypercalls.at(-1)?.args).toEqual([0, 0, 0]);
});

test("timers: any set of arming and disarming runs the armed ones in order", () => {
  const operation = fc.record({ timer: fc.nat(9), delay: fc.integer({ min: 1, max: 50 }), cancel: fc.boolean() });
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 60 }), (operations) => {
      const fired: number[] = [];
      const timers = Array.from({ length: 10 }, (_, index) => {
        const timer = new timer_list(index);
        timer_setup(timer, () => void fired.push(timer.expires), 0);
        return timer;
      });
      const start = jiffies();
      const armed = new Map<number, number>();
      for (const { timer, delay, cancel } of operations) {
        if (cancel) del_timer(timers[timer]);
        else mod_timer(timers[timer], start + delay);
        if (cancel) armed.delete(timer);
        else armed.set(timer, start + delay);
      }
      kernel.runUntilIdle();
      expect(fired).toEqual([...armed.values()].sort((x, y) => x - y));
    }),
    { seed: 1 },
  );
});
