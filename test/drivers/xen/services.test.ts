import { expect, test } from "vitest";
import { jiffies } from "xenolith/linux/jiffies";
import { __free_page, alloc_page, get_page, nr_allocated_pages, put_page } from "xenolith/linux/mm";
import type { page } from "xenolith/linux/mm_types";
import type { Sleeps } from "xenolith/linux/sched";
import { bytes_to_string, string_to_bytes } from "xenolith/linux/string";
import { mod_timer, timer_list, timer_setup } from "xenolith/linux/timer";
import { ptr } from "xenolith/linux/types";
import {
  GNTMAP_host_map,
  GNTST_bad_page,
  GNTST_bad_virt_addr,
  GNTST_eagain,
  GNTST_okay,
  INVALID_GRANT_REF,
  gntab_unmap_queue_data,
  gnttab_alloc_map_batch,
  gnttab_alloc_pages,
  gnttab_alloc_unmap_batch,
  gnttab_end_foreign_access,
  gnttab_grant_foreign_access,
  gnttab_map_handle,
  gnttab_map_refs,
  gnttab_map_refs_retry,
  gnttab_map_status,
  gnttab_page_addr,
  gnttab_set_map_op,
  gnttab_set_unmap_op,
  gnttab_unmap_refs_sync,
  type gnttab_map_batch,
} from "xenolith/xen/grant_table";
import { hvc_get_chars, hvc_set_receiver, hvc_write } from "xenolith/xen/hvc";
import { page_read32 } from "xenolith/xen/page";
import { nr_unpopulated_pages } from "xenolith/xen/xen";
import {
  XenbusStateClosing,
  xenbus_alloc_evtchn,
  xenbus_device,
  xenbus_free_evtchn,
  xenbus_map_ring_valloc,
  xenbus_setup_ring,
  xenbus_teardown_ring,
  xenbus_unmap_ring_vfree,
} from "xenolith/xen/xenbus";
import { gnttab_deferred_count } from "../../../drivers/xen/grant-deferred";
import { gnttab_free_references } from "../../../drivers/xen/grant-table";
import { EINVAL, ENOENT } from "../../../hal/abi/errno";
import { bootKernel } from "./boot-kernel";
import { MFN_BASE } from "./fake-xen";

const { fake, store, run, settle, advance } = bootKernel(1);

function setMapped(ref: number, mapped: boolean): void {
  fake.page(4)[ref * 2] = (fake.page(4)[ref * 2] & ~0x18) | (mapped ? 0x18 : 0);
}

function makeDevice(): xenbus_device {
  const dev = new xenbus_device();
  dev.nodename = "device/vbd/1";
  dev.otherend_id = 7;
  store.nodes.set("/local/domain/1/device/vbd/1/state", "1");
  return dev;
}

// ---- grants that are still mapped -------------------------------------------------------------------------------------------------------

test("a grant that the peer still has mapped keeps its reference and page until the timer finds it free", () => {
  const [references, pages] = [gnttab_free_references(), nr_allocated_pages()];
  const shared = alloc_page(0) as page;
  const ref = gnttab_grant_foreign_access(7, shared.mfn, 0);
  setMapped(ref, true);
  gnttab_end_foreign_access(ref, shared);
  advance(5000);
  expect([gnttab_free_references(), nr_allocated_pages(), gnttab_deferred_count()]).toEqual([
    references - 1,
    pages + 1,
    1,
  ]);
  setMapped(ref, false);
  advance(1000);
  expect([gnttab_free_references(), nr_allocated_pages(), gnttab_deferred_count()]).toEqual([references, pages, 0]);
});

test("without a page the frame's own page is held meanwhile, so that nobody else gets it", () => {
  const pages = nr_allocated_pages();
  const shared = alloc_page(0) as page;
  const ref = gnttab_grant_foreign_access(7, shared.mfn, 0);
  setMapped(ref, true);
  gnttab_end_foreign_access(ref, null);
  __free_page(shared);
  expect(nr_allocated_pages()).toBe(pages + 1);
  setMapped(ref, false);
  advance(1000);
  expect(nr_allocated_pages()).toBe(pages);
});

