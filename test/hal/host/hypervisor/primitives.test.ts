import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { costTable } from "../../../../hal/host/hypervisor/costs";
import { takeEvent } from "../../../../hal/host/hypervisor/event-queue";
import { acquire, createBusyIntervals } from "../../../../hal/host/hypervisor/locks";
import { nextBelow, nextWord, seedStream, stream } from "../../../../hal/host/hypervisor/rng";
import type { QueuedEvent } from "../../../../hal/host/hypervisor/state";
import { FakeMachine } from "./fake-machine";

describe("random streams", () => {
  it("depend on the seed and the name alone", () => {
    const holder = { seed: "s", streams: {} };
    const alone = Array.from({ length: 5 }, () => nextWord(stream(holder, "faults")));
    const other = { seed: "s", streams: {} };
    for (let i = 0; i < 9; i++) nextWord(stream(other, "scheduler"));
    expect(Array.from({ length: 5 }, () => nextWord(stream(other, "faults")))).toEqual(alone);
    expect(nextWord(seedStream("t", "faults"))).not.toBe(alone[0]);
  });

  it("are these words, on every platform", () => {
    const words = seedStream("xenolith", "scheduler");
    const first = Array.from({ length: 4 }, () => nextWord(words));
    expect(first).toMatchInlineSnapshot(`
      [
        640951414,
        3064451672,
        2750050808,
        1051654741,
      ]
    `);
  });

  it("nextBelow stays below, and reaches everything", () => {
    const words = seedStream("s", "n");
    const seen = new Set(Array.from({ length: 500 }, () => nextBelow(words, 6)));
    expect([...seen].sort()).toEqual([0, 1, 2, 3, 4, 5]);
  });
});

describe("busy intervals", () => {
  it("an acquirer gets the first gap at or after its time that is long enough", () => {
    const lock = createBusyIntervals();
    expect(acquire(lock, 100, 10)).toBe(100);
    expect(acquire(lock, 130, 10)).toBe(130);
    expect(acquire(lock, 105, 10)).toBe(110);
    expect(acquire(lock, 105, 11)).toBe(140);
    expect(acquire(lock, 50, 50)).toBe(50);
    expect(acquire(lock, 0, 60)).toBe(151);
    expect([lock.waits, lock.waitedNs]).toEqual([3, 5 + 35 + 151]);
  });

  it("no two ever overlap, and nobody is served before it came", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat({ max: 500 }), fc.integer({ min: 1, max: 30 })), { maxLength: 40 }),
        (asks) => {
          const lock = createBusyIntervals();
          const held = asks.map(([at, duration]) => {
            const start = acquire(lock, at, duration);
            expect(start).toBeGreaterThanOrEqual(at);
            return [start, start + duration];
          });
          held.sort((a, b) => a[0] - b[0]);
          for (let i = 1; i < held.length; i++) expect(held[i][0]).toBeGreaterThanOrEqual(held[i - 1][1]);
        },
      ),
    );
  });
});

describe("the event queue", () => {
  it("gives events by time, then by number, also when some are taken from the middle", () => {
    const asks = fc.array(fc.nat({ max: 20 }), { minLength: 1, maxLength: 40 });
    fc.assert(
      fc.property(asks, fc.array(fc.nat({ max: 100 }), { maxLength: 5 }), (times, taken) => {
        const machine = new FakeMachine({ frames: 1 });
        for (const at of times) machine.hv.queue(at, "shutdown", 9, 0);
        const { events } = machine.hv.state;
        for (const index of taken) if (index < events.length) takeEvent(events, index);
        const left = [...events].sort((a, b) => a.at - b.at || a.seq - b.seq);
        const order: QueuedEvent[] = [];
        while (events.length > 0) order.push(takeEvent(events, 0));
        expect(order).toEqual(left);
      }),
    );
  });

  it("an event that moves up when another is taken from the middle is found", () => {
    const machine = new FakeMachine({ frames: 1 });
    for (const at of [1, 10, 2, 11, 12, 3, 4]) machine.hv.queue(at, "shutdown", 9, 0);
    const { events } = machine.hv.state;
    takeEvent(events, 3);
    expect(events.map((event) => event.at)).toEqual([1, 4, 2, 10, 12, 3]);
  });
});

describe("costs", () => {
  it("unknown presets, unknown names and bad values are named", () => {
    expect(() => costTable("kvm")).toThrow(/no cost preset "kvm"; there are: xen, flat/);
    expect(() => costTable("constructor")).toThrow(/no cost preset/);
    expect(() => costTable("xen", { grantMap: 1 })).toThrow(/no cost "grantMap"; there are: hypercallNs/);
    expect(() => costTable("xen", { grantMapNs: -1 })).toThrow(/grantMapNs: -1/);
    expect(() => costTable("xen", { grantMapNs: 0.5 })).toThrow(/grantMapNs/);
  });

  it("no table lets a loop stand still", () => {
    expect(costTable("xen", { cpuRelaxNs: 0, clockReadNs: 0 })).toMatchObject({ cpuRelaxNs: 1, clockReadNs: 1 });
  });
});
