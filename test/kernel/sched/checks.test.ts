import { expect, test } from "vitest";
import { mdelay, msleep } from "xenolith/linux/delay";
import { local_irq_disable, local_irq_enable } from "xenolith/linux/interrupt";
import { schedule, set_current_state, TASK_RUNNING, TASK_UNINTERRUPTIBLE, type Sleeps } from "xenolith/linux/sched";
import { spin_lock, spin_unlock, spinlock_t } from "xenolith/linux/spinlock";
import { CONTROL_SPINLOCKS } from "../../../hal/abi/control";
import { this_cpu } from "../../../kernel/sched/cpu";
import { bootBareKernel } from "../../kit/bare-kernel";

const kernel = bootBareKernel();

/** Runs a task that must panic, and forgets that it happened. */
function expectPanic(body: () => Sleeps<number>, message: RegExp): void {
  kernel.spawn(body);
  expect(() => kernel.runRunnable()).toThrow(message);
  this_cpu.entered = false;
  this_cpu.preempt_count = 0;
  this_cpu.irqs_off = 0;
  this_cpu.curr = this_cpu.idle;
  this_cpu.held_locks.length = 0;
  kernel.hal.control[CONTROL_SPINLOCKS] = 0;
}

test("hung task: an uninterruptible sleep of 120 s is reported once, and an idle kernel needs no timer for it", () => {
  const task = kernel.spawn(function* () {
    set_current_state(TASK_UNINTERRUPTIBLE);
    yield* schedule();
    return 0;
  }, "stuck");
  kernel.advance(119e9);
  expect(kernel.log.join("\n")).not.toMatch(/blocked for more than/);
  kernel.advance(300e9);
  expect(
    kernel.log.filter((line) => line.includes(`INFO: task stuck:${task.pid} blocked for more than 120 seconds.`)),
  ).toHaveLength(1);
  task.state = TASK_RUNNING;
});

test("soft lockup: 20 s without a return to the scheduler are reported", () => {
  kernel.spawn(function* () {
    mdelay(21_000);
    return 0;
  }, "hog");
  kernel.runRunnable();
  expect(kernel.log.join("\n")).toMatch(/BUG: soft lockup - CPU#0 stuck for 21s! \[hog:\d+\]/);
});

test("scheduling while atomic: a yield under a spinlock kills the domain and names the lock", () => {
  const lock = new spinlock_t(null, "ring_lock");
  expectPanic(function* () {
    spin_lock(lock);
    yield* schedule();
    spin_unlock(lock);
    return 0;
  }, /scheduling while atomic: test\/\d+\/0x00000001 holding ring_lock/);
  spin_lock(new spinlock_t());
  expect(this_cpu.preempt_count).toBe(1);
  this_cpu.preempt_count = 0;
});

test("a spinlock held across the end of a task is found", () => {
  const lock = new spinlock_t(null, "forgotten");
  expectPanic(function* () {
    spin_lock(lock);
    return 0;
  }, /scheduling while atomic.*forgotten/);
});

test("might_sleep: msleep with interrupts off is refused before it sleeps", () => {
  expectPanic(function* () {
    local_irq_disable();
    yield* msleep(1);
    local_irq_enable();
    return 0;
  }, /sleeping function called from invalid context: in_atomic\(\): 0, irqs_disabled\(\): 1/);
});
