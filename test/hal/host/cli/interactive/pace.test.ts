import { expect, it } from "vitest";
import type { Machine } from "xenolith";
import { Pace, type PaceName } from "../../../../../hal/host/cli/interactive/pace";

/** A machine that has an event every millisecond of virtual time, and a clock that the test moves. */
class Tick {
  now = 0;
  next = 1e6;
  wallMs = 0;
  readonly hypervisor = { nextAt: () => this.next };

  step(): boolean {
    this.now = this.next;
    this.next += 1e6;
    return true;
  }

  advance(ns: number): void {
    this.now += ns;
  }

  pace(name: PaceName, rests = () => false): Pace {
    return new Pace(this as unknown as Machine, name, rests, () => this.wallMs);
  }
}

const never = () => false;

it("host: never ahead of the clock, says how long there is nothing to do, and input comes in at the clock's time", () => {
  const tick = new Tick();
  const pace = tick.pace("host");
  expect(pace.run(never)).toBe(1);
  tick.wallMs = 3.5;
  expect(pace.run(never)).toBeCloseTo(0.5);
  expect(tick.now).toBe(3e6);
  tick.wallMs = 3.75;
  pace.catchUp();
  expect(tick.now).toBe(3.75e6);
});

it("host: what a slow machine did not do in time is not made up for", () => {
  const tick = new Tick();
  const pace = tick.pace("host");
  expect(pace.run(never)).toBe(1);
  tick.wallMs = 10_000;
  let steps = 0;
  const step = tick.step.bind(tick);
  tick.step = () => (steps++, step());
  expect(pace.run(never)).toBeGreaterThan(0);
  expect(steps).toBe(100);
});

it("virtual: free while somebody waits, with the clock while nobody does", () => {
  const tick = new Tick();
  let rests = false;
  const pace = tick.pace("virtual", () => rests);
  pace.run(() => tick.now >= 5e9);
  expect(tick.now).toBe(5e9);
  rests = true;
  expect(pace.run(never)).toBe(1);
  tick.wallMs = 2;
  expect(pace.run(never)).toBe(1);
  expect(tick.now).toBe(5e9 + 2e6);
});

it("is stopped before it does anything", () => {
  const tick = new Tick();
  expect(tick.pace("virtual").run(() => true)).toBe(0);
  expect(tick.now).toBe(0);
});
