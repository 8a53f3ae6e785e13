/** A module that does to its own domain what no module should: `insmod hostile how=NAME`. */
import { local_irq_disable } from "xenolith/linux/interrupt";
import { HRTIMER_MODE_REL, HRTIMER_NORESTART, hrtimer, hrtimer_setup, hrtimer_start } from "xenolith/linux/timer";
import { alloc_page } from "xenolith/linux/mm";
import type { page } from "xenolith/linux/mm_types";
import { module_init } from "xenolith/linux/module";
import { module_param_named } from "xenolith/linux/moduleparam";
import { pr_info } from "xenolith/linux/printk";
import { ptr } from "xenolith/linux/types";
import { bind_ipi_to_irqhandler, notify_remote_via_irq } from "xenolith/xen/events";
import {
  GNTMAP_host_map,
  gnttab_alloc_map_batch,
  gnttab_alloc_pages,
  gnttab_alloc_unmap_batch,
  gnttab_grant_foreign_access,
  gnttab_map_handle,
  gnttab_map_refs,
  gnttab_map_status,
  gnttab_page_addr,
  gnttab_set_map_op,
  gnttab_set_unmap_op,
  gnttab_unmap_refs,
} from "xenolith/xen/grant_table";
import { HYPERVISOR_event_channel_op, HYPERVISOR_grant_table_op, HYPERVISOR_hostdisk_op } from "xenolith/xen/hypercall";
import { page_read32, page_write32 } from "xenolith/xen/page";
import { xen_domid } from "xenolith/xen/xen";

const how = ptr("");
module_param_named("how", how, "charp", 0o444);

/** Throws out of a timer, a millisecond from now. */
function in_timer(): number {
  const timer = new hrtimer();
  hrtimer_setup(timer, () => {
    if (how.value !== "") throw new TypeError("thrown by a timer");
    return HRTIMER_NORESTART;
  });
  hrtimer_start(timer, 1_000_000, HRTIMER_MODE_REL);
  return 0;
}

/** Throws out of an interrupt handler. */
function in_interrupt(): number {
  const handler = (): number => {
    throw new TypeError("thrown by an interrupt handler");
  };
  const irq = bind_ipi_to_irqhandler(1, 0, handler, 0, "hostile", handler);
  if (irq < 0) return irq;
  notify_remote_via_irq(irq);
  return 0;
}

/** Never comes back, with interrupts off. */
function loop(): number {
  local_irq_disable();
  for (let i = 0; ; i++) if (i < 0) return i;
}

/** Takes all of the JavaScript heap. */
function exhaust_heap(): number {
  const taken: number[][] = [];
  for (;;) taken.push(new Array<number>(1000).fill(1));
}

/** Takes all of the stack. */
function exhaust_stack(): number {
  return 1 + exhaust_stack();
}

/** Stays in a builtin that looks at nothing but its own counter. */
function stay_in_builtin(): number {
  return Array.prototype.indexOf.call({ length: 2 ** 53 - 1 }, 1);
}

/** What no hypercall takes: wrong types, fractions, infinities, and numbers that no address or count can be. */
const GARBAGE = [NaN, -1, 1.5, 2 ** 31, 2 ** 53, -(2 ** 40), Infinity, "1e9", null, undefined, {}, [], -0];

/** Calls everything with garbage. Returns 0 when each call was refused, or -1 after telling which was not. */
function garbage_hypercalls(): number {
  const calls: readonly (readonly [string, (a: number, b: number, c: number) => number])[] = [
    ["grant_table_op", HYPERVISOR_grant_table_op],
    ["event_channel_op", HYPERVISOR_event_channel_op],
    ["hostdisk_op", HYPERVISOR_hostdisk_op],
  ];
  let accepted = 0;
  pr_info("hostile: calling\n");
  for (const [name, call] of calls) {
    for (let op = -1; op < 20; op++) {
      for (const bad of GARBAGE as readonly number[]) {
        // One operation in memory that is not ours; for the host disks, an operation on a disk that is not there.
        const status = call(name === "hostdisk_op" ? op | 0x4000 : op, name === "grant_table_op" ? 1e9 : bad, bad);
        if (status >= 0 && accepted++ < 5) pr_info("hostile: %s %d took garbage: %d\n", name, op, status);
      }
    }
  }
  pr_info("hostile: %d calls accepted\n", accepted);
  return 0;
}

/** Maps a grant of its own domain, keeps the page, unmaps it, and then uses what it kept. */
function use_after_unmap(use: (of: page) => void): number {
  const [own, map, unmap] = [alloc_page(0), gnttab_alloc_map_batch(), gnttab_alloc_unmap_batch()];
  const pages: page[] = [];
  if (own === null || map === null || unmap === null || gnttab_alloc_pages(1, pages) !== 0) return -12;
  page_write32(own, 3, 0x600dda7a);
  const ref = gnttab_grant_foreign_access(xen_domid(), own.mfn, 0);
  const address = gnttab_page_addr(pages[0]);
  gnttab_set_map_op(map, 0, address, GNTMAP_host_map, ref, xen_domid());
  if (gnttab_map_refs(map, null, pages, 1) !== 0 || gnttab_map_status(map, 0) !== 0) return -14;
  pr_info("hostile: mapped, word 3 is %x\n", page_read32(pages[0], 3));
  gnttab_set_unmap_op(unmap, 0, address, GNTMAP_host_map, gnttab_map_handle(map, 0));
  if (gnttab_unmap_refs(unmap, null, pages, 1) !== 0) return -14;
  pr_info("hostile: unmapped\n");
  use(pages[0]);
  pr_info("hostile: survived\n");
  return 0;
}

function hostile_init(): number {
  switch (how.value) {
    case "timer":
      return in_timer();
    case "interrupt":
      return in_interrupt();
    case "loop":
      return loop();
    case "heap":
      return exhaust_heap();
    case "stack":
      return exhaust_stack();
    case "builtin":
      return stay_in_builtin();
    case "hypercalls":
      return garbage_hypercalls();
    case "read-unmapped":
      return use_after_unmap((of) => pr_info("hostile: word 3 is %x\n", page_read32(of, 3)));
    case "write-unmapped":
      return use_after_unmap((of) => page_write32(of, 3, 1));
    case "init":
      throw new TypeError("thrown by the init function");
    default:
      return -22;
  }
}
module_init(hostile_init);
