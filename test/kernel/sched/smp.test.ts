import { expect, test } from "vitest";
import { kthread_bind, kthread_create, kthread_create_on_cpu } from "xenolith/linux/kthread";
import { smp_processor_id } from "xenolith/linux/smp";
import { wake_up_process, type Sleeps, type task_struct } from "xenolith/linux/sched";
import { wait_event, wait_queue_head, wake_up } from "xenolith/linux/wait";
import { msleep } from "xenolith/linux/delay";
import { bootBareKernel } from "../../kit/bare-kernel";

const kernel = bootBareKernel({ vcpus: 2, sliceNs: 1000, costs: [100] });

test("tasks: new ones go to the CPU with the fewest, bound ones stay where they are", () => {
  const seen: Record<string, number> = {};
  const body = function* (name: string): Sleeps<number> {
    seen[name] = smp_processor_id();
    yield* msleep(1);
    expect(smp_processor_id()).toBe(seen[name]);
    return 0;
  };
  const bound = kthread_create(body, "bound", "bound") as task_struct;
  kthread_bind(bound, 1);
  const pinned = kthread_create_on_cpu(body, "pinned", 1, "pinned/%d") as task_struct;
  expect(pinned.comm).toBe("pinned/1");
  const free = kthread_create(body, "free", "free") as task_struct;
  for (const task of [bound, pinned, free]) wake_up_process(task);
  kernel.runUntilIdle();
  expect(seen).toEqual({ bound: 1, pinned: 1, free: 0 });
});

test("wake_up: reaches a task that sleeps on another, blocked CPU", () => {
  const wq = new wait_queue_head();
  const log: string[] = [];
  let ready = false;
  const sleeper = kthread_create_on_cpu(
    function* () {
      yield* wait_event(wq, () => ready);
      log.push(`woken on ${smp_processor_id()}`);
      return 0;
    },
    null,
    1,
    "sleeper/%d",
  ) as task_struct;
  wake_up_process(sleeper);
  kernel.runUntilIdle();
  const waker = kthread_create_on_cpu(
    function* () {
      ready = true;
      wake_up(wq);
      log.push(`woke from ${smp_processor_id()}`);
      return 0;
    },
    null,
    0,
    "waker/%d",
  ) as task_struct;
  wake_up_process(waker);
  kernel.runUntilIdle();
  expect(log).toEqual(["woke from 0", "woken on 1"]);
});
