import { expect, test } from "vitest";
import { IRQ_HANDLED } from "xenolith/linux/interrupt";
import {
  XEN_EOI_FLAG_SPURIOUS,
  bind_evtchn_to_irqhandler,
  bind_evtchn_to_irqhandler_lateeoi,
  bind_interdomain_evtchn_to_irqhandler_lateeoi,
  evtchn_from_irq,
  irq_from_evtchn,
  notify_remote_via_irq,
  unbind_from_irqhandler,
  xen_irq_lateeoi,
} from "xenolith/xen/events";
import { show_interrupts } from "xenolith/linux/irq";
import { xenbus_device } from "xenolith/xen/xenbus";
import { bootKernel } from "../boot-kernel";

const { fake, settle, advance } = bootKernel(1);
const now = (): number => Math.floor(fake.hal.clock[0] / 1_000_000);

/** A bound channel whose interrupts are counted. */
function bind(port: number, flags: number | null): { irq: number; times: number[] } {
  const times: number[] = [];
  const irq = bind_evtchn_to_irqhandler_lateeoi(
    port,
    (n) => {
      times.push(now());
      if (flags !== null) xen_irq_lateeoi(n, flags);
      return IRQ_HANDLED;
    },
    0,
    "test",
    times,
  );
  return { irq, times };
}

test("a late-EOI channel stays masked from delivery to the end, and an event in between is not lost", () => {
  const { irq, times } = bind(50, null);
  expect(fake.isMasked(50)).toBe(false);
  fake.raise(50);
  settle();
  expect(times).toHaveLength(1);
  expect(fake.isMasked(50)).toBe(true);
  expect(fake.isPending(50)).toBe(false);
  fake.raise(50);
  settle();
  expect(times).toHaveLength(1);
  xen_irq_lateeoi(irq, 0);
  settle();
  expect(times).toHaveLength(2);
  xen_irq_lateeoi(irq, 0);
  unbind_from_irqhandler(irq, times);
});

test("an ordinary channel is unmasked during its handler and acknowledged before it", () => {
  const seen: boolean[] = [];
  const handler = (): number => {
    seen.push(fake.isMasked(51), fake.isPending(51));
    return IRQ_HANDLED;
  };
  const irq = bind_evtchn_to_irqhandler(51, handler, 0, "plain", seen);
  fake.raise(51);
  settle();
  expect(seen).toEqual([false, false]);
  unbind_from_irqhandler(irq, seen);
});

test("spurious ends are delayed 0, 1, 2, 4 ... jiffies, up to a second; one real end starts over", () => {
  const { irq, times } = bind(52, XEN_EOI_FLAG_SPURIOUS);
  const delays: number[] = [];
  for (let i = 0; i < 14; i++) {
    fake.raise(52);
    settle();
    const masked = now();
    for (let ms = 0; fake.isMasked(52) && ms < 2000; ms++) advance(1);
    delays.push(now() - masked);
  }
  expect(times).toHaveLength(14);
  expect(delays).toEqual([0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1000, 1000, 1000]);
  unbind_from_irqhandler(irq, times);

  let flags = XEN_EOI_FLAG_SPURIOUS;
  const mixed = bind_evtchn_to_irqhandler_lateeoi(
    53,
    (n) => {
      xen_irq_lateeoi(n, flags);
      return IRQ_HANDLED;
    },
    0,
    "mixed",
    null,
  );
  const isDelayed = (f: number): boolean => {
    flags = f;
    fake.raise(53);
    settle();
    const masked = fake.isMasked(53);
    advance(2000);
    return masked;
  };
  const s = XEN_EOI_FLAG_SPURIOUS;
  expect([s, s, 0, s, s].map(isDelayed)).toEqual([false, true, false, false, true]);
  unbind_from_irqhandler(mixed, null);
});

test("a device counts its events, and its threshold says how many spurious ends are free", () => {
  const dev = new xenbus_device();
  dev.otherend_id = 3;
  dev.spurious_threshold = 3;
  const handler = (n: number): number => {
    xen_irq_lateeoi(n, XEN_EOI_FLAG_SPURIOUS);
    return IRQ_HANDLED;
  };
  const irq = bind_interdomain_evtchn_to_irqhandler_lateeoi(dev, 77, handler, 0, "device", dev);
  const port = evtchn_from_irq(irq);
  expect(irq_from_evtchn(port)).toBe(irq);
  expect(dev.event_channels).toBe(1);
  for (let i = 0; i < 5; i++) {
    fake.raise(port);
    settle();
    advance(100);
  }
  expect([dev.events, dev.spurious_events, dev.jiffies_eoi_delayed]).toEqual([5, 5, 1 + 2]);
  unbind_from_irqhandler(irq, dev);
  expect(dev.event_channels).toBe(0);
  expect(fake.closed).toContain(port);
});

test("unbinding forgets a delayed end", () => {
  const { irq, times } = bind(54, XEN_EOI_FLAG_SPURIOUS);
  for (let i = 0; i < 3; i++) {
    fake.raise(54);
    advance(1);
  }
  expect(fake.isMasked(54)).toBe(true);
  unbind_from_irqhandler(irq, times);
  advance(1000);
  expect(fake.isMasked(54)).toBe(true);
  expect(times).toHaveLength(3);
});

test("a handler may unbind its own and other channels; the others' events are dropped", () => {
  const served: string[] = [];
  const other = bind_evtchn_to_irqhandler(61, () => served.push("other") & 0, 0, "other", served);
  const irq: number = bind_evtchn_to_irqhandler(
    60,
    () => {
      served.push("first");
      unbind_from_irqhandler(other, served);
      unbind_from_irqhandler(irq, served);
      return IRQ_HANDLED;
    },
    0,
    "first",
    served,
  );
  fake.raise(60);
  fake.raise(61);
  settle();
  expect(served).toEqual(["first"]);
  expect([irq_from_evtchn(60), irq_from_evtchn(61)]).toEqual([-1, -1]);
});

test("a notification names the port, and an irq without a channel sends nothing", () => {
  const { irq, times } = bind(1500, 0);
  const before = fake.sent.length;
  notify_remote_via_irq(irq);
  notify_remote_via_irq(4000);
  expect(fake.sent.slice(before)).toEqual([1500]);
  unbind_from_irqhandler(irq, times);
});

test("/proc/interrupts shows chips and counts", () => {
  const { irq, times } = bind(62, 0);
  fake.raise(62);
  settle();
  const line = show_interrupts()
    .split("\n")
    .find((text) => text.trim().startsWith(`${irq}:`));
  expect(line).toMatch(/\b1 +xen-dyn-lateeoi +test$/);
  unbind_from_irqhandler(irq, times);
});