test("ten of the deferred grants are looked at in a second", () => {
  const refs = Array.from({ length: 25 }, () => gnttab_grant_foreign_access(7, 1, 0));
  for (const ref of refs) setMapped(ref, true);
  for (const ref of refs) gnttab_end_foreign_access(ref, null);
  for (const ref of refs) setMapped(ref, false);
  const left = [0, 1, 2].map(() => {
    advance(1000);
    return gnttab_deferred_count();
  });
  expect(left).toEqual([15, 5, 0]);
});

test("after a minute the log says that a grant is still pending", () => {
  const ref = gnttab_grant_foreign_access(7, 1, 0);
  setMapped(ref, true);
  gnttab_end_foreign_access(ref, null);
  advance(61_000);
  expect(fake.log.filter((line) => line.includes("still pending"))).toHaveLength(1);
  setMapped(ref, false);
  advance(1000);
});

// ---- mapping ----------------------------------------------------------------------------------------------------------------------------

test("an operation that is to be tried again is, for up to 255 growing sleeps", () => {
  const map = gnttab_alloc_map_batch() as gnttab_map_batch;
  const pages: page[] = [];
  gnttab_alloc_pages(1, pages);
  fake.foreignGrants.set(30, GNTST_eagain);
  const tryMap = (): number => {
    gnttab_set_map_op(map, 0, gnttab_page_addr(pages[0]), GNTMAP_host_map, 30, 7);
    gnttab_map_refs(map, null, pages, 1);
    run(() => gnttab_map_refs_retry(map, null, pages, 1));
    return gnttab_map_status(map, 0);
  };
  const before = fake.hal.clock[0];
  expect(tryMap()).toBe(GNTST_bad_page);
  expect(fake.hal.clock[0] - before).toBeGreaterThanOrEqual(((255 * 256) / 2) * 1e6);
  fake.foreignGrants.set(30, 3);
  expect(tryMap()).toBe(GNTST_okay);
});

test("gnttab_unmap_refs_sync waits until nobody else holds the page", () => {
  const map = gnttab_alloc_map_batch() as gnttab_map_batch;
  const item = new gntab_unmap_queue_data();
  const pages: page[] = [];
  gnttab_alloc_pages(1, pages);
  fake.foreignGrants.set(31, 4);
  gnttab_set_map_op(map, 0, gnttab_page_addr(pages[0]), GNTMAP_host_map, 31, 7);
  gnttab_map_refs(map, null, pages, 1);
  item.unmap_ops = gnttab_alloc_unmap_batch();
  item.pages = pages;
  item.count = 1;
  if (item.unmap_ops === null) throw new Error("out of memory");
  gnttab_set_unmap_op(item.unmap_ops, 0, gnttab_page_addr(pages[0]), GNTMAP_host_map, gnttab_map_handle(map, 0));
  get_page(pages[0]);
  let done = -1;
  run(function* (): Sleeps<void> {
    const holder = new timer_list(null);
    timer_setup(holder, () => put_page(pages[0]), 0);
    mod_timer(holder, jiffies() + 12);
    done = yield* gnttab_unmap_refs_sync(item);
  });
  expect(done).toBe(0);
  expect(item.age).toBeGreaterThan(1);
  expect(pages[0].words).toBeNull();
});

// ---- rings ------------------------------------------------------------------------------------------------------------------------------

test("xenbus_setup_ring grants zeroed pages writable to the other end; teardown gives all back", () => {
  const [references, pages] = [gnttab_free_references(), nr_allocated_pages()];
  const dev = makeDevice();
  const [vaddr, grefs] = [ptr<page[] | null>(null), [] as number[]];
  expect(run(() => xenbus_setup_ring(dev, 0, vaddr, 4, grefs))).toBe(0);
  const ring = vaddr.value as page[];
  expect(ring.map((of) => page_read32(of, 1023))).toEqual([0, 0, 0, 0]);
  grefs.forEach((ref, i) => {
    expect(fake.page(4)[ref * 2]).toBe(0x00070001);
    expect(fake.page(4)[ref * 2 + 1]).toBe(ring[i].mfn);
    expect(ring[i].mfn).toBeGreaterThanOrEqual(MFN_BASE);
  });
  xenbus_teardown_ring(vaddr, 4, grefs);
  expect(grefs).toEqual(Array.from({ length: 4 }, () => INVALID_GRANT_REF));
  expect([gnttab_free_references(), nr_allocated_pages()]).toEqual([references, pages]);
});

