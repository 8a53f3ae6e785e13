import { expect, test } from "vitest";
import {
  current,
  schedule,
  set_current_state,
  TASK_INTERRUPTIBLE,
  wake_up_process,
  yield_task,
} from "xenolith/linux/sched";
import { bootBareKernel } from "../../kit/bare-kernel";

const kernel = bootBareKernel();

test("schedule: runnable tasks take turns in the order of their wake-ups", () => {
  const order: string[] = [];
  for (const name of ["a", "b", "c"]) {
    kernel.spawn(function* () {
      order.push(`${name}1`);
      yield* yield_task();
      order.push(`${name}2`);
      return 0;
    }, name);
  }
  kernel.runRunnable();
  expect(order).toEqual(["a1", "b1", "c1", "a2", "b2", "c2"]);
});

test("wake_up_process: a wake-up between set_current_state and schedule undoes the sleep", () => {
  let done = false;
  kernel.spawn(function* () {
    set_current_state(TASK_INTERRUPTIBLE);
    expect(wake_up_process(current())).toBe(1);
    yield* schedule();
    done = true;
    return 0;
  });
  kernel.runRunnable();
  expect(done).toBe(true);
});
