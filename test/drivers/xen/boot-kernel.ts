/**
 * The whole kernel with `drivers/xen` on a fake machine with a fake xenstored. Once per test file: its state is in the loaded modules.
 */
import { CONTROL_RAN, CONTROL_RAN_BLOCKED } from "../../../hal/abi/control";
import { VIRQ_TIMER } from "../../../hal/abi/xen";
import { boot, enter } from "../../../kernel/main";
import { kthread_run } from "xenolith/linux/kthread";
import type { Sleeps } from "xenolith/linux/sched";
import { FakeStore } from "./fake-store";
import { makeFakeXen, type FakeXen } from "./fake-xen";

const SLICES_MAX = 100_000;

export interface FakeKernel {
  readonly fake: FakeXen;
  readonly store: FakeStore;
  /** Runs everything that is runnable now. */
  settle(): void;
  /** Moves the clock on by `ms` milliseconds, firing the timers on the way. */
  advance(ms: number): void;
  /** Runs `body` as a kernel thread, moving the clock as needed, and returns its result. */
  run<T>(body: () => Sleeps<T>): T;
}

export function bootKernel(domid = 0): FakeKernel {
  const fake = makeFakeXen(1, domid);
  const store = new FakeStore(fake, `/local/domain/${domid}`);
  boot(fake.hal);

  function settle(): void {
    for (let slice = 0; slice < SLICES_MAX; slice++) {
      enter();
      store.flush();
      if (fake.shutdowns.length > 0) return;
      if (fake.hal.control[CONTROL_RAN] === CONTROL_RAN_BLOCKED && (fake.page(1)[0] & 0xff) === 0) return;
    }
    throw new Error("the kernel does not come to rest");
  }

  /** Goes to the next timer, but not beyond `end`: whether there was one. */
  function nextTimer(end: number): boolean {
    if (fake.timer > end) return false;
    fake.setTime(Math.max(fake.timer, fake.hal.clock[0]));
    fake.timer = Infinity;
    fake.raise(fake.virqPorts.get(VIRQ_TIMER) as number);
    settle();
    return true;
  }

  function advance(ms: number): void {
    const end = fake.hal.clock[0] + ms * 1_000_000;
    settle();
    while (nextTimer(end));
    fake.setTime(end);
    settle();
  }

  function run<T>(body: () => Sleeps<T>): T {
    const result: { value?: T; done: boolean } = { done: false };
    kthread_run(
      function* (): Sleeps<number> {
        result.value = yield* body();
        result.done = true;
        return 0;
      },
      null,
      "test",
    );
    settle();
    while (!result.done) if (!nextTimer(Infinity)) throw new Error("the thread sleeps, and nothing will wake it");
    return result.value as T;
  }

  settle();
  return { fake, store, settle, advance, run };
}