test("xenbus_map_ring_valloc maps in order; unmap gives all back", () => {
  const before = nr_unpopulated_pages();
  const dev = makeDevice();
  const vaddr = ptr<page[] | null>(null);
  fake.foreignGrants.set(40, 8).set(41, 9);
  fake.frame(9)[0] = 99;
  expect(run(() => xenbus_map_ring_valloc(dev, [40, 41], 2, vaddr))).toBe(0);
  const ring = vaddr.value as page[];
  expect(page_read32(ring[1], 0)).toBe(99);
  expect(run(() => xenbus_unmap_ring_vfree(dev, ring))).toBe(GNTST_okay);
  expect(nr_unpopulated_pages()).toBe(before);
  expect(run(() => xenbus_unmap_ring_vfree(dev, ring))).toBe(GNTST_bad_virt_addr);
});

test("one reference that cannot be mapped undoes the others and is fatal for the device", () => {
  const before = [nr_unpopulated_pages(), nr_allocated_pages()];
  const dev = makeDevice();
  const vaddr = ptr<page[] | null>(null);
  expect(run(() => xenbus_map_ring_valloc(dev, [40, 999, 41], 3, vaddr))).toBe(-ENOENT);
  expect(vaddr.value).toBeNull();
  expect([nr_unpopulated_pages(), nr_allocated_pages()]).toEqual(before);
  expect(dev.state).toBe(XenbusStateClosing);
  expect(store.nodes.get("/local/domain/1/error/device/vbd/1/error")).toBe(
    "3 mapping in shared page 999 from domain 7",
  );
  expect(run(() => xenbus_map_ring_valloc(dev, new Array<number>(17).fill(40), 17, vaddr))).toBe(-EINVAL);
});

test("a port for the other end is allocated and freed", () => {
  const dev = makeDevice();
  const port = ptr(0);
  expect(run(() => xenbus_alloc_evtchn(dev, port))).toBe(0);
  expect(port.value).toBeGreaterThan(0);
  expect(run(() => xenbus_free_evtchn(dev, port.value))).toBe(0);
  expect(fake.closed).toContain(port.value);
});

// ---- the console ------------------------------------------------------------------------------------------------------------------------

const CONSOLE_PFN = 3;
const CONSOLE_PORT = 2;
const [IN_PROD, OUT_CONS, OUT_PROD] = [3076 / 4, 3080 / 4, 3084 / 4];

/** Takes the bytes out of the console's ring. */
function readConsole(): string {
  const words = fake.page(CONSOLE_PFN);
  let text = "";
  for (; words[OUT_CONS] !== words[OUT_PROD]; words[OUT_CONS]++) {
    text += String.fromCharCode(fake.bytes(CONSOLE_PFN)[1024 + (words[OUT_CONS] & 2047)]);
  }
  fake.raise(CONSOLE_PORT);
  return text;
}

function type(text: string): void {
  const words = fake.page(CONSOLE_PFN);
  for (const c of text) fake.bytes(CONSOLE_PFN)[words[IN_PROD]++ & 1023] = c.charCodeAt(0);
  fake.raise(CONSOLE_PORT);
  settle();
}

test("a writer sleeps while the console's ring is full, and goes on when there is room", () => {
  readConsole();
  const text = "0123456789".repeat(500);
  let seen = "";
  fake.onSend = (port) => {
    if (port === CONSOLE_PORT) seen += readConsole();
    else store.serve();
  };
  expect(run(() => hvc_write(string_to_bytes(text)))).toBe(5000);
  expect(seen).toBe(text);
});

test("what is typed is told to the receiver, and stays in the ring until somebody takes it", () => {
  const [seen, buffer]: [string[], Uint8Array] = [[], new Uint8Array(4)];
  fake.onSend = (port) => void (port === CONSOLE_PORT || store.serve());
  type("before");
  expect(bytes_to_string(buffer, 0, hvc_get_chars(buffer))).toBe("befo");
  hvc_set_receiver(() => {
    const count = hvc_get_chars(buffer);
    seen.push(bytes_to_string(buffer, 0, count));
  });
  type("!");
  type("x");
  expect(seen).toEqual(["re!", "x"]);
  hvc_set_receiver(null);
  type("later");
  expect(hvc_get_chars(buffer)).toBe(4);
});
