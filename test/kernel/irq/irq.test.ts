import { expect, test } from "vitest";
import { EBUSY, EINVAL } from "xenolith/linux/errno";
import {
  BLOCK_SOFTIRQ,
  disable_irq,
  enable_irq,
  free_irq,
  IRQ_HANDLED,
  IRQ_NONE,
  IRQ_WAKE_THREAD,
  IRQF_SHARED,
  local_bh_disable,
  local_bh_enable,
  open_softirq,
  raise_softirq,
  request_irq,
  request_threaded_irq,
} from "xenolith/linux/interrupt";
import {
  generic_handle_irq,
  irq_alloc_desc,
  irq_free_desc,
  irq_set_chip,
  show_interrupts,
  type irq_chip,
} from "xenolith/linux/irq";
import { msleep } from "xenolith/linux/delay";
import { in_hardirq, in_interrupt } from "xenolith/linux/sched";
import { bootBareKernel } from "../../kit/bare-kernel";

const kernel = bootBareKernel();
const log: string[] = [];
const chip: irq_chip = {
  name: "toy-chip",
  irq_startup: () => void log.push("startup"),
  irq_shutdown: () => void log.push("shutdown"),
  irq_mask: () => void log.push("mask"),
  irq_unmask: () => void log.push("unmask"),
};

function newIrq(): number {
  const irq = irq_alloc_desc();
  irq_set_chip(irq, chip);
  log.length = 0;
  return irq;
}

test("request_irq: starts the line with its first handler and shuts it down with its last", () => {
  const irq = newIrq();
  const handler = (): number => (log.push(`handler ${in_hardirq()}`), IRQ_HANDLED);
  expect(request_irq(irq, handler, IRQF_SHARED, "toy", 1)).toBe(0);
  expect(request_irq(irq, () => IRQ_NONE, 0, "other", 2)).toBe(-EBUSY);
  expect(request_irq(irq, () => IRQ_NONE, IRQF_SHARED, "second", 2)).toBe(0);
  expect(request_irq(9999, handler, 0, "none", 1)).toBe(-EINVAL);
  kernel.interrupt(() => generic_handle_irq(irq));
  kernel.runRunnable();
  expect(show_interrupts()).toMatch(new RegExp(`${irq}: +1 +toy-chip +toy, second\n`));
  expect(free_irq(irq, 1)).toBe("toy");
  expect(free_irq(irq, 2)).toBe("second");
  expect(log).toEqual(["startup", "handler true", "shutdown"]);
  irq_free_desc(irq);
});

test("disable_irq: nests; what came meanwhile is taken in by the last enable_irq", () => {
  const irq = newIrq();
  request_irq(irq, () => (log.push("handled"), IRQ_HANDLED), 0, "toy", null);
  disable_irq(irq);
  disable_irq(irq);
  generic_handle_irq(irq);
  enable_irq(irq);
  log.push("one left");
  enable_irq(irq);
  expect(log).toEqual(["startup", "mask", "one left", "unmask", "handled"]);
  free_irq(irq, null);
});

test("request_threaded_irq: the handler wakes a thread that may sleep", () => {
  const irq = newIrq();
  const threadFn = function* (): Generator<void, number, void> {
    yield* msleep(1);
    log.push(`thread ${in_interrupt()}`);
    return IRQ_HANDLED;
  };
  expect(request_threaded_irq(irq, () => IRQ_WAKE_THREAD, threadFn, 0, "toy", null)).toBe(0);
  kernel.interrupt(() => generic_handle_irq(irq));
  kernel.runUntilIdle();
  expect(log).toEqual(["startup", "thread false"]);
  free_irq(irq, null);
  kernel.runUntilIdle();
});

test("softirqs: run when the interrupt is over, or when bottom halves are enabled again", () => {
  log.length = 0;
  open_softirq(BLOCK_SOFTIRQ, () => void log.push(`softirq ${in_hardirq()}`));
  kernel.interrupt(() => {
    raise_softirq(BLOCK_SOFTIRQ);
    log.push("interrupt");
  });
  kernel.runRunnable();
  kernel.run(function* () {
    local_bh_disable();
    raise_softirq(BLOCK_SOFTIRQ);
    log.push("held off");
    local_bh_enable();
    log.push("task");
    return 0;
  });
  expect(log).toEqual(["interrupt", "softirq false", "held off", "softirq false", "task"]);
});
