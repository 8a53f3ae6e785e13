/**
 * The kernel core on a fake machine, as far as the drivers of `drivers/xen` need it when they are tested one by one: one CPU, memory, and no tasks.
 */
import { set_hal } from "../../../hal/guest/hal";
import { set_shared_info } from "../../../kernel/irq/softirq";
import { mm_init, pfn_to_page } from "../../../kernel/mm/page_alloc";
import { sched_init } from "../../../kernel/sched/core";
import { makeFakeXen, type FakeXen } from "./fake-xen";

/** First page that does not belong to the domain builder. */
const FIRST_FREE_PAGE = 36;

/** Makes a machine and prepares the kernel core on it. */
export function bootFake(vcpus = 1): FakeXen {
  const fake = makeFakeXen(vcpus);
  set_hal(fake.hal);
  sched_init();
  mm_init(FIRST_FREE_PAGE);
  set_shared_info(pfn_to_page(1));
  return fake;
}
