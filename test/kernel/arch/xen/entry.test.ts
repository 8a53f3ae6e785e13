import { expect, test } from "vitest";
import { local_irq_restore, local_irq_save } from "xenolith/linux/interrupt";
import { current, in_hardirq } from "xenolith/linux/sched";
import { smp_processor_id } from "xenolith/linux/smp";
import { CONTROL_VCPU } from "../../../../hal/abi/control";
import { enter } from "../../../../kernel/arch/xen/entry";
import { bootBareKernel } from "../../../kit/bare-kernel";

const kernel = bootBareKernel({ vcpus: 2, sliceNs: 10_000 });
const { control } = kernel.hal;

test("enter, nested on the same vCPU: an injected interrupt, unless interrupts are off; the task goes on", () => {
  const log: string[] = [];
  kernel.run(function* () {
    const name = current().comm;
    kernel.interrupt(() => log.push(`1 hard ${in_hardirq()}`));
    enter();
    const flags = local_irq_save();
    kernel.interrupt(() => log.push("2"));
    enter();
    log.push("off");
    local_irq_restore(flags);
    log.push(`on ${current().comm === name}`);
    return 0;
  });
  expect(log).toEqual(["1 hard true", "off", "2", "on true"]);
});

test("enter, nested on another vCPU: it runs its own slice, and the first one is itself again", () => {
  const seen: number[] = [];
  kernel.run(function* () {
    const here = smp_processor_id();
    const there = 1 - here;
    kernel.interrupt(() => seen.push(smp_processor_id()), there);
    control[CONTROL_VCPU] = there;
    enter();
    control[CONTROL_VCPU] = here;
    seen.push(smp_processor_id());
    expect(seen).toEqual([there, here]);
    return 0;
  });
  expect(seen).toHaveLength(2);
});
