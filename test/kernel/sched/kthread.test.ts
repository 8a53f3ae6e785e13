import { expect, test } from "vitest";
import { EINTR } from "xenolith/linux/errno";
import {
  kthread_create,
  kthread_park,
  kthread_parkme,
  kthread_should_park,
  kthread_should_stop,
  kthread_stop,
  kthread_unpark,
} from "xenolith/linux/kthread";
import {
  do_exit,
  find_task_by_pid,
  PF_WAITED_FOR,
  schedule,
  set_current_state,
  task_state_to_char,
  TASK_INTERRUPTIBLE,
  wait_task,
  type Sleeps,
  type task_struct,
} from "xenolith/linux/sched";
import { bootBareKernel } from "../../kit/bare-kernel";

const kernel = bootBareKernel();

function* service(): Sleeps<number> {
  while (!kthread_should_stop()) {
    if (kthread_should_park()) yield* kthread_parkme();
    set_current_state(TASK_INTERRUPTIBLE);
    if (kthread_should_stop() || kthread_should_park()) set_current_state(0);
    else yield* schedule();
  }
  return 7;
}

test("kthread_stop: wakes the thread, waits for it and returns its result", () => {
  const task = kernel.spawn(service, "service");
  kernel.runRunnable();
  expect(task_state_to_char(task)).toBe("S");
  expect(kernel.run(() => kthread_stop(task))).toBe(7);
  expect(find_task_by_pid(task.pid)).toBeNull();
});

test("kthread_stop: a thread that never ran does not start", () => {
  let ran = false;
  const task = kthread_create(
    function* () {
      ran = true;
      return 0;
    },
    null,
    "never/%d",
    3,
  ) as task_struct;
  expect(task.comm).toBe("never/3");
  expect(kernel.run(() => kthread_stop(task))).toBe(-EINTR);
  expect(ran).toBe(false);
});

test("kthread_park: the thread holds still until it is unparked", () => {
  const task = kernel.spawn(service, "parked");
  kernel.runRunnable();
  expect(kernel.run(() => kthread_park(task))).toBe(0);
  expect(task_state_to_char(task)).toBe("P");
  kthread_unpark(task);
  kernel.runRunnable();
  expect(task_state_to_char(task)).toBe("S");
  expect(kernel.run(() => kthread_stop(task))).toBe(7);
});

test("do_exit: ends the task where it stands; a task that is waited for stays as a zombie", () => {
  const body = function* (): Sleeps<number> {
    return yield* do_exit(5);
  };
  const task = kernel.spawn(body, "zombie");
  task.flags |= PF_WAITED_FOR;
  kernel.runRunnable();
  expect(task_state_to_char(task)).toBe("Z");
  expect(find_task_by_pid(task.pid)).toBe(task);
  expect(kernel.run(() => wait_task(task))).toBe(5);
  expect(find_task_by_pid(task.pid)).toBeNull();
});
