import { expect, test } from "vitest";
import { alloc_page } from "xenolith/linux/mm";
import { BUG_ON, panic, WARN_ON, WARN_ON_ONCE, WARN_ONCE } from "xenolith/linux/kernel";
import type { page } from "xenolith/linux/mm_types";
import { kref, kref_get, kref_put } from "xenolith/linux/kref";
import {
  refcount_dec_and_test,
  refcount_inc,
  refcount_inc_not_zero,
  refcount_read,
  refcount_t,
} from "xenolith/linux/refcount";
import { page_read32 } from "xenolith/xen/page";
import { SCHEDOP_shutdown, SHUTDOWN_crash } from "../../hal/abi/sched";
import { __HYPERVISOR_sched_op } from "../../hal/abi/xen";
import { page_unmap_foreign } from "../../hal/guest/page";
import { warning_count } from "../../kernel/panic";
import { bootBareKernel } from "../kit/bare-kernel";

const kernel = bootBareKernel();

test("WARN_ON: says so, counts, and goes on; the once forms only the first time", () => {
  expect(WARN_ON(false)).toBe(false);
  expect(warning_count()).toBe(0);
  expect(WARN_ON(true)).toBe(true);
  expect(kernel.log.at(-2)).toMatch(/WARNING: CPU: 0 PID: 0 Comm: swapper\/0/);
  for (let i = 0; i < 3; i++) WARN_ON_ONCE(true);
  for (let i = 0; i < 3; i++) WARN_ONCE(true, "odd value %d\n", i);
  expect(warning_count()).toBe(3);
});

test("refcount: an underflow or an increment from 0 warns, and the object is leaked rather than used again", () => {
  const before = warning_count();
  const count = new refcount_t(1);
  expect(refcount_dec_and_test(count)).toBe(true);
  expect(refcount_inc_not_zero(count)).toBe(false);
  expect(refcount_dec_and_test(count)).toBe(false);
  expect(kernel.log.join("\n")).toMatch(/refcount_t: underflow; use-after-free/);
  expect(refcount_read(count)).toBeLessThan(0);
  refcount_inc(count);
  expect(refcount_dec_and_test(count)).toBe(false);
  refcount_inc(new refcount_t(0));
  expect(kernel.log.join("\n")).toMatch(/refcount_t: addition on 0; use-after-free/);
  expect(warning_count()).toBe(before + 2);
});

test("kref: releases at the last put", () => {
  const ref = new kref();
  let released = 0;
  kref_get(ref);
  expect(kref_put(ref, () => released++)).toBe(0);
  expect(kref_put(ref, () => released++)).toBe(1);
  expect(released).toBe(1);
});

test("a page fault, BUG_ON and panic throw to the engine; the hypervisor is told once that the domain crashed", () => {
  const gone = alloc_page(0) as page;
  gone.gref = 9;
  page_unmap_foreign(gone, "xvda-0", 12, 123_456_789);
  expect(() => page_read32(gone, 3)).toThrow(/Fatal exception/);
  expect(kernel.log.join("\n")).toMatch(
    /BUG: unable to handle page fault: read at offset 12 of mfn \d+, gref 9; unmapped at \[    0\.123456\] by xvda-0\/12 \(page_owner=on says/,
  );
  expect(() => BUG_ON(true)).toThrow(/Fatal exception/);
  expect(() => panic("no %s", "root")).toThrow(/no root/);
  const shutdowns = kernel.hypercalls.filter((call) => call.op === __HYPERVISOR_sched_op);
  expect(shutdowns).toHaveLength(1);
  expect(shutdowns[0].args[0]).toBe(SCHEDOP_shutdown);
  expect(new Uint32Array(kernel.memory, shutdowns[0].args[1], 1)[0]).toBe(SHUTDOWN_crash);
});
